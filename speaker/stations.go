package speaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	openLimit  = 5 * time.Second
	firstRetry = 100 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// condition is what can be done with a station.
type condition int

const (
	closed  condition = iota // being opened for the first time
	lost                     // can't be opened, or broke; it is tried again and again
	idle                     // open and silent
	waking                   // told to run
	running                  // it pulls
)

// station is one speaker. Its fields belong to the engine's goroutine; what may
// take time, that is every call into the driver but Latency, is done by a
// goroutine of its own, one thing after the other.
type station struct {
	engine     *Engine
	setup      Setup
	discovered bool
	isDefault  bool
	state      condition
	err        error
	sink       Sink // while open
	mix        *mixer
	since      time.Time // when it began to run
	turn       int       // counts orders to run and to rest, so that a late answer is known as such
	shown      SpeakerInfo

	tasks  *mailbox[task]
	cancel context.CancelFunc
}

// task is something for a station's goroutine; an error of it loses the sink.
type task func(Sink) error

// addStation makes a speaker and begins to open it.
func (e *Engine) addStation(s Setup, discovered bool) *station {
	ctx, cancel := context.WithCancel(e.ctx)
	st := &station{
		engine: e, setup: s, discovered: discovered,
		mix: &mixer{}, tasks: newMailbox[task](), cancel: cancel,
	}
	e.stations[s.ID] = st
	e.order = append(e.order, s.ID)
	e.spawn(func() { st.tend(ctx) })
	return st
}

// removeStation ends a speaker that no longer exists.
func (e *Engine) removeStation(st *station) {
	st.cancel()
	e.lose(st, ErrNoSuchSpeaker)
	delete(e.stations, st.setup.ID)
	for i, id := range e.order {
		if id == st.setup.ID {
			e.order = append(e.order[:i], e.order[i+1:]...)
			break
		}
	}
	e.cfg.Report(Report{Kind: ReportSpeakerGone, Speaker: st.info(), At: time.Now()})
}

// tend keeps a sink open for as long as it can, and opens it anew when it broke.
func (st *station) tend(ctx context.Context) {
	pause := firstRetry
	for {
		sink, err := st.open(ctx)
		if err == nil {
			pause = firstRetry
			err = st.serve(ctx, sink)
		}
		if ctx.Err() != nil {
			return
		}
		st.post(func() { st.engine.lose(st, err) })
		retry := time.NewTimer(pause)
		pause = min(2*pause, lastRetry)
	wait:
		for {
			select {
			case <-ctx.Done():
				retry.Stop()
				return
			case <-retry.C:
				break wait
			case <-st.tasks.mail:
				// There is no sink to do it with; only the wish to try again counts.
				for _, t := range st.tasks.take() {
					if errors.Is(t(nil), errTryAgain) {
						retry.Stop()
						break wait
					}
				}
			}
		}
	}
}

var errTryAgain = errors.New("try again")

func (st *station) open(ctx context.Context) (sink Sink, err error) {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	err = contained(func() error {
		sink, err = st.setup.Driver.Open(ctx, st.setup.Target)
		return err
	})
	return sink, err
}

// serve does what the engine wants done with an open sink until that fails.
func (st *station) serve(ctx context.Context, sink Sink) error {
	defer func() { _ = sink.Close() }()
	st.tasks.take() // they were meant for the sink before
	sink.Start(st.mix.pull)
	st.post(func() { st.engine.opened(st, sink) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-sink.Failed():
			if err := sink.Err(); err != nil {
				return err
			}
			return errors.New("the sink failed")
		case <-st.tasks.mail:
			for _, t := range st.tasks.take() {
				if err := t(sink); err != nil && !errors.Is(err, errTryAgain) {
					return err
				}
			}
		}
	}
}

// post runs f on the engine's goroutine if the station still exists then.
func (st *station) post(f func()) {
	st.engine.inbox.put(func() {
		if st.engine.stations[st.setup.ID] == st {
			f()
		}
	})
}

// task queues work on the sink; without one it is void.
func (st *station) task(f func(Sink) error) {
	st.tasks.put(func(s Sink) error {
		if s == nil {
			return nil
		}
		return f(s)
	})
}

