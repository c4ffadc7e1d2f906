package session

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// epoch is when the clocks of these tests begin.
var epoch = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checker drives a core and holds each Step against what must always be true,
// whatever the inputs: it plays the engine, the clients' results and the
// retained status at the same time.
type checker struct {
	t       fataler
	core    *Core
	now     time.Time
	view    View
	answers map[string]int // results by command, for those that were given
	engine  map[string]*engineSide
	last    map[string]EventKind    // the last event of what has ended
	known   map[string]PlaybackView // every playback that had an event or stands in a view
	shown   map[string]SessionView
	shownAt map[string]time.Time
	log     []logged
}

// logged is a step that went well, to be told if a later one does not.
type logged struct {
	at      time.Time
	in      Input
	effects []Effect
}

// engineSide is a playback as the orders left it in the engine.
type engineSide struct {
	announcement, ready, begun, held, ducked, forgotten bool
	outputs                                             []Output
}

func newChecker(t fataler, cfg Config) *checker {
	return &checker{t: t, core: New(cfg), now: epoch, answers: map[string]int{}, engine: map[string]*engineSide{},
		last: map[string]EventKind{}, known: map[string]PlaybackView{}, shown: map[string]SessionView{}, shownAt: map[string]time.Time{},
		view: New(cfg).View()}
}

// requestOf returns what a client's command carries.
func requestOf(in Input) (Request, bool) {
	switch in := in.(type) {
	case Open:
		return in.Request, true
	case Close:
		return in.Request, true
	case Read:
		return in.Request, true
	case SetSpeakers:
		return in.Request, true
	case Play:
		return in.Request, true
	case Stop:
		return in.Request, true
	case Pause:
		return in.Request, true
	case Resume:
		return in.Request, true
	case Seek:
		return in.Request, true
	case SetVolume:
		return in.Request, true
	case SetMute:
		return in.Request, true
	case SetQuiet:
		return in.Request, true
	}
	return Request{}, false
}

// step gives the core one input, checks, and returns the effects.
func (c *checker) step(now time.Time, in Input) []Effect {
	c.t.Helper()
	c.now = now
	if r, ok := requestOf(in); ok {
		if _, again := c.answers[r.ID]; again {
			c.t.Fatalf("the test gave the command id %s twice", r.ID)
		}
		c.answers[r.ID] = 0
	}
	switch in := in.(type) {
	case Prepared:
		if e := c.engine[in.Playback]; e != nil {
			e.ready = true
		}
	case Failed:
		if e := c.engine[in.Playback]; e != nil {
			e.forgotten = !in.Kept
		}
	}
	busy := map[string]bool{} // sessions whose clock stands still
	for _, s := range c.core.sessions {
		if slices.ContainsFunc(s.playbacks, func(p *playback) bool { return p.phase.live() }) {
			busy[s.ref] = true
		}
	}
	effects := slices.Clone(c.core.Step(now, in))
	c.check(in, effects, busy)
	return effects
}

func (c *checker) fail(in Input, format string, args ...any) {
	c.t.Helper()
	story := ""
	for _, l := range c.log {
		story += fmt.Sprintf("%8s %T %+v\n      -> %+v\n", l.at.Sub(epoch), l.in, l.in, l.effects)
	}
	c.t.Fatalf("%s: %T %+v: %s\nbefore:\n%s", c.now.Sub(epoch), in, in, fmt.Sprintf(format, args...), story)
}

