package speaker

import (
	"math"
	"time"
)

// How a voice follows its playback's time. A sink's idea of time wavers and its
// clock drifts: within the dead band nothing is done, beyond it the voice is
// led back so slowly that it is not heard, and what no drift explains is jumped.
const (
	skipLimit  = 2 * time.Millisecond // a sink whose time steps by more has skipped or rewound
	deadBand   = 14.4                 // frames, 0.3 ms
	settled    = 2.4                  // frames, 0.05 ms
	jumpLimit  = SampleRate / 20      // frames, 50 ms
	steerRate  = 100.0                // frames per second that may be dropped or doubled
	steerDelay = 0.5                  // seconds over which the error is averaged
)

// voice is a playback on one speaker. The cursor and what belongs to it are
// guarded by the playback's mutex, the envelope and gone by the mixer's.
type voice struct {
	play *playback
	env  envelope
	gone time.Time // when it has left the mix, zero while it stays

	first    *segment // what came before it was played by another voice
	last     *segment // what comes after it is played by another voice; nil while this one stays
	seg      *segment
	cur      int64     // the next frame
	next     time.Time // when that is expected to be heard
	err      float64   // averaged distance to where the cursor ought to be, in frames
	allow    float64   // frames that may be corrected now
	steering bool
	done     time.Time // when the source's last frame is heard here, zero while there are more
}

// render fills dst, which is silent, with what is heard from the given time on,
// and tells whether there was anything. A doomed pull is one that a flush,
// already under way, will throw away: it counts for nothing.
func (v *voice) render(dst []float32, heard time.Time, doomed bool, spare *[]float32) bool {
	p := v.play
	p.mu.Lock()
	defer p.mu.Unlock()
	audible := false
	total := int64(len(dst) / Channels)
	for i := int64(0); i < total; {
		t := heard.Add(FramesToDuration(i))
		seg, run := p.segmentAt(t, v)
		run = min(run, total-i)
		if seg != nil {
			goesOn := v.seg == seg && t.Sub(v.next).Abs() < skipLimit
			if !seg.begun && !doomed && !goesOn && seg.frame(t) > seg.from {
				// Nobody has heard any of it yet and the first sink to come is late:
				// begin now rather than lose the beginning.
				seg.at, v.seg = t, nil
			}
			if v.seg != seg {
				v.seg, v.err, v.allow, v.steering = seg, 0, 0, false
				v.cur = max(seg.from, seg.frame(t))
			} else {
				v.cur = v.place(t)
			}
			run = min(run, max(seg.last()-v.cur, 1))
			v.emit(dst[i*Channels:(i+run)*Channels], t, doomed, spare)
			v.next = heard.Add(FramesToDuration(i + run))
			audible = true
		}
		i += run
	}
	v.noteEnd(heard.Add(FramesToDuration(total)), doomed)
	p.advance(time.Now())
	return audible
}

// place is where the cursor belongs at t: where it is, unless the sink's time
// stepped or the two are hopelessly apart.
func (v *voice) place(t time.Time) int64 {
	cur := v.cur
	if step := t.Sub(v.next); step > skipLimit || step < -skipLimit {
		cur += DurationToFrames(step)
	}
	want := v.seg.frame(t)
	if off := want - cur; off > jumpLimit || off < -jumpLimit {
		cur = want
	}
	return max(v.seg.from, cur)
}

// emit lets frames of the segment be heard: it fills dst from the cursor on and
// moves it, by a frame more or less than dst has if the voice must be led.
func (v *voice) emit(dst []float32, t time.Time, doomed bool, spare *[]float32) {
	seg := v.seg
	n := int64(len(dst) / Channels)
	begin := v.cur
	lead := v.steer(n, t)
	got := int64(0)
	if lead != 0 {
		if want := int((n + lead) * Channels); cap(*spare) < want {
			*spare = make([]float32, want)
		}
		src := (*spare)[:(n+lead)*Channels]
		if seg.ring.read(src, begin) == n+lead {
			stretch(dst, src)
			got = n
		} else {
			lead = 0
		}
	}
	if got == 0 {
		got = seg.ring.read(dst, begin)
	}
	seg.fadeOut(dst, begin)
	v.cur += n + lead
	if doomed {
		return
	}
	if got > 0 {
		seg.pulled = max(seg.pulled, begin+got+lead)
		if !seg.begun {
			seg.begun = true
			wake(v.play.notice)
		}
	}
	if missing := begin + got; got < n && seg.dry < 0 && missing < seg.last() {
		if hi, _, _ := seg.ring.extent(); hi <= missing {
			seg.dry = missing
			wake(v.play.notice)
		}
	}
}

// steer decides how many frames more than n (or fewer, if negative) the next n take.
func (v *voice) steer(n int64, t time.Time) int64 {
	seconds := float64(n) / SampleRate
	off := float64(v.seg.frame(t) - v.cur)
	v.err += (off - v.err) * (1 - math.Exp(-seconds/steerDelay))
	size := math.Abs(v.err)
	if size > deadBand {
		v.steering = true
	} else if size < settled {
		v.steering = false
	}
	if !v.steering {
		v.allow = 0
		return 0
	}
	v.allow = min(v.allow+steerRate*seconds, 4)
	lead := int64(min(v.allow, size))
	if lead == 0 || n < 64 {
		return 0
	}
	v.allow -= float64(lead)
	if v.err < 0 {
		lead = -lead
	}
	v.err -= float64(lead)
	return lead
}

// stretch makes dst of src, which is a few frames longer or shorter.
func stretch(dst, src []float32) {
	n, m := len(dst)/Channels, len(src)/Channels
	step := float64(m) / float64(n)
	for i := range n {
		x := float64(i) * step
		a := min(int(x), m-1)
		b := min(a+1, m-1)
		f := float32(x - float64(a))
		for c := range Channels {
			dst[i*Channels+c] = src[a*Channels+c]*(1-f) + src[b*Channels+c]*f
		}
	}
}

// noteEnd keeps when the source's last frame is heard here, once the pull that
// reaches up to the given time is done.
func (v *voice) noteEnd(until time.Time, doomed bool) {
	seg := v.play.current()
	if doomed || seg == nil {
		return
	}
	_, end, _ := seg.ring.extent()
	at := v.next
	var ended bool
	if v.seg == seg {
		ended = v.cur >= end
	} else { // it joined too late to hear any of it
		ended, at = seg.frame(until) >= end, until
	}
	switch {
	case end < 0 || seg.until < end || !ended:
		v.done = time.Time{}
	case v.done.IsZero():
		v.done = at
		wake(v.play.notice)
	}
}
