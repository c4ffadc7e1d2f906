package session

import (
	"math"
	"slices"
	"time"
)

// may tells whether a command may touch p: a session its own, everybody with a
// priority that is not below p's.
func may(s *session, priority int, p *playback) bool {
	return s != nil && p.session == s || priority >= p.priority
}

// reached collects the playbacks that a stop or pause is about.
func (c *Core) reached(s *session, named string, everything bool) []*playback {
	targets := c.scratch[:0]
	add := func(p *playback) {
		if p != nil && (s == nil || named != "" || p.session == s) {
			targets = append(targets, p)
		}
	}
	switch {
	case named != "":
		add(c.playbacks[named])
	default:
		add(c.voice)
		add(c.music)
		if everything {
			for _, p := range c.paused {
				add(p)
			}
			for _, p := range c.waiting {
				add(p)
			}
		}
	}
	c.scratch = targets
	return targets
}

func (c *Core) stop(in Stop) {
	s, ok := c.enter(in.Request, "")
	if !ok {
		return
	}
	priority := priorityOf(in.Request, s)
	res := Result{}
	var above *playback
	for _, p := range c.reached(s, in.Playback, true) {
		if !may(s, priority, p) {
			if above == nil || p.priority > above.priority {
				above = p
			}
			continue
		}
		if res.Count++; res.Count == 1 {
			res.Playback = p.id
		}
		c.end(p, ending{kind: EventStopped, reason: ReasonStop})
	}
	if res.Count == 0 && above != nil {
		c.outranked(in.Request, s, priority, above)
		return
	}
	c.done(in.Request, s, res)
}

func (c *Core) pause(in Pause) {
	s, ok := c.enter(in.Request, "")
	if !ok {
		return
	}
	priority := priorityOf(in.Request, s)
	res := Result{}
	var above, held *playback
	for _, p := range c.reached(s, in.Playback, false) {
		switch {
		case !p.holds():
		case !may(s, priority, p):
			if above == nil || p.priority > above.priority {
				above = p
			}
		default:
			if res.Count++; res.Count == 1 {
				res.Playback = p.id
			}
			if p.announcement() || !p.resumable {
				c.end(p, ending{kind: EventStopped, reason: ReasonPause})
			} else {
				c.hold(p)
				held = p
			}
		}
	}
	switch {
	case res.Count == 0 && above != nil:
		c.outranked(in.Request, s, priority, above)
	case held != nil && held.holding:
		held.asks = append(held.asks, ask{what: cmdPause, id: in.ID, priority: priority, count: res.Count})
	default:
		c.done(in.Request, s, res)
	}
}

// hold pauses p for a client. It gives the hub away; what it needs to be heard
// again is a resume.
func (c *Core) hold(p *playback) {
	if p.phase != PhaseSuspended { // else the engine holds it already, or is about to
		c.order(p, VerbHold)
	}
	p.ducked = false
	early := Result{Outcome: OutcomeFailed, Code: Cancelled, Message: "it was paused before it was heard"}
	c.answer(p, cmdPlay, early)
	c.answer(p, cmdResume, early)
	c.seq++
	p.paused = c.seq
	c.park(p)
	c.event(p, Event{Kind: EventPaused, Reason: ReasonPause})
}

// park puts p among the paused: one of each session, and not without limit.
func (c *Core) park(p *playback) {
	c.detach(p)
	for _, old := range slices.Clone(p.session.playbacks) {
		if old.phase == PhasePaused {
			c.end(old, ending{kind: EventStopped, reason: ReasonReplaced, by: p})
		}
	}
	if len(c.paused) >= c.cfg.MaxPaused {
		c.end(c.paused[0], ending{kind: EventStopped, reason: ReasonReplaced, by: p})
	}
	p.abandoned = c.now.Add(c.cfg.Timeout)
	at := len(c.paused)
	for at > 0 && c.paused[at-1].paused > p.paused {
		at--
	}
	c.paused = slices.Insert(c.paused, at, p)
	c.move(p, PhasePaused)
}

