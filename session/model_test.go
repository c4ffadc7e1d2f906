package session

import (
	"fmt"
	"slices"
	"sort"
)

// model is the rules again, written to be obviously right and nothing else: one
// list of playbacks, one of sessions, whole seconds, everything found by
// looking through the lists, and a look at all of it every second. It knows no
// deadlines to be woken at, no slots, no counters that could drift.
type model struct {
	timeout, prepareLimit, orderLimit int
	now, count                        int
	plays                             []*modelPlay
	sessions                          []*modelSession
	speakers                          []*modelSpeaker
	muted                             Mute
	quiet                             modelQuiet
	quietSpeakers                     map[string]Quiet
	tokens, ids                       map[string]bool

	results, events []string
}

type modelSpeaker struct {
	id        string
	available bool
	volume    int
	muted     Mute
	quiet     modelQuiet
}

type modelSession struct {
	token     string
	ref       string
	prio      int
	all       bool
	chosen    map[string]bool
	idleSince int
	gone      bool
}

type modelPlay struct {
	id                           string
	s                            *modelSession
	prio, born, pausedNo         int
	mode                         OnBusy
	duck, resumable, seekable    bool
	expires, limit, abandon      int // seconds at which they run out, 0 for never
	phase                        Phase
	opened, ready, heard         bool
	lowered, queued, holdPending bool
	volume                       int // -1 for none
	freed                        map[string]bool
	all                          bool
	chosen                       map[string]bool // nil: the session's
	asks                         []ask
}

func newModel() *model {
	return &model{timeout: 60, prepareLimit: 10, orderLimit: 2, tokens: map[string]bool{}, ids: map[string]bool{}}
}

// step lets the model see one input at a second. It must be called at least
// with Tick at every second.
func (m *model) step(now int, in Input) (results, events []string) {
	m.now, m.results, m.events = now, nil, nil
	m.keepAlive()
	m.runOut()
	m.lookAtClock()
	m.goOn()
	m.take(in)
	m.keepAlive()
	m.goOn()
	m.keepAlive()
	sort.Strings(m.events)
	sort.Strings(m.results)
	return m.results, m.events
}

// keepAlive: while something of a session is on its way to be heard, its clock
// stands still.
func (m *model) keepAlive() {
	for _, p := range m.plays {
		if p.phase.live() {
			p.s.idleSince = m.now
		}
	}
}

func (m *model) runOut() {
	for _, p := range slices.Clone(m.plays) {
		unheard := p.phase == PhasePreparing || p.phase == PhaseQueued
		switch {
		case p.phase == PhaseEnded:
		case unheard && p.expires != 0 && m.now >= p.expires:
			m.finish(p, EventExpired, Expired, true)
		case unheard && p.limit != 0 && m.now >= p.limit:
			m.finish(p, EventFailed, MediaUnavailable, false)
		case p.limit != 0 && m.now >= p.limit:
			m.broke(p, MediaUnavailable, false)
		case p.phase == PhasePaused && m.now >= p.abandon:
			m.finish(p, EventStopped, "", false)
		}
	}
	for _, s := range m.sessions {
		if !s.gone && m.now >= s.idleSince+m.timeout {
			m.closeSession(s)
		}
	}
}

func (m *model) closeSession(s *modelSession) {
	s.gone = true
	for _, p := range slices.Clone(m.plays) {
		if p.s == s {
			m.finish(p, EventStopped, "", false)
		}
	}
}

func (m *model) holding() (voice, music *modelPlay) {
	for _, p := range m.plays {
		switch p.phase {
		case PhaseStarting, PhasePlaying, PhaseDucked, PhaseSuspended, PhaseReturning:
			if p.mode == Announce {
				voice = p
			} else {
				music = p
			}
		}
	}
	return voice, music
}

func (m *model) in(phase Phase) []*modelPlay {
	var list []*modelPlay
	for _, p := range m.plays {
		if p.phase == phase {
			list = append(list, p)
		}
	}
	return list
}

func (m *model) musicPreparing(before int) bool {
	for _, p := range m.in(PhasePreparing) {
		if p.mode != Announce && p.born < before {
			return true
		}
	}
	return false
}

