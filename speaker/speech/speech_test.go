package speech

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hkw/speaker"
)

func TestRequests(t *testing.T) {
	for _, c := range []struct{ text, voice, said string }{
		{"hello", "", "hello"},
		{"  two\r\n\twords\u00a0here ", "", "two words here"},
		{"bell\a and \x1b[31mcolour\x00", "", "bell and [31mcolour"},
		{strings.Repeat("a", MaxText), "", strings.Repeat("a", MaxText)},
		{"émigré 日本", "en_US-lessac-medium", "émigré 日本"},
		{"", "", ""},
		{" \n\t", "", ""},
		{"\x00\x01", "", ""},
		{strings.Repeat("a", MaxText+1), "", ""},
		{"\xff", "", ""},
		{"hello", "a\nb", ""},
		{"hello", "\xff", ""},
		{"hello", strings.Repeat("v", MaxVoice+1), ""},
	} {
		var got Request
		e := &fake{speak: func(ctx context.Context, r Request) (speaker.Source, error) {
			got = r
			return ramp(ctx, 10, false), nil
		}}
		s := newSpeech(t, Config{Engine: e})
		r := Request{c.text, c.voice}
		accepted := s.Accepts(r)
		_, err := say(t.Context(), s, r)
		if c.said == "" {
			wantMedia(t, err, "cannot be said")
			if !errors.Is(err, ErrRequest) || !errors.Is(accepted, ErrRequest) || e.asked.Load() > 0 {
				t.Errorf("%.20q: %v, %v, asked %d times", c.text, err, accepted, e.asked.Load())
			}
		} else if err != nil || accepted != nil || got.Text != c.said || got.Voice != c.voice {
			t.Errorf("%.20q: %v, %v, the engine got %.20q", c.text, err, accepted, got)
		}
	}
}

func TestNoEngine(t *testing.T) {
	s := newSpeech(t, Config{})
	_, err := say(t.Context(), s, Request{Text: "hello"})
	wantMedia(t, err, "apt-get install espeak-ng", "Wyoming", "Piper", "HTTP")
	for _, err := range []error{err, s.Accepts(Request{Text: "hello"}), s.Check(t.Context())} {
		if !errors.Is(err, ErrNoEngine) {
			t.Errorf("%v is not ErrNoEngine", err)
		}
	}
}

func TestDefaultVoice(t *testing.T) {
	var voices []string
	e := &fake{speak: func(ctx context.Context, r Request) (speaker.Source, error) {
		voices = append(voices, r.Voice)
		return ramp(ctx, 10, false), nil
	}}
	s := newSpeech(t, Config{Engine: e, Voice: "anna"})
	mustSay(t, s, Request{Text: "hello"})
	mustSay(t, s, Request{Text: "hello", Voice: "bert"})
	if want := []string{"anna", "bert"}; !slices.Equal(voices, want) {
		t.Errorf("voices %q, want %q", voices, want)
	}
}

// What is heard is what was spoken, of one channel and of two and when one becomes two, and wherever it is sought.
func TestSound(t *testing.T) {
	for _, c := range []struct {
		name           string
		frames, stereo int // stereo from that frame on
	}{
		{"mono", 3*chunkFrames + 7, 1 << 30}, {"stereo", 2*chunkFrames + 1, 0},
		{"both", 3 * chunkFrames, chunkFrames + 100}, {"short", 1, 1 << 30}, {"a chunk", chunkFrames, 1 << 30},
	} {
		want := make([]float32, 2*c.frames)
		for i := range c.frames {
			v := float32(i%65536-32768) / (1 << 15)
			want[2*i], want[2*i+1] = v, v
			if i >= c.stereo {
				want[2*i+1] = -1
			}
		}
		dir := t.TempDir()
		e := &fake{speak: func(context.Context, Request) (speaker.Source, error) {
			rest := want
			return &sound{read: func(dst []float32) (int, error) {
				n := copy(dst, rest)
				rest = rest[n:]
				if n == 0 {
					return 0, io.EOF
				}
				return n / 2, nil
			}}, nil
		}}
		for i, engine := range []Engine{e, &renamed{e.Name()}} { // the second time from the cache
			s := New(Config{Engine: engine, CacheDir: dir})
			src, err := s.Opener(Request{Text: "hello"}).Open(t.Context())
			if err != nil {
				t.Fatalf("%s %d: %v", c.name, i, err)
			}
			if !src.Info().Seekable || src.Info().Codec != "speech" || src.Title() != "" {
				t.Errorf("%s: %+v %q", c.name, src.Info(), src.Title())
			}
			for _, from := range []int{0, c.frames - 1, c.frames / 2, c.frames, c.frames + 1000, -5, 0} {
				if err := src.SeekTo(int64(from)); err != nil {
					t.Fatalf("%s %d: seek %d: %v", c.name, i, from, err)
				}
				var got []float32
				buf := make([]float32, 2*777)
				for {
					n, err := src.Read(buf)
					got = append(got, buf[:2*n]...)
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if rest := want[2*min(max(0, from), c.frames):]; !slices.Equal(got, rest) {
					t.Errorf("%s %d: %d samples from %d, want %d of others", c.name, i, len(got), from, len(rest))
				}
			}
			_ = src.Close()
			if _, err := src.Read(make([]float32, 2)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s: a closed source answers %v", c.name, err)
			}
			_ = s.Close()
		}
	}
}

// slow is an engine that speaks so many frames, one second of work for each.
func slow(frames int) *fake {
	return &fake{speak: func(ctx context.Context, _ Request) (speaker.Source, error) {
		at := 0
		return &sound{read: func(dst []float32) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Second):
			}
			if at++; at > frames {
				return 0, io.EOF
			}
			dst[0], dst[1] = 0.5, 0.5
			return 1, nil
		}}, nil
	}}
}

