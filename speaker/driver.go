package speaker

import (
	"context"
	"errors"
	"time"
)

// ErrNoSuchSpeaker is returned by Open for a target that the driver does not have (now).
var ErrNoSuchSpeaker = errors.New("no such speaker")

// Target is one output that a driver can reach.
type Target struct {
	ID          string // the driver's own name for it; the argument of Open
	Description string // for a person
	Default     bool   // the output that the machine's owner chose
}

// TargetEvent says that the targets of a driver may have changed: a sink was
// plugged, a server came or went. Whoever gets one asks Targets again.
type TargetEvent struct{}

// Driver is one kind of output. Drivers are listed in cmd/hkw and pass
// speakertest.Run. Methods may be called from any goroutine.
type Driver interface {
	// Name is the driver's name in configuration: "pulse", "wav", "null".
	Name() string
	// Targets lists what the driver can reach now.
	Targets(ctx context.Context) ([]Target, error)
	// Open opens a target; "" is the driver's default one. The sink is silent until Start.
	Open(ctx context.Context, target string) (Sink, error)
	// Events tells of changes; nil if the driver never has any. Closed by Close.
	Events() <-chan TargetEvent
	Close() error
}

// Pull fills dst, always wholly, with interleaved 48 kHz stereo samples in -1..1
// (already mixed and limited). heard is when the first frame of dst will be
// heard, as the sink knows it. Pull never blocks.
type Pull func(dst []float32, heard time.Time)

// Sink is one opened output. It pulls its samples, on a goroutine of its own,
// at the pace at which they are heard. It starts paused.
type Sink interface {
	// Start gives the sink what to play; called once, before Run.
	Start(pull Pull)
	// Run lets the sink pull. A sink with a clock of its own making (a file) counts
	// its first frame at start, so that several begin on the same frame.
	Run(start time.Time) error
	// Idle stops pulling after what is buffered has been heard; Run goes on.
	Idle() error
	// Flush throws away what was pulled but not yet heard and pulls anew at once.
	Flush() error
	// Latency is how long a frame pulled now, after a Flush, takes to be heard.
	Latency() time.Duration
	// Failed is closed when the sink cannot go on; Err tells why from then on.
	Failed() <-chan struct{}
	Err() error
	Close() error
}
