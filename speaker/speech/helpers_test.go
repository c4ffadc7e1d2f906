package speech

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hkw/speaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newSpeech makes a Speech that the test closes.
func newSpeech(t *testing.T, cfg Config) *Speech {
	t.Helper()
	s := New(cfg)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// listen plays to the end.
func listen(src speaker.Source) (samples []float32, err error) {
	defer src.Close()
	buf := make([]float32, 2*1000)
	for {
		n, err := src.Read(buf)
		samples = append(samples, buf[:2*n]...)
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return samples, err
		}
	}
}

// say has a text said, and listens to the end.
func say(ctx context.Context, s *Speech, r Request) ([]float32, error) {
	src, err := s.Opener(r).Open(ctx)
	if err != nil {
		return nil, err
	}
	return listen(src)
}

func mustSay(t *testing.T, s *Speech, r Request) []float32 {
	t.Helper()
	samples, err := say(t.Context(), s, r)
	if err != nil {
		t.Fatalf("say %q: %v", r.Text, err)
	}
	return samples
}

// loudness is the root mean square; full scale is 1.
func loudness(samples []float32) float64 {
	sum := 0.0
	for _, v := range samples {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(max(1, len(samples))))
}

func seconds(samples []float32) float64 { return float64(len(samples)) / 2 / speaker.SampleRate }

// fake is an engine that is a function.
type fake struct {
	name  string
	speak func(ctx context.Context, r Request) (speaker.Source, error)
	asked atomic.Int32
}

func (f *fake) Name() string { return "fake " + f.name }

func (f *fake) Synthesize(ctx context.Context, r Request) (speaker.Source, error) {
	f.asked.Add(1)
	return f.speak(ctx, r)
}

func (f *fake) Check(context.Context) error { return nil }

// sound is a source of a function.
type sound struct {
	ctx    context.Context
	read   func(dst []float32) (int, error)
	closed atomic.Bool
	info   speaker.Info
	seek   func(int64) error
}

func (s *sound) Read(dst []float32) (int, error) { return s.read(dst) }
func (s *sound) SeekTo(f int64) error {
	if s.seek == nil {
		return speaker.ErrNotSeekable
	}
	return s.seek(f)
}
func (s *sound) Info() speaker.Info { return s.info }
func (s *sound) Title() string      { return "" }
func (s *sound) Close() error       { s.closed.Store(true); return nil }

// ramp is a sound of so many frames, each with a value of its own; stereo if the two sides differ.
func ramp(ctx context.Context, frames int, stereo bool) *sound {
	at := 0
	s := &sound{ctx: ctx}
	s.read = func(dst []float32) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(len(dst)/2, frames-at)
		if n == 0 {
			return 0, io.EOF
		}
		for i := range n {
			v := float32((at+i)%30000) / (1 << 15)
			dst[2*i], dst[2*i+1] = v, v
			if stereo {
				dst[2*i+1] = -v
			}
		}
		at += n
		return n, nil
	}
	s.seek = func(f int64) error { at = int(min(f, int64(frames))); return nil }
	s.info = speaker.Info{Duration: time.Duration(frames) * time.Second / speaker.SampleRate, Seekable: true, Codec: "ramp"}
	return s
}

// opens makes an Opener of a source.
type opens func(ctx context.Context) (speaker.Source, error)

func (o opens) Open(ctx context.Context) (speaker.Source, error) { return o(ctx) }

// wantMedia checks that an error ends a playback and says what it must.
func wantMedia(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	if !errors.Is(err, speaker.ErrMedia) {
		t.Errorf("%v does not wrap ErrMedia", err)
	}
	if n := strings.Count(err.Error(), speaker.ErrMedia.Error()); n > 1 {
		t.Errorf("%v says %d times that media is unavailable", err, n)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %q", err, w)
		}
	}
}

// within polls until something is so.
func within(t *testing.T, d time.Duration, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !so(); {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", d, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// stallFor is a short limit for a test that waits for it, and one that no busy machine reaches for every other.
func stallFor(words string) time.Duration {
	if strings.Contains(words, "no sound for") || strings.Contains(words, "never began") {
		return 300 * time.Millisecond
	}
	return time.Minute
}
