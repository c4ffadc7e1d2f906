// Package session decides who may be heard.
//
// It is a pure core: inputs and the time come in, effects go out. There is no
// I/O, no goroutine, no clock, no logger and no randomness in it; identifiers
// are made by the caller. The rules are HKWHub's (a session commands with a
// priority, the greater or equal one interrupts) with the additions that a
// house on a message bus needs: announcements, a queue, deadlines. The scripts
// in testdata read like the rules and are the quickest way to learn them.
package session

import "time"

// Bounds and defaults of the protocol.
const (
	DefaultPriority = 100 // of a playback whose command and session name none
	MinPriority     = 0
	MaxPriority     = 9999
	MaxVolume       = 50 // 0 is mute
	DefaultVolume   = 35 // of a speaker that nobody has set yet
)

// PlayerState is the state of a playback or of a session's player as HKWHub
// names it on the wire.
type PlayerState string

// The four player states. Preparing changes none of them; suspended and coming
// back count as paused, ducked counts as playing, any end as stopped.
const (
	PlayerStateInitialized PlayerState = "PlayerStateInitialized"
	PlayerStatePlaying     PlayerState = "PlayerStatePlaying"
	PlayerStatePaused      PlayerState = "PlayerStatePaused"
	PlayerStateStopped     PlayerState = "PlayerStateStopped"
)

// OnBusy says how a play meets a hub that is not free.
type OnBusy string

// The four ways to meet a busy hub. A play that finds the hub free starts at
// once, whatever its OnBusy.
const (
	Interrupt OnBusy = "interrupt" // stop what plays, if the priority suffices
	Announce  OnBusy = "announce"  // suspend or duck music and give it back; wait behind another announcement
	Queue     OnBusy = "queue"     // wait until the hub is free
	Drop      OnBusy = "drop"      // be refused with Busy
)

// Code names an error on the wire. Codes are only ever added to.
type Code string

// Codes that the core gives out. The bridge adds its own (for example
// MediaNotFound) and maps all of them to HTTP statuses in one table.
const (
	SessionNotFound    Code = "SessionNotFound"
	PriorityTooLow     Code = "PriorityTooLow"
	Busy               Code = "Busy"
	SpeakerNotFound    Code = "SpeakerNotFound"
	NoSpeakers         Code = "NoSpeakers"
	Expired            Code = "Expired"
	TooManySessions    Code = "TooManySessions"
	SpeakerUnavailable Code = "SpeakerUnavailable"
	MediaUnavailable   Code = "MediaUnavailable"
	Cancelled          Code = "Cancelled"
	NothingToResume    Code = "NothingToResume"
	NotSeekable        Code = "NotSeekable"
	InvalidCommand     Code = "InvalidCommand"
	QuietHours         Code = "QuietHours"
)

// Config holds the limits of a core. The zero value of each field takes the
// default that its comment names.
type Config struct {
	// Timeout is how long a session lives after its last command or the end of
	// its last playback; 60 minutes.
	Timeout time.Duration
	// PrepareLimit is how long a play may take to be prepared before it answers
	// MediaUnavailable; 10 seconds.
	PrepareLimit time.Duration
	// OrderLimit is how long the engine may take to carry out an order (start,
	// pause, resume, seek) before the playback counts as failed; 2 seconds.
	OrderLimit time.Duration
	// MaxSessions bounds the open sessions; one more is TooManySessions; 10,000.
	MaxSessions int
	// MaxWaiting bounds the playbacks that prepare or wait; one more is Busy; 100.
	MaxWaiting int
	// MaxPaused bounds the playbacks that are paused, each of which keeps a
	// decoder open; one more ends the one that was paused first; 100.
	MaxPaused int

	// Quiet are the quiet hours of the hub and QuietSpeakers those of its
	// speakers by id. nil, or none: they begin only when a command switches them
	// on, with DefaultQuietVolume and DefaultQuietPriority.
	Quiet         *Quiet
	QuietSpeakers map[string]Quiet
	// Mute and QuietOverride are how the hub was left by an earlier run; those
	// of a speaker come with its Speaker input.
	Mute          Mute
	QuietOverride QuietOverride
}

func (cfg Config) withDefaults() Config {
	positive := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	positive(&cfg.Timeout, time.Hour)
	positive(&cfg.PrepareLimit, 10*time.Second)
	positive(&cfg.OrderLimit, 2*time.Second)
	if cfg.MaxSessions <= 0 {
		cfg.MaxSessions = 10_000
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = 100
	}
	if cfg.MaxPaused <= 0 {
		cfg.MaxPaused = 100
	}
	return cfg
}
