package speaker_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"hkw/speaker"
)

// frames reads n frames, or all up to the end, in chunks of an odd size.
func frames(t *testing.T, src speaker.Source, n int) []float32 {
	t.Helper()
	var all []float32
	buf := make([]float32, 2*777)
	for len(all) < 2*n {
		got, err := src.Read(buf[:min(len(buf), 2*n-len(all))])
		all = append(all, buf[:2*got]...)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func open(t *testing.T, o speaker.Opener) speaker.Source {
	t.Helper()
	src, err := o.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestRepeatIsGapless(t *testing.T) {
	for _, fixed := range []bool{false, true} {
		closed := 0
		s := &sound{frames: 50000, fixed: fixed, closed: &closed}
		src := open(t, speaker.Lasting(s, true, 0))
		if info := src.Info(); info.Duration != 0 || info.Seekable == fixed {
			t.Errorf("fixed %v: %+v", fixed, info)
		}
		for i, got := range frames(t, src, 120000) {
			want := s.value(int64(i/2) % 50000)
			if i%2 == 1 {
				want = -want
			}
			if got != want {
				t.Fatalf("fixed %v: sample %d is %v, want %v", fixed, i, got, want)
			}
		}
		_ = src.Close()
		if want := map[bool]int{false: 1, true: 3}[fixed]; closed != want {
			t.Errorf("fixed %v: %d sources were closed, want %d", fixed, closed, want)
		}
	}
}

func TestDurationIsExact(t *testing.T) {
	for _, c := range []struct {
		frames int64
		repeat bool
		limit  time.Duration
		want   int
		length time.Duration
	}{
		{48000, false, 0, 48000, time.Second},
		{480000, false, 2500 * time.Millisecond, 120000, 2500 * time.Millisecond},
		{48000, false, time.Minute, 48000, time.Second},
		{48000, true, 2500 * time.Millisecond, 120000, 2500 * time.Millisecond},
	} {
		s := &sound{frames: c.frames}
		src := open(t, speaker.Lasting(s, c.repeat, c.limit))
		if got := src.Info().Duration; got != c.length {
			t.Errorf("%+v: says it lasts %s", c, got)
		}
		got := frames(t, src, 1<<20)
		if len(got) != 2*c.want {
			t.Errorf("%+v: %d frames", c, len(got)/2)
		}
		if last := got[len(got)-2]; c.limit > 0 && c.frames > 48000 && last != 0 {
			t.Errorf("%+v: cut off at %v without a fade", c, last)
		}
	}
}

// A sound of next to nothing must not be rewound thousands of times a second.
func TestShortRoundsAreFilledUp(t *testing.T) {
	for _, c := range []struct {
		fixed bool
		round int
	}{{false, 4800}, {true, 48000}} {
		opened := 0
		s := &sound{frames: 10, fixed: c.fixed, opened: func(context.Context) error { opened++; return nil }}
		got := frames(t, open(t, speaker.Lasting(s, true, 0)), 2*c.round+10)
		for i := range 2*c.round + 10 {
			if heard := i%c.round < 10; heard != (got[2*i] != 0) {
				t.Fatalf("%+v: frame %d is %v", c, i, got[2*i])
			}
		}
		if want := map[bool]int{false: 1, true: 3}[c.fixed]; opened != want {
			t.Errorf("%+v: opened %d times", c, opened)
		}
	}
	if _, err := open(t, speaker.Lasting(&sound{}, true, 0)).Read(make([]float32, 100)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("nothing is repeated: %v", err)
	}
}

func TestSeekInRounds(t *testing.T) {
	s := &sound{frames: 48000}
	src := open(t, speaker.Lasting(s, true, 10*time.Second))
	for _, to := range []int64{100, 48000 + 200, 3*48000 - 1, 5 * 48000} {
		if err := src.SeekTo(to); err != nil {
			t.Fatal(err)
		}
		for i := range int64(2) {
			if got, want := frames(t, src, 1)[0], s.value((to+i)%48000); got != want {
				t.Errorf("frame %d is %v, want %v", to+i, got, want)
			}
		}
	}
	if err := src.SeekTo(11 * 48000); err != nil {
		t.Fatal(err)
	}
	if n, err := src.Read(make([]float32, 10)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("beyond the limit: %d frames, %v", n, err)
	}
	fixed := open(t, speaker.Lasting(&sound{frames: 100, fixed: true}, true, 0))
	if err := fixed.SeekTo(5); !errors.Is(err, speaker.ErrNotSeekable) {
		t.Errorf("seek of a stream: %v", err)
	}
}

// The limit counts what is heard: while a sound is held its clock stands still.
func TestDurationStandsStillWhileHeld(t *testing.T) {
	inHouse(t, map[string]room{"a": {}}, func(h *house) {
		s := &sound{frames: 24000}
		began := time.Now()
		h.start("x", speaker.Lasting(s, true, 2*time.Second), "a")
		time.Sleep(time.Second)
		h.Do([]speaker.Order{{Verb: speaker.Hold, Playback: "x"}})
		h.await(speaker.ReportHeld, "x")
		time.Sleep(time.Hour)
		synctest.Wait()
		h.Do([]speaker.Order{{Verb: speaker.Resume, Playback: "x", Outputs: on("a")}})
		h.await(speaker.ReportEnded, "x")
		if took := time.Since(began) - time.Hour; took < 1900*time.Millisecond || took > 2500*time.Millisecond {
			t.Errorf("two seconds took %s", took)
		}
	})
}
