package speaker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hkw/speaker"
)

// hall is close and quick; garden is far away.
func rooms() map[string]room {
	return map[string]room{
		"hall":   {latency: 4 * time.Millisecond, buffer: 36 * time.Millisecond},
		"garden": {latency: 300 * time.Millisecond, buffer: 100 * time.Millisecond},
	}
}

func TestExact(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		s := &sound{frames: 2 * second}
		asked := time.Now()
		r := h.start("a", s, "hall")
		if took := r.At.Sub(asked); took > 10*time.Millisecond {
			t.Errorf("the first sample is heard after %v", took)
		}
		end := h.await(speaker.ReportEnded, "a")
		if want := r.At.Add(2 * time.Second); !end.At.Equal(want) || time.Now().Before(want) {
			t.Errorf("ended at %v, said at %v, want %v", end.At, time.Now(), want)
		}
		h.expect("hall", r.At, s, 0, s.frames)
		h.silent("hall", r.At.Add(-20*time.Millisecond), 20*48)
		h.silent("hall", end.At, 20*48)
	})
}

func TestSwap(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		a, b := &sound{frames: 60 * second}, &sound{frames: second, base: 7000}
		first := h.start("a", a, "hall")
		h.prepare("b", b)
		time.Sleep(1234567 * time.Microsecond)
		flushes := len(h.driver.sink("hall").did())
		asked := time.Now()
		h.Do([]speaker.Order{
			{Verb: speaker.Release, Playback: "a"},
			{Verb: speaker.Start, Playback: "b", Outputs: on("hall")},
		})
		r := h.await(speaker.ReportStarted, "b")
		if took := r.At.Sub(asked); took > 10*time.Millisecond {
			t.Errorf("the new sound is heard after %v", took)
		}
		h.await(speaker.ReportEnded, "b")
		h.expect("hall", r.At, b, 0, b.frames)
		const fade = 24
		heard := speaker.DurationToFrames(r.At.Sub(first.At))
		h.expect("hall", first.At, a, 0, heard-fade)
		last := float32(1)
		for i := range int64(fade) {
			g := h.at("hall", r.At, i-fade) / a.value(heard-fade+i)
			if g <= 0 || g >= last {
				t.Fatalf("the old sound does not fade: gain %v after %v", g, last)
			}
			last = g
		}
		if calls := h.driver.sink("hall").did()[flushes:]; strings.Join(calls, " ") != "flush" {
			t.Errorf("the swap made the sink do %v", calls)
		}
		if n := h.count(speaker.ReportEnded, "a") + h.count(speaker.ReportFailed, "a"); n > 0 {
			t.Error("a released playback was reported")
		}
	})
}

func TestHoldAndResume(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		a, b := &sound{frames: 60 * second}, &sound{frames: second, base: 5000}
		first := h.start("a", a, "hall", "garden")
		h.prepare("b", b)
		time.Sleep(2 * time.Second)
		h.Do([]speaker.Order{
			{Verb: speaker.Hold, Playback: "a"},
			{Verb: speaker.Start, Playback: "b", Outputs: on("hall", "garden")},
		})
		held := h.await(speaker.ReportHeld, "a")
		swapped := h.await(speaker.ReportStarted, "b")
		if want := held.At.Sub(first.At); !held.At.Equal(swapped.At) || (want-held.Position).Abs() > time.Second/second {
			t.Fatalf("held at %v of %v, want %v", held.Position, held.At, want)
		}
		for range 3 {
			time.Sleep(time.Until(held.At) + 100*time.Millisecond)
			if pos, _, ok := h.Position("a"); !ok || pos != held.Position {
				t.Fatalf("while held its position is %v, want %v", pos, held.Position)
			}
		}
		h.await(speaker.ReportEnded, "b")
		h.Do([]speaker.Order{{Verb: speaker.Resume, Playback: "a", Outputs: on("hall", "garden")}})
		again := h.await(speaker.ReportStarted, "a")
		if again.Position != held.Position {
			t.Fatalf("resumed at %v, held at %v", again.Position, held.Position)
		}
		time.Sleep(2 * time.Second)
		frame := speaker.DurationToFrames(held.Position)
		for _, id := range []string{"hall", "garden"} {
			h.expect(id, first.At, a, 0, frame-96)
			h.expect(id, swapped.At, b, 0, b.frames)
			h.expect(id, again.At, a, frame, second)
		}
		if pos, at, ok := h.Position("a"); !ok || pos-held.Position != at.Sub(again.At) {
			t.Errorf("position %v at %v, resumed at %v of %v", pos, at, again.Position, again.At)
		}
	})
}

