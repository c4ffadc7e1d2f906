// Package snapcast is a driver that feeds one stream of a snapserver: all of the
// server's clients that listen to the stream are one speaker. The server takes the
// sound on a tcp source of its own configuration,
//
//	source = tcp://0.0.0.0:4953?name=hkw&sampleformat=48000:16:2&mode=server
//
// and that is where this driver connects to. From then on it sends without a pause,
// silence too, at the pace of time: a stream that stands still is idle for the
// server and would begin anew with each sound.
//
// # When it is heard
//
// What is handed over cannot be taken back, and is heard when the server's buffer
// (one second unless configured) has passed. Sound therefore counts as heard when it
// is handed over: other speakers of the hub start at once, and not in step
// with the house; a playback has ended while its last second is still to be heard, so
// that whatever follows joins on without a gap; and positions are ahead by the buffer.
// A target with "?latency=1s", the server's buffer, counts exactly: then
// the hub's other speakers wait for the house and all play in step, and what
// follows a playback begins after the house has heard its end.
package snapcast

import (
	"context"
	"fmt"
	"sync"
	"time"

	"hkw/speaker"
)

// Source is what the server's configuration needs, for messages to people.
const Source = "source = tcp://0.0.0.0:4953?name=hkw&sampleformat=48000:16:2&mode=server"

const (
	// stuckPause is for how long a server that took no sound is left alone. Each attempt leaves
	// it almost a second of silence, which it plays when its turn has come.
	stuckPause = 30 * time.Second
	// proofTime is for how long it then has to take silence until the speaker counts
	// as open: longer than it takes to notice that it still doesn't.
	proofTime = writeLimit + 2*time.Second
)

// Driver implements speaker.Driver; a target is one as ParseTarget takes it.
type Driver struct {
	mu    sync.Mutex
	stuck map[string]time.Time // by address: when a server accepted a connection and took no sound
}

// New makes the driver.
func New() *Driver { return &Driver{stuck: map[string]time.Time{}} }

// Name is "snapcast".
func (*Driver) Name() string { return "snapcast" }

// Targets is empty: nobody knows where snapservers take sound but their owner.
func (*Driver) Targets(context.Context) ([]speaker.Target, error) { return nil, nil }

// Events is nil: whether a server is there shows when it is opened.
func (*Driver) Events() <-chan speaker.TargetEvent { return nil }

// Close has nothing to do; each sink closes its connection.
func (*Driver) Close() error { return nil }

// Open connects to the source. A server accepts connections that it does not read,
// as long as another program feeds the stream. Once that was noticed Open fails for
// half a minute, and then takes some seconds to see whether the server reads.
func (d *Driver) Open(ctx context.Context, target string) (speaker.Sink, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", speaker.ErrNoSuchSpeaker, err)
	}
	d.mu.Lock()
	since, doubtful := d.stuck[t.Address]
	d.mu.Unlock()
	if doubtful && time.Since(since) < stuckPause {
		return nil, errStuck
	}
	s, err := open(ctx, t, func() {
		d.mu.Lock()
		d.stuck[t.Address] = time.Now()
		d.mu.Unlock()
	})
	if err != nil {
		return nil, err
	}
	if doubtful {
		if err := prove(ctx, s); err != nil {
			_ = s.Close()
			return nil, err
		}
		d.mu.Lock()
		delete(d.stuck, t.Address)
		d.mu.Unlock()
	}
	return s, nil
}

// prove waits until it is certain that the server takes what is sent.
func prove(ctx context.Context, s speaker.Sink) error {
	proof := time.NewTimer(proofTime)
	defer proof.Stop()
	select {
	case <-proof.C:
		return nil
	case <-s.Failed():
		return s.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
