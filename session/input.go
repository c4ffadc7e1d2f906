package session

import "time"

// Input is anything that Step takes: a client's command, a report of the sound
// engine, or Tick.
type Input interface{ isInput() }

// Request is what every client command carries.
type Request struct {
	ID       string // of the command; comes back in its Result
	Session  string // token of the session, "" for none
	Priority *int   // MinPriority–MaxPriority; nil: the session's, else DefaultPriority
}

// Tick is no input of its own: Step only does what has become due.
type Tick struct{}

// Open opens a session. Token and Ref must never have been used before.
type Open struct {
	Request              // Priority becomes the session's default; Session is ignored
	Token       string   // what commands with it will carry
	Ref         string   // what others see of it
	AllSpeakers bool     // starts with every speaker of the hub, later ones too
	Speakers    []string // else with these; none if nil
}

// Close ends a session and everything of it.
type Close struct{ Request }

// Read is a command that only asks; it keeps its session alive.
type Read struct{ Request }

// SetSpeakers changes the selection of a session, live. All replaces the
// selection by every speaker of the hub; else Set (if not nil) replaces it;
// then Add and Remove apply. Unknown ids are SpeakerNotFound and change nothing.
type SetSpeakers struct {
	Request
	All    bool
	Set    []string
	Add    []string
	Remove []string
}

// Play asks for a sound. Playback must never have been used before; Ref is the
// public name of the implicit session that a play without a session opens.
type Play struct {
	Request
	Playback    string
	Ref         string
	Media       any  // carried and handed back, never looked at
	Resumable   bool // a client may pause and resume it (hub media only)
	OnBusy      OnBusy
	Duck        bool      // an announcement lowers the music instead of suspending it
	Volume      *int      // 0–MaxVolume, for this playback alone
	Speakers    []string  // for this playback alone; nil: the session's selection
	AllSpeakers bool      // for this playback alone: every speaker
	Expires     time.Time // never start it at or after this time; zero: no limit
	// Beside names a playback whose session it joins, if that one still lives and the
	// command has no session of its own: who asked for both is the same.
	Beside string
}

// Stop ends playbacks: Playback when named, else everything of the session,
// else (without a session) everything whose priority is not above the command's.
// Nothing there is done with Count 0; only playbacks above it, PriorityTooLow.
type Stop struct {
	Request
	Playback string
}

// Pause holds a playback so that it can be resumed; announcements and what cannot
// be resumed are stopped. It concerns the playback named, else what the session
// has playing or suspended, else (without a session) all that holds the hub.
// Its result comes when the engine has answered.
type Pause struct {
	Request
	Playback string
}

// Resume continues a paused playback: the one named, else the session's, else
// (without a session) the one paused last. It is arbitrated like a play that
// interrupts, with the command's priority, else the playback's; the playback
// keeps the priority with which it won. If it fails it stays paused.
type Resume struct {
	Request
	Playback    string
	Speakers    []string // as in Play; nil leaves them as they were
	AllSpeakers bool
}

// Seek moves the playback named, else the session's own, else the current or
// latest paused one. Nothing there is InvalidCommand, a live stream NotSeekable.
type Seek struct {
	Request
	Playback string
	Position time.Duration // from the beginning
}

// SetVolume sets the own volume of one speaker, or of all when Speaker is "".
// It is not arbitrated and ends running overrides on these speakers.
type SetVolume struct {
	Request
	Speaker string
	Volume  int // 0–MaxVolume
}

// SetMute silences one speaker, or the hub as a whole when Speaker is "", or lets
// it be heard again. Nothing stops, no volume changes, and it is not arbitrated.
type SetMute struct {
	Request
	Speaker string
	Mute    Switch
	Below   int // when it goes on: the priority from which a sound is heard all the same, 1–MaxPriority; 0 for none
}

// SetQuiet switches the quiet hours of one speaker, or of the hub as a whole
// when Speaker is "". It is not arbitrated.
type SetQuiet struct {
	Request
	Speaker string
	Mode    QuietMode
}

// Prepared reports that a playback is opened and decoded to its first samples.
type Prepared struct {
	Playback string
	Seekable bool
}

// Started reports that the first sample of a start or a coming back is on its way,
// or that a resume or seek is carried out.
type Started struct{ Playback string }

// Paused reports that an order to pause is carried out.
type Paused struct{ Playback string }

// Ended reports that the last sample of a playback has been heard.
type Ended struct{ Playback string }

// Failed reports that a playback cannot be prepared or cannot go on.
type Failed struct {
	Playback string
	Code     Code // MediaUnavailable or SpeakerUnavailable
	Message  string
	Kept     bool // the engine holds it as before and can try again; else it has forgotten it
}

// Speaker reports that a speaker exists and whether it can be heard, at start
// and at each change. Volume, Mute and Quiet are taken only for a speaker that is new.
type Speaker struct {
	ID        string
	Available bool
	Volume    int
	Mute      Mute
	Quiet     QuietOverride
}

// SpeakerGone reports that a speaker no longer belongs to the hub.
type SpeakerGone struct{ ID string }

func (Tick) isInput()        {}
func (Open) isInput()        {}
func (Close) isInput()       {}
func (Read) isInput()        {}
func (SetSpeakers) isInput() {}
func (Play) isInput()        {}
func (Stop) isInput()        {}
func (Pause) isInput()       {}
func (Resume) isInput()      {}
func (Seek) isInput()        {}
func (SetVolume) isInput()   {}
func (SetMute) isInput()     {}
func (SetQuiet) isInput()    {}
func (Prepared) isInput()    {}
func (Started) isInput()     {}
func (Paused) isInput()      {}
func (Ended) isInput()       {}
func (Failed) isInput()      {}
func (Speaker) isInput()     {}
func (SpeakerGone) isInput() {}
