package session

import "time"

// Mute and quiet hours as the model understands them.

type modelQuiet struct {
	hours            *Hours
	volume, priority int
	mode             QuietMode
	within           bool // the hours, a moment ago
}

func modelQuietOf(q *Quiet) modelQuiet {
	if q == nil {
		return modelQuiet{volume: 10, priority: 200, mode: QuietAuto}
	}
	return modelQuiet{hours: q.Hours, volume: q.Volume, priority: q.Priority, mode: QuietAuto}
}

func (m *model) newSpeaker(in Speaker) *modelSpeaker {
	s := &modelSpeaker{id: in.ID, available: in.Available, volume: in.Volume, quiet: modelQuietOf(nil)}
	if q, ok := m.quietSpeakers[in.ID]; ok {
		s.quiet = modelQuietOf(&q)
	}
	m.look(&s.quiet)
	return s
}

// lookAtClock lets hours begin, and end; with their end a switch is forgotten.
func (m *model) lookAtClock() {
	m.look(&m.quiet)
	for _, s := range m.speakers {
		m.look(&s.quiet)
	}
	m.heardNowhere()
}

func (m *model) look(q *modelQuiet) {
	if q.hours == nil {
		return
	}
	was := q.within
	q.within = q.hours.naive(epoch.Add(time.Duration(m.now) * time.Second))
	if was && !q.within {
		q.mode = QuietAuto
	}
}

// most is how loud a quiet hub or speaker lets a sound be.
func (q modelQuiet) most(prio int) int {
	if prio < q.priority && (q.mode == QuietOn || q.mode == QuietAuto && q.within) {
		return q.volume
	}
	return 50
}

// less is what is left of a volume on a speaker.
func (m *model) less(s *modelSpeaker, volume, prio int) int {
	for _, mute := range []Mute{m.muted, s.muted} {
		if mute.On && (mute.Below == 0 || prio < mute.Below) {
			return 0
		}
	}
	return min(volume, m.quiet.most(prio), s.quiet.most(prio))
}

// hushed: there are speakers for it, and quiet hours leave it none.
func (m *model) hushed(all bool, chosen map[string]bool, s *modelSession, prio int) bool {
	there, left := 0, 0
	for _, sp := range m.speakers {
		if sp.available && selected(all, chosen, s, sp.id) {
			there++
			if m.quiet.most(prio) > 0 && sp.quiet.most(prio) > 0 {
				left++
			}
		}
	}
	return there > 0 && left == 0
}

func (m *model) takeMute(in SetMute) {
	malformed := in.Mute != "on" && in.Mute != "off" && in.Mute != "toggle" || in.Below < 0 || in.Below > 9999
	if _, ok := m.known(in.Request, malformed); !ok {
		return
	}
	mute := &m.muted
	if in.Speaker != "" {
		s := m.speaker(in.Speaker)
		if s == nil {
			m.reply(in.ID, OutcomeRejected, SpeakerNotFound)
			return
		}
		mute = &s.muted
	}
	on := in.Mute == "on" || in.Mute == "toggle" && !mute.On
	mute.On, mute.Below = on, 0
	if on {
		mute.Below = in.Below
	}
	m.reply(in.ID, OutcomeDone, "")
}

func (m *model) takeQuiet(in SetQuiet) {
	if _, ok := m.known(in.Request, in.Mode != "on" && in.Mode != "off" && in.Mode != "auto"); !ok {
		return
	}
	q := &m.quiet
	if in.Speaker != "" {
		s := m.speaker(in.Speaker)
		if s == nil {
			m.reply(in.ID, OutcomeRejected, SpeakerNotFound)
			return
		}
		q = &s.quiet
	}
	q.mode = in.Mode
	m.heardNowhere()
	m.reply(in.ID, OutcomeDone, "")
}
