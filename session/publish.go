package session

import (
	"cmp"
	"slices"
	"time"
)

// newsEvery is how often a session's new expiry is worth telling.
const newsEvery = time.Minute

// touched remembers that what others see of s may have changed.
func (c *Core) touched(s *session) {
	if !s.dirty {
		s.dirty = true
		c.dirty = append(c.dirty, s)
	}
}

// flush gives out the effects of a Step: orders, then what has changed, then
// events, then results.
func (c *Core) flush() []Effect {
	c.state = stateOf(c.state, c.played, c.holders(), c.paused)
	clear(c.out)
	out := c.out[:0]
	for _, o := range c.orders {
		out = append(out, o)
	}
	if c.changed {
		out = append(out, Changed{})
	}
	if len(c.dirty) > 1 {
		slices.SortFunc(c.dirty, func(a, b *session) int { return cmp.Compare(a.seq, b.seq) })
	}
	for _, s := range c.dirty {
		s.dirty = false
		if !s.ended {
			s.state = stateOf(s.state, s.played, s.playbacks, nil)
			if !s.implicit && c.news(s) {
				out = append(out, SessionChanged{Session: s.shown})
			}
		}
	}
	for _, ref := range c.gone {
		out = append(out, SessionGone{Ref: ref})
	}
	for _, e := range c.events {
		out = append(out, e)
	}
	for _, r := range c.results {
		out = append(out, r)
	}
	clear(c.orders)
	clear(c.events)
	clear(c.results)
	clear(c.dirty)
	c.orders, c.dirty, c.gone, c.events, c.results = c.orders[:0], c.dirty[:0], c.gone[:0], c.events[:0], c.results[:0]
	c.changed = false
	c.out = out
	return out
}

// news tells whether s must be published: on a change of what it does, and on a
// new expiry at most once a minute, later if that minute is not over.
func (c *Core) news(s *session) bool {
	v := c.viewSession(s)
	same := s.shown.Ref != "" && v.State == s.shown.State && v.Playback == s.shown.Playback &&
		slices.Equal(v.Speakers, s.shown.Speakers)
	if same {
		if v.Expires.Equal(s.shown.Expires) {
			c.timers.set(&s.postpone, time.Time{})
			return false
		}
		if next := s.shownAt.Add(newsEvery); !expired(c.now, next) {
			c.timers.set(&s.postpone, next)
			return false
		}
	}
	c.timers.set(&s.postpone, time.Time{})
	s.shown, s.shownAt = v, c.now
	return true
}

// stateOf is the player state of a hub or a session with these playbacks. What
// is only starting changes nothing yet: the engine may swap without a gap, and
// so does the state.
func stateOf(was PlayerState, played bool, groups ...[]*playback) PlayerState {
	starts, held := false, false
	for _, group := range groups {
		for _, p := range group {
			switch p.phase {
			case PhasePlaying, PhaseDucked:
				return PlayerStatePlaying
			case PhaseStarting:
				starts = true
			case PhasePaused, PhaseSuspended, PhaseReturning:
				held = true
			}
		}
	}
	switch {
	case starts:
		return was
	case held:
		return PlayerStatePaused
	case played:
		return PlayerStateStopped
	}
	return PlayerStateInitialized
}

// holders are the playbacks that hold the hub. The slice is valid until the next call.
func (c *Core) holders() []*playback {
	c.scratch2 = c.scratch2[:0]
	for _, p := range [...]*playback{c.voice, c.music} {
		if p != nil {
			c.scratch2 = append(c.scratch2, p)
		}
	}
	return c.scratch2
}

func (c *Core) viewPlayback(p *playback) PlaybackView {
	v := PlaybackView{
		ID: p.id, Command: p.command, Ref: p.session.ref, Media: p.media,
		Priority: p.priority, OnBusy: p.onBusy, Phase: p.phase, State: p.state(),
		Speakers: c.resolve(c.selectionOf(p)), Expires: p.expires,
	}
	if p.volume != nil {
		volume := *p.volume
		v.Volume = &volume
	}
	return v
}

func (c *Core) viewSession(s *session) SessionView {
	v := SessionView{
		Ref: s.ref, State: s.state, Priority: s.priority,
		Speakers: c.resolve(s.selection), Expires: s.until, Implicit: s.implicit,
	}
	if p := s.foremost(); p != nil {
		v.Playback = p.id
	}
	return v
}

// Session finds a live session by its token.
func (c *Core) Session(now time.Time, token string) (SessionView, bool) {
	s := c.sessions[token]
	if s == nil || expired(now, s.until) {
		return SessionView{}, false
	}
	return c.viewSession(s), true
}

// View describes the hub as it is after the last Step. What it returns is the
// caller's.
func (c *Core) View() View {
	v := View{State: c.state, Sessions: len(c.sessions), HeldAt: -1,
		Muted: c.mute.On, MuteBelow: c.mute.Below, Quiet: c.quiet.view()}
	for _, p := range c.holders() {
		v.HeldAt = max(v.HeldAt, p.priority)
		view := c.viewPlayback(p)
		if v.Current == nil && (p == c.voice || p.phase == PhaseStarting || p.phase == PhasePlaying) {
			v.Current = &view
		} else {
			v.Beneath = &view
		}
	}
	for _, p := range c.paused {
		v.Paused = append(v.Paused, c.viewPlayback(p))
	}
	for _, p := range c.inTurn() {
		v.Waiting = append(v.Waiting, c.viewPlayback(p))
	}
	sum := 0
	for _, s := range c.speakers {
		sum += s.volume
		v.Speakers = append(v.Speakers, c.viewSpeaker(s))
	}
	if n := len(c.speakers); n > 0 {
		v.Volume = (2*sum + n) / (2 * n)
	}
	return v
}

// inTurn lists what waits, next first: what is being prepared to be heard now,
// then the announcements, then the queue.
func (c *Core) inTurn() []*playback {
	rank := func(p *playback) int {
		switch {
		case p.phase == PhasePreparing:
			return 0
		case p.announcement():
			return 1
		}
		return 2
	}
	list := slices.Clone(c.waiting)
	slices.SortStableFunc(list, func(a, b *playback) int {
		if d := cmp.Compare(rank(a), rank(b)); d != 0 {
			return d
		}
		if rank(a) > 0 && a.priority != b.priority {
			return cmp.Compare(b.priority, a.priority)
		}
		return cmp.Compare(a.arrival, b.arrival)
	})
	return list
}

func (c *Core) viewSpeaker(s *speaker) SpeakerView {
	v := SpeakerView{ID: s.id, Available: s.available, Volume: s.volume, Muted: s.mute.On, MuteBelow: s.mute.Below}
	if s.quiet.configured || s.quiet.mode != QuietAuto {
		view := s.quiet.view()
		v.Quiet = &view
	}
	for _, p := range [...]*playback{c.voice, c.music} {
		if p == nil || !p.sounds() && !p.starting() || !s.available || !c.selectionOf(p).has(s.id) {
			continue
		}
		v.Active = true
		if v.Override == nil && p.overrides(s.id) {
			volume := *p.volume
			v.Override = &volume
		}
	}
	return v
}
