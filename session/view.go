package session

import "time"

// Phase is where a playback is on its way, finer than PlayerState.
type Phase string

// The phases of a playback.
const (
	PhasePreparing Phase = "preparing"
	PhaseQueued    Phase = "queued"
	PhaseStarting  Phase = "starting"
	PhasePlaying   Phase = "playing"
	PhaseDucked    Phase = "ducked"
	PhasePaused    Phase = "paused"
	PhaseSuspended Phase = "suspended"
	PhaseReturning Phase = "returning" // coming back after an announcement
	PhaseEnded     Phase = "ended"
)

// PlaybackView is what others may see of a playback.
type PlaybackView struct {
	ID       string
	Command  string // id of the command that asked for it
	Ref      string // of its session
	Media    any
	Priority int
	OnBusy   OnBusy
	Phase    Phase
	State    PlayerState
	Volume   *int     // override, nil when it has none (any more)
	Speakers []string // live selection
	Expires  time.Time
}

// SessionView is what others may see of a session.
type SessionView struct {
	Ref      string
	State    PlayerState
	Priority int
	Speakers []string  // selection, resolved
	Expires  time.Time // zero while its clock stands still
	Playback string    // its playing, paused or suspended playback, if any
	Implicit bool
}

// SpeakerView is a speaker as the core knows it.
type SpeakerView struct {
	ID        string
	Available bool
	Volume    int        // own
	Override  *int       // of what plays there, if it has one
	Active    bool       // something is playing there
	Muted     bool       // itself; see View.Muted too
	MuteBelow int        // of its mute; 0 for none
	Quiet     *QuietView // its own; nil if it has none
}

// View is the whole hub at one moment, for the status.
type View struct {
	State     PlayerState    // of the hub: playing, paused, or stopped; initialized before the first playback
	Current   *PlaybackView  // what is heard on top, or starting
	Beneath   *PlaybackView  // music suspended, ducked or coming back
	Paused    []PlaybackView // oldest first
	Waiting   []PlaybackView // preparing and queued, next first
	Speakers  []SpeakerView  // by id
	Volume    int            // mean of the own volumes, rounded
	Muted     bool           // the hub as a whole
	MuteBelow int            // the priority from which a sound is heard all the same; 0 for none
	Quiet     QuietView      // of the hub as a whole
	Sessions  int            // open, implicit ones not counted
	HeldAt    int            // priority at which the hub is held; -1 when free
}