// run lets the sink pull from a moment on.
func (st *station) run(start time.Time) {
	if st.state == closed {
		return // opened will see to it
	}
	st.turn++
	turn := st.turn
	st.state = waking
	st.task(func(s Sink) error {
		if err := s.Run(start); err != nil {
			return err
		}
		st.post(func() {
			if st.turn != turn {
				return
			}
			st.state, st.since = running, time.Now()
			st.engine.show(st)
			st.engine.arrived(st.setup.ID)
		})
		return nil
	})
}

// idle lets the sink rest.
func (st *station) idle() {
	st.turn++
	st.state = idle
	st.task(Sink.Idle)
}

// flush lets the sink throw away what is not heard yet. The mixer was told to expect it.
func (st *station) flush() {
	mix := st.mix
	st.task(func(s Sink) error {
		defer mix.flushed()
		return s.Flush()
	})
}

// giveUp loses the sink for a reason of the engine's.
func (st *station) giveUp(err error) {
	st.turn++
	st.state = waking
	st.task(func(Sink) error { return err })
}

// tryAgain cuts the wait for the next attempt to open short.
func (st *station) tryAgain() {
	st.tasks.put(func(Sink) error { return errTryAgain })
}

func (st *station) latency() time.Duration {
	if st.sink == nil {
		return 0
	}
	return st.sink.Latency()
}

// open are the stations that have a sink.
func (e *Engine) open() map[string]bool {
	ids := map[string]bool{}
	for id, st := range e.stations {
		if st.sink != nil {
			ids[id] = true
		}
	}
	return ids
}

// opened takes a sink into use.
func (e *Engine) opened(st *station, sink Sink) {
	st.sink, st.err, st.state = sink, nil, idle
	e.show(st)
	switch {
	case e.awaited != nil && e.awaited.waiting[st.setup.ID]:
		st.run(e.awaited.start)
	case e.running && !st.discovered:
		st.run(time.Now().Add(swapMargin))
	}
}

// lose is called when a speaker can't be opened or its sink broke. What plays
// goes on elsewhere, if there is an elsewhere.
func (e *Engine) lose(st *station, err error) {
	id := st.setup.ID
	st.turn++
	st.sink, st.state, st.err = nil, lost, err
	e.show(st)
	st.mix.reset()
	for _, p := range e.playbacks {
		if p.on[id] == nil {
			continue
		}
		p.detach(id)
		if len(p.on) == 0 {
			e.fail(p, fmt.Errorf("%w: %s: %w", ErrSpeaker, id, err))
		}
	}
	e.arrived(id)
}

func (st *station) info() SpeakerInfo {
	info := SpeakerInfo{
		ID: st.setup.ID, Name: st.setup.Name, Target: st.setup.Target,
		Driver: st.setup.Driver.Name(), Default: st.isDefault, Available: st.sink != nil,
	}
	if info.Name == "" {
		info.Name = info.ID
	}
	if st.err != nil {
		info.Error = st.err.Error()
	}
	if st.sink != nil {
		info.LatencyMS = math.Round(float64((st.sink.Latency()+swapMargin).Microseconds())/100) / 10
	}
	return info
}

// show reports a speaker if there is anything new about it.
func (e *Engine) show(st *station) {
	info := st.info()
	was := st.shown
	if math.Abs(was.LatencyMS-info.LatencyMS) < 5 {
		was.LatencyMS = info.LatencyMS
	}
	if was == info {
		return
	}
	if st.err != nil && st.shown.Error != info.Error {
		e.cfg.Log.Warn().Str("speaker", info.ID).Str("driver", info.Driver).Err(st.err).Msg("speaker is not available")
	} else if info.Available && !st.shown.Available {
		e.cfg.Log.Info().Str("speaker", info.ID).Str("driver", info.Driver).Msg("speaker is available")
	}
	st.shown = info
	e.cfg.Report(Report{Kind: ReportSpeaker, Speaker: info, At: time.Now(), Err: st.err})
}