func (c *checker) check(in Input, effects []Effect, busy map[string]bool) {
	c.t.Helper()
	rank, changed := 0, false
	for _, e := range effects {
		r := 0
		switch e := e.(type) {
		case Order:
			c.obey(in, e)
		case Changed:
			r, changed = 1, true
		case SessionChanged:
			r = 2
			c.shown[e.Session.Ref], c.shownAt[e.Session.Ref] = e.Session, c.now
			if e.Session.Implicit {
				c.fail(in, "news of an implicit session")
			}
		case SessionGone:
			r = 2
			delete(c.shown, e.Ref)
			if _, closed := in.(Close); busy[e.Ref] && !closed {
				c.fail(in, "session %s expired while something of it was on its way", e.Ref)
			}
		case Event:
			r = 3
			c.happened(in, e)
		case Result:
			r = 4
			n, asked := c.answers[e.ID]
			if !asked || n != 0 {
				c.fail(in, "result %d of command %s", n+1, e.ID)
			}
			c.answers[e.ID]++
			if (e.Code == "") != (e.Outcome != OutcomeRejected && e.Outcome != OutcomeFailed) || e.Code != "" && e.Message == "" {
				c.fail(in, "half a result %+v", e)
			}
		}
		if r < rank {
			c.fail(in, "effects out of order: %+v", effects)
		}
		rank = r
	}

	at, ok := c.core.Deadline()
	if ok && !at.After(c.now) {
		c.fail(in, "the deadline %s lies in the past", at.Sub(epoch))
	}
	if c.core.cfg.Quiet != nil && (!ok || at.Sub(c.now) > time.Minute) {
		c.fail(in, "the wall clock would not be looked at before %s", at.Sub(epoch))
	}
	view := c.core.View()
	if !changed && !reflect.DeepEqual(view, c.view) {
		c.fail(in, "the view changed without saying so:\n%+v\n%+v", c.view, view)
	}
	c.view = view
	c.sound(in)
	c.loud(in)
	for _, s := range c.core.sessions {
		v, ok := c.core.Session(c.now, s.token)
		was := c.shown[s.ref]
		if !ok || v.State != was.State || v.Playback != was.Playback || !slices.Equal(v.Speakers, was.Speakers) ||
			!v.Expires.Equal(was.Expires) && c.now.Sub(c.shownAt[s.ref]) >= newsEvery {
			c.fail(in, "session %s is %+v, was told as %+v", s.ref, v, was)
		}
	}
	if len(c.shown) != len(c.core.sessions) {
		c.fail(in, "%d sessions are told, %d are open", len(c.shown), len(c.core.sessions))
	}
}

// obey keeps the engine's side of an order and refuses what no engine could do.
func (c *checker) obey(in Input, o Order) {
	c.t.Helper()
	e := c.engine[o.Playback]
	bad := e == nil
	switch o.Verb {
	case VerbPrepare:
		bad = e != nil || o.Media == nil
		p := c.core.playbacks[o.Playback]
		e = &engineSide{announcement: p != nil && p.announcement()}
		c.engine[o.Playback] = e
	case VerbStart:
		if !bad {
			bad = !e.ready || e.begun || len(o.Outputs) == 0
			e.begun, e.outputs, e.ducked = true, o.Outputs, o.Ducked
		}
	case VerbHold:
		if !bad {
			bad = !e.begun || e.held
			e.held = true
		}
	case VerbResume:
		if !bad {
			bad = !e.begun || !e.held && !e.forgotten || len(o.Outputs) == 0
			e.held, e.outputs, e.ducked = false, o.Outputs, o.Ducked
		}
	case VerbMix:
		if !bad {
			bad = !e.begun || e.held || len(o.Outputs) == 0
			e.outputs, e.ducked = o.Outputs, o.Ducked
		}
	case VerbSeek:
		bad = bad || !e.begun
	case VerbRelease:
		delete(c.engine, o.Playback)
	}
	if bad {
		c.fail(in, "impossible order %+v for %+v", o, e)
	}
}