// verdict: "go", "wait", or a code.
func (m *model) verdict(s *modelSession, prio int, mode OnBusy, born int) string {
	voice, music := m.holding()
	others := -1
	for _, p := range []*modelPlay{voice, music} {
		if p != nil && p.s != s {
			others = max(others, p.prio)
		}
	}
	busy := voice != nil || music != nil || m.musicPreparing(born)
	switch {
	case mode == Interrupt && prio < others:
		return string(PriorityTooLow)
	case mode == Drop && busy:
		return string(Busy)
	case mode == Queue && busy:
		return "wait"
	case mode == Announce && music != nil && music.s != s && prio < music.prio:
		return string(PriorityTooLow)
	case mode == Announce && voice != nil && voice.prio >= prio:
		return "wait"
	}
	return "go"
}

func (m *model) goOn() {
	for again := true; again; {
		again = m.oneOn()
	}
}

func (m *model) oneOn() bool {
	voice, music := m.holding()
	if voice != nil || music != nil && music.phase == PhaseStarting {
		return false
	}
	best := func(which func(*modelPlay) bool) *modelPlay {
		var b *modelPlay
		for _, p := range m.in(PhaseQueued) {
			if which(p) && (b == nil || p.prio > b.prio || p.prio == b.prio && p.born < b.born) {
				b = p
			}
		}
		return b
	}
	if p := best(func(p *modelPlay) bool { return p.mode == Announce && p.ready }); p != nil {
		if m.hushed(p.all, p.chosen, p.s, p.prio) {
			m.finish(p, EventDropped, QuietHours, true)
		} else if m.verdict(p.s, p.prio, Announce, p.born) == "go" {
			m.begin(p)
		} else {
			m.finish(p, EventDropped, PriorityTooLow, true)
		}
		return true
	}
	if music != nil {
		music.lowered = false
		if music.phase == PhaseDucked {
			music.phase = PhasePlaying
		}
		if music.phase == PhaseSuspended {
			if code := m.mute(music.all, music.chosen, music.s); code != "" {
				m.broke(music, code, false)
				return true
			}
			music.phase, music.limit, music.holdPending = PhaseReturning, m.now+m.orderLimit, false
		}
		return false
	}
	if len(m.in(PhasePaused)) > 0 || m.musicPreparing(1<<30) {
		return false
	}
	p := best(func(p *modelPlay) bool { return p.mode != Announce })
	switch {
	case p == nil:
		return false
	case m.hushed(p.all, p.chosen, p.s, p.prio):
		m.finish(p, EventDropped, QuietHours, true)
	case p.ready:
		m.begin(p)
	default:
		p.phase, p.opened, p.limit = PhasePreparing, true, m.now+m.prepareLimit
	}
	return true
}

func (m *model) begin(p *modelPlay) {
	if code := m.mute(p.all, p.chosen, p.s); code != "" {
		m.finish(p, EventFailed, code, false)
		return
	}
	voice, music := m.holding()
	if voice != nil {
		m.finish(voice, EventInterrupted, "", false)
	}
	if p.mode == Announce {
		switch {
		case music == nil || music.phase == PhaseSuspended:
		case p.duck:
			music.lowered = true
			if music.phase == PhasePlaying {
				music.phase = PhaseDucked
			}
		default:
			music.lowered = false
			music.phase, music.limit, music.holdPending = PhaseSuspended, m.now+m.orderLimit, true
			m.tell(music, EventSuspended, "")
		}
	} else if music != nil {
		m.finish(music, EventInterrupted, "", false)
	}
	p.phase, p.limit = PhaseStarting, m.now+m.orderLimit
	if p.mode == Interrupt {
		m.overtake(p, p.born)
	}
}

func (m *model) overtake(p *modelPlay, before int) {
	for _, q := range m.in(PhasePreparing) {
		if q != p && !q.queued && q.born < before && q.prio <= p.prio {
			m.finish(q, EventStopped, Cancelled, false)
		}
	}
}

func (m *model) tell(p *modelPlay, kind EventKind, code Code) {
	m.events = append(m.events, fmt.Sprintf("%s %s %s", p.id, kind, code))
}

func (m *model) reply(id string, o Outcome, code Code) {
	m.results = append(m.results, fmt.Sprintf("%s %s %s", id, o, code))
}

func (m *model) settle(p *modelPlay, what command, o Outcome, code Code) {
	p.asks = slices.DeleteFunc(p.asks, func(a ask) bool {
		if a.what == what {
			m.reply(a.id, o, code)
		}
		return a.what == what
	})
}

