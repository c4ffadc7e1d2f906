package session

import (
	"maps"
	"slices"
)

// The commands and reports as the model understands them.

func (m *model) take(in Input) {
	switch in := in.(type) {
	case Open:
		m.takeOpen(in)
	case Close:
		if s, ok := m.known(in.Request, false); ok && s == nil {
			m.reply(in.ID, OutcomeRejected, SessionNotFound)
		} else if ok {
			m.closeSession(s)
			m.reply(in.ID, OutcomeDone, "")
		}
	case Read:
		if _, ok := m.known(in.Request, false); ok {
			m.reply(in.ID, OutcomeDone, "")
		}
	case SetSpeakers:
		m.takeSpeakers(in)
	case SetVolume:
		m.takeVolume(in)
	case Play:
		m.takePlay(in)
	case Stop:
		m.takeStop(in)
	case Pause:
		m.takePause(in)
	case Resume:
		m.takeResume(in)
	case Seek:
		m.takeSeek(in)
	case Speaker:
		if s := m.speaker(in.ID); s != nil {
			s.available = in.Available
		} else {
			m.speakers = append(m.speakers, &modelSpeaker{in.ID, in.Available, in.Volume})
			slices.SortFunc(m.speakers, func(a, b *modelSpeaker) int {
				if a.id < b.id {
					return -1
				}
				return 1
			})
		}
		m.heardNowhere()
	case SpeakerGone:
		m.speakers = slices.DeleteFunc(m.speakers, func(s *modelSpeaker) bool { return s.id == in.ID })
		m.heardNowhere()
	default:
		m.takeReport(in)
	}
}

// known finds the session of a command and renews it.
func (m *model) known(r Request, malformed bool) (*modelSession, bool) {
	var s *modelSession
	if r.Session != "" {
		for _, t := range m.sessions {
			if t.token == r.Session && !t.gone {
				s = t
			}
		}
		if s == nil {
			m.reply(r.ID, OutcomeRejected, SessionNotFound)
			return nil, false
		}
	}
	if malformed || r.Priority != nil && (*r.Priority < 0 || *r.Priority > 9999) {
		m.reply(r.ID, OutcomeRejected, InvalidCommand)
		return nil, false
	}
	if s != nil {
		s.idleSince = m.now
		for _, p := range m.in(PhasePaused) {
			if p.s == s {
				p.abandon = m.now + m.timeout
			}
		}
	}
	return s, true
}

func (m *model) prioOf(r Request, s *modelSession) int {
	if r.Priority != nil {
		return *r.Priority
	}
	if s != nil {
		return s.prio
	}
	return 100
}

func (m *model) takeOpen(in Open) {
	in.Session = ""
	if _, ok := m.known(in.Request, in.Token == "" || m.tokens[in.Token]); !ok {
		return
	}
	for _, id := range in.Speakers {
		if m.speaker(id) == nil {
			m.reply(in.ID, OutcomeRejected, SpeakerNotFound)
			return
		}
	}
	m.tokens[in.Token] = true
	m.sessions = append(m.sessions, &modelSession{token: in.Token, ref: in.Ref, prio: m.prioOf(in.Request, nil),
		all: in.AllSpeakers, chosen: setOf(in.Speakers), idleSince: m.now})
	m.reply(in.ID, OutcomeDone, "")
}

func (m *model) takeSpeakers(in SetSpeakers) {
	s, ok := m.known(in.Request, false)
	if !ok {
		return
	}
	if s == nil {
		m.reply(in.ID, OutcomeRejected, SessionNotFound)
		return
	}
	for _, id := range slices.Concat(in.Set, in.Add, in.Remove) {
		if m.speaker(id) == nil && (s.all || !s.chosen[id]) {
			m.reply(in.ID, OutcomeRejected, SpeakerNotFound)
			return
		}
	}
	all, chosen := s.all, maps.Clone(s.chosen)
	if in.All {
		all, chosen = true, map[string]bool{}
	} else if in.Set != nil {
		all, chosen = false, setOf(in.Set)
	}
	if !all {
		for _, id := range in.Add {
			chosen[id] = true
		}
	}
	if len(in.Remove) > 0 && all {
		all, chosen = false, map[string]bool{}
		for _, sp := range m.speakers {
			chosen[sp.id] = true
		}
	}
	for _, id := range in.Remove {
		delete(chosen, id)
	}
	s.all, s.chosen = all, chosen
	m.heardNowhere()
	m.reply(in.ID, OutcomeDone, "")
}