func TestInSync(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		s := &sound{frames: 3 * second}
		r := h.start("a", s, "hall", "garden")
		h.await(speaker.ReportEnded, "a")
		h.expect("hall", r.At, s, 0, s.frames)
		h.expect("garden", r.At, s, 0, s.frames)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		hall, garden := h.driver.sink("hall").starts, h.driver.sink("garden").starts
		if len(hall) != 1 || len(garden) != 1 || !hall[0].Equal(garden[0]) {
			t.Errorf("the sinks were started at %v and %v", hall, garden)
		}
	})
}

func TestDuck(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		a, b := &sound{frames: 60 * second}, &sound{frames: second, base: 3000}
		first := h.start("a", a, "hall")
		h.prepare("b", b)
		time.Sleep(time.Second)
		h.Do([]speaker.Order{
			{Verb: speaker.Mix, Playback: "a", Outputs: on("hall"), Ducked: true},
			{Verb: speaker.Start, Playback: "b", Outputs: on("hall")},
		})
		r := h.await(speaker.ReportStarted, "b")
		h.await(speaker.ReportEnded, "b")
		h.Do([]speaker.Order{{Verb: speaker.Mix, Playback: "a", Outputs: on("hall")}})
		back := time.Now()
		time.Sleep(time.Second)
		frame := speaker.DurationToFrames(r.At.Sub(first.At))
		gain := func(i int64) float64 { // of the music, i frames into the announcement
			got := h.at("hall", r.At, i)
			if i >= 0 && i < b.frames {
				got -= b.value(i)
			}
			return float64(got / a.value(frame+i))
		}
		for _, c := range []struct {
			at   time.Duration
			want float64
		}{{-50, 1}, {-1, 1}, {0, 1}, {75, 0.6}, {151, 0.2}, {900, 0.2}, {999, 0.2}} {
			if g := gain(speaker.DurationToFrames(c.at * time.Millisecond)); math.Abs(g-c.want) > 0.01 {
				t.Errorf("%v ms into the announcement the music's gain is %.3f, want %.3f", int(c.at), g, c.want)
			}
		}
		if g := gain(speaker.DurationToFrames(back.Sub(r.At) + 400*time.Millisecond)); g != 1 {
			t.Errorf("after it the music's gain is %v", g)
		}
		last := 1.0
		for i := int64(0); i < 8000; i += 10 {
			g := gain(i)
			if g > last+0.002 || g < last-0.01 {
				t.Fatalf("the duck steps from %v to %v at frame %d", last, g, i)
			}
			last = g
		}
	})
}

