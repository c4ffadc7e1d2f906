package session

import (
	"slices"
	"strings"
)

// speaker is one speaker of the hub.
type speaker struct {
	id        string
	available bool
	volume    int // own; how loud a playback is there is derived from it, see loudness
	mute      Mute
	quiet     quiet
}

// selection is a choice of speakers: every one of the hub, later ones too, or
// the named ones, sorted, of which some may be away.
type selection struct {
	all bool
	ids []string
}

func selectionOf(all bool, ids []string) selection {
	if all {
		return selection{all: true}
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return selection{ids: slices.Compact(ids)}
}

func (s selection) has(id string) bool {
	if s.all {
		return true
	}
	_, ok := slices.BinarySearch(s.ids, id)
	return ok
}

func (s selection) empty() bool { return !s.all && len(s.ids) == 0 }

// selectionOf is the live selection of p: its own, else its session's.
func (c *Core) selectionOf(p *playback) selection {
	if p.selection != nil {
		return *p.selection
	}
	return p.session.selection
}

func (c *Core) findSpeaker(id string) (int, bool) {
	return slices.BinarySearchFunc(c.speakers, id, func(s *speaker, id string) int { return strings.Compare(s.id, id) })
}

// unknown returns the first id that is no speaker of the hub.
func (c *Core) unknown(ids []string) (string, bool) {
	for _, id := range ids {
		if _, ok := c.findSpeaker(id); !ok {
			return id, true
		}
	}
	return "", false
}

// noSpeaker tells a person that an id is no speaker's, and whose there are.
func (c *Core) noSpeaker(id string) string {
	if len(c.speakers) == 0 {
		return "there is no speaker " + id + "; the hub has none"
	}
	ids := make([]string, 0, len(c.speakers))
	for _, sp := range c.speakers {
		ids = append(ids, sp.id)
	}
	return "there is no speaker " + id + "; the hub has " + strings.Join(ids, ", ")
}

// addressed finds the one speaker that a command is about, or refuses the command.
func (c *Core) addressed(in Request, s *session, id string) (at int, ok bool) {
	if at, ok = c.findSpeaker(id); !ok {
		c.refuse(in, s, SpeakerNotFound, c.noSpeaker(id))
	}
	return at, ok
}

// choose reads the selection that a command carries for one playback; given is
// false if it carries none.
func (c *Core) choose(ids []string, all bool) (chosen selection, given bool, code Code, message string) {
	if !all && ids == nil {
		return selection{}, false, "", ""
	}
	if id, ok := c.unknown(ids); ok && !all {
		return selection{}, true, SpeakerNotFound, c.noSpeaker(id)
	}
	return selectionOf(all, ids), true, "", ""
}

// silent tells why nothing could be heard on a selection; "" if it could.
func (c *Core) silent(sel selection) (Code, string) {
	if sel.empty() {
		return NoSpeakers, "no speaker is selected"
	}
	for _, s := range c.speakers {
		if s.available && sel.has(s.id) {
			return "", ""
		}
	}
	return SpeakerUnavailable, "none of the selected speakers can be heard now"
}

// outputs are the speakers on which p is heard now, with its volume there. The
// slice is the caller's.
func (c *Core) outputs(p *playback) []Output {
	sel := c.selectionOf(p)
	var outs []Output
	for _, s := range c.speakers {
		if s.available && sel.has(s.id) {
			if outs == nil {
				outs = make([]Output, 0, len(c.speakers))
			}
			outs = append(outs, Output{Speaker: s.id, Volume: c.loudness(p, s)})
		}
	}
	return outs
}

func (p *playback) overrides(id string) bool { return p.volume != nil && !slices.Contains(p.freed, id) }

// resolve names the known speakers of a selection.
func (c *Core) resolve(sel selection) []string {
	var ids []string
	for _, s := range c.speakers {
		if sel.has(s.id) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// remix tells the engine what has changed for what sounds. A playback that has
// lost its last speaker ends, and so does one that quiet hours would let run in
// silence: it would be heard in the morning.
func (c *Core) remix() {
	for _, p := range [...]*playback{c.voice, c.music} {
		switch {
		case p == nil || p.phase == PhaseEnded:
		case c.selectionOf(p).empty():
			c.end(p, ending{kind: EventStopped, reason: ReasonSpeakers})
		case c.hushed(c.selectionOf(p), p.priority):
			c.end(p, ending{kind: EventStopped, reason: ReasonQuiet, code: QuietHours, message: hushed})
		case p.phase == PhaseSuspended: // it is judged when it comes back
		default:
			outs := c.outputs(p)
			switch {
			case len(outs) == 0:
				c.fail(p, SpeakerUnavailable, "all its speakers are lost", false)
			case !slices.Equal(outs, p.sent):
				c.order(p, VerbMix)
			}
		}
	}
}

func (c *Core) setSpeakers(in SetSpeakers) {
	s, ok := c.enter(in.Request, "")
	if !ok {
		return
	}
	if s == nil {
		c.refuse(in.Request, nil, SessionNotFound, "a session is needed for this command")
		return
	}
	for _, ids := range [...][]string{in.Set, in.Add, in.Remove} {
		for _, id := range ids {
			// What is selected may be away from the hub and still be removed.
			if _, known := c.findSpeaker(id); !known && !slices.Contains(s.selection.ids, id) {
				c.refuse(in.Request, s, SpeakerNotFound, c.noSpeaker(id))
				return
			}
		}
	}
	sel := s.selection
	switch {
	case in.All:
		sel = selection{all: true}
	case in.Set != nil:
		sel = selectionOf(false, in.Set)
	}
	if len(in.Add) > 0 && !sel.all {
		sel = selectionOf(false, slices.Concat(sel.ids, in.Add))
	}
	if len(in.Remove) > 0 {
		ids := sel.ids
		if sel.all { // all but some: from now on a choice of those that are there
			ids = c.resolve(sel)
		}
		left := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return slices.Contains(in.Remove, id) })
		sel = selectionOf(false, left)
	}
	s.selection = sel
	c.changed = true
	c.touched(s)
	c.remix()
	c.done(in.Request, s, Result{})
}

// setVolume sets what belongs to the speaker, whoever plays there, and ends the
// overrides of what has begun.
func (c *Core) setVolume(in SetVolume) {
	problem := ""
	if in.Volume < 0 || in.Volume > MaxVolume {
		problem = "volume must be 0 to 50"
	}
	s, ok := c.enter(in.Request, problem)
	if !ok {
		return
	}
	targets := c.speakers
	if in.Speaker != "" {
		at, known := c.addressed(in.Request, s, in.Speaker)
		if !known {
			return
		}
		targets = c.speakers[at : at+1]
	}
	for _, sp := range targets {
		sp.volume = in.Volume
	}
	c.changed = true
	c.free(c.voice, targets)
	c.free(c.music, targets)
	for _, p := range c.paused {
		c.free(p, targets)
	}
	c.remix()
	c.done(in.Request, s, Result{})
}

// free ends the override of p on some speakers, and altogether when none of its
// speakers is left to it.
func (c *Core) free(p *playback, on []*speaker) {
	if p == nil || p.volume == nil {
		return
	}
	for _, s := range on {
		if !slices.Contains(p.freed, s.id) {
			p.freed = append(p.freed, s.id)
		}
	}
	sel := c.selectionOf(p)
	for _, s := range c.speakers {
		if sel.has(s.id) && p.overrides(s.id) {
			return
		}
	}
	p.volume, p.freed = nil, nil
}

func (c *Core) reportSpeaker(in Speaker) {
	if in.ID == "" {
		return
	}
	at, known := c.findSpeaker(in.ID)
	if known {
		if c.speakers[at].available == in.Available {
			return
		}
		c.speakers[at].available = in.Available
	} else {
		volume := in.Volume
		if volume < 0 || volume > MaxVolume {
			volume = DefaultVolume
		}
		s := &speaker{id: in.ID, available: in.Available, volume: volume, mute: in.Mute}
		var configured *Quiet
		if q, ok := c.cfg.QuietSpeakers[in.ID]; ok {
			configured = &q
		}
		s.quiet = newQuiet(configured, in.Quiet)
		s.quiet.look(c.now)
		c.speakers = slices.Insert(c.speakers, at, s)
		c.touchSelectors(in.ID)
	}
	c.changed = true
	c.remix()
}

func (c *Core) reportSpeakerGone(in SpeakerGone) {
	at, known := c.findSpeaker(in.ID)
	if !known {
		return
	}
	c.speakers = slices.Delete(c.speakers, at, at+1)
	c.touchSelectors(in.ID)
	c.changed = true
	c.remix()
}

// touchSelectors marks the sessions whose selection a speaker has entered or
// left. It is the one walk over all sessions; speakers come and go seldom.
func (c *Core) touchSelectors(id string) {
	for _, s := range c.sessions {
		if s.selection.has(id) {
			c.touched(s)
		}
	}
}
