package session

import "slices"

// Stop, pause, resume, seek and the reports of the engine as the model
// understands them.

func (m *model) above(s *modelSession, prio int, p *modelPlay) bool {
	return p.s != s && prio < p.prio
}

func (m *model) takeStop(in Stop) {
	s, ok := m.known(in.Request, false)
	if !ok {
		return
	}
	reached, refused := 0, 0
	for _, p := range slices.Clone(m.plays) {
		switch {
		case in.Playback != "" && p.id != in.Playback:
		case in.Playback == "" && s != nil && p.s != s:
		case m.above(s, m.prioOf(in.Request, s), p):
			refused++
		default:
			reached++
			m.finish(p, EventStopped, "", false)
		}
	}
	if reached == 0 && refused > 0 {
		m.reply(in.ID, OutcomeRejected, PriorityTooLow)
		return
	}
	m.reply(in.ID, OutcomeDone, "")
}

func (m *model) takePause(in Pause) {
	s, ok := m.known(in.Request, false)
	if !ok {
		return
	}
	reached, refused := 0, 0
	var slow *modelPlay
	voice, music := m.holding()
	for _, p := range []*modelPlay{voice, music} {
		switch {
		case p == nil:
		case in.Playback != "" && p.id != in.Playback:
		case in.Playback == "" && s != nil && p.s != s:
		case m.above(s, m.prioOf(in.Request, s), p):
			refused++
		case p.mode == Announce || !p.resumable:
			reached++
			m.finish(p, EventStopped, "", false)
		default:
			reached++
			if p.phase != PhaseSuspended {
				p.limit, p.holdPending = m.now+m.orderLimit, true
			}
			m.settle(p, cmdPlay, OutcomeFailed, Cancelled)
			m.settle(p, cmdResume, OutcomeFailed, Cancelled)
			m.count++
			p.pausedNo = m.count
			m.putAside(p)
			m.tell(p, EventPaused, "")
			if p.holdPending {
				slow = p
			}
		}
	}
	switch {
	case reached == 0 && refused > 0:
		m.reply(in.ID, OutcomeRejected, PriorityTooLow)
	case slow != nil:
		slow.asks = append(slow.asks, ask{what: cmdPause, id: in.ID})
	default:
		m.reply(in.ID, OutcomeDone, "")
	}
}

// lastPaused finds what a resume means.
func (m *model) lastPaused(s *modelSession, id string) *modelPlay {
	var best *modelPlay
	for _, p := range m.in(PhasePaused) {
		if id != "" && p.id != id || id == "" && s != nil && p.s != s {
			continue
		}
		if best == nil || p.pausedNo > best.pausedNo {
			best = p
		}
	}
	return best
}

func (m *model) takeResume(in Resume) {
	s, ok := m.known(in.Request, false)
	if !ok {
		return
	}
	p := m.lastPaused(s, in.Playback)
	if p == nil {
		m.reply(in.ID, OutcomeRejected, NothingToResume)
		return
	}
	prio := p.prio
	if in.Priority != nil {
		prio = *in.Priority
	}
	all, chosen := p.all, p.chosen
	if in.Speakers != nil || in.AllSpeakers {
		all, chosen = in.AllSpeakers, setOf(in.Speakers)
	}
	code := Code("")
	switch v := m.verdict(s, prio, Interrupt, 0); {
	case m.above(s, prio, p):
		code = PriorityTooLow
	case m.mute(all, chosen, p.s) != "":
		code = m.mute(all, chosen, p.s)
		for id := range chosen {
			if m.speaker(id) == nil && !all && (in.Speakers != nil) {
				code = SpeakerNotFound
			}
		}
	case in.Speakers != nil && !all && slices.ContainsFunc(in.Speakers, func(id string) bool { return m.speaker(id) == nil }):
		code = SpeakerNotFound
	case m.hushed(all, chosen, p.s, prio):
		code = QuietHours
	case v != "go":
		code = Code(v)
	}
	if code != "" {
		m.reply(in.ID, OutcomeRejected, code)
		return
	}
	p.all, p.chosen = all, chosen
	voice, music := m.holding()
	for _, q := range []*modelPlay{voice, music} {
		if q != nil {
			m.finish(q, EventInterrupted, "", false)
		}
	}
	p.asks = append(p.asks, ask{what: cmdResume, id: in.ID, was: p.prio})
	p.prio = prio
	p.phase, p.limit, p.holdPending = PhaseStarting, m.now+m.orderLimit, false
	m.overtake(p, 1<<30)
}