func TestVolume(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		a := &sound{frames: 60 * second}
		h.prepare("a", a)
		h.Do([]speaker.Order{{Verb: speaker.Start, Playback: "a", Outputs: []speaker.Output{{"hall", 25}, {"garden", 0}}}})
		r := h.await(speaker.ReportStarted, "a")
		time.Sleep(time.Second)
		asked := time.Now()
		h.Do([]speaker.Order{{Verb: speaker.Mix, Playback: "a", Outputs: []speaker.Output{{"hall", 50}, {"garden", 10}}}})
		time.Sleep(time.Second)
		for i := int64(0); i < second/2; i += 100 {
			if g := h.at("hall", r.At, i) / a.value(i); g != 0.25 {
				t.Fatalf("at volume 25 the gain is %v", g)
			}
		}
		frame := speaker.DurationToFrames(asked.Sub(r.At))
		last := float32(0.25)
		for i := frame; i < frame+40*96; i++ {
			g := h.at("hall", r.At, i) / a.value(i)
			if g < last-1e-6 || g > last+0.005 {
				t.Fatalf("the volume steps from %v to %v", last, g)
			}
			last = g
		}
		if last != 1 {
			t.Errorf("80 ms after it was set the gain is %v", last)
		}
		if g := h.at("garden", r.At, frame+second) / a.value(frame+second); math.Abs(float64(g)-0.04) > 1e-6 {
			t.Errorf("at volume 10 the gain is %v", g)
		}
	})
}

func TestStall(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		s := &sound{frames: 10 * second, live: true}
		s.ready.Store(2 * second)
		first := h.start("a", s, "hall", "garden")
		dry := h.await(speaker.ReportStalled, "a")
		if dry.Position != 2*time.Second || !dry.At.Equal(first.At.Add(2*time.Second)) {
			t.Errorf("stalled at %v of %v", dry.Position, dry.At)
		}
		time.Sleep(3 * time.Second)
		if pos, _, _ := h.Position("a"); pos != 2*time.Second {
			t.Errorf("while stalled the position is %v", pos)
		}
		s.ready.Store(s.frames)
		again := h.await(speaker.ReportContinued, "a")
		h.await(speaker.ReportEnded, "a")
		for _, id := range []string{"hall", "garden"} {
			h.expect(id, first.At, s, 0, 2*second)
			h.silent(id, dry.At, second)
			h.expect(id, again.At, s, 2*second, 8*second)
		}
	})
}

func TestSeek(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		s := &sound{frames: 100 * second}
		first := h.start("a", s, "hall")
		time.Sleep(time.Second)
		h.Do([]speaker.Order{{Verb: speaker.Seek, Playback: "a", Position: 42 * time.Second}})
		r := h.await(speaker.ReportSeeked, "a")
		time.Sleep(2 * time.Second)
		h.expect("hall", first.At, s, 0, speaker.DurationToFrames(r.At.Sub(first.At))-96)
		h.expect("hall", r.At, s, 42*second, second)
		h.Do([]speaker.Order{{Verb: speaker.Hold, Playback: "a"}})
		h.await(speaker.ReportHeld, "a")
		h.Do([]speaker.Order{{Verb: speaker.Seek, Playback: "a", Position: 10 * time.Second}})
		h.await(speaker.ReportSeeked, "a")
		time.Sleep(20 * time.Millisecond)
		h.Do([]speaker.Order{{Verb: speaker.Resume, Playback: "a", Outputs: on("hall")}})
		r = h.await(speaker.ReportStarted, "a")
		time.Sleep(2 * time.Second)
		h.expect("hall", r.At, s, 10*second, second)
		h.Do([]speaker.Order{{Verb: speaker.Seek, Playback: "a", Position: time.Hour}})
		h.await(speaker.ReportSeeked, "a")
		h.await(speaker.ReportEnded, "a")

		radio := &sound{frames: 100 * second, fixed: true}
		h.start("b", radio, "hall")
		h.Do([]speaker.Order{{Verb: speaker.Seek, Playback: "b", Position: time.Second}})
		if r := h.await(speaker.ReportSeeked, "b"); !errors.Is(r.Err, speaker.ErrNotSeekable) {
			t.Errorf("a seek that can't be done gives %v", r.Err)
		}
		time.Sleep(time.Second)
		if pos, _, ok := h.Position("b"); !ok || pos < 900*time.Millisecond {
			t.Errorf("after it the playback is at %v", pos)
		}
	})
}