func (m *model) asked(p *modelPlay, what command) bool {
	return slices.ContainsFunc(p.asks, func(a ask) bool { return a.what == what })
}

func (m *model) finish(p *modelPlay, kind EventKind, code Code, refused bool) {
	if p.phase == PhaseEnded {
		return
	}
	p.phase = PhaseEnded
	m.tell(p, kind, code)
	lost := code
	if lost == "" {
		lost = Cancelled
	}
	o, c := OutcomeFailed, lost
	if refused {
		o = OutcomeRejected
	}
	if kind == EventFinished {
		o, c = OutcomeStarted, ""
	}
	m.settle(p, cmdPlay, o, c)
	m.settle(p, cmdResume, o, c)
	if kind == EventFailed {
		m.settle(p, cmdPause, OutcomeFailed, lost)
	}
	m.settle(p, cmdPause, OutcomeDone, "")
	m.settle(p, cmdSeek, OutcomeFailed, lost)
	m.plays = slices.DeleteFunc(m.plays, func(q *modelPlay) bool { return q == p })
	if p.s.token == "" && !slices.ContainsFunc(m.plays, func(q *modelPlay) bool { return q.s == p.s }) {
		p.s.gone = true
	}
}

// broke: the engine cannot go on; a resume that fails leaves it paused.
func (m *model) broke(p *modelPlay, code Code, forgotten bool) {
	voice, music := m.holding()
	if !m.asked(p, cmdResume) || p != voice && p != music {
		m.finish(p, EventFailed, code, false)
		return
	}
	for _, a := range p.asks {
		if a.what == cmdResume {
			p.prio = a.was
		}
	}
	p.limit, p.holdPending = 0, false
	if !forgotten && p.phase != PhaseSuspended {
		p.limit, p.holdPending = m.now+m.orderLimit, true
	}
	m.settle(p, cmdResume, OutcomeFailed, code)
	m.settle(p, cmdSeek, OutcomeFailed, code)
	m.putAside(p)
	m.tell(p, EventPaused, code)
}

func (m *model) putAside(p *modelPlay) {
	for _, q := range m.in(PhasePaused) {
		if q != p && q.s == p.s {
			m.finish(q, EventStopped, "", false)
		}
	}
	p.phase, p.lowered, p.abandon = PhasePaused, false, m.now+m.timeout
}

func (m *model) find(id string) *modelPlay {
	for _, p := range m.plays {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (m *model) speaker(id string) *modelSpeaker {
	for _, s := range m.speakers {
		if s.id == id {
			return s
		}
	}
	return nil
}

// selected tells whether a speaker belongs to a selection.
func selected(all bool, chosen map[string]bool, s *modelSession, id string) bool {
	if !all && chosen == nil {
		all, chosen = s.all, s.chosen
	}
	return all || chosen[id]
}

// mute tells why a selection gives no sound.
func (m *model) mute(all bool, chosen map[string]bool, s *modelSession) Code {
	if !all && chosen == nil {
		all, chosen = s.all, s.chosen
	}
	if !all && len(chosen) == 0 {
		return NoSpeakers
	}
	for _, sp := range m.speakers {
		if sp.available && (all || chosen[sp.id]) {
			return ""
		}
	}
	return SpeakerUnavailable
}

// outputs are what the engine must have been told of p.
func (m *model) outputs(p *modelPlay) []Output {
	var outs []Output
	for _, sp := range m.speakers {
		if sp.available && selected(p.all, p.chosen, p.s, sp.id) {
			v := sp.volume
			if p.volume >= 0 && !p.freed[sp.id] {
				v = p.volume
			}
			outs = append(outs, Output{sp.id, m.less(sp, v, p.prio)})
		}
	}
	return outs
}

// phases is what is audible and what is on its way, for the comparison.
func (m *model) phases() []string {
	var list []string
	for _, p := range m.plays {
		list = append(list, fmt.Sprintf("%s %s %d", p.id, p.phase, p.prio))
	}
	sort.Strings(list)
	return list
}

func (m *model) openSessions() int {
	n := 0
	for _, s := range m.sessions {
		if !s.gone && s.token != "" {
			n++
		}
	}
	return n
}

func setOf(ids []string) map[string]bool {
	set := map[string]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return set
}