// heardNowhere ends what has no speaker left.
func (m *model) heardNowhere() {
	voice, music := m.holding()
	for _, p := range []*modelPlay{voice, music} {
		if p == nil {
			continue
		}
		switch m.mute(p.all, p.chosen, p.s) {
		case NoSpeakers:
			m.finish(p, EventStopped, "", false)
		case SpeakerUnavailable:
			if p.phase != PhaseSuspended {
				m.broke(p, SpeakerUnavailable, false)
			}
		}
	}
}

func (m *model) takeVolume(in SetVolume) {
	_, ok := m.known(in.Request, in.Volume < 0 || in.Volume > 50)
	if !ok {
		return
	}
	if in.Speaker != "" && m.speaker(in.Speaker) == nil {
		m.reply(in.ID, OutcomeRejected, SpeakerNotFound)
		return
	}
	for _, sp := range m.speakers {
		if in.Speaker != "" && sp.id != in.Speaker {
			continue
		}
		sp.volume = in.Volume
		for _, p := range m.plays {
			if p.phase != PhasePreparing && p.phase != PhaseQueued {
				p.freed[sp.id] = true
			}
		}
	}
	// An override that holds nowhere any more is over for good.
	for _, p := range m.plays {
		if p.phase == PhasePreparing || p.phase == PhaseQueued || p.volume < 0 {
			continue
		}
		left := false
		for _, sp := range m.speakers {
			left = left || selected(p.all, p.chosen, p.s, sp.id) && !p.freed[sp.id]
		}
		if !left {
			p.volume = -1
		}
	}
	m.reply(in.ID, OutcomeDone, "")
}

func (m *model) takePlay(in Play) {
	s, ok := m.known(in.Request, in.Playback == "" || m.ids[in.Playback] || in.Volume != nil && (*in.Volume < 0 || *in.Volume > 50))
	if !ok {
		return
	}
	no := func(code Code) { m.reply(in.ID, OutcomeRejected, code) }
	expires := 0
	if !in.Expires.IsZero() {
		if expires = int(in.Expires.Sub(epoch).Seconds()); expires <= m.now {
			no(Expired)
			return
		}
	}
	var chosen map[string]bool
	if in.Speakers != nil && !in.AllSpeakers {
		chosen = setOf(in.Speakers)
		for id := range chosen {
			if m.speaker(id) == nil {
				no(SpeakerNotFound)
				return
			}
		}
	}
	owner := s
	if owner == nil {
		owner = &modelSession{ref: in.Ref, prio: 100, all: true, idleSince: m.now}
	}
	if code := m.mute(in.AllSpeakers, chosen, owner); code != "" {
		no(code)
		return
	}
	prio := m.prioOf(in.Request, s)
	mode := in.OnBusy
	if mode == "" {
		mode = Interrupt
	}
	v := m.verdict(s, prio, mode, 1<<30)
	if v != "go" && v != "wait" {
		no(Code(v))
		return
	}
	m.count++
	p := &modelPlay{id: in.Playback, s: owner, prio: prio, born: m.count, mode: mode, duck: in.Duck,
		resumable: in.Resumable, expires: expires, volume: -1, freed: map[string]bool{},
		all: in.AllSpeakers, chosen: chosen, asks: []ask{{what: cmdPlay, id: in.ID}}}
	if in.Volume != nil {
		p.volume = *in.Volume
	}
	if v == "go" && mode != Announce {
		for _, q := range m.in(PhasePreparing) {
			if q.s == owner && !q.queued && q.mode != Announce {
				m.finish(q, EventStopped, Cancelled, false)
			}
		}
	}
	if s == nil {
		m.sessions = append(m.sessions, owner)
	}
	m.ids[p.id] = true
	m.plays = append(m.plays, p)
	if v == "go" || mode == Announce {
		p.opened, p.limit = true, m.now+m.prepareLimit
	}
	p.phase = PhasePreparing
	if v == "wait" {
		m.line(p)
	}
}

func (m *model) line(p *modelPlay) {
	p.phase = PhaseQueued
	if !p.queued {
		p.queued = true
		m.tell(p, EventQueued, "")
	}
	m.settle(p, cmdPlay, OutcomeQueued, "")
}

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
			m.broke(p, code, true)
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