func TestSpeakerLost(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		s := &sound{frames: 100 * second}
		r := h.start("a", s, "hall", "garden")
		time.Sleep(time.Second)
		h.driver.breakDown("garden")
		lost := h.await(speaker.ReportSpeaker, "garden")
		if lost.Speaker.Available || lost.Err == nil || lost.Speaker.Error == "" {
			t.Errorf("the loss is told as %+v", lost)
		}
		time.Sleep(5 * time.Second)
		h.expect("hall", r.At, s, 0, 5*second)
		h.driver.mend("garden")
		if back := h.await(speaker.ReportSpeaker, "garden"); !back.Speaker.Available {
			t.Errorf("the return is told as %+v", back)
		}
		h.Do([]speaker.Order{{Verb: speaker.Mix, Playback: "a", Outputs: on("hall", "garden")}})
		time.Sleep(time.Second)
		joined := time.Now()
		time.Sleep(time.Second)
		frame := speaker.DurationToFrames(joined.Sub(r.At))
		h.expect("garden", r.At.Add(speaker.FramesToDuration(frame)), s, frame, second/2)
		h.expect("hall", r.At.Add(speaker.FramesToDuration(frame)), s, frame, second/2)

		h.driver.breakDown("garden")
		h.await(speaker.ReportSpeaker, "garden")
		h.driver.breakDown("hall")
		failed := h.await(speaker.ReportFailed, "a")
		if !errors.Is(failed.Err, speaker.ErrSpeaker) {
			t.Errorf("with no speaker left it failed with %v", failed.Err)
		}
		h.prepare("b", s)
		h.Do([]speaker.Order{{Verb: speaker.Start, Playback: "b", Outputs: on("hall", "cellar")}})
		failed = h.await(speaker.ReportFailed, "b")
		if !errors.Is(failed.Err, speaker.ErrSpeaker) || !strings.Contains(failed.Err.Error(), "cellar") {
			t.Errorf("without a speaker a start fails with %v", failed.Err)
		}
		h.driver.mend("hall")
		h.await(speaker.ReportSpeaker, "hall")
		h.start("c", s, "hall")
	})
}

func TestBadSources(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		s      *sound
		begins bool
		want   error
	}{
		"does not open":     {s: &sound{opened: func(context.Context) error { return boom }}, want: boom},
		"panics on opening": {s: &sound{opened: func(context.Context) error { panic("boom") }}},
		"panics at once":    {s: &sound{frames: second, read: func(int64) error { panic("boom") }}},
		"is empty":          {s: &sound{}},
		"says it by itself": {s: &sound{opened: func(context.Context) error { return fmt.Errorf("%w: %w", speaker.ErrMedia, boom) }}, want: boom},
		"breaks at once":    {s: &sound{frames: second, read: func(int64) error { return boom }}, want: boom},
		"panics in the midst": {begins: true, s: &sound{frames: 9 * second, read: func(at int64) error {
			if at > 3*second {
				panic("boom")
			}
			return nil
		}}},
		"breaks in the midst": {begins: true, want: boom, s: &sound{frames: 9 * second, read: func(at int64) error {
			if at > 3*second {
				return boom
			}
			return nil
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, rooms(), func(h *house) {
				h.Do([]speaker.Order{{Verb: speaker.Prepare, Playback: "a", Opener: c.s}})
				if c.begins {
					h.await(speaker.ReportPrepared, "a")
					h.Do([]speaker.Order{{Verb: speaker.Start, Playback: "a", Outputs: on("hall")}})
					r := h.await(speaker.ReportStarted, "a")
					defer h.expect("hall", r.At, c.s, 0, 3*second)
				}
				r := h.await(speaker.ReportFailed, "a")
				if !errors.Is(r.Err, speaker.ErrMedia) || c.want != nil && !errors.Is(r.Err, c.want) {
					t.Errorf("it failed with %v", r.Err)
				}
				if n := strings.Count(r.Err.Error(), speaker.ErrMedia.Error()); n != 1 {
					t.Errorf("it is said %d times: %v", n, r.Err)
				}
				if c.begins && r.Position < 3*time.Second {
					t.Errorf("it failed at %v, before what it had was heard", r.Position)
				}
				h.start("b", &sound{frames: second}, "hall")
				h.await(speaker.ReportEnded, "b")
			})
		})
	}
	t.Run("is nothing", func(t *testing.T) {
		inHouse(t, rooms(), func(h *house) {
			h.Do([]speaker.Order{{Verb: speaker.Prepare, Playback: "a"}})
			h.await(speaker.ReportFailed, "a")
			h.Do([]speaker.Order{{Verb: speaker.Start, Playback: "ghost", Outputs: on("hall")}})
			h.await(speaker.ReportFailed, "ghost")
		})
	})
}

