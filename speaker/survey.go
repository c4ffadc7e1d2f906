package speaker

import (
	"fmt"
	"time"
)

const (
	idleAfter  = 5 * time.Second
	busyTick   = 250 * time.Millisecond
	deafAfter  = 3 * time.Second // a running sink that has not pulled for so long is given up
	stallDepth = SampleRate / 2  // frames that a dry stream must have again
)

// survey looks at everything that decoders and sinks may have changed, reports
// it, and says when it wants to look again at the latest, zero if only when told.
func (e *Engine) survey(now time.Time) time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	e.resolve(now)
	if e.awaited != nil {
		sooner(e.awaited.until)
	}
	busy := e.awaited != nil
	for _, p := range e.playbacks {
		if p.stage != sounding {
			continue
		}
		busy = true
		if t := e.look(p, now); !t.IsZero() {
			sooner(t)
		}
	}
	switch rest := e.lastBusy.Add(idleAfter); {
	case !e.running:
	case busy:
		e.lastBusy = now
		e.findDeaf(now)
		sooner(now.Add(busyTick))
	case now.Before(rest):
		sooner(rest)
	default:
		e.rest(now)
	}
	return next
}

// rest lets all sinks go idle together.
func (e *Engine) rest(now time.Time) {
	e.running = false
	for _, st := range e.stations {
		st.mix.sweep(now.Add(time.Minute))
		if st.state == running || st.state == waking {
			st.idle()
		}
	}
}

// findDeaf gives up sinks that no longer pull although nobody told them to stop.
func (e *Engine) findDeaf(now time.Time) {
	for _, st := range e.stations {
		if st.state != running {
			continue
		}
		st.mix.sweep(now)
		last := st.mix.lastPull()
		if last.Before(st.since) {
			last = st.since
		}
		if now.Sub(last) > deafAfter+st.latency() {
			st.giveUp(fmt.Errorf("it stopped taking sound %.0f s ago", now.Sub(last).Seconds()))
		}
	}
}

// look reports what became of a sounding playback and says when to look again.
func (e *Engine) look(p *playback, now time.Time) time.Time {
	p.mu.Lock()
	s := p.current()
	begun, dry, told := s.begun, s.dry, s.told
	at, from := s.at, s.from
	if begun {
		s.told = true
	}
	announce := s.announce
	p.mu.Unlock()
	if begun && !told && announce != quiet {
		e.cfg.Report(Report{Kind: announce, Playback: p.id, Position: FramesToDuration(from), At: at})
	}
	e.tellTitle(p, now)
	hi, end, err := s.ring.extent()
	switch {
	case p.stalled:
		e.revive(p, s, hi, end, now)
		return time.Time{}
	case dry >= 0 && end == dry, end >= 0 && end == from:
		// It ended just there, after all.
	case dry >= 0:
		e.stall(p, s, dry)
		return time.Time{}
	}
	if end < 0 {
		return time.Time{}
	}
	heard := e.endOf(p, s, end)
	if heard.IsZero() {
		return time.Time{}
	}
	if now.Before(heard) {
		return heard
	}
	e.forget(p.id, now, 0)
	report := Report{Kind: ReportEnded, Playback: p.id, Position: FramesToDuration(end), At: heard}
	if err != nil {
		report.Kind, report.Err = ReportFailed, err
	}
	e.cfg.Report(report)
	return time.Time{}
}

// endOf is when the last speaker has let the last frame be heard, zero if that
// is not known because some sink has not taken it yet.
func (e *Engine) endOf(p *playback, s *segment, end int64) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if end == s.from {
		return s.at
	}
	var last time.Time
	for _, v := range p.voices {
		if v.seg != s || v.done.IsZero() {
			return time.Time{}
		}
		if v.done.After(last) {
			last = v.done
		}
	}
	return last
}

// stall stands still at a frame that was wanted and is not there.
func (e *Engine) stall(p *playback, s *segment, dry int64) {
	p.mu.Lock()
	if dry < s.until {
		s.until, s.fade = dry, 0
	}
	at := s.time(dry)
	p.mu.Unlock()
	p.stalled = true
	e.cfg.Report(Report{Kind: ReportStalled, Playback: p.id, Position: FramesToDuration(dry), At: at})
	wake(e.notice)
}

// revive goes on after a stall once there is enough to go on with.
func (e *Engine) revive(p *playback, s *segment, hi, end int64, now time.Time) {
	p.mu.Lock()
	from, over, begun := s.until, s.time(s.until), s.begun
	p.mu.Unlock()
	if end < 0 && hi-from < stallDepth {
		return
	}
	p.stalled = false
	touched := map[string]bool{}
	for id := range p.on {
		if e.stations[id].state == running {
			touched[id] = true
			e.stations[id].mix.expectFlush()
		}
	}
	at := now.Add(e.latency(touched) + swapMargin)
	if over.After(at) {
		at = over
	}
	announce := ReportContinued
	if !begun {
		announce = s.announce
	}
	p.begin(newSegment(s.ring, at, from, announce))
	for id := range touched {
		e.stations[id].flush()
	}
}

// tellTitle reports a title once the sound that it belongs to is heard.
func (e *Engine) tellTitle(p *playback, now time.Time) {
	frame, heard := p.position(now)
	if !heard {
		return
	}
	p.mu.Lock()
	title := p.title
	for len(p.titles) > 0 && p.titles[0].frame <= frame {
		title = p.titles[0].title
		p.titles = p.titles[1:]
	}
	p.mu.Unlock()
	if title != p.title {
		p.title = title
		e.cfg.Report(Report{Kind: ReportTitle, Playback: p.id, Title: title, At: now})
	}
}
