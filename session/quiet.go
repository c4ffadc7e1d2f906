package session

import (
	"fmt"
	"time"
)

// How loud a playback is on a speaker: its own override or the speaker's own
// volume, less what mute and quiet hours take away. The hub has both, and so has
// each speaker; it is derived anew each time, so that nothing is ever restored.

// Bounds and defaults of quiet hours.
const (
	DefaultQuietVolume   = 10
	DefaultQuietPriority = 200

	// quietLook is how often the wall clock is looked at while there are hours
	// to keep: it may be set, or have gone on while the machine slept.
	quietLook = time.Minute
)

// Switch is what a mute command asks for.
type Switch string

// The positions of a switch.
const (
	SwitchOn     Switch = "on"
	SwitchOff    Switch = "off"
	SwitchToggle Switch = "toggle"
)

// QuietMode says who decides whether it is quiet.
type QuietMode string

// The modes of quiet hours. On and off last until scheduled hours end the next
// time, and without a schedule until they are changed.
const (
	QuietAuto QuietMode = "auto" // the schedule; without one it is never quiet
	QuietOn   QuietMode = "on"
	QuietOff  QuietMode = "off"
)

// Mute is the silence of a hub or a speaker. What plays plays on, unheard.
type Mute struct {
	On    bool
	Below int // the priority from which a sound is heard all the same, MinPriority+1–MaxPriority; 0 for none
}

// silences tells whether a sound of a priority is not heard.
func (m Mute) silences(priority int) bool { return m.On && (m.Below == 0 || priority < m.Below) }

// Quiet is what a hub or a speaker does in quiet hours.
type Quiet struct {
	Hours    *Hours // nil for none: quiet only when switched on
	Volume   int    // no louder than this, 0–MaxVolume; 0 refuses what would be heard nowhere else
	Priority int    // sounds of this priority and above are not concerned, MinPriority–MaxPriority
}

// QuietOverride is a switch of quiet hours, to be kept over a restart.
type QuietOverride struct {
	Mode  QuietMode // "" is auto
	Until time.Time // when it is auto again, by the wall clock; zero for never by itself
}

// QuietView is what others may see of the quiet hours of a hub or a speaker.
type QuietView struct {
	Quiet
	Active bool // in force now
	Mode   QuietMode
	Until  time.Time // when Active or Mode change by themselves; zero for never
}

// quiet are the quiet hours of a hub or a speaker as they stand.
type quiet struct {
	Quiet
	configured bool
	mode       QuietMode
	until      time.Time // of a mode that is not auto: when it is over; zero for never
	active     bool

	// What the schedule says holds over [since, next) of the wall clock.
	in          bool
	since, next time.Time
}

func newQuiet(configured *Quiet, o QuietOverride) quiet {
	q := quiet{Quiet: Quiet{Volume: DefaultQuietVolume, Priority: DefaultQuietPriority}, mode: o.Mode, until: o.Until}
	if configured != nil {
		q.Quiet, q.configured = *configured, true
		q.Volume = min(max(q.Volume, 0), MaxVolume)
		q.Priority = min(max(q.Priority, MinPriority), MaxPriority)
	}
	if q.mode != QuietOn && q.mode != QuietOff {
		q.mode, q.until = QuietAuto, time.Time{}
	}
	return q
}

// concerned tells whether quiet hours are in force for sounds of a priority.
func (q *quiet) concerned(priority int) bool { return q.active && priority < q.Priority }

// look holds q against the wall clock and tells whether anything that View
// shows is different. It asks the calendar only when a border has been passed,
// or the clock been put back.
func (q *quiet) look(now time.Time) bool {
	before, back := q.view(), now.Before(q.since)
	if q.Hours != nil && (q.since.IsZero() || back || !q.next.IsZero() && !now.Before(q.next)) {
		q.in, q.next = q.Hours.At(now)
		// Without the monotonic reading: it is compared with the wall alone.
		q.since = time.Unix(now.Unix(), int64(now.Nanosecond()))
	}
	switch {
	case q.mode == QuietAuto:
	case !q.until.IsZero() && !now.Before(q.until):
		q.mode, q.until = QuietAuto, time.Time{}
	case (q.until.IsZero() || back) && q.Hours != nil && !q.next.IsZero():
		q.until = q.Hours.End(now) // anew if it was taken from a clock that was ahead
	}
	q.active = q.mode == QuietOn || q.mode == QuietAuto && q.in
	return q.view() != before
}

