package speaker

import (
	"math"
	"sync"
	"time"
)

// mixer makes what one speaker plays. Its pull runs on the sink's goroutine.
type mixer struct {
	mu       sync.Mutex
	voices   []*voice
	until    time.Time // when the frame after the last pulled one is heard
	flushing int       // flushes that the sink has yet to carry out
	pulledAt time.Time // when the sink pulled last

	scratch, spare []float32
}

// pull is the speaker's Pull.
func (m *mixer) pull(dst []float32, heard time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.pulledAt = now
	// While a flush is on its way a pull that just goes on is to be taken back;
	// one that goes back in time is the flush, and one that comes so late that it was
	// heard already, or the first of all, stays.
	doomed := m.flushing > 0 && heard.After(now) && heard.Sub(m.until).Abs() < skipLimit
	m.until = heard.Add(FramesToDuration(int64(len(dst) / Channels)))
	clear(dst)
	heardOf := 0
	for i := 0; i < len(m.voices); i++ {
		v := m.voices[i]
		part := dst
		if !v.gone.IsZero() {
			left := DurationToFrames(v.gone.Sub(heard))
			if left < -SampleRate {
				m.voices = append(m.voices[:i], m.voices[i+1:]...)
				i--
				continue
			}
			part = dst[:max(0, min(int64(len(dst)), left*Channels))]
		}
		if heardOf == 0 {
			if v.render(part, heard, doomed, &m.spare) {
				v.env.apply(part, heard)
				heardOf++
			}
			continue
		}
		if cap(m.scratch) < len(part) {
			m.scratch = make([]float32, len(part))
		}
		s := m.scratch[:len(part)]
		clear(s)
		if v.render(s, heard, doomed, &m.spare) {
			v.env.apply(s, heard)
			for k, x := range s {
				dst[k] += x
			}
			heardOf++
		}
	}
	if heardOf > 1 {
		soften(dst)
	}
	limit(dst)
}

// knee is where the sum of several sounds begins to be bent; below it nothing is touched.
const knee = 0.8

// soften bends peaks of a sum so that they stay below 1 without a corner.
func soften(s []float32) {
	for i, x := range s {
		if x > knee {
			s[i] = knee + (1-knee)*float32(math.Tanh(float64((x-knee)/(1-knee))))
		} else if x < -knee {
			s[i] = -knee - (1-knee)*float32(math.Tanh(float64((-x-knee)/(1-knee))))
		}
	}
}

// limit keeps samples within -1..1 and silences what is not a number.
func limit(s []float32) {
	for i, x := range s {
		if x >= -1 && x <= 1 {
			continue
		}
		switch {
		case x > 1:
			s[i] = 1
		case x < -1:
			s[i] = -1
		default:
			s[i] = 0
		}
	}
}

// add lets a voice in.
func (m *mixer) add(v *voice) {
	m.mu.Lock()
	m.voices = append(m.voices, v)
	m.mu.Unlock()
}

// edge is the earliest time whose sound the sink has not pulled yet, so that a change from there on
// is heard without a flush.
func (m *mixer) edge(now time.Time) time.Time {
	if m.until.After(now) {
		return m.until
	}
	return now
}

// join lets a voice in that fades in as soon as it can without a flush.
func (m *mixer) join(v *voice, gain float32, now time.Time) {
	m.mu.Lock()
	v.env.ramp(m.edge(now), joinRamp, gain)
	m.voices = append(m.voices, v)
	m.mu.Unlock()
}

// leave fades a voice out as soon as that can be done without a flush.
func (m *mixer) leave(v *voice, now time.Time) {
	m.mu.Lock()
	at := m.edge(now)
	v.env.ramp(at, joinRamp, 0)
	v.gone = at.Add(joinRamp)
	m.mu.Unlock()
}

// retire says from when on a voice, silent by then, is no longer needed.
func (m *mixer) retire(v *voice, at time.Time) {
	m.mu.Lock()
	v.gone = at
	m.mu.Unlock()
}

// lead lets a voice's gain change from a moment on.
func (m *mixer) lead(v *voice, gain float32, over time.Duration, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v.env.goal() != gain {
		v.env.ramp(at, over, gain)
	}
}

// expectFlush says that the sink will be told to flush; flushed that it was.
func (m *mixer) expectFlush() {
	m.mu.Lock()
	m.flushing++
	m.mu.Unlock()
}

func (m *mixer) flushed() {
	m.mu.Lock()
	m.flushing = max(0, m.flushing-1)
	m.mu.Unlock()
}

// sweep forgets retired voices; the sink may have stopped pulling and never come to it.
func (m *mixer) sweep(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.voices[:0]
	for _, v := range m.voices {
		if v.gone.IsZero() || now.Sub(v.gone) < time.Second {
			kept = append(kept, v)
		}
	}
	clear(m.voices[len(kept):])
	m.voices = kept
}

// reset forgets everything: the sink is gone.
func (m *mixer) reset() {
	m.mu.Lock()
	clear(m.voices)
	m.voices, m.until, m.flushing = m.voices[:0], time.Time{}, 0
	m.mu.Unlock()
}

// lastPull is when the sink pulled last.
func (m *mixer) lastPull() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pulledAt
}