func (m *model) takeSeek(in Seek) {
	s, ok := m.known(in.Request, in.Position < 0)
	if !ok {
		return
	}
	voice, music := m.holding()
	var p *modelPlay
	for _, q := range []*modelPlay{voice, music, m.lastPaused(s, in.Playback)} {
		if p == nil && q != nil && (in.Playback != "" && q.id == in.Playback || in.Playback == "" && (s == nil || q.s == s)) {
			p = q
		}
	}
	switch {
	case p == nil:
		m.reply(in.ID, OutcomeRejected, InvalidCommand)
	case m.above(s, m.prioOf(in.Request, s), p):
		m.reply(in.ID, OutcomeRejected, PriorityTooLow)
	case !p.seekable:
		m.reply(in.ID, OutcomeRejected, NotSeekable)
	default:
		p.asks = append(p.asks, ask{what: cmdSeek, id: in.ID})
		p.limit = m.now + m.orderLimit
	}
}

func (m *model) takeReport(in Input) {
	switch in := in.(type) {
	case Prepared:
		p := m.find(in.Playback)
		if p == nil || !p.opened || p.ready {
			return
		}
		p.ready, p.seekable, p.limit = true, in.Seekable, 0
		if p.phase != PhasePreparing {
			return
		}
		v := m.verdict(p.s, p.prio, p.mode, p.born)
		switch {
		case m.hushed(p.all, p.chosen, p.s, p.prio):
			m.finish(p, EventDropped, QuietHours, true)
		case v == "wait" || v == "go" && p.queued && len(m.in(PhasePaused)) > 0:
			m.line(p)
		case v == "go":
			m.begin(p)
		default:
			m.finish(p, EventDropped, Code(v), true)
		}
	case Started:
		p := m.find(in.Playback)
		if p == nil {
			return
		}
		coming := p.phase == PhaseStarting || p.phase == PhaseReturning
		owed := p.phase == PhaseSuspended && (m.asked(p, cmdPlay) || m.asked(p, cmdResume))
		if coming {
			p.limit = 0
			p.phase = PhasePlaying
			if p.lowered {
				p.phase = PhaseDucked
			}
		}
		if coming || owed {
			m.isHeard(p)
		}
		if (coming || owed || m.asked(p, cmdSeek)) && !p.holdPending {
			p.limit = 0
		}
		m.settle(p, cmdSeek, OutcomeDone, "")
	case Paused:
		p := m.find(in.Playback)
		if p != nil && (p.phase == PhaseSuspended || p.phase == PhasePaused) {
			p.limit, p.holdPending = 0, false
			m.settle(p, cmdPause, OutcomeDone, "")
			m.settle(p, cmdSeek, OutcomeDone, "")
		}
	case Ended:
		p := m.find(in.Playback)
		switch {
		case p == nil || !p.opened:
		case p.phase == PhasePreparing || p.phase == PhaseQueued:
			m.finish(p, EventFailed, MediaUnavailable, false)
		default:
			if !p.heard {
				m.isHeard(p)
			}
			m.finish(p, EventFinished, "", false)
		}
	case Failed:
		if p := m.find(in.Playback); p != nil && p.opened {
			code := MediaUnavailable
			if in.Code == SpeakerUnavailable {
				code = in.Code
			}
			m.broke(p, code, !in.Kept)
		}
	}
}

func (m *model) isHeard(p *modelPlay) {
	kind := EventResumed
	if !p.heard {
		kind = EventStarted
	}
	p.heard = true
	m.tell(p, kind, "")
	m.settle(p, cmdPlay, OutcomeStarted, "")
	m.settle(p, cmdResume, OutcomeStarted, "")
}
