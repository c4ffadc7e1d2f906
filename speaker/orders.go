package speaker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How long things take around a swap.
const (
	swapMargin = 500 * time.Microsecond // until the flush has reached the sinks
	swapFade   = 500 * time.Microsecond // of the old sound, before the new one, which waits for it: no click, and no wait to speak of
	stopFade   = 4 * time.Millisecond   // of a sound that nothing follows
	runWait    = 500 * time.Millisecond // for sinks that begin to run; who is later joins in sync
)

// swap is a set of orders that sound follows from, and the sinks it waits for.
type swap struct {
	orders  []Order
	waiting map[string]bool
	start   time.Time // when they all begin, the same for each
	until   time.Time
}

// do takes orders in. They are carried out in the order of their coming, but
// for Prepare, which disturbs nobody and need not wait.
func (e *Engine) do(orders []Order) {
	var rest []Order
	for _, o := range orders {
		if o.Verb == Prepare {
			e.prepare(o)
		} else {
			rest = append(rest, o)
		}
	}
	switch {
	case len(rest) == 0:
	case e.awaited != nil:
		e.held = append(e.held, rest)
	default:
		e.undertake(rest)
	}
}

// undertake carries orders out, at once or when all the sinks they need run.
func (e *Engine) undertake(orders []Order) {
	now := time.Now()
	waiting := map[string]bool{}
	at := now.Add(swapMargin)
	if starts := starting(orders); len(starts) > 0 {
		e.lastBusy = now
		for id := range e.toRun(starts) {
			if st := e.stations[id]; st.state == closed || st.state == idle {
				waiting[id] = true
			}
		}
		for id := range waiting {
			e.stations[id].run(at)
		}
		e.running = true
	}
	s := &swap{orders: orders, waiting: waiting, start: at, until: now.Add(runWait)}
	if len(waiting) == 0 {
		e.commit(s, now)
		return
	}
	e.awaited = s
}

// arrived says that a station runs, or will not.
func (e *Engine) arrived(speaker string) {
	if s := e.awaited; s != nil {
		delete(s.waiting, speaker)
		e.resolve(time.Now())
	}
}

// resolve commits the awaited swap once nothing is waited for, and then what was held behind it.
func (e *Engine) resolve(now time.Time) {
	for s := e.awaited; s != nil && (len(s.waiting) == 0 || !now.Before(s.until)); s = e.awaited {
		e.awaited = nil
		e.commit(s, now)
		for e.awaited == nil && len(e.held) > 0 {
			next := e.held[0]
			e.held = e.held[1:]
			e.undertake(next)
		}
	}
}

// starting picks the orders after which something is heard that was not.
func starting(orders []Order) []Order {
	var starts []Order
	for _, o := range orders {
		if o.Verb == Start || o.Verb == Resume {
			starts = append(starts, o)
		}
	}
	return starts
}

// toRun are the stations that must pull for what starts. The configured ones
// run together, so that files written by several stay aligned; a discovered one
// is left asleep until it is used.
func (e *Engine) toRun(starts []Order) map[string]bool {
	ids := map[string]bool{}
	for _, o := range starts {
		for _, out := range o.Outputs {
			if st := e.stations[out.Speaker]; st != nil && st.state != lost {
				ids[out.Speaker] = true
			}
		}
	}
	if len(ids) > 0 {
		for id, st := range e.stations {
			if !st.discovered && st.state == idle {
				ids[id] = true
			}
		}
	}
	return ids
}

// commit lets orders be heard, all at the same moment on every speaker.
func (e *Engine) commit(s *swap, now time.Time) {
	touched := map[string]bool{}
	cutting := false
	for _, o := range s.orders {
		p := e.playbacks[o.Playback]
		switch o.Verb {
		case Release, Hold, Mix:
			if p != nil && p.stage == sounding {
				cutting = cutting || o.Verb != Mix
				for id := range p.on {
					touched[id] = true
				}
			}
		case Start, Resume:
			for _, out := range o.Outputs {
				if st := e.stations[out.Speaker]; st != nil && st.state == running {
					touched[out.Speaker] = true
				}
			}
		}
	}
	c := cue{now: now, at: now.Add(e.latency(touched) + swapMargin), fade: DurationToFrames(stopFade)}
	switch {
	case len(starting(s.orders)) == 0 && cutting:
		c.at = c.at.Add(stopFade)
	case cutting:
		c.at = c.at.Add(swapFade)
		c.fade = DurationToFrames(swapFade)
	}
	if cutting || len(starting(s.orders)) > 0 {
		c.ramp = c.at
	}
	for id := range touched {
		e.stations[id].mix.expectFlush()
	}
	for _, o := range s.orders {
		e.carryOut(o, c)
	}
	for id := range touched {
		e.stations[id].flush()
	}
}

