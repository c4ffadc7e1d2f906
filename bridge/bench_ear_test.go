package bridge

import (
	"encoding/binary"
	"io"
	"math"
	"os/exec"
	"sync"
	"testing"
	"time"

	"hkw/speaker"
	"hkw/speaker/speakertest"
)

// Tones of the players' benchmarks, in Hz. Whole periods fit an earWindow, and of
// their sum and difference too, so that one is not taken for the other.
const earA, earB = 1000, 3000

const (
	earWindow = speaker.SampleRate / 500  // 2 ms: what a tone is recognised in
	earHop    = speaker.SampleRate / 4000 // how far apart windows are
	earSure   = speaker.SampleRate / 25   // 40 ms: what must follow to be sure of a tone
)

// ear records the monitor of a sink and knows when it heard what: one recorder for
// all players. Its clock is the earliest heardAt of samples lately, so its own
// delay, a millisecond or two, is in every measurement alike.
type ear struct {
	tb      testing.TB
	mu      sync.Mutex
	samples []float32 // of the left channel
	arrived []heardAt
}

// heardAt is when the samples before n were there.
type heardAt struct {
	n  int
	at time.Time
}

func listenTo(tb testing.TB, server *speakertest.PulseServer, sink string) *ear {
	tb.Helper()
	cmd := exec.Command("parec", "--server="+server.Server(), "--device="+sink+".monitor", "--raw", "--format=float32le",
		"--rate=48000", "--channels=2", "--latency-msec=1", "--process-time-msec=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	e := &ear{tb: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.record(out)
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	speakertest.Eventually(tb, 10*time.Second, func() error {
		if e.now() == 0 {
			return io.ErrNoProgress
		}
		return nil
	})
	return e
}

func (e *ear) record(r io.Reader) {
	const frame = 4 * speaker.Channels
	buf := make([]byte, 1<<15)
	kept := 0
	for {
		n, err := r.Read(buf[kept:])
		at := time.Now()
		n += kept
		e.mu.Lock()
		for i := 0; i+frame <= n; i += frame {
			e.samples = append(e.samples, math.Float32frombits(binary.LittleEndian.Uint32(buf[i:])))
		}
		e.arrived = append(e.arrived, heardAt{len(e.samples), at})
		e.mu.Unlock()
		kept = copy(buf, buf[n-n%frame:n])
		if err != nil {
			return
		}
	}
}

// now is the number of samples heard so far.
func (e *ear) now() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.samples)
}

// when is the time at which a sample was heard.
func (e *ear) when(sample int) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	var first time.Time // when sample 0 would have been heard
	for i := len(e.arrived) - 1; i >= 0; i-- {
		a := e.arrived[i]
		if a.n > sample+speaker.SampleRate {
			continue
		}
		if a.n < sample-speaker.SampleRate {
			break
		}
		if t := a.at.Add(-speaker.FramesToDuration(int64(a.n))); first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first.Add(speaker.FramesToDuration(int64(sample)))
}

// level is the amplitude of a tone in the window that ends with a sample, by
// Goertzel's algorithm; -1 if it was not heard yet. The mutex is held.
func (e *ear) level(hz float64, end int) float64 {
	if end < earWindow || end > len(e.samples) {
		return -1
	}
	w := 2 * math.Pi * hz / speaker.SampleRate
	k := 2 * math.Cos(w)
	var s1, s2 float64
	for _, x := range e.samples[end-earWindow : end] {
		s1, s2 = float64(x)+k*s1-s2, s1
	}
	return math.Sqrt(max(0, s1*s1+s2*s2-k*s1*s2)) * 2 / earWindow
}

const audible = 0.02 // amplitude, of 1

// onset finds the first sample of a tone after a sample, to the quarter of a
// millisecond and interpolated: where a window is half full of it. It waits for it.
func (e *ear) onset(hz float64, after int) (sample int) {
	e.tb.Helper()
	end := after
	e.wait("a tone begins", func() bool {
		last := 0.0
		for ; end+earSure <= len(e.samples); end += earHop {
			full := e.level(hz, end+earSure)
			if full < audible || e.level(hz, end+earSure/2) < 0.8*full {
				last = 0
				continue
			}
			l := e.level(hz, end)
			if l < full/2 {
				last = l
				continue
			}
			sample = end - earWindow/2
			if last > 0 && l > last {
				sample -= int(earHop * (l - full/2) / (l - last))
			}
			return true
		}
		return false
	})
	return sample
}

// end finds the last sample of a tone in a stretch in which it stops, like onset.
func (e *ear) end(hz float64, from, to int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	full := e.level(hz, from)
	for end := to; end > from; end -= earHop {
		if e.level(hz, end) >= full/2 {
			return end - earWindow/2
		}
	}
	return from
}

// silence waits until nothing was heard for a while.
func (e *ear) silence() {
	e.tb.Helper()
	from := e.now()
	e.wait("silence", func() bool {
		for ; from < len(e.samples); from++ {
			if math.Abs(float64(e.samples[from])) > audible/4 {
				from = len(e.samples)
				return false
			}
		}
		return len(e.samples) > speaker.SampleRate/20 && quiet50(e.samples)
	})
}

// quiet50 tells whether the last 50 ms are silent.
func quiet50(samples []float32) bool {
	for _, x := range samples[len(samples)-speaker.SampleRate/20:] {
		if math.Abs(float64(x)) > audible/4 {
			return false
		}
	}
	return true
}

// wait asks again whenever more could have been heard.
func (e *ear) wait(what string, ok func() bool) {
	e.tb.Helper()
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		e.mu.Lock()
		done := ok()
		e.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(limit) {
			e.tb.Fatalf("waited in vain until: %s", what)
		}
	}
}

// hear waits until so much more was heard.
func (e *ear) hear(d time.Duration) {
	e.tb.Helper()
	until := e.now() + int(speaker.DurationToFrames(d))
	e.wait("more is heard", func() bool { return len(e.samples) >= until })
}
