package session

import (
	"slices"
	"time"
)

// playback is one sound from its admission to its end.
type playback struct {
	id, command string
	session     *session
	media       any
	priority    int
	onBusy      OnBusy
	duck        bool // as an announcement: lower the music, don't suspend it
	resumable   bool
	seekable    bool
	arrival     uint64
	expires     time.Time

	phase      Phase
	preparedIn uint64 // the Step in which the engine was asked to prepare it
	opened     bool   // the engine was asked to prepare it and has not forgotten it
	ready      bool   // and has prepared it
	waited     bool   // it was queued at least once
	heard      bool   // it was started at least once
	ducked     bool   // something speaks over it
	holding    bool   // the engine was asked to hold it and has not answered

	due       time.Time // by when the engine must have answered the latest order
	abandoned time.Time // of a paused one: when nobody wants it any more
	paused    uint64    // of a paused one: its place among the pauses
	timer     timer

	selection *selection // nil: the session's
	volume    *int       // override, nil when it has none (any more)
	freed     []string   // speakers on which the override has ended
	sent      []Output   // what the engine was last told

	asks []ask // commands that still wait for their result
}

// ask is a command whose result depends on what becomes of a playback.
type ask struct {
	what     command
	id       string
	priority int
	count    int
	was      int // of a resume: the priority of the playback before it
}

type command string

const (
	cmdPlay   command = "play"
	cmdPause  command = "pause"
	cmdResume command = "resume"
	cmdSeek   command = "seek"
)

// announcement tells whether p speaks over music instead of replacing it. It
// never comes back itself.
func (p *playback) announcement() bool { return p.onBusy == Announce }

// holds tells whether p holds the hub: what is playing, ducked, suspended or
// coming back does, and so does what is about to start.
func (p *playback) holds() bool {
	switch p.phase {
	case PhaseStarting, PhasePlaying, PhaseDucked, PhaseSuspended, PhaseReturning:
		return true
	}
	return false
}

// sounds tells whether p is being heard now.
func (p *playback) sounds() bool {
	return p != nil && (p.phase == PhasePlaying || p.phase == PhaseDucked)
}

// starting tells whether p is on its way to its first sample.
func (p *playback) starting() bool { return p != nil && p.phase == PhaseStarting }

// asked tells whether a command of this kind still waits for its result.
func (p *playback) asked(what command) bool {
	return slices.ContainsFunc(p.asks, func(a ask) bool { return a.what == what })
}

// state is what the wire calls the phase of p.
func (p *playback) state() PlayerState {
	switch p.phase {
	case PhasePlaying, PhaseDucked:
		return PlayerStatePlaying
	case PhasePaused, PhaseSuspended, PhaseReturning:
		return PlayerStatePaused
	case PhaseEnded:
		return PlayerStateStopped
	}
	if p.heard { // resumed by a client, not heard again yet
		return PlayerStatePaused
	}
	return PlayerStateInitialized
}

// live tells whether a playback in this phase stops its session's clock.
func (ph Phase) live() bool { return ph != "" && ph != PhasePaused && ph != PhaseEnded }

// move brings p into a phase and keeps the clock of its session.
func (c *Core) move(p *playback, to Phase) {
	from, s := p.phase, p.session
	p.phase = to
	c.changed = true
	c.touched(s)
	c.retime(p)
	switch {
	case to.live() && !from.live():
		s.live++
		c.wind(s)
	case from.live() && !to.live():
		s.live--
		c.wind(s)
	}
}

// order adds an order about p to what the engine must do after this Step, and
// gives it until the order limit where it must answer. A move follows and sets
// the timer.
func (c *Core) order(p *playback, verb Verb) {
	o := Order{Verb: verb, Playback: p.id}
	switch verb {
	case VerbPrepare:
		p.opened = true
		p.due = c.now.Add(c.cfg.PrepareLimit)
		o.Media, o.Outputs = p.media, c.outputs(p)
	case VerbHold:
		p.holding = true
		p.due = c.now.Add(c.cfg.OrderLimit)
	case VerbStart, VerbResume:
		p.holding = false
		p.due = c.now.Add(c.cfg.OrderLimit)
	}
	switch verb {
	case VerbStart, VerbResume, VerbMix:
		p.sent = c.outputs(p)
		o.Outputs, o.Ducked = p.sent, p.ducked
	}
	c.orders = append(c.orders, o)
}

