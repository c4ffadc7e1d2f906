package session

import "time"

// Effect is what the caller must carry out after a Step, in the order given.
// Orders stand first, then what has changed, then events, then results.
type Effect interface{ isEffect() }

// Verb is what an Order asks of the sound engine.
type Verb string

// The verbs. Prepare is answered by Prepared or Failed; Start, Resume and
// Seek by Started or Failed; Hold by Paused or Failed; Mix and Release by nothing.
const (
	VerbPrepare Verb = "prepare" // open and decode to the first samples
	VerbStart   Verb = "start"   // let it be heard from where it is
	VerbHold    Verb = "hold"    // fall silent, keep decoder and position
	VerbResume  Verb = "resume"  // be heard again where it was held
	VerbSeek    Verb = "seek"    // go to Position, playing or held
	VerbMix     Verb = "mix"     // Outputs or Ducked changed
	VerbRelease Verb = "release" // fall silent and forget it; comes after Ended too, and may concern what is gone already
)

// Output is one speaker of a playback and the volume that it has there
// (the playback's override, else the speaker's own, less what mute and quiet
// hours take away), 0–MaxVolume.
type Output struct {
	Speaker string
	Volume  int
}

// Order is an order to the sound engine. The orders of one Step belong
// together: an interrupt is a Release and a Start that must swap without a gap.
type Order struct {
	Verb     Verb
	Playback string
	Media    any           // of Prepare
	Outputs  []Output      // of Prepare, Start, Resume and Mix: the whole live selection
	Ducked   bool          // of Start, Resume and Mix: something louder speaks over it
	Position time.Duration // of Seek
}

// Changed says that View would show something new.
type Changed struct{}

// SessionChanged says that what others see of a session has changed.
// Implicit sessions give none.
type SessionChanged struct{ Session SessionView }

// SessionGone says that a session has ended; nothing of it is left.
type SessionGone struct{ Ref string }

// EventKind names what happened to a playback.
type EventKind string

// The kinds of events.
const (
	EventQueued      EventKind = "queued"
	EventStarted     EventKind = "started"
	EventPaused      EventKind = "paused"
	EventResumed     EventKind = "resumed"
	EventSuspended   EventKind = "suspended"
	EventInterrupted EventKind = "interrupted"
	EventFinished    EventKind = "finished"
	EventStopped     EventKind = "stopped"
	EventDropped     EventKind = "dropped"
	EventFailed      EventKind = "failed"
	EventExpired     EventKind = "expired"
)

// EventKinds are all kinds of events, in the order of a playback's life.
func EventKinds() []EventKind {
	return []EventKind{EventQueued, EventStarted, EventPaused, EventResumed, EventSuspended, EventInterrupted,
		EventFinished, EventStopped, EventDropped, EventFailed, EventExpired}
}

// Event tells what happened to a playback and why.
type Event struct {
	Kind     EventKind
	Playback PlaybackView // as it is after the event
	Reason   string       // one of the Reason… words; empty where the kind says all
	By       string       // the playback that caused it, if one did
	Code     Code         // of a failure
	Message  string       // of a failure, for a person
}

// The words that an Event gives as its reason.
const (
	ReasonInterrupt    = "interrupt"    // a play took the hub
	ReasonAnnouncement = "announcement" // an announcement speaks, or a higher one took its place
	ReasonResume       = "resume"       // a resume took the hub, or failed
	ReasonStop         = "stop"         // a client stopped it
	ReasonPause        = "pause"        // a client paused it, or what cannot be paused was stopped
	ReasonReplaced     = "replaced"     // paused, and another pause took its place
	ReasonCancelled    = "cancelled"    // a newer play overtook it while it was being prepared
	ReasonSpeakers     = "speakers"     // its session removed the last speaker
	ReasonClosed       = "closed"       // its session was closed
	ReasonExpired      = "expired"      // its session, or the wait for its resume, ran out
	ReasonQuiet        = "quiet"        // quiet hours silence it on all its speakers
)

// Outcome is the short answer to a command.
type Outcome string

// The outcomes.
const (
	OutcomeStarted  Outcome = "started"
	OutcomeQueued   Outcome = "queued"
	OutcomeDone     Outcome = "done"
	OutcomeRejected Outcome = "rejected"
	OutcomeFailed   Outcome = "failed"
)

// Result answers one command. Every command gets exactly one.
type Result struct {
	ID       string
	Outcome  Outcome
	Code     Code          // of a rejected or failed command
	Message  string        // for a person; names the field and the allowed values
	Token    string        // of Open: the new session's token
	Ref      string        // of the session, implicit ones too
	Playback string        // that the command concerned
	Priority int           // that the command was judged with
	Count    int           // of Stop, Pause and Resume: the playbacks it reached
	Expires  time.Time     // of Open and Read: when the session expires; zero while its clock stands still
	Current  *PlaybackView // of a command refused by another's playback: that one
}

func (Order) isEffect()          {}
func (Changed) isEffect()        {}
func (SessionChanged) isEffect() {}
func (SessionGone) isEffect()    {}
func (Event) isEffect()          {}
func (Result) isEffect()         {}