// border is when look has something to do again; zero for never.
func (q *quiet) border() time.Time { return earlier(q.next, q.until) }

func (q *quiet) view() QuietView {
	v := QuietView{Quiet: q.Quiet, Active: q.active, Mode: q.mode, Until: q.until}
	if q.mode == QuietAuto {
		v.Until = q.next
	}
	return v
}

// lookAtClock lets quiet hours begin and end.
func (c *Core) lookAtClock() {
	different := c.quiet.look(c.now)
	for _, s := range c.speakers {
		different = s.quiet.look(c.now) || different
	}
	if different {
		c.changed = true
		c.remix()
	}
}

// nextLook is when the wall clock wants to be looked at again; zero for never.
func (c *Core) nextLook() time.Time {
	if c.now.IsZero() {
		return time.Time{}
	}
	var at time.Time
	consider := func(q *quiet) {
		if border := q.border(); !border.IsZero() {
			// A span of the wall clock, measured from now by the monotonic one.
			at = earlier(at, c.now.Add(min(border.Sub(c.now), quietLook)))
		}
	}
	consider(&c.quiet)
	for _, s := range c.speakers {
		consider(&s.quiet)
	}
	return at
}

// loudness is the volume that p has on s: the one rule for it.
func (c *Core) loudness(p *playback, s *speaker) int {
	if c.mute.silences(p.priority) || s.mute.silences(p.priority) {
		return 0
	}
	volume := s.volume
	if p.overrides(s.id) {
		volume = *p.volume
	}
	return min(volume, c.ceiling(s, p.priority))
}

// ceiling is what quiet hours allow a sound of a priority on s.
func (c *Core) ceiling(s *speaker, priority int) int {
	ceiling := MaxVolume
	for _, q := range [...]*quiet{&c.quiet, &s.quiet} {
		if q.concerned(priority) {
			ceiling = min(ceiling, q.Volume)
		}
	}
	return ceiling
}

// setMute silences the hub or a speaker, or lets it be heard again. Like volume
// it is not arbitrated, and nothing stops for it.
func (c *Core) setMute(in SetMute) {
	problem := ""
	switch {
	case in.Mute != SwitchOn && in.Mute != SwitchOff && in.Mute != SwitchToggle:
		problem = fmt.Sprintf("mute must be %s, %s or %s", SwitchOn, SwitchOff, SwitchToggle)
	case in.Below < 0 || in.Below > MaxPriority:
		problem = fmt.Sprintf("below must be 1 to %d", MaxPriority)
	}
	s, ok := c.enter(in.Request, problem)
	if !ok {
		return
	}
	mute := &c.mute
	if in.Speaker != "" {
		at, known := c.addressed(in.Request, s, in.Speaker)
		if !known {
			return
		}
		mute = &c.speakers[at].mute
	}
	if in.Mute == SwitchOn || in.Mute == SwitchToggle && !mute.On {
		*mute = Mute{On: true, Below: in.Below}
	} else {
		*mute = Mute{}
	}
	c.changed = true
	c.remix()
	c.done(in.Request, s, Result{})
}

// setQuiet switches quiet hours, or gives them back to their schedule.
func (c *Core) setQuiet(in SetQuiet) {
	problem := ""
	if in.Mode != QuietAuto && in.Mode != QuietOn && in.Mode != QuietOff {
		problem = fmt.Sprintf("quiet must be %s, %s or %s", QuietOn, QuietOff, QuietAuto)
	}
	s, ok := c.enter(in.Request, problem)
	if !ok {
		return
	}
	q := &c.quiet
	if in.Speaker != "" {
		at, known := c.addressed(in.Request, s, in.Speaker)
		if !known {
			return
		}
		q = &c.speakers[at].quiet
	}
	q.mode, q.until = in.Mode, time.Time{}
	q.look(c.now)
	c.changed = true
	c.remix()
	c.done(in.Request, s, Result{})
}
