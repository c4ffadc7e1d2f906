package session

import (
	"maps"
	"slices"
)

// Sessions, speakers and plays as the model understands them.

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
	case SetMute:
		m.takeMute(in)
	case SetQuiet:
		m.takeQuiet(in)
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
			m.speakers = append(m.speakers, m.newSpeaker(in))
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
		case "":
			if m.hushed(p.all, p.chosen, p.s, p.prio) {
				m.finish(p, EventStopped, QuietHours, false)
			}
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
	if m.hushed(in.AllSpeakers, chosen, owner, prio) {
		v = string(QuietHours)
	}
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