func TestReleaseCutsASourceThatHangs(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		closed := 0
		s := &sound{frames: 10 * second, live: true, closed: &closed}
		s.ready.Store(second)
		h.start("a", s, "hall")
		hung := make(chan struct{})
		h.Do([]speaker.Order{{Verb: speaker.Prepare, Playback: "b", Opener: &sound{opened: func(ctx context.Context) error {
			defer close(hung)
			<-ctx.Done()
			return ctx.Err()
		}}}})
		time.Sleep(3 * time.Second)
		h.Do([]speaker.Order{{Verb: speaker.Release, Playback: "a"}, {Verb: speaker.Release, Playback: "b"}})
		<-hung
		time.Sleep(time.Second)
		if closed != 1 {
			t.Errorf("the source was closed %d times", closed)
		}
		if n := h.count(speaker.ReportFailed, "a") + h.count(speaker.ReportFailed, "b"); n > 0 {
			t.Error("a released playback was reported")
		}
		if _, _, ok := h.Position("a"); ok {
			t.Error("a released playback has a position")
		}
	})
}

// TestResumeWithoutSpeaker resumes what was held while its speaker is away, and
// again when it is back.
func TestResumeWithoutSpeaker(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		s := &sound{frames: 100 * second}
		h.start("a", s, "hall")
		time.Sleep(time.Second)
		h.Do([]speaker.Order{{Verb: speaker.Hold, Playback: "a"}})
		left := h.await(speaker.ReportHeld, "a")
		h.driver.breakDown("hall")
		h.await(speaker.ReportSpeaker, "hall")
		for range 2 {
			h.Do([]speaker.Order{{Verb: speaker.Resume, Playback: "a", Outputs: on("hall")}})
			if r := h.await(speaker.ReportFailed, "a"); !r.Kept || !errors.Is(r.Err, speaker.ErrSpeaker) || r.Position != left.Position {
				t.Errorf("without a speaker the resume gives %+v, held at %v", r, left.Position)
			}
		}
		h.driver.mend("hall")
		h.await(speaker.ReportSpeaker, "hall")
		h.Do([]speaker.Order{{Verb: speaker.Resume, Playback: "a", Outputs: on("hall")}})
		r := h.await(speaker.ReportStarted, "a")
		time.Sleep(time.Second)
		h.expect("hall", r.At, s, speaker.DurationToFrames(left.Position), second/2)
	})
}

func TestDeafSink(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		h.start("a", &sound{frames: 100 * second}, "hall")
		time.Sleep(time.Second)
		s := h.driver.sink("hall")
		s.mu.Lock()
		s.deaf = true
		s.mu.Unlock()
		time.Sleep(2 * time.Second)
		if pos, _, _ := h.Position("a"); pos > 1100*time.Millisecond {
			t.Errorf("nobody takes the sound and the position is %v", pos)
		}
		h.await(speaker.ReportSpeaker, "hall")
		if r := h.await(speaker.ReportFailed, "a"); !errors.Is(r.Err, speaker.ErrSpeaker) {
			t.Errorf("it failed with %v", r.Err)
		}
		h.await(speaker.ReportSpeaker, "hall") // opened anew
		h.start("b", &sound{frames: second}, "hall")
	})
}

