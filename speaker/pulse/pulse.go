// Package pulse is a driver for PulseAudio and for the server of PipeWire that
// speaks the same protocol. Each sink of the server is a speaker. There is one
// connection for each, so that none waits for another.
package pulse

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"hkw/speaker"
)

// Driver implements speaker.Driver. A target is the name of a sink of the server.
type Driver struct {
	server string

	mu        sync.Mutex
	listeners []chan speaker.TargetEvent
	watching  context.CancelFunc
	watched   sync.WaitGroup
	closed    bool
}

// New makes the driver for a server given as PULSE_SERVER would give it, or, if
// that is empty, for the one that libpulse would find.
func New(server string) *Driver { return &Driver{server: server} }

// Name is "pulse".
func (*Driver) Name() string { return "pulse" }

// Targets lists the sinks of the server.
func (d *Driver) Targets(ctx context.Context) ([]speaker.Target, error) {
	c, err := d.dial(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer c.close()
	defer context.AfterFunc(ctx, func() { c.fail(ctx.Err()) })()
	var server proto.GetServerInfoReply
	if err := c.ask(&proto.GetServerInfo{}, &server); err != nil {
		return nil, fmt.Errorf("ask the sound server for its default: %w", err)
	}
	var sinks proto.GetSinkInfoListReply
	if err := c.ask(&proto.GetSinkInfoList{}, &sinks); err != nil {
		return nil, fmt.Errorf("ask the sound server for its sinks: %w", err)
	}
	var targets []speaker.Target
	for _, s := range sinks {
		if s.SinkName == "auto_null" {
			continue // what the server pretends to have when it has nothing
		}
		t := speaker.Target{ID: s.SinkName, Description: s.Device, Default: s.SinkName == server.DefaultSinkName}
		if t.Description == "" {
			t.Description = s.SinkName
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// Open opens a sink of the server.
func (d *Driver) Open(ctx context.Context, target string) (speaker.Sink, error) {
	s := newSink()
	c, err := d.dial(ctx, s.event)
	if err != nil {
		return nil, err
	}
	s.conn = c
	stop := context.AfterFunc(ctx, func() { c.fail(ctx.Err()) })
	err = s.create(target)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.fail(err)
		return nil, err
	}
	return s, nil
}

// Events returns a channel of the caller's own that is told when sinks come and
// go, the server itself included.
func (d *Driver) Events() <-chan speaker.TargetEvent {
	ch := make(chan speaker.TargetEvent, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		close(ch)
		return ch
	}
	d.listeners = append(d.listeners, ch)
	if d.watching == nil {
		ctx, cancel := context.WithCancel(context.Background())
		d.watching = cancel
		d.watched.Add(1)
		go func() {
			defer d.watched.Done()
			d.watch(ctx)
		}()
	}
	return ch
}

// Close ends the watch over the server; open sinks stay open.
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	if d.watching != nil {
		d.watching()
	}
	d.mu.Unlock()
	d.watched.Wait()
	for _, ch := range d.listeners {
		close(ch)
	}
	return nil
}

// watchPause is how often a server that is away is looked for.
const watchPause = time.Second

// watch tells the listeners of every change for as long as the driver is open.
func (d *Driver) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if c, err := d.subscribe(ctx); err == nil {
			d.notify()
			select {
			case <-ctx.Done():
			case <-c.failed:
			}
			c.close()
			d.notify()
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchPause):
		}
	}
}

func (d *Driver) subscribe(ctx context.Context) (*conn, error) {
	c, err := d.dial(ctx, func(msg any) {
		if _, ok := msg.(*proto.SubscribeEvent); ok {
			d.notify()
		}
	})
	if err != nil {
		return nil, err
	}
	err = c.ask(&proto.Subscribe{Mask: proto.SubscriptionMaskSink | proto.SubscriptionMaskServer}, nil)
	if err != nil {
		c.fail(err)
		return nil, err
	}
	return c, nil
}

func (d *Driver) notify() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ch := range d.listeners {
		select {
		case ch <- speaker.TargetEvent{}:
		default: // one that was not fetched yet says the same
		}
	}
}

// unknown makes an answer of the server that there is no such sink the driver's error for it.
func unknown(target string, err error) error {
	var code proto.Error
	if errors.As(err, &code) && code == proto.ErrNoSuchEntity {
		return fmt.Errorf("%w: the sound server has no sink %q", speaker.ErrNoSuchSpeaker, target)
	}
	return err
}