func TestLimits(t *testing.T) {
	hang := func(ctx context.Context, _ Request) (speaker.Source, error) { <-ctx.Done(); return nil, ctx.Err() }
	for _, c := range []struct {
		name  string
		speak func(ctx context.Context, r Request) (speaker.Source, error)
		after time.Duration
		words string
	}{
		{"never begins", hang, 15 * time.Second, "no sound for 15s"},
		{"refuses", func(context.Context, Request) (speaker.Source, error) { return nil, errors.New("no") }, 0, "fake x: no"},
		{"panics", func(context.Context, Request) (speaker.Source, error) { panic("oh") }, 0, "broke down: oh"},
		{"reads nothing", func(context.Context, Request) (speaker.Source, error) {
			return &sound{read: func([]float32) (int, error) { return 0, nil }}, nil
		}, 0, io.ErrNoProgress.Error()},
		{"says nothing", func(ctx context.Context, _ Request) (speaker.Source, error) { return ramp(ctx, 0, false), nil }, 0, "said nothing"},
		{"stops in the middle", func(ctx context.Context, _ Request) (speaker.Source, error) {
			first := ramp(ctx, 100, false)
			return &sound{read: func(dst []float32) (int, error) {
				if n, err := first.Read(dst); err == nil {
					return n, nil
				}
				<-ctx.Done()
				return 0, ctx.Err()
			}}, nil
		}, 15 * time.Second, "no sound for 15s"},
		{"is too slow", slow(1000).speak, 300 * time.Second, "not done after 5m0s"},
		{"does not stop", func(ctx context.Context, _ Request) (speaker.Source, error) {
			return ramp(ctx, math.MaxInt32, false), nil
		}, 0, "more than 3s of sound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				e := &fake{name: "x", speak: c.speak}
				s := New(Config{Engine: e, CacheDir: dir, Length: 3 * time.Second, Renderings: 1})
				began := time.Now()
				for range 2 { // a failure is not kept either
					_, err := say(t.Context(), s, Request{Text: "hello"})
					wantMedia(t, err, c.words)
				}
				if took := time.Since(began); took != 2*c.after {
					t.Errorf("it took %s, want %s", took, 2*c.after)
				}
				if n := e.asked.Load(); n != 2 {
					t.Errorf("asked %d times", n)
				}
				_ = s.Close()
				if len(cached(t, dir)) > 0 {
					t.Error("it was kept")
				}
			})
		})
	}
}

// A hundred who want the same at once have it spoken once; each listens at its own pace.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := slow(5)
		s := New(Config{Engine: e})
		defer s.Close()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 50 * time.Millisecond)
				if samples, err := say(t.Context(), s, Request{Text: "hello"}); err != nil || len(samples) != 10 {
					t.Errorf("%d samples, %v", len(samples), err)
				}
			})
		}
		wg.Wait()
		if n := e.asked.Load(); n != 1 {
			t.Errorf("the engine was asked %d times", n)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.active) > 0 {
			t.Error("it is held in memory though nobody listens")
		}
	})
}

// An engine speaks as long as somebody listens, and no longer.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := slow(100)
		s := New(Config{Engine: e})
		defer s.Close()
		open := func(ctx context.Context) speaker.Source {
			src, err := s.Opener(Request{Text: "hello"}).Open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return src
		}
		ctx, cancel := context.WithCancel(t.Context())
		a, b := open(t.Context()), open(ctx)
		_ = a.Close()
		_ = a.Close()
		time.Sleep(3500 * time.Millisecond)
		b.SeekTo(4)
		if n, err := b.Read(make([]float32, 2)); n != 1 || err != nil {
			t.Errorf("%d, %v: one has left, and the other hears nothing", n, err)
		}
		cancel() // without a Close
		synctest.Wait()
		s.mu.Lock()
		if len(s.active) > 0 {
			t.Error("nobody listens, and it goes on")
		}
		s.mu.Unlock()
		s.wg.Wait()
		c := open(t.Context()) // begins anew
		if n := e.asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
		began := time.Now()
		_ = s.Close()
		if time.Since(began) > 0 {
			t.Error("Close waits")
		}
		_ = c.SeekTo(0)
		_, err := listen(c)
		wantMedia(t, err, ErrClosed.Error())
		_, err = say(t.Context(), s, Request{Text: "hello"})
		wantMedia(t, err, ErrClosed.Error())
	})
}