// resume continues a paused playback. It is arbitrated like a play that
// interrupts, and has nothing to prepare.
func (c *Core) resume(in Resume) {
	s, ok := c.enter(in.Request, "")
	if !ok {
		return
	}
	p := c.toResume(s, in.Playback)
	if p == nil {
		c.refuse(in.Request, s, NothingToResume, "nothing is paused that could be resumed")
		return
	}
	priority := p.priority
	if in.Priority != nil {
		priority = *in.Priority
	}
	if !may(s, priority, p) {
		c.outranked(in.Request, s, priority, p)
		return
	}
	chosen, given, code, message := c.choose(in.Speakers, in.AllSpeakers)
	if code == "" {
		if !given {
			chosen = c.selectionOf(p)
		}
		code, message = c.silent(chosen)
	}
	if code != "" {
		c.refuse(in.Request, s, code, message)
		return
	}
	switch v, code, by := c.judge(s, chosen, priority, Interrupt, math.MaxUint64); {
	case v != refused:
	case by == nil:
		c.refuse(in.Request, s, code, inTheWay(priority, code, by))
		return
	default:
		c.outranked(in.Request, s, priority, by)
		return
	}

	if given {
		p.selection = &chosen
	}
	c.detach(p)
	c.takeMusic(p, ReasonResume)
	p.asks = append(p.asks, ask{what: cmdResume, id: in.ID, priority: priority, was: p.priority})
	p.priority = priority
	c.overtake(p, math.MaxUint64)
	c.order(p, VerbResume)
	c.move(p, PhaseStarting)
}

// toResume finds what a resume is about: the named playback, else the session's
// paused one, else the one that was paused last.
func (c *Core) toResume(s *session, named string) *playback {
	for _, p := range slices.Backward(c.paused) {
		switch {
		case named != "" && p.id != named:
		case named == "" && s != nil && p.session != s:
		default:
			return p
		}
	}
	return nil
}

// fallBack leaves p paused after a resume that failed.
func (c *Core) fallBack(p *playback, code Code, message string, forgotten bool) {
	for _, a := range p.asks {
		if a.what == cmdResume {
			p.priority = a.was
		}
	}
	p.due, p.holding = time.Time{}, false
	if !forgotten && p.phase != PhaseSuspended {
		c.order(p, VerbHold) // it must not begin to sound late
	}
	p.ducked = false
	lost := Result{Outcome: OutcomeFailed, Code: code, Message: message}
	c.answer(p, cmdResume, lost)
	c.answer(p, cmdSeek, lost)
	c.park(p)
	c.event(p, Event{Kind: EventPaused, Reason: ReasonResume, Code: code, Message: message})
}

// seek moves a playback that is being heard or is held. Where nothing can be
// sought the command names nothing that exists: InvalidCommand.
func (c *Core) seek(in Seek) {
	problem := ""
	if in.Position < 0 {
		problem = "position must not be negative"
	}
	s, ok := c.enter(in.Request, problem)
	if !ok {
		return
	}
	priority := priorityOf(in.Request, s)
	p := c.toSeek(s, in.Playback)
	switch {
	case p == nil:
		c.refuse(in.Request, s, InvalidCommand, "nothing is playing or paused in which to seek")
	case !may(s, priority, p):
		c.outranked(in.Request, s, priority, p)
	case !p.seekable:
		c.refuse(in.Request, s, NotSeekable, "playback "+p.id+" has no positions to seek")
	default:
		c.orders = append(c.orders, Order{Verb: VerbSeek, Playback: p.id, Position: in.Position})
		p.asks = append(p.asks, ask{what: cmdSeek, id: in.ID, priority: priority})
		p.due = c.now.Add(c.cfg.OrderLimit)
		c.retime(p)
	}
}

// toSeek finds what a seek is about: the named playback, else what the session
// (or without one, the hub) plays on top, else has paused last.
func (c *Core) toSeek(s *session, named string) *playback {
	if named != "" {
		if p := c.playbacks[named]; p != nil && (p.holds() || p.phase == PhasePaused) {
			return p
		}
		return nil
	}
	for _, p := range [...]*playback{c.voice, c.music} {
		if p != nil && (s == nil || p.session == s) {
			return p
		}
	}
	return c.toResume(s, "")
}
