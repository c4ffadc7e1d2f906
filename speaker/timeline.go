package speaker

import (
	"math"
	"time"
)

const never = math.MaxInt64

// segment says when a run of frames is heard: frame from at the time at, each
// next one 1/48000 s later, up to until. All speakers of a playback follow the
// same segments, whatever their latency; that is what keeps them in sync. A
// playback gets a new segment whenever it begins to be heard anew: at its
// start, after a hold, a seek or a stall.
//
// Segments are guarded by the mutex of their playback.
type segment struct {
	ring  *ring
	at    time.Time
	from  int64
	until int64 // one beyond the last frame heard, never while open
	fade  int64 // how many frames before until fade out

	announce ReportKind // what is reported when it is first heard, or quiet
	begun    bool       // some sink has been given its first frame
	told     bool       // and that was reported
	pulled   int64      // one beyond the furthest frame given to a sink
	dry      int64      // the first frame that was wanted and missing, -1 if none
}

const quiet ReportKind = -1

func newSegment(r *ring, at time.Time, from int64, announce ReportKind) *segment {
	return &segment{ring: r, at: at, from: from, until: never, announce: announce, pulled: from, dry: -1}
}

// frame is the one heard at t, if the segment has begun then and goes on.
func (s *segment) frame(t time.Time) int64 { return s.from + DurationToFrames(t.Sub(s.at)) }

// time is when a frame is heard.
func (s *segment) time(frame int64) time.Time { return s.at.Add(FramesToDuration(frame - s.from)) }

// last is one beyond the last frame that can be heard, never if that is not known.
func (s *segment) last() int64 {
	_, end, _ := s.ring.extent()
	if end >= 0 && end < s.until {
		return end
	}
	return s.until
}

// heard is the frame that has been reached at t, as far as sinks really took it.
func (s *segment) heard(t time.Time) int64 {
	return max(s.from, min(s.frame(t), s.last(), s.pulled))
}

// cut ends the segment at t, faded out over the frames before; it returns the
// frame that is the first not heard.
func (s *segment) cut(t time.Time, fade int64) int64 {
	end := min(max(s.frame(t), s.from), s.last())
	if end < s.until {
		s.until = end
		s.fade = min(fade, end-s.from)
	}
	return s.until
}

// fadeOut lets a run of samples that begins with the given frame fade towards the segment's end.
func (s *segment) fadeOut(dst []float32, frame int64) {
	start := s.until - s.fade
	if s.fade <= 0 || frame+int64(len(dst)/Channels) <= start {
		return
	}
	for i := max(0, start-frame); i < int64(len(dst)/Channels); i++ {
		x := float64(frame+i-start+1) / float64(s.fade+1)
		g := float32(0.5 + 0.5*math.Cos(math.Pi*x))
		dst[i*Channels] *= g
		dst[i*Channels+1] *= g
	}
}
