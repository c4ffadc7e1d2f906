package session

import (
	"fmt"
	"math"
	"slices"
)

// play admits a playback or refuses it, with everything that can be told before
// the sound is opened. What may be heard now is prepared first and judged again
// when it is ready (reportPrepared); what must wait is told so at once.
func (c *Core) play(in Play) {
	s, ok := c.enter(in.Request, c.malformed(in))
	if !ok {
		return
	}
	if other := c.playbacks[in.Beside]; s == nil && other != nil {
		s = other.session
	}
	mode := in.OnBusy
	if mode == "" {
		mode = Interrupt
	}
	priority := priorityOf(in.Request, s)
	if expired(c.now, in.Expires) {
		c.refuse(in.Request, s, Expired, "it came too late")
		return
	}
	chosen, given, code, message := c.choose(in.Speakers, in.AllSpeakers)
	if code == "" {
		switch {
		case given:
		case s != nil:
			chosen = s.selection
		default:
			chosen = selection{all: true}
		}
		code, message = c.silent(chosen)
	}
	if code != "" {
		c.refuse(in.Request, s, code, message)
		return
	}
	v, code, by := c.judge(s, chosen, priority, mode, math.MaxUint64)
	if v == refused {
		if code == PriorityTooLow {
			c.outranked(in.Request, s, priority, by)
			return
		}
		c.refuse(in.Request, s, code, inTheWay(priority, code, by))
		if by != nil {
			view := c.viewPlayback(by)
			c.results[len(c.results)-1].Current = &view
		}
		return
	}
	if len(c.waiting) >= c.cfg.MaxWaiting {
		c.refuse(in.Request, s, Busy, fmt.Sprintf("%d playbacks wait already", len(c.waiting)))
		return
	}

	if s == nil {
		s = c.addSession(&session{ref: in.Ref, implicit: true, priority: DefaultPriority, selection: selection{all: true}})
	}
	c.seq++
	p := &playback{
		id: in.Playback, command: in.ID, session: s, media: in.Media, priority: priority,
		onBusy: mode, duck: in.Duck, resumable: in.Resumable, arrival: c.seq, expires: in.Expires,
		asks: []ask{{what: cmdPlay, id: in.ID, priority: priority}},
	}
	p.timer = timer{seq: c.seq, playback: p}
	if given {
		p.selection = &chosen
	}
	if in.Volume != nil {
		volume := *in.Volume
		p.volume = &volume
	}
	if v == goes && !p.announcement() {
		c.supersede(p)
	}
	c.playbacks[p.id] = p
	c.waiting = append(c.waiting, p)
	s.playbacks = append(s.playbacks, p)
	if v == waits {
		c.queue(p)
		// Announcements are short: what waits behind one is opened meanwhile, so
		// that the music need not come back between two of them.
		if p.announcement() {
			c.prepare(p)
		}
		return
	}
	c.move(p, PhasePreparing)
	c.prepare(p)
}

// supersede keeps the rule that a session prepares one music at a time: the
// newer one cancels. What came from the queue was promised to wait, not dropped.
func (c *Core) supersede(p *playback) {
	for _, old := range slices.Clone(p.session.playbacks) {
		if old.phase == PhasePreparing && !old.waited && !old.announcement() {
			c.cancel(old, p)
		}
	}
}

// queue lets p wait. Queued is a result; what becomes of it later comes as events.
func (c *Core) queue(p *playback) {
	c.move(p, PhaseQueued)
	if !p.waited {
		p.waited = true
		c.event(p, Event{Kind: EventQueued})
	}
	c.answer(p, cmdPlay, Result{Outcome: OutcomeQueued})
}

// malformed names what is wrong with a play in itself.
func (c *Core) malformed(in Play) string {
	switch {
	case in.Playback == "" || c.playbacks[in.Playback] != nil || c.used.has(usedPlayback, in.Playback):
		return "the id of a playback must be new"
	case in.Session == "" && (in.Ref == "" || c.refs[in.Ref] != nil || c.used.has(usedRef, in.Ref)):
		return "the ref of a session must be new"
	case in.Volume != nil && (*in.Volume < 0 || *in.Volume > MaxVolume):
		return fmt.Sprintf("volume must be 0 to %d", MaxVolume)
	}
	switch in.OnBusy {
	case "", Interrupt, Announce, Queue, Drop:
		return ""
	}
	return fmt.Sprintf("on_busy must be %s, %s, %s or %s", Interrupt, Announce, Queue, Drop)
}

// reportPrepared judges a playback again, now that it could be heard.
func (c *Core) reportPrepared(in Prepared) {
	p := c.playbacks[in.Playback]
	if !c.inEngine(p) || p.ready {
		return
	}
	c.prepared(p, in.Seekable)
	if p.phase != PhasePreparing {
		return // it waits; advance takes it when its turn comes
	}
	v, code, by := c.judge(p.session, c.selectionOf(p), p.priority, p.onBusy, p.arrival)
	if p.waited && len(c.paused) > 0 && v == goes {
		v = waits // somebody paused meanwhile: the queue stands still
	}
	switch v {
	case goes:
		c.swapIn(p)
	case waits:
		c.queue(p)
	default:
		c.dropped(p, code, by)
	}
}
