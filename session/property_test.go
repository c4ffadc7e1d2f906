package session

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sort"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// chooser picks one of n; a property test and a fuzzer choose differently.
type chooser func(n int) int

// world makes up inputs that are likely to mean something.
type world struct {
	pick    chooser
	serial  int
	tokens  []string
	plays   []string
	pending []Input // what a prompt engine would report next
}

func (w *world) one(from ...string) string { return from[w.pick(len(from))] }

func (w *world) name(prefix string) string {
	w.serial++
	return fmt.Sprintf("%s%d", prefix, w.serial)
}

func (w *world) request() Request {
	r := Request{ID: w.name("c")}
	if len(w.tokens) > 0 && w.pick(3) > 0 {
		r.Session = w.tokens[len(w.tokens)-1-w.pick(min(4, len(w.tokens)))]
	}
	if w.pick(40) == 0 {
		r.Session = "nonsense"
	}
	if w.pick(3) == 0 {
		n := []int{100, 100, 200, 200, 200, 300, 300, 50, 0, 9999, -1, 10000}[w.pick(12)]
		r.Priority = &n
	}
	return r
}

// some names a playback, or with none at odds leaves it open.
func (w *world) some(odds int) string {
	switch n := w.pick(odds + 2); {
	case n == 0:
		return "nonsense"
	case n > odds-1 && len(w.plays) > 0:
		return w.plays[len(w.plays)-1-w.pick(min(5, len(w.plays)))]
	}
	return ""
}

func (w *world) volume() *int {
	if w.pick(3) > 0 {
		return nil
	}
	n := []int{0, 10, 20, 50, 51, -1}[w.pick(6)]
	return &n
}

func (w *world) speakers() []string {
	switch w.pick(16) {
	case 0:
		return []string{"x"}
	case 1:
		return []string{"y"}
	case 2:
		return []string{"y", "x"}
	case 3:
		return [][]string{{}, {"nonsense"}, {"z"}}[w.pick(3)]
	}
	return nil
}

func (w *world) input(now time.Time) Input {
	switch w.pick(44) {
	case 0:
		in := Open{Request: w.request(), Token: w.name("s"), AllSpeakers: w.pick(4) > 0, Speakers: w.speakers()}
		if w.pick(20) == 0 && len(w.tokens) > 0 {
			in.Token = w.tokens[0]
		} else {
			w.tokens = append(w.tokens, in.Token)
		}
		in.Ref = w.name("r")
		return in
	case 2:
		if w.pick(3) == 0 {
			return Close{Request: w.request()}
		}
		return Read{Request: w.request()}
	case 3:
		return SetSpeakers{Request: w.request(), All: w.pick(3) == 0, Set: w.speakers(), Add: w.speakers(), Remove: w.speakers()}
	case 4:
		return SetVolume{Request: w.request(), Speaker: w.one("", "x", "y", "z", "nonsense"), Volume: []int{0, 5, 30, 50, 51}[w.pick(5)]}
	case 22:
		return SetMute{Request: w.request(), Speaker: w.one("", "x", "y", "z", "nonsense"),
			Mute: Switch(w.one("on", "off", "off", "toggle", "")), Below: []int{0, 0, 200, 300, -1, 10000}[w.pick(6)]}
	case 23:
		return SetQuiet{Request: w.request(), Speaker: w.one("", "x", "y", "z", "nonsense"),
			Mode: QuietMode(w.one("on", "off", "auto", "auto", ""))}
	case 5:
		return Stop{Request: w.request(), Playback: w.some(2)}
	case 6, 7:
		return Pause{Request: w.request(), Playback: w.some(2)}
	case 8, 9:
		return Resume{Request: w.request(), Playback: w.some(2), Speakers: w.speakers(), AllSpeakers: w.pick(6) == 0}
	case 10:
		return Seek{Request: w.request(), Playback: w.some(2), Position: time.Duration(w.pick(3)-1) * time.Minute}
	case 11:
		if w.pick(4) == 0 {
			return SpeakerGone{ID: w.one("x", "y", "z", "nonsense")}
		}
		return Speaker{ID: w.one("x", "y", "z"), Available: w.pick(3) > 0, Volume: 30}
	case 12:
		id := w.some(1)
		switch w.pick(5) {
		case 0:
			return Prepared{Playback: id, Seekable: true}
		case 1:
			return Started{Playback: id}
		case 2:
			return Paused{Playback: id}
		case 3:
			return Failed{Playback: id, Kept: w.pick(2) == 0, Code: Code(w.one(string(MediaUnavailable), string(SpeakerUnavailable), ""))}
		}
		return Ended{Playback: id}
	case 13, 14:
		return Ended{Playback: w.some(1)}
	case 1, 15, 16, 17, 18, 19, 20, 21:
		in := Play{Request: w.request(), Playback: w.name("p"), Ref: w.name("r"), Media: "m", Resumable: w.pick(4) > 0,
			OnBusy: OnBusy(w.one("", "interrupt", "announce", "announce", "queue", "queue", "drop")), Duck: w.pick(2) == 0,
			Volume: w.volume(), Speakers: w.speakers(), AllSpeakers: w.pick(5) == 0}
		if w.pick(4) == 0 {
			in.Expires = now.Add(time.Duration(w.pick(20)) * time.Second)
		}
		if w.pick(30) == 0 && len(w.plays) > 0 {
			in.Playback = w.plays[0]
		} else {
			w.plays = append(w.plays, in.Playback)
		}
		return in
	}
	if len(w.pending) == 0 {
		return Tick{}
	}
	if w.pick(5) == 0 { // not always in order
		at := w.pick(len(w.pending))
		w.pending[0], w.pending[at] = w.pending[at], w.pending[0]
	}
	in := w.pending[0]
	w.pending = w.pending[1:]
	return in
}

