package session

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// verdict is how a play meets the hub as it is now.
type verdict int

const (
	goes    verdict = iota // it may be heard now
	waits                  // it waits for its turn
	refused                // it is refused with a code
)

// judge is the one place where a playback's right to be heard is decided: when
// it arrives, when it is prepared, and when its turn comes. by is the playback
// that stands in the way. arrival bounds whose preparing counts: what came
// later never holds up what came earlier.
func (c *Core) judge(s *session, where selection, priority int, mode OnBusy, arrival uint64) (v verdict, code Code, by *playback) {
	if c.hushed(where, priority) {
		return refused, QuietHours, nil
	}
	switch mode {
	case Announce:
		if m := c.music; m != nil && (s == nil || m.session != s) && priority < m.priority {
			return refused, PriorityTooLow, m
		}
		if c.voice != nil && priority <= c.voice.priority {
			return waits, "", c.voice
		}
	case Queue, Drop:
		by = c.busy(arrival)
		switch {
		case by == nil:
		case mode == Queue:
			return waits, "", by
		default:
			return refused, Busy, by
		}
	default:
		if by = c.holder(s); by != nil && priority < by.priority {
			return refused, PriorityTooLow, by
		}
	}
	return goes, "", nil
}

// hushed tells whether quiet hours would silence a sound of a priority wherever
// it could be heard now. Where somebody has turned the volume down or muted it is
// another matter: that sound runs on, unheard.
func (c *Core) hushed(where selection, priority int) bool {
	found := false
	for _, s := range c.speakers {
		if s.available && where.has(s.id) {
			if found = true; c.ceiling(s, priority) > 0 {
				return false
			}
		}
	}
	return found
}

const hushed = "in quiet hours nothing of this priority is heard on these speakers"

// holder is the playback at whose priority the hub is held against s, nil if it
// is free for s. A session's own playbacks do not count against itself.
func (c *Core) holder(s *session) *playback {
	var by *playback
	for _, p := range [...]*playback{c.voice, c.music} {
		if p != nil && (s == nil || p.session != s) && (by == nil || p.priority > by.priority) {
			by = p
		}
	}
	return by
}

// busy is the playback because of which the hub is not free, nil if it is.
// Music that arrived earlier and is still being prepared counts: arrival
// decides, not readiness.
func (c *Core) busy(arrival uint64) *playback {
	switch {
	case c.voice != nil:
		return c.voice
	case c.music != nil:
		return c.music
	}
	for _, p := range c.waiting {
		if p.phase == PhasePreparing && !p.announcement() && p.arrival < arrival {
			return p
		}
	}
	return nil
}

// swapIn lets a prepared playback be heard. Nothing is interrupted for it
// unless there is a speaker that it can be heard on.
func (c *Core) swapIn(p *playback) {
	if code, message := c.silent(c.selectionOf(p)); code != "" {
		c.end(p, ending{kind: EventFailed, code: code, message: message})
		return
	}
	c.detach(p)
	if p.announcement() {
		c.takeVoice(p)
	} else {
		c.takeMusic(p, ReasonInterrupt)
		if p.onBusy == Interrupt {
			c.overtake(p, p.arrival)
		}
	}
	c.order(p, VerbStart)
	c.move(p, PhaseStarting)
}

// takeMusic gives the hub to p alone. It ends the announcement and the music
// beneath it: there is one suspended slot and no stack.
func (c *Core) takeMusic(p *playback, reason string) {
	for _, old := range [...]*playback{c.voice, c.music} {
		if old != nil {
			c.end(old, ending{kind: EventInterrupted, reason: reason, by: p})
		}
	}
	c.music = p
}

// overtake cancels what arrived before p, is still being prepared and would
// have been interrupted by p had it been ready in time. What came from the queue
// only goes back to it.
func (c *Core) overtake(p *playback, arrival uint64) {
	for _, old := range slices.Clone(c.waiting) {
		if old.phase == PhasePreparing && !old.waited && old.arrival < arrival && old.priority <= p.priority {
			c.cancel(old, p)
		}
	}
}

// cancel ends a playback that a newer one has made pointless.
func (c *Core) cancel(p, by *playback) {
	c.end(p, ending{kind: EventStopped, reason: ReasonCancelled, by: by, code: Cancelled,
		message: "a newer play took its place before it was ready"})
}

