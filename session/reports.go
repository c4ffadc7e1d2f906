package session

import "time"

// Reports of the engine. One about a playback that the core has let go is
// normal: it crossed a Release on its way.

func (c *Core) reportStarted(in Started) {
	p := c.playbacks[in.Playback]
	if p == nil {
		return
	}
	switch {
	case p.phase == PhaseStarting || p.phase == PhaseReturning:
		p.due = time.Time{}
		if p.ducked {
			c.move(p, PhaseDucked)
		} else {
			c.move(p, PhasePlaying)
		}
		c.begun(p)
	case p.phase == PhaseSuspended && (p.asked(cmdPlay) || p.asked(cmdResume)):
		c.begun(p) // it began, and was held at once
	case !p.asked(cmdSeek):
		return
	}
	if !p.holding { // else the answer to that is still to come
		p.due = time.Time{}
		c.retime(p)
	}
	c.answer(p, cmdSeek, Result{Outcome: OutcomeDone})
}

// begun tells that p is heard, for the first time or again.
func (c *Core) begun(p *playback) {
	kind := EventResumed
	if !p.heard {
		kind = EventStarted
	}
	p.heard, p.session.played, c.played = true, true, true
	c.touched(p.session)
	c.event(p, Event{Kind: kind})
	c.answer(p, cmdPlay, Result{Outcome: OutcomeStarted})
	c.answer(p, cmdResume, Result{Outcome: OutcomeStarted})
}

func (c *Core) reportPaused(in Paused) {
	p := c.playbacks[in.Playback]
	if p == nil || p.phase != PhaseSuspended && p.phase != PhasePaused {
		return
	}
	p.due, p.holding = time.Time{}, false
	c.retime(p)
	c.answer(p, cmdPause, Result{Outcome: OutcomeDone})
	c.answer(p, cmdSeek, Result{Outcome: OutcomeDone})
}

func (c *Core) reportEnded(in Ended) {
	p := c.playbacks[in.Playback]
	switch {
	case !c.inEngine(p):
	case p.phase == PhasePreparing || p.phase == PhaseQueued:
		c.end(p, ending{kind: EventFailed, code: MediaUnavailable, message: "it ended before it began"})
	default:
		if !p.heard {
			c.begun(p)
		}
		c.end(p, ending{kind: EventFinished})
	}
}

func (c *Core) reportFailed(in Failed) {
	p := c.playbacks[in.Playback]
	if !c.inEngine(p) {
		return
	}
	code, message := in.Code, in.Message
	if message == "" {
		message = "the sound engine cannot play it"
	}
	if code != SpeakerUnavailable {
		code = MediaUnavailable
	}
	c.fail(p, code, message, !in.Kept)
}