// quiet makes up quiet hours that lie within the minutes of a test.
func (w *world) quiet(cfg *Config) {
	noon := 12 * 60
	hours := func() *Hours {
		from := noon + w.pick(3)
		return &Hours{From: from, To: from + 1 + w.pick(2), Zone: time.UTC}
	}
	if w.pick(3) > 0 {
		cfg.Quiet = &Quiet{Hours: hours(), Volume: []int{0, 0, 10, 25}[w.pick(4)], Priority: []int{200, 300}[w.pick(2)]}
	}
	if w.pick(3) > 0 {
		cfg.QuietSpeakers = map[string]Quiet{"y": {Hours: hours(), Volume: []int{0, 15}[w.pick(2)], Priority: 250}}
	}
}

// obey remembers what an engine would answer.
func (w *world) obey(effects []Effect) {
	for _, e := range effects {
		o, ok := e.(Order)
		if !ok {
			continue
		}
		switch o.Verb {
		case VerbPrepare:
			if w.pick(12) == 0 {
				w.pending = append(w.pending, Failed{Playback: o.Playback, Code: MediaUnavailable})
			} else {
				w.pending = append(w.pending, Prepared{Playback: o.Playback, Seekable: w.pick(4) > 0})
			}
		case VerbStart, VerbResume, VerbSeek:
			if w.pick(15) == 0 {
				w.pending = append(w.pending, Failed{Playback: o.Playback, Code: SpeakerUnavailable, Kept: o.Verb == VerbResume})
			} else {
				w.pending = append(w.pending, Started{Playback: o.Playback})
			}
		case VerbHold:
			w.pending = append(w.pending, Paused{Playback: o.Playback})
		}
	}
}

// story writes effects down for a comparison.
func story(effects []Effect) (results, events []string) {
	for _, e := range effects {
		switch e := e.(type) {
		case Result:
			results = append(results, fmt.Sprintf("%s %s %s", e.ID, e.Outcome, e.Code))
		case Event:
			events = append(events, fmt.Sprintf("%s %s %s", e.Playback.ID, e.Kind, e.Code))
		}
	}
	sort.Strings(results)
	sort.Strings(events)
	return results, events
}

// TestModel runs the core, a core that is woken every second, and the model
// through the same commands and reports: they must tell the same story, let the
// same be heard, and at the end be at rest.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		compareWithModel(t, pick, rapid.IntRange(30, 200).Draw(t, "steps"))
	})
}