func TestRest(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		for range 3 {
			h.start("a", &sound{frames: second}, "hall")
			h.await(speaker.ReportEnded, "a")
			time.Sleep(4 * time.Second)
			for _, id := range []string{"hall", "garden"} {
				if !h.driver.sink(id).runs() {
					t.Fatalf("%s rests too early", id)
				}
			}
			time.Sleep(2 * time.Second)
			for _, id := range []string{"hall", "garden"} {
				if h.driver.sink(id).runs() {
					t.Fatalf("%s does not rest", id)
				}
			}
		}
		for _, id := range []string{"hall", "garden"} {
			runs := strings.Count(strings.Join(h.driver.sink(id).did(), " "), "run")
			if runs != 3 {
				t.Errorf("%s ran %d times", id, runs)
			}
		}
	})
}

func TestTitles(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		s := &sound{frames: 10 * second, title: func(at int64) string {
			if at > 5*second {
				return "second"
			}
			return "first"
		}}
		r := h.start("a", s, "hall")
		if x := h.await(speaker.ReportTitle, "a"); x.Title != "first" {
			t.Errorf("the title is %q", x.Title)
		}
		x := h.await(speaker.ReportTitle, "a")
		if after := x.At.Sub(r.At); x.Title != "second" || after < 5*time.Second || after > 5500*time.Millisecond {
			t.Errorf("the title is %q after %v", x.Title, after)
		}
	})
}

func TestDrift(t *testing.T) {
	kinds := rooms()
	kinds["fast"] = room{latency: 5 * time.Millisecond, buffer: 40 * time.Millisecond, drift: 500e-6}
	inHouse(t, kinds, func(h *house) {
		s := &sound{frames: 30 * second, base: 1}
		r := h.start("a", s, "hall", "fast")
		time.Sleep(29 * time.Second)
		for sec := int64(1); sec < 28; sec++ {
			// Each frame tells its number: how far is what is heard from what should be?
			at := sec*second + 8000 - (sec*second)%16000
			off := math.Abs(float64(h.at("fast", r.At, at)-s.value(at))) * 32768
			if off > 24 {
				t.Fatalf("after %d s the fast speaker is %v frames off", sec, off)
			}
		}
		h.expect("hall", r.At, s, 0, 28*second)
	})
}

func TestThousandPlays(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		h.driver.forgetful = true
		play := func(n int) {
			for i := range n {
				s := &sound{frames: second / 10, base: int64(i)}
				h.prepare("p", s)
				h.Do([]speaker.Order{{Verb: speaker.Start, Playback: "p", Outputs: on("hall")}})
				if i%3 == 0 {
					h.await(speaker.ReportStarted, "p")
					h.Do([]speaker.Order{{Verb: speaker.Release, Playback: "p"}})
					continue
				}
				h.await(speaker.ReportEnded, "p")
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		play(10)
		before := runtime.NumGoroutine()
		play(1000)
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("%d goroutines, %d after a thousand plays", before, after)
		}
	})
}

func TestDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDriver(map[string]room{"hall.1": {}, "garden": {}})
		h := runHouse(t, speaker.Config{Discover: []speaker.Driver{d}})
		h.driver = d
		synctest.Wait()
		if n := h.count(speaker.ReportSpeaker, "hall_1") + h.count(speaker.ReportSpeaker, "garden"); n != 2 {
			t.Fatalf("%d reports of 2 speakers", n)
		}
		h.start("a", &sound{frames: 100 * second}, "hall_1", "garden")

		// One more, one less.
		d.mu.Lock()
		d.kinds["attic"] = room{}
		delete(d.kinds, "garden")
		d.mu.Unlock()
		d.events <- speaker.TargetEvent{}
		if r := h.await(speaker.ReportSpeaker, "attic"); r.Speaker.Name != "the attic" || !r.Speaker.Available {
			t.Errorf("the new one is %+v", r.Speaker)
		}
		if n := h.count(speaker.ReportSpeakerGone, "garden"); n != 1 {
			t.Errorf("the end of a speaker was reported %d times", n)
		}

		// The server goes, and comes back.
		d.mu.Lock()
		d.broken[""] = errors.New("no server")
		d.broken["attic"] = errors.New("no server")
		d.mu.Unlock()
		d.breakDown("hall.1")
		d.breakDown("attic")
		d.events <- speaker.TargetEvent{}
		if r := h.await(speaker.ReportFailed, "a"); !errors.Is(r.Err, speaker.ErrSpeaker) {
			t.Errorf("without speakers it failed with %v", r.Err)
		}
		time.Sleep(time.Minute)
		if n := h.count(speaker.ReportSpeakerGone, "hall_1"); n > 0 {
			t.Error("a speaker is gone for good because nobody can say whether it exists")
		}
		for _, k := range []string{"", "hall.1", "attic"} {
			d.mend(k)
		}
		time.Sleep(2100 * time.Millisecond)
		h.start("b", &sound{frames: second}, "hall_1", "attic")
		h.await(speaker.ReportEnded, "b")
	})
}

func TestShutDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDriver(rooms())
		e := speaker.NewEngine(speaker.Config{Speakers: []speaker.Setup{{ID: "hall", Driver: d, Target: "hall"}}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		closed := 0
		e.Do([]speaker.Order{{Verb: speaker.Prepare, Playback: "a", Opener: &sound{frames: 100 * second, closed: &closed}}})
		synctest.Wait()
		e.Do([]speaker.Order{{Verb: speaker.Start, Playback: "a", Outputs: on("hall")}})
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if closed != 1 {
			t.Errorf("the source was closed %d times", closed)
		}
		e.Do([]speaker.Order{{Verb: speaker.Release, Playback: "a"}}) // nobody listens, nobody minds
	})
}

// Held and resumed at once: the voice that fades does not follow to where the playback goes on.
func TestHoldAndResumeAtOnce(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		a := &sound{frames: 60 * second}
		h.start("a", a, "garden")
		time.Sleep(1100 * time.Millisecond)
		h.Do([]speaker.Order{{Verb: speaker.Hold, Playback: "a"}})
		held := h.await(speaker.ReportHeld, "a")
		h.Do([]speaker.Order{{Verb: speaker.Seek, Playback: "a", Position: 20 * time.Second}})
		h.await(speaker.ReportSeeked, "a")
		h.Do([]speaker.Order{{Verb: speaker.Resume, Playback: "a", Outputs: on("garden")}})
		again := h.await(speaker.ReportStarted, "a")
		time.Sleep(2 * time.Second)
		if !again.At.Before(held.At) {
			t.Fatal("the two do not overlap")
		}
		overlap := held.At.Sub(again.At)
		for i := range int64(24) { // the fade has hardly begun
			if old := h.at("garden", again.At, i) - a.value(20*second+i); old < 0.05 {
				t.Fatalf("frame %d of the overlap holds %v of the old sound", i, old)
			}
		}
		for i := int64(-48); i < 0; i++ { // and before it there is nobody else
			if step := h.at("garden", again.At, i) - h.at("garden", again.At, i-1); step < 0 || step > 1.5/32768 {
				t.Fatalf("%d frames before the overlap the sound steps by %v", -i, step)
			}
		}
		h.expect("garden", again.At.Add(overlap), a, 20*second+speaker.DurationToFrames(overlap), second)
	})
}

// A source that keeps it to itself for a while that it is at its end.
func TestLateEnd(t *testing.T) {
	inHouse(t, rooms(), func(h *house) {
		s := &sound{frames: 2 * second, read: func(at int64) error {
			if at == 2*second {
				time.Sleep(5 * time.Second)
			}
			return nil
		}}
		r := h.start("a", s, "hall", "garden")
		h.await(speaker.ReportStalled, "a")
		if end := h.await(speaker.ReportEnded, "a"); end.Position != 2*time.Second {
			t.Errorf("it ended at %v", end.Position)
		}
		h.expect("garden", r.At, s, 0, s.frames)
	})
}
