package speakertest

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hkw/speaker"
)

// Fixture is a driver to be tested, in a world in which it works.
type Fixture struct {
	Driver  speaker.Driver
	Target  string // one that can be opened, "" for the driver's default
	Missing string // one that can't, "" if there is none
	Break   func() // makes sinks that play fail, nil if nothing can
}

// Run checks that a driver keeps the promises of speaker.Driver and
// speaker.Sink: that it pulls at the pace of time and only when it is to, that
// what it says about when a frame is heard makes sense, that a flush takes
// back what was not heard, that it ends when told and says so when it breaks.
// newFixture is called anew for each of the checks.
func Run(t *testing.T, newFixture func(t *testing.T) Fixture) {
	checks := []struct {
		name string
		f    func(*testing.T, Fixture)
	}{
		{"lists its targets", checkTargets},
		{"is silent until it runs", checkSilence},
		{"pulls at the pace of time", checkPace},
		{"takes back what was not heard", checkFlush},
		{"rests and goes on", checkIdle},
		{"closes", checkClose},
		{"refuses what is missing", checkMissing},
		{"says that it broke", checkBreak},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			ignore := goleak.IgnoreCurrent()
			t.Run(f.Driver.Name(), func(t *testing.T) { c.f(t, f) })
			for range 2 {
				if err := f.Driver.Close(); err != nil {
					t.Errorf("Close of the driver: %v", err)
				}
			}
			goleak.VerifyNone(t, ignore)
		})
	}
}

// pulls records what a sink pulls.
type pulls struct {
	mu   sync.Mutex
	list []pulled
}

type pulled struct {
	at     time.Time // when it was pulled
	heard  time.Time
	frames int64
}

func (p pulled) end() time.Time { return p.heard.Add(speaker.FramesToDuration(p.frames)) }

func (p *pulls) pull(dst []float32, heard time.Time) {
	now := time.Now()
	clear(dst)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, pulled{now, heard, int64(len(dst) / speaker.Channels)})
	if len(dst)%speaker.Channels != 0 {
		panic("half a frame was pulled")
	}
}

func (p *pulls) all() []pulled {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]pulled(nil), p.list...)
}

// open opens and starts a sink that the test closes.
func open(t *testing.T, f Fixture) (speaker.Sink, *pulls) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s, err := f.Driver.Open(ctx, f.Target)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p := &pulls{}
	s.Start(p.pull)
	return s, p
}

// until waits for a pull of which ok is true and returns it.
func (p *pulls) until(t *testing.T, what string, ok func(pulled) bool) pulled {
	t.Helper()
	var found pulled
	Eventually(t, 5*time.Second, func() error {
		for _, x := range p.all() {
			if ok(x) {
				found = x
				return nil
			}
		}
		return errorf("no pull %s among %d", what, len(p.all()))
	})
	return found
}