func compareWithModel(t fataler, pick chooser, steps int) {
	cfg := Config{Timeout: time.Minute}
	w := &world{pick: pick}
	w.quiet(&cfg)
	c := newChecker(t, cfg)
	eager := New(cfg)
	m := newModel()
	m.quiet, m.quietSpeakers = modelQuietOf(cfg.Quiet), cfg.QuietSpeakers
	second := 0

	both := func(in Input) {
		now := epoch.Add(time.Duration(second) * time.Second)
		want := slices.Clone(eager.Step(now, in))
		results, events := m.step(second, in)
		_, tick := in.(Tick)
		var effects []Effect
		if at, ok := c.core.Deadline(); !tick || ok && !at.After(now) {
			effects = c.step(now, in)
		}
		if len(effects)+len(want) > 0 && !reflect.DeepEqual(effects, want) {
			c.fail(in, "woken at deadlines\n%v\nwoken every second\n%v", effects, want)
		}
		c.log = append(c.log, logged{now, in, effects})
		gotResults, gotEvents := story(effects)
		if !slices.Equal(gotResults, results) || !slices.Equal(gotEvents, events) {
			c.fail(in, "results and events\ngot  %v %v\nwant %v %v", gotResults, gotEvents, results, events)
		}
		c.compare(in, m)
		w.obey(effects)
	}
	both(Speaker{ID: "x", Available: true, Volume: 20})
	both(Speaker{ID: "y", Available: true, Volume: 40})
	for _, name := range []string{"s0", "t0"} {
		w.tokens = append(w.tokens, name)
		both(Open{Request: Request{ID: name}, Token: name, Ref: "r" + name, AllSpeakers: true})
	}
	for range steps {
		if pick(10) == 0 {
			seconds := []int{1, 1, 1, 2, 2, 3, 3, 11, 62}[pick(9)]
			for range seconds {
				second++
				both(Tick{})
			}
		}
		both(w.input(epoch.Add(time.Duration(second) * time.Second)))
	}
	c.drain()
}

// compare holds what is on its way and what the engine was told against the model.
func (c *checker) compare(in Input, m *model) {
	var phases []string
	for _, p := range c.core.playbacks {
		phases = append(phases, fmt.Sprintf("%s %s %d", p.id, p.phase, p.priority))
	}
	sort.Strings(phases)
	if want := m.phases(); !slices.Equal(phases, want) {
		c.fail(in, "phases\ngot  %v\nwant %v", phases, want)
	}
	if v := c.core.View(); v.Sessions != m.openSessions() {
		c.fail(in, "%d sessions, want %d", v.Sessions, m.openSessions())
	}
	for id, e := range c.engine {
		p := m.find(id)
		if p == nil {
			c.fail(in, "the engine still has %s", id)
		}
		if !e.begun || e.held || e.forgotten {
			continue
		}
		if want := m.outputs(p); !slices.Equal(e.outputs, want) {
			c.fail(in, "outputs of %s: got %v, want %v", id, e.outputs, want)
		}
		if e.ducked != p.lowered {
			c.fail(in, "%s ducked %v, want %v", id, e.ducked, p.lowered)
		}
	}
}

// FuzzStep feeds the core with what bytes happen to mean, at any times, late
// and early, and checks what must always be true.
func FuzzStep(f *testing.F) {
	f.Add([]byte("play, announce, pause, resume and stop in some order"))
	for seed := range uint64(20) { // stories for an ordinary test run
		data := make([]byte, 2000)
		random := rand.New(rand.NewPCG(seed, 0))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		pick := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := int(data[0])
			data = data[1:]
			return b % n
		}
		w := &world{pick: pick}
		cfg := Config{Timeout: time.Minute, MaxSessions: 5, MaxWaiting: 4}
		w.quiet(&cfg)
		c := newChecker(t, cfg)
		now := epoch
		c.step(now, Speaker{ID: "x", Available: true, Volume: 20})
		for n := 0; len(data) > 0 && n < 300; n++ {
			now = now.Add([]time.Duration{0, 0, 0, time.Millisecond, 700 * time.Millisecond, 3 * time.Second, 61 * time.Second, time.Hour}[pick(8)])
			w.obey(c.step(now, w.input(now)))
		}
		c.drain()
	})
}