// What has failed is tried again, though somebody still holds the one that failed.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := slow(5)
		good := e.speak
		e.speak = func(ctx context.Context, r Request) (speaker.Source, error) {
			src, _ := good(ctx, r)
			s := src.(*sound)
			read, n := s.read, 0
			s.read = func(dst []float32) (int, error) {
				if n++; n > 2 {
					return 0, errors.New("broken")
				}
				return read(dst)
			}
			return s, nil
		}
		s := New(Config{Engine: e})
		defer s.Close()
		held, err := s.Opener(Request{Text: "hello"}).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		time.Sleep(time.Minute)
		e.speak = good
		if got := mustSay(t, s, Request{Text: "hello"}); len(got) != 10 {
			t.Errorf("%d samples", len(got))
		}
		// What was spoken before it broke is heard, and then why there is no more.
		if n, err := held.Read(make([]float32, 20)); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		_, err = held.Read(make([]float32, 20))
		wantMedia(t, err, "broken")
	})
}

// So many engines at once, others wait; the wait is not counted as theirs.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Engine: slow(9), Renderings: 2, Stall: 5 * time.Second})
		defer s.Close()
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() { mustSay(t, s, Request{Text: string(rune('a' + i))}) })
		}
		wg.Wait()
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestConcat(t *testing.T) {
	part := func(frames int) speaker.Opener {
		return opens(func(ctx context.Context) (speaker.Source, error) { return ramp(ctx, frames, true), nil })
	}
	of := func(frames ...int) (all []float32) {
		for _, n := range frames {
			samples, _ := listen(ramp(t.Context(), n, true))
			all = append(all, samples...)
		}
		return all
	}
	src, err := Concat(part(1001), nil, part(77), part(3000)).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := src.Info(); !got.Seekable || got.Duration < 84958*time.Microsecond || got.Duration > 84959*time.Microsecond || got.Codec != "ramp" {
		t.Errorf("%+v", got)
	}
	whole := of(1001, 77, 3000)
	for _, from := range []int{0, 1000, 1001, 1077, 1078, 4077, 4078, 9999, 500} {
		if err := src.SeekTo(int64(from)); err != nil {
			t.Fatal(err)
		}
		var got []float32
		buf := make([]float32, 2*100)
		n, err := 0, error(nil)
		for err == nil {
			n, err = src.Read(buf)
			got = append(got, buf[:2*n]...)
		}
		if !errors.Is(err, io.EOF) || !slices.Equal(got, whole[2*min(from, 4078):]) {
			t.Errorf("from %d: %d samples, %v", from, len(got), err)
		}
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}

	// What cannot be opened fails at once, and leaves nothing open.
	var first *sound
	bad := errors.New("bad")
	_, err = Concat(
		opens(func(ctx context.Context) (speaker.Source, error) { first = ramp(ctx, 5, false); return first, nil }),
		opens(func(context.Context) (speaker.Source, error) { return nil, bad }),
	).Open(t.Context())
	if !errors.Is(err, bad) || !first.closed.Load() {
		t.Errorf("%v, closed: %v", err, first.closed.Load())
	}
	// One that cannot be sought.
	src, err = Concat(opens(func(ctx context.Context) (speaker.Source, error) {
		s := ramp(ctx, 5, false)
		s.info.Duration = 0
		return s, nil
	}), part(5)).Open(t.Context())
	if err != nil || !errors.Is(src.SeekTo(1), speaker.ErrNotSeekable) || src.Info().Seekable || src.Info().Duration != 0 {
		t.Errorf("%v, %+v", err, src.Info())
	}
	src, err = Concat().Open(t.Context())
	if samples, end := listen(src); err != nil || len(samples) > 0 || end != nil {
		t.Errorf("nothing: %v %d %v", err, len(samples), end)
	}
}

func TestChime(t *testing.T) {
	e := &fake{speak: func(ctx context.Context, _ Request) (speaker.Source, error) { return ramp(ctx, 2000, false), nil }}
	chime := opens(func(ctx context.Context) (speaker.Source, error) { return ramp(ctx, 500, true), nil })
	s := newSpeech(t, Config{Engine: e, Chime: chime})
	got := mustSay(t, s, Request{Text: "hello"})
	a, _ := listen(ramp(t.Context(), 500, true))
	b, _ := listen(ramp(t.Context(), 2000, false))
	if !slices.Equal(got, append(a, b...)) {
		t.Errorf("%d samples", len(got))
	}
	// No chime for what then cannot be said.
	e.speak = func(context.Context, Request) (speaker.Source, error) { return nil, errors.New("no") }
	_, err := s.Opener(Request{Text: "again"}).Open(t.Context())
	wantMedia(t, err, "no")
}
