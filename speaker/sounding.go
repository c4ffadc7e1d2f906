package speaker

import (
	"fmt"
	"slices"
	"time"
)

// start lets a prepared or held playback be heard.
func (e *Engine) start(p *playback, o Order, c cue) {
	switch p.stage {
	case opening:
		e.fail(p, fmt.Errorf("%w: it was started before it was prepared", ErrMedia))
		return
	case sounding:
		e.mixIn(p, o, c, true)
		if frame, ok := p.position(c.now); ok && p.stage == sounding {
			e.cfg.Report(Report{Kind: ReportStarted, Playback: p.id, Position: FramesToDuration(frame), At: c.now})
		}
		return
	}
	if p.stage == held && !e.audible(o.Outputs) {
		// Who resumes it again when there is a speaker hears it where it was left.
		e.cfg.Report(Report{Kind: ReportFailed, Playback: p.id, Err: e.nowhere(o.Outputs), Kept: true,
			Position: FramesToDuration(p.atHold), At: c.now})
		return
	}
	p.stage, p.stalled = sounding, false
	p.begin(newSegment(p.ring, c.at, p.atHold, ReportStarted))
	e.mixIn(p, o, c, false)
}

// hold silences a playback; its decoder and its place are kept.
func (e *Engine) hold(p *playback, c cue) {
	if p.stage == sounding {
		p.atHold = p.cut(c.at, c.fade)
		p.stage, p.stalled = held, false
		e.retireAll(p, c.at)
	}
	e.cfg.Report(Report{
		Kind: ReportHeld, Playback: p.id, Position: FramesToDuration(p.atHold), At: c.at,
	})
}

// seek asks the decoder to go elsewhere; what plays goes on until it is there.
func (e *Engine) seek(p *playback, to time.Duration) {
	if p.dead != nil {
		e.fail(p, p.dead)
		return
	}
	to = max(0, to)
	if p.info.Duration > 0 {
		to = min(to, p.info.Duration)
	}
	select {
	case <-p.seeks: // nobody wants to go there any more
	default:
	}
	p.seeks <- DurationToFrames(to)
}

// sought is called when the first samples after a seek are there.
func (e *Engine) sought(p *playback, r *ring) {
	now := time.Now()
	report := Report{Kind: ReportSeeked, Playback: p.id, Position: FramesToDuration(r.lo), At: now}
	if p.stage != sounding {
		p.atHold = r.lo
		e.cfg.Report(report)
		return
	}
	touched := map[string]bool{}
	for id := range p.on {
		touched[id] = true
		e.stations[id].mix.expectFlush()
	}
	report.At = now.Add(e.latency(touched) + swapMargin + swapFade)
	p.cut(report.At, DurationToFrames(swapFade))
	p.stalled = false
	p.begin(newSegment(r, report.At, r.lo, quiet))
	for id := range touched {
		e.stations[id].flush()
	}
	e.cfg.Report(report)
}

// mixIn gives a sounding playback its speakers and gains. A playback that just
// begins has them from its first sample; one that is being heard gets there in ramps.
func (e *Engine) mixIn(p *playback, o Order, c cue, heard bool) {
	over := volumeRamp
	if p.ducked != o.Ducked {
		over = duckRamp
	}
	p.outputs, p.ducked = append([]Output(nil), o.Outputs...), o.Ducked
	wanted := map[string]bool{}
	for _, out := range p.outputs {
		st := e.stations[out.Speaker]
		if st == nil || st.state == lost || wanted[out.Speaker] {
			continue
		}
		wanted[out.Speaker] = true
		gain := gainOf(out.Volume, p.ducked)
		if v := p.on[out.Speaker]; v != nil {
			at := c.ramp
			if at.IsZero() {
				at = c.now.Add(st.latency() + swapMargin)
			}
			st.mix.lead(v, gain, over, at)
			continue
		}
		if st.state == idle {
			st.run(c.now.Add(swapMargin))
		}
		v := &voice{play: p}
		p.attach(out.Speaker, v)
		if heard {
			st.mix.join(v, gain, c.now)
		} else {
			v.env.base = gain
			st.mix.add(v)
		}
	}
	for id, v := range p.on {
		if !wanted[id] {
			p.detach(id)
			e.stations[id].mix.leave(v, c.now)
		}
	}
	if len(p.on) == 0 {
		e.fail(p, e.nowhere(p.outputs))
	}
}

// audible tells whether any of the outputs can be heard now.
func (e *Engine) audible(outputs []Output) bool {
	return slices.ContainsFunc(outputs, func(out Output) bool {
		st := e.stations[out.Speaker]
		return st != nil && st.state != lost
	})
}

func (e *Engine) nowhere(outputs []Output) error {
	return fmt.Errorf("%w: %s", ErrSpeaker, e.why(outputs))
}

// why tells a person why none of the outputs can be heard.
func (e *Engine) why(outputs []Output) string {
	if len(outputs) == 0 {
		return "no speaker was chosen"
	}
	var reason string
	for _, out := range outputs {
		st := e.stations[out.Speaker]
		if reason != "" {
			reason += "; "
		}
		switch {
		case st == nil:
			reason += "there is no speaker " + out.Speaker
		case st.err != nil:
			reason += fmt.Sprintf("%s: %v", out.Speaker, st.err)
		default:
			reason += out.Speaker + " is not open yet"
		}
	}
	return reason
}

// retireAll takes the voices of a playback, silent from a moment on, off the speakers.
func (e *Engine) retireAll(p *playback, at time.Time) {
	for id, v := range p.on {
		p.detach(id)
		if st := e.stations[id]; st != nil {
			st.mix.retire(v, at)
		}
	}
}

// forget silences a playback at a moment, after a fade of so many frames, and ends its decoder.
func (e *Engine) forget(id string, at time.Time, fade int64) {
	p := e.playbacks[id]
	if p == nil {
		return
	}
	if p.stage == sounding {
		p.cut(at, fade)
		e.retireAll(p, at)
	}
	p.cancel()
	e.mu.Lock()
	delete(e.playbacks, id)
	e.mu.Unlock()
}
