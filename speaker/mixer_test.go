package speaker

import (
	"math"
	"testing"
	"time"
)

// A second of sound for one speaker, of one playback and of two.
func BenchmarkMix(b *testing.B) {
	for _, voices := range []int{1, 2} {
		b.Run(map[int]string{1: "music", 2: "announcement"}[voices], func(b *testing.B) {
			m := &mixer{}
			now := time.Now()
			for range voices {
				r := newRing(smallRing, 0)
				r.write(make([]float32, SampleRate*2*Channels))
				p := &playback{notice: make(chan struct{}, 1), ring: r}
				v := &voice{play: p}
				v.env.base = 0.5
				p.voices = []*voice{v}
				p.begin(newSegment(r, now, 0, quiet))
				m.add(v)
			}
			dst := make([]float32, 480*Channels)
			b.ReportAllocs()
			for b.Loop() {
				for i := range int64(100) {
					m.pull(dst, now.Add(FramesToDuration(480*i)))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e7, "%-of-a-core")
		})
	}
}

func TestFramesAndDurations(t *testing.T) {
	for n := int64(-200000); n < 200000; n += 7 {
		if got := DurationToFrames(FramesToDuration(n)); got != n {
			t.Fatalf("%d frames come back as %d", n, got)
		}
	}
	year := 365 * 24 * time.Hour
	if got := FramesToDuration(DurationToFrames(100 * year)); got != 100*year {
		t.Errorf("a hundred years come back as %v", got)
	}
}

func TestEnvelope(t *testing.T) {
	start := time.Now()
	at := func(ms float64) time.Time { return start.Add(time.Duration(ms * float64(time.Millisecond))) }
	e := envelope{base: 1}
	e.ramp(at(100), 100*time.Millisecond, 0)
	e.ramp(at(150), 100*time.Millisecond, 1) // cuts the first off at a half
	for ms, want := range map[float64]float32{0: 1, 100: 1, 125: 0.75, 150: 0.5, 200: 0.75, 250: 1, 900: 1} {
		if got := e.value(at(ms)); math.Abs(float64(got-want)) > 1e-4 {
			t.Errorf("after %v ms the gain is %v, want %v", ms, got, want)
		}
	}
	for i := range 100 { // it does not grow, and the past it forgets is long past
		e.ramp(at(1000+float64(i)), time.Millisecond, float32(i))
	}
	if len(e.ramps) > 8 {
		t.Errorf("%d ramps are kept", len(e.ramps))
	}
	if got := e.value(at(2000)); got != 99 {
		t.Errorf("the gain ends at %v", got)
	}
}

func TestLimits(t *testing.T) {
	s := []float32{0, 0.79, -0.79, 1, -1, 2, -2, float32(math.NaN()), float32(math.Inf(1))}
	one := append([]float32(nil), s...)
	limit(one)
	for i, want := range []float32{0, 0.79, -0.79, 1, -1, 1, -1, 0, 1} {
		if one[i] != want {
			t.Errorf("%v alone becomes %v, want %v", s[i], one[i], want)
		}
	}
	soften(s)
	limit(s)
	for i, x := range s {
		if x > 1 || x < -1 || x != x {
			t.Errorf("sample %d of a sum becomes %v", i, x)
		}
	}
	if s[1] != 0.79 || s[2] != -0.79 {
		t.Errorf("what is below the knee is bent: %v", s[:3])
	}
}

func TestEscapeID(t *testing.T) {
	for in, want := range map[string]string{
		"hall": "hall", "alsa_output.pci-0000_00_1f.3": "alsa_output_pci-0000_00_1f_3", "host#2": "host_2", "Küche": "K_che", "": "",
	} {
		if got := escapeID(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	e := NewEngine(Config{})
	for _, target := range []string{"a.b", "a:b", "a b"} {
		id := e.speakerID("d", target)
		if e.stations[id] != nil || len(id) > maxID {
			t.Errorf("%q becomes %q, which is taken or too long", target, id)
		}
		e.stations[id] = &station{}
	}
}

// What a sink pulls between an order to flush and the flush is thrown away: a
// sound is not told to have begun by it, nor moved to where it would have begun.
func TestPullBeforeFlush(t *testing.T) {
	now := time.Now()
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	r := newRing(smallRing, 0)
	samples := make([]float32, SampleRate*Channels)
	for i := range samples {
		samples[i] = float32(i/Channels+1) / SampleRate
	}
	r.write(samples)
	m := &mixer{until: at(1040)}
	p := &playback{notice: make(chan struct{}, 1), ring: r}
	v := &voice{play: p, env: envelope{base: 1}}
	p.voices = []*voice{v}
	seg := newSegment(r, at(1008), 0, quiet)
	m.expectFlush()
	p.begin(seg)
	m.add(v)
	dst := make([]float32, 480*Channels)
	m.pull(dst, at(1040))
	if seg.begun || seg.pulled > 0 || !seg.at.Equal(at(1008)) {
		t.Errorf("a pull that will be thrown away began the sound, at %v", seg.at.Sub(now))
	}
	m.pull(dst, at(1005))
	if !seg.begun || !seg.at.Equal(at(1008)) {
		t.Errorf("the pull after the flush did not begin the sound, or at %v", seg.at.Sub(now))
	}
	for i := range 480 {
		want := float32(0)
		if i >= 144 {
			want = samples[(i-144)*Channels]
		}
		if dst[i*Channels] != want {
			t.Fatalf("frame %d after the flush is %v, want %v", i, dst[i*Channels], want)
		}
	}
}

// A pull is only thrown away if the flush takes it back: the first of all is
// not, nor one after which the sink just goes on. Neither may begin the sound anew.
func TestPullThatStays(t *testing.T) {
	now := time.Now()
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	for name, until := range map[string]time.Time{"first of all": {}, "kept": at(1000)} {
		r := newRing(smallRing, 0)
		samples := make([]float32, SampleRate*Channels)
		for i := range samples {
			samples[i] = float32(i/Channels+1) / SampleRate
		}
		r.write(samples)
		m := &mixer{until: until}
		p := &playback{notice: make(chan struct{}, 1), ring: r}
		v := &voice{play: p, env: envelope{base: 1}}
		p.voices = []*voice{v}
		m.expectFlush()
		p.begin(newSegment(r, at(1000), 0, quiet))
		m.add(v)
		dst := make([]float32, 480*Channels)
		m.pull(dst, at(1000))
		m.flushed()
		m.pull(dst, at(1010))
		if dst[0] != samples[480*Channels] {
			t.Errorf("%s: the next frame is %v, want %v", name, dst[0]*SampleRate, samples[480*Channels]*SampleRate)
		}
	}
}
