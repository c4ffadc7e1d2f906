package speaker

import (
	"context"
	"sync"
	"time"
)

// stage is how far a playback has come.
type stage int

const (
	opening stage = iota // no samples yet
	ready                // decoded to its first samples
	sounding
	held
)

// titleChange is a title that begins to be true at a frame.
type titleChange struct {
	frame int64
	title string
}

// playback is one sound from Prepare to its end.
type playback struct {
	id     string
	opener Opener
	cancel context.CancelFunc
	notice chan struct{} // the engine's: something here wants to be looked at
	seeks  chan int64    // the frame that the decoder is to go to, the latest only

	// These belong to the engine's goroutine.
	stage   stage
	info    Info
	outputs []Output
	ducked  bool
	stalled bool
	on      map[string]*voice // by speaker
	atHold  int64             // where it was held, or begins
	dead    error             // why nothing more will be decoded
	title   string

	mu     sync.Mutex
	ring   *ring // what the decoder fills; segments may still play an older one
	segs   []*segment
	voices []*voice // those of on, for the sinks' goroutines
	titles []titleChange
}

// current is the segment that was begun last, nil if it was never started. The mutex is held.
func (p *playback) current() *segment {
	if n := len(p.segs); n > 0 {
		return p.segs[n-1]
	}
	return nil
}

// segmentAt is the segment that a voice plays at t, nil for silence, and for how
// many frames that stays so. The mutex is held.
func (p *playback) segmentAt(t time.Time, v *voice) (*segment, int64) {
	run := int64(never)
	off := v.last != nil
	for i := len(p.segs) - 1; i >= 0; i-- {
		s := p.segs[i]
		if off = off && s != v.last; off {
			continue
		}
		frame := s.frame(t)
		if frame < s.from {
			if run = s.from - frame; s == v.first {
				return nil, run
			}
			continue
		}
		if v.seg == s {
			frame = v.place(t)
		}
		if frame >= s.last() {
			return nil, run
		}
		return s, run
	}
	return nil, run
}

// begin appends a segment; what lies long behind is forgotten.
func (p *playback) begin(s *segment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.segs) >= 4 {
		p.segs = append(p.segs[:0], p.segs[1:]...)
	}
	p.segs = append(p.segs, s)
}

// advance tells the ring what is still needed. The mutex is held.
func (p *playback) advance(now time.Time) {
	s := p.current()
	if s == nil || s.ring != p.ring {
		return
	}
	at := max(s.from, min(s.frame(now), s.until))
	low, front := at, s.from
	for _, v := range p.voices {
		if v.seg != s {
			low = s.from
			continue
		}
		low, front = min(low, v.cur), max(front, v.cur)
	}
	p.ring.keep(max(low-history, at-maxHistory), min(front, s.until))
}

// position is what is heard at a moment, and whether anything ever was.
func (p *playback) position(now time.Time) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.segs) - 1; i >= 0; i-- {
		if s := p.segs[i]; i == 0 || !now.Before(s.at) {
			return s.heard(now), p.segs[0].begun || i > 0
		}
	}
	return 0, false
}

// cut ends what is heard at t and returns the frame that would have come next.
func (p *playback) cut(t time.Time, fade int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.current()
	if s == nil {
		return 0
	}
	return s.cut(t, fade)
}

// attach and detach keep the list of voices that the ring waits for.
func (p *playback) attach(speaker string, v *voice) {
	p.on[speaker] = v
	p.mu.Lock()
	v.first = p.current()
	p.voices = append(p.voices, v)
	p.mu.Unlock()
}

func (p *playback) detach(speaker string) {
	v := p.on[speaker]
	delete(p.on, speaker)
	p.mu.Lock()
	defer p.mu.Unlock()
	v.last = p.current()
	for i, o := range p.voices {
		if o == v {
			p.voices = append(p.voices[:i], p.voices[i+1:]...)
			return
		}
	}
}