// cue is when, on the clock of what is heard, orders take effect.
type cue struct {
	now  time.Time
	at   time.Time
	ramp time.Time // when gains begin to move; zero: on each speaker as soon as it can
	fade int64     // frames
}

// latency is the greatest of some stations.
func (e *Engine) latency(ids map[string]bool) time.Duration {
	var most time.Duration
	for id := range ids {
		most = max(most, e.stations[id].latency())
	}
	return most
}

func (e *Engine) carryOut(o Order, c cue) {
	p := e.playbacks[o.Playback]
	if p == nil {
		switch o.Verb {
		case Release, Mix:
		case Hold:
			e.cfg.Report(Report{Kind: ReportHeld, Playback: o.Playback, At: c.now})
		default:
			e.refuse(o.Playback, fmt.Errorf("%w: it was never prepared", ErrMedia))
		}
		return
	}
	switch o.Verb {
	case Start, Resume:
		e.start(p, o, c)
	case Hold:
		e.hold(p, c)
	case Seek:
		e.seek(p, o.Position)
	case Mix:
		if p.stage == sounding {
			e.mixIn(p, o, c, true)
		}
	case Release:
		e.forget(p.id, c.at, c.fade)
	}
}

// refuse reports a playback as failed that the engine does not have.
func (e *Engine) refuse(playback string, err error) {
	e.cfg.Report(Report{Kind: ReportFailed, Playback: playback, At: time.Now(), Err: err})
}

// fail reports a playback as failed and forgets it.
func (e *Engine) fail(p *playback, err error) {
	frame, _ := p.position(time.Now())
	e.forget(p.id, time.Now().Add(stopFade), DurationToFrames(stopFade))
	e.cfg.Report(Report{
		Kind: ReportFailed, Playback: p.id, Err: err,
		Position: FramesToDuration(frame), At: time.Now(),
	})
}

func (e *Engine) prepare(o Order) {
	if e.playbacks[o.Playback] != nil {
		e.cfg.Log.Warn().Str("playback", o.Playback).Msg("a playback was prepared twice")
		return
	}
	ctx, cancel := context.WithCancel(e.ctx)
	size := int64(smallRing)
	if e.latency(e.open()) > 250*time.Millisecond {
		size = largeRing
	}
	p := &playback{
		id: o.Playback, opener: o.Opener, cancel: cancel, notice: e.notice,
		seeks: make(chan int64, 1), on: map[string]*voice{}, ring: newRing(size, 0),
	}
	e.mu.Lock()
	e.playbacks[p.id] = p
	e.mu.Unlock()
	e.spawn(func() {
		p.decode(ctx, func(d decoded) {
			e.inbox.put(func() {
				if e.playbacks[p.id] == p {
					e.decoded(p, d)
				}
			})
		})
	})
}

// decoded acts on what a decoder tells.
func (e *Engine) decoded(p *playback, d decoded) {
	switch {
	case d.fatal:
		p.dead = d.err
		var broken *panicError
		if errors.As(d.err, &broken) {
			e.cfg.Log.Error().Str("playback", p.id).Bytes("stack", broken.stack).Err(d.err).Msg("a decoder panicked")
		}
		if p.stage == opening || d.seek {
			e.fail(p, d.err)
		}
	case d.seek && d.ring == nil:
		frame, _ := p.position(time.Now())
		if p.stage == held || p.stage == ready {
			frame = p.atHold
		}
		e.cfg.Report(Report{
			Kind: ReportSeeked, Playback: p.id, Err: unplayable(d.err),
			Position: FramesToDuration(frame), At: time.Now(),
		})
	case d.seek:
		e.sought(p, d.ring)
	case p.stage == opening:
		p.stage, p.info = ready, d.info
		e.cfg.Report(Report{Kind: ReportPrepared, Playback: p.id, Info: d.info, At: time.Now()})
	}
}