// happened keeps the story of a playback: nothing after its end, and nobody is
// interrupted from below.
func (c *checker) happened(in Input, e Event) {
	c.t.Helper()
	id := e.Playback.ID
	if kind, over := c.last[id]; over {
		c.fail(in, "%s of %s after its end by %s", e.Kind, id, kind)
	}
	switch e.Kind {
	case EventInterrupted, EventFinished, EventStopped, EventDropped, EventFailed, EventExpired:
		c.last[id] = e.Kind
		if e.Playback.Phase != PhaseEnded || e.Playback.State != PlayerStateStopped {
			c.fail(in, "%s ended as %s", id, e.Playback.Phase)
		}
		if _, failed := in.(Failed); failed {
			delete(c.engine, id)
		} else if c.engine[id] != nil {
			c.fail(in, "%s ended and the engine still has it", id)
		}
	}
	if e.Kind != EventInterrupted && e.Kind != EventSuspended {
		return
	}
	by := c.core.playbacks[e.By]
	if by == nil {
		c.fail(in, "%s was interrupted by nobody", id)
		return
	}
	own := by.session.ref == e.Playback.Ref
	if r, ok := in.(Resume); ok && r.Session != "" {
		s := c.core.sessions[r.Session]
		own = s != nil && s.ref == e.Playback.Ref
	}
	if !own && by.priority < e.Playback.Priority {
		c.fail(in, "%s at %d was interrupted by %s at %d", id, e.Playback.Priority, by.id, by.priority)
	}
}

// sound checks what can be heard: one music and one announcement, and never
// both aloud.
func (c *checker) sound(in Input) {
	c.t.Helper()
	var music, voice []string
	aloud := false
	for id, e := range c.engine {
		switch {
		case !e.begun || e.held || e.forgotten:
		case e.announcement:
			voice = append(voice, id)
		default:
			music = append(music, id)
			aloud = !e.ducked
		}
	}
	if len(music) > 1 || len(voice) > 1 || len(voice) == 1 && len(music) == 1 && aloud {
		c.fail(in, "too much is heard: music %v, announcements %v", music, voice)
	}
}

// loud checks that nothing is louder than mute and quiet hours allow, by what
// the status says of them, and that nothing runs on which quiet hours silence.
func (c *checker) loud(in Input) {
	c.t.Helper()
	speakers := map[string]SpeakerView{}
	for _, s := range c.view.Speakers {
		speakers[s.ID] = s
	}
	muted := func(on bool, below, priority int) bool { return on && (below == 0 || priority < below) }
	for id, e := range c.engine {
		if !e.begun || e.held || e.forgotten {
			continue
		}
		priority, silent := c.core.playbacks[id].priority, true
		for _, o := range e.outputs {
			s, most := speakers[o.Speaker], MaxVolume
			for _, q := range []*QuietView{&c.view.Quiet, s.Quiet} {
				if q != nil && q.Active && priority < q.Priority {
					most = min(most, q.Volume)
				}
			}
			silent = silent && most == 0
			if muted(c.view.Muted, c.view.MuteBelow, priority) || muted(s.Muted, s.MuteBelow, priority) {
				most = 0
			}
			if o.Volume > most {
				c.fail(in, "%s at %d is %d loud on %s, where %d is allowed", id, priority, o.Volume, o.Speaker, most)
			}
		}
		if silent {
			c.fail(in, "%s at %d runs on in silence", id, priority)
		}
	}
}

// drain lets what plays end, and then the time pass with a silent engine: no
// state may be without a way out.
func (c *checker) drain() {
	c.t.Helper()
	for range 1000 {
		var playing []string
		for id, p := range c.core.playbacks {
			if p.sounds() {
				playing = append(playing, id)
			}
		}
		slices.Sort(playing)
		for _, id := range playing {
			c.step(c.now, Ended{Playback: id})
		}
		at, ok := c.core.Deadline()
		if len(playing) == 0 && len(c.core.timers) == 0 { // nothing but the wall clock to look at
			break
		}
		if ok {
			c.step(at, Tick{})
		}
	}
	core := c.core
	if len(core.playbacks)+len(core.sessions)+len(core.refs)+len(core.waiting)+len(core.paused)+len(core.timers)+len(c.engine) > 0 ||
		core.music != nil || core.voice != nil {
		c.fail(nil, "not idle after all deadlines: %+v, engine %v", core.View(), c.engine)
	}
	for id, n := range c.answers {
		if n != 1 {
			c.fail(nil, "command %s has %d results", id, n)
		}
	}
}
