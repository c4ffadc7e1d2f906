package session

import (
	"container/heap"
	"time"
)

// expired is the one predicate for everything that runs out: sessions, ttls,
// orders. A zero until never runs out.
func expired(now, until time.Time) bool {
	return !until.IsZero() && !now.Before(until)
}

// earlier returns the earlier of two times of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// timer is a moment at which the core wants to be woken for one session or one
// playback. It stands in the heap while it is set.
type timer struct {
	at       time.Time
	seq      uint64 // decides among equal times
	place    int    // in the heap, from 1; 0 when it is not set
	playback *playback
	session  *session
	news     bool // of a session: publish a postponed change
}

// timers is a heap of the timers that are set, the next one first.
type timers []*timer

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

// Push is for container/heap.
func (h *timers) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.place = len(*h)
}

// Pop is for container/heap.
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.place = 0
	return t
}

// set moves a timer to at, or unsets it if at is zero.
func (h *timers) set(t *timer, at time.Time) {
	switch {
	case at.IsZero():
		if t.place > 0 {
			heap.Remove(h, t.place-1)
		}
		t.at = at
	case t.place == 0:
		t.at = at
		heap.Push(h, t)
	default:
		t.at = at
		heap.Fix(h, t.place-1)
	}
}

// sweep does everything that has become due, in the order in which it did.
func (c *Core) sweep() {
	for len(c.timers) > 0 && expired(c.now, c.timers[0].at) {
		t := c.timers[0]
		c.timers.set(t, time.Time{})
		switch {
		case t.playback != nil:
			c.playbackDue(t.playback)
		case t.news:
			c.touched(t.session)
		default:
			c.endSession(t.session, ReasonExpired)
		}
	}
}

// retime sets the timer of a playback to the first thing that can run out in
// its phase.
func (c *Core) retime(p *playback) {
	at := p.due
	switch p.phase {
	case PhasePreparing, PhaseQueued:
		at = earlier(at, p.expires)
	case PhasePaused:
		at = earlier(at, p.abandoned)
	case PhaseEnded:
		at = time.Time{}
	}
	c.timers.set(&p.timer, at)
}

// playbackDue ends, or turns back, a playback whose time has run out.
func (c *Core) playbackDue(p *playback) {
	waits := p.phase == PhasePreparing || p.phase == PhaseQueued
	switch {
	case waits && expired(c.now, p.expires):
		c.end(p, ending{kind: EventExpired, code: Expired, message: "its time ran out before it could be heard"})
	case expired(c.now, p.due) && waits:
		c.end(p, ending{kind: EventFailed, code: MediaUnavailable,
			message: "it could not be prepared within " + c.cfg.PrepareLimit.String()})
	case expired(c.now, p.due):
		p.due = time.Time{}
		c.fail(p, MediaUnavailable, "the sound engine did not answer within "+c.cfg.OrderLimit.String(), false)
	case p.phase == PhasePaused && expired(c.now, p.abandoned):
		c.end(p, ending{kind: EventStopped, reason: ReasonExpired})
	default:
		c.retime(p)
	}
}
