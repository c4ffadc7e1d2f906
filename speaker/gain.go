package speaker

import "time"

// How quickly loudness changes.
const (
	volumeRamp = 10 * time.Millisecond
	duckRamp   = 150 * time.Millisecond
	joinRamp   = 10 * time.Millisecond // of a speaker that joins or leaves a running playback
	duckGain   = 0.2                   // -14 dB
)

// gainOf is the gain at a volume: a square law, close to what an ear calls even
// steps, and exactly 1 at MaxVolume.
func gainOf(volume int, ducked bool) float32 {
	v := float32(min(max(volume, 0), MaxVolume)) / MaxVolume
	g := v * v
	if ducked {
		g *= duckGain
	}
	return g
}

// envelope is a gain over the time at which it is heard. It is a function of
// that time alone, so that a flush, which asks for the same time again, gets the same gain.
type envelope struct {
	base  float32 // before the first ramp
	ramps []ramp  // in order of time; a later one cuts an earlier one off
}

type ramp struct {
	at       time.Time
	over     time.Duration
	from, to float32
}

func (r ramp) value(t time.Time) float32 {
	d := t.Sub(r.at)
	if d >= r.over {
		return r.to
	}
	return r.from + (r.to-r.from)*float32(d)/float32(r.over)
}

// value is the gain at t.
func (e *envelope) value(t time.Time) float32 {
	for i := len(e.ramps) - 1; i >= 0; i-- {
		if !t.Before(e.ramps[i].at) {
			return e.ramps[i].value(t)
		}
	}
	return e.base
}

// goal is the gain that the envelope ends at.
func (e *envelope) goal() float32 {
	if n := len(e.ramps); n > 0 {
		return e.ramps[n-1].to
	}
	return e.base
}

// ramp leads the gain to a new value from t on.
func (e *envelope) ramp(t time.Time, over time.Duration, to float32) {
	from := e.value(t)
	for len(e.ramps) > 0 && !e.ramps[len(e.ramps)-1].at.Before(t) {
		e.ramps = e.ramps[:len(e.ramps)-1]
	}
	if len(e.ramps) >= 8 {
		e.base = e.ramps[0].to
		e.ramps = append(e.ramps[:0], e.ramps[1:]...)
	}
	e.ramps = append(e.ramps, ramp{at: t, over: over, from: from, to: to})
}

// apply multiplies samples whose first frame is heard at t.
func (e *envelope) apply(s []float32, t time.Time) {
	end := t.Add(FramesToDuration(int64(len(s) / Channels)))
	if g, flat := e.constant(t, end); flat {
		if g == 1 {
			return
		}
		for i := range s {
			s[i] *= g
		}
		return
	}
	for n, i := int64(len(s)/Channels), int64(0); i < n; {
		at := t.Add(FramesToDuration(i))
		gain, step, until := e.line(at)
		run := n - i
		if !until.IsZero() {
			run = min(run, max(1, DurationToFrames(until.Sub(at))))
		}
		part := s[i*Channels : (i+run)*Channels]
		for k := 0; k < len(part); k += Channels {
			g := gain + step*float32(k/Channels)
			part[k] *= g
			part[k+1] *= g
		}
		i += run
	}
}

// constant tells the gain of a stretch of time in which it does not change.
func (e *envelope) constant(from, to time.Time) (float32, bool) {
	for _, r := range e.ramps {
		if r.at.Before(to) && r.at.Add(r.over).After(from) {
			return 0, false
		}
	}
	return e.value(from), true
}

// line is the gain at t, by how much it changes with each frame, and until when it
// goes on like that; zero if for ever.
func (e *envelope) line(t time.Time) (gain, step float32, until time.Time) {
	for i := len(e.ramps) - 1; i >= 0; i-- {
		r := e.ramps[i]
		if t.Before(r.at) {
			until = r.at
			continue
		}
		if end := r.at.Add(r.over); t.Before(end) {
			step = (r.to - r.from) * float32(FramesToDuration(1)) / float32(r.over)
			if until.IsZero() || end.Before(until) {
				until = end
			}
		}
		return r.value(t), step, until
	}
	return e.base, 0, until
}