// takeVoice lets the announcement p speak. A lower announcement is ended for
// it. Music is suspended where it is, or ducked, and advance gives it back when
// nobody speaks any more.
func (c *Core) takeVoice(p *playback) {
	if old := c.voice; old != nil {
		c.end(old, ending{kind: EventInterrupted, reason: ReasonAnnouncement, by: p})
	}
	c.voice = p
	m := c.music
	switch {
	case m == nil || m.phase == PhaseSuspended:
	case p.duck:
		c.duckMusic(m, true)
	default:
		m.ducked = false
		c.order(m, VerbHold)
		c.move(m, PhaseSuspended)
		c.event(m, Event{Kind: EventSuspended, Reason: ReasonAnnouncement, By: p.id})
	}
}

// duckMusic lowers the music under an announcement, or raises it again.
func (c *Core) duckMusic(m *playback, ducked bool) {
	if m.ducked == ducked {
		return
	}
	m.ducked = ducked
	switch {
	case ducked && m.phase == PhasePlaying:
		c.move(m, PhaseDucked)
	case !ducked && m.phase == PhaseDucked:
		c.move(m, PhasePlaying)
	}
	c.order(m, VerbMix)
}

// advance lets what waits go on as far as it can: waiting announcements first,
// then the suspended music, then the queue.
func (c *Core) advance() {
	for c.advanceOne() {
	}
}

func (c *Core) advanceOne() bool {
	if c.voice != nil || c.music.starting() {
		return false
	}
	if p := c.nextAnnouncement(); p != nil {
		if v, code, by := c.judge(p.session, c.selectionOf(p), p.priority, Announce, p.arrival); v == refused {
			c.dropped(p, code, by)
		} else {
			c.swapIn(p)
		}
		return true
	}
	if m := c.music; m != nil {
		return c.bringBack(m)
	}
	// The queue stands still while something is paused, and lets what is being
	// prepared go first.
	if len(c.paused) > 0 || c.busy(math.MaxUint64) != nil {
		return false
	}
	p := c.nextQueued()
	if p == nil {
		return false
	}
	if v, code, by := c.judge(p.session, c.selectionOf(p), p.priority, Queue, p.arrival); v == refused {
		c.dropped(p, code, by)
		return true
	}
	switch {
	case p.ready:
		c.swapIn(p)
	default:
		c.prepare(p)
		c.move(p, PhasePreparing)
	}
	return true
}

// bringBack gives the hub back to music after an announcement.
func (c *Core) bringBack(m *playback) bool {
	c.duckMusic(m, false)
	if m.phase != PhaseSuspended {
		return false
	}
	if code, message := c.silent(c.selectionOf(m)); code != "" {
		c.fail(m, code, message, false)
		return true
	}
	c.order(m, VerbResume)
	c.move(m, PhaseReturning)
	return false
}

// nextAnnouncement is the waiting announcement whose turn it is: the highest
// priority, then the first to arrive, of those that are ready.
func (c *Core) nextAnnouncement() *playback {
	return first(c.waiting, func(p *playback) bool {
		return p.phase == PhaseQueued && p.announcement() && p.ready
	})
}

// nextQueued is the head of the queue. It is prepared when its turn has come: a
// stream that was opened an hour before would have been cut off meanwhile.
func (c *Core) nextQueued() *playback {
	return first(c.waiting, func(p *playback) bool {
		return p.phase == PhaseQueued && !p.announcement()
	})
}

func first(from []*playback, which func(*playback) bool) *playback {
	var best *playback
	for _, p := range from {
		if which(p) && (best == nil || p.priority > best.priority ||
			p.priority == best.priority && p.arrival < best.arrival) {
			best = p
		}
	}
	return best
}

// dropped ends a playback that was admitted, judged again and refused.
func (c *Core) dropped(p *playback, code Code, by *playback) {
	c.end(p, ending{kind: EventDropped, code: code, by: by, refused: true, message: inTheWay(p.priority, code, by)})
}

func inTheWay(priority int, code Code, by *playback) string {
	switch code {
	case QuietHours:
		return hushed
	case Busy:
		return "playback " + by.id + " has the hub"
	}
	return fmt.Sprintf("priority %d is below %d of playback %s", priority, by.priority, by.id)
}

// prepare has the engine open p within the prepare limit.
func (c *Core) prepare(p *playback) {
	c.order(p, VerbPrepare)
	p.preparedIn = c.steps
	c.retime(p)
}

// prepared forgets the limit: p is open.
func (c *Core) prepared(p *playback, seekable bool) {
	p.ready, p.seekable = true, seekable
	p.due = time.Time{}
	c.retime(p)
}