// event tells what happened to p.
func (c *Core) event(p *playback, e Event) {
	e.Playback = c.viewPlayback(p)
	c.events = append(c.events, e)
}

// answer gives the commands of one kind that wait for p their result.
func (c *Core) answer(p *playback, what command, r Result) {
	rest := p.asks[:0]
	for _, a := range p.asks {
		if a.what != what {
			rest = append(rest, a)
			continue
		}
		r.ID, r.Priority, r.Count = a.id, a.priority, a.count
		r.Ref, r.Playback = p.session.ref, p.id
		c.results = append(c.results, r)
	}
	p.asks = rest
}

// ending says how a playback ends.
type ending struct {
	kind      EventKind
	reason    string
	by        *playback
	code      Code
	message   string
	refused   bool // the play was judged and lost, it did not fail
	forgotten bool // the engine has it no more
}

// end takes p out of the hub for good: every way out leads through here, so
// that each playback has one last event and each command its result.
func (c *Core) end(p *playback, e ending) {
	if p.phase == PhaseEnded {
		return
	}
	if p.opened && !e.forgotten {
		c.order(p, VerbRelease)
	}
	c.detach(p)
	p.due = time.Time{}
	s := p.session
	s.playbacks = slices.DeleteFunc(s.playbacks, func(q *playback) bool { return q == p })
	c.move(p, PhaseEnded)
	delete(c.playbacks, p.id)
	c.used.add(usedPlayback, p.id)

	by := ""
	if e.by != nil {
		by = e.by.id
	}
	c.event(p, Event{Kind: e.kind, Reason: e.reason, By: by, Code: e.code, Message: e.message})

	lost := Result{Outcome: OutcomeFailed, Code: e.code, Message: e.message}
	if lost.Code == "" {
		lost.Code, lost.Message = Cancelled, "it was ended before that: "+string(e.kind)
	}
	unheard := lost
	switch {
	case e.refused, e.code == Expired:
		unheard.Outcome = OutcomeRejected
		if e.by != nil {
			v := c.viewPlayback(e.by)
			unheard.Current = &v
		}
	case e.kind == EventFinished: // what was heard to its end had begun
		unheard = Result{Outcome: OutcomeStarted}
	}
	silent := Result{Outcome: OutcomeDone} // a pause has what it wanted, unless the engine broke
	if e.kind == EventFailed {
		silent = lost
	}
	c.answer(p, cmdPlay, unheard)
	c.answer(p, cmdResume, unheard)
	c.answer(p, cmdPause, silent)
	c.answer(p, cmdSeek, lost)

	if s.implicit && len(s.playbacks) == 0 {
		c.endSession(s, "")
	}
}

// detach takes p out of the place where it stands.
func (c *Core) detach(p *playback) {
	is := func(q *playback) bool { return q == p }
	switch {
	case c.voice == p:
		c.voice = nil
	case c.music == p:
		c.music = nil
	case p.phase == PhasePaused:
		c.paused = slices.DeleteFunc(c.paused, is)
	default:
		c.waiting = slices.DeleteFunc(c.waiting, is)
	}
}

// fail ends p because the engine cannot go on with it, except that a resume
// that fails leaves it paused. forgotten says that the engine has it no more.
func (c *Core) fail(p *playback, code Code, message string, forgotten bool) {
	if p.holds() && p.asked(cmdResume) {
		c.fallBack(p, code, message, forgotten)
		return
	}
	c.end(p, ending{kind: EventFailed, code: code, message: message, forgotten: forgotten})
}

// inEngine tells whether the engine can have something to report of p: it was
// asked to prepare it in an earlier Step, and has not forgotten it.
func (c *Core) inEngine(p *playback) bool { return p != nil && p.opened && p.preparedIn != c.steps }
