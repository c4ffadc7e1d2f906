//go:build darwin || windows

package oto

import (
	"context"
	"fmt"
	"sync"
	"time"

	oto "github.com/ebitengine/oto/v3"

	"hkw/speaker"
)

const (
	deviceBuffer = 40 * time.Millisecond // the library's own default is 0.8 s on some machines
	readyLimit   = 5 * time.Second
)

// driver has the one context that the library allows in a process. It is made when a
// sink is first opened, so that a hub which uses another driver does not take the device.
type driver struct {
	mu      sync.Mutex
	context *oto.Context
	ready   chan struct{}
	err     error
}

// New makes the driver. There must be one in a process at most.
func New() (speaker.Driver, error) { return &driver{}, nil }

// Name is "oto".
func (*driver) Name() string { return "oto" }

// Targets is the default output.
func (*driver) Targets(context.Context) ([]speaker.Target, error) {
	return []speaker.Target{{ID: "default", Description: "The default output", Default: true}}, nil
}

// Events is nil: the library follows the default output by itself.
func (*driver) Events() <-chan speaker.TargetEvent { return nil }

// Close has nothing to do; the library can't give its context back.
func (*driver) Close() error { return nil }

// Open opens the default output.
func (d *driver) Open(ctx context.Context, target string) (speaker.Sink, error) {
	if target != "" && target != "default" {
		return nil, fmt.Errorf("%w: only the default output can be opened, not %q", speaker.ErrNoSuchSpeaker, target)
	}
	d.mu.Lock()
	if d.context == nil && d.err == nil {
		d.context, d.ready, d.err = oto.NewContext(&oto.NewContextOptions{
			SampleRate: speaker.SampleRate, ChannelCount: speaker.Channels,
			Format: oto.FormatFloat32LE, BufferSize: deviceBuffer,
		})
	}
	device, ready, err := d.context, d.ready, d.err
	d.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("open the output: %w", err)
	}
	select {
	case <-ready:
	case <-ctx.Done():
		return nil, fmt.Errorf("open the output: %w", ctx.Err())
	case <-time.After(readyLimit):
		return nil, fmt.Errorf("open the output: it is not ready after %v", readyLimit)
	}
	// Without a device it seems to play all the same; only this tells.
	if err := device.Err(); err != nil {
		return nil, fmt.Errorf("open the output: %w", err)
	}
	return newSink(device), nil
}
