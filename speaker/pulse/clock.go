package pulse

import (
	"time"

	"hkw/speaker"
)

const (
	averaged   = 20                    // observations that the estimate is made of, once there are so many
	outlier    = 3 * time.Millisecond  // an observation that is off by more is not believed…
	persuasion = 4                     // …unless so many in a row are
	memory     = 3 * time.Second       // over which the greatest latency is kept
	unmeasured = 15 * time.Millisecond // a latency of which nothing is known
	reserve    = time.Millisecond      // for a packet to get to the server
)

// clock knows when a frame of the stream is heard. The server tells now and then
// which frame it reads and how long from there to the ear; both waver by
// tenths of a millisecond, the average does not.
type clock struct {
	base  time.Time     // when frame 0 would have been heard
	seen  int           // observations in it
	off   int           // outliers in a row
	read  int64         // the frame that the server read last, as far as we know
	peaks []peak        // latencies lately, falling
	guess time.Duration // the latency while nothing was measured
}

type peak struct {
	at      time.Time
	latency time.Duration
}

// reset forgets when frames are heard, and not how great the latency may be.
func (c *clock) reset() { c.seen, c.off = 0, 0 }

// observe takes a measurement: at the time at, the server read the given frame, and
// what it read is heard so much later.
func (c *clock) observe(at time.Time, frame int64, latency time.Duration) {
	base := at.Add(latency - speaker.FramesToDuration(frame))
	if c.seen > 0 && frame != c.read {
		// What a sink that sleeps has before it says nothing of how far ahead it reads.
		c.note(at, latency)
	}
	c.read = frame
	diff := base.Sub(c.base)
	if c.seen > 0 && (diff > outlier || diff < -outlier) {
		if c.off++; c.off < persuasion {
			return
		}
		c.seen = 0
	}
	c.off = 0
	if c.seen == 0 {
		c.base = base
		c.seen = 1
		return
	}
	c.seen = min(c.seen+1, averaged)
	c.base = c.base.Add(diff / time.Duration(c.seen))
}

// note keeps the greatest latency of the last seconds.
func (c *clock) note(at time.Time, latency time.Duration) {
	for len(c.peaks) > 0 && c.peaks[len(c.peaks)-1].latency <= latency {
		c.peaks = c.peaks[:len(c.peaks)-1]
	}
	c.peaks = append(c.peaks, peak{at, latency})
	for at.Sub(c.peaks[0].at) > memory && len(c.peaks) > 1 {
		c.peaks = append(c.peaks[:0], c.peaks[1:]...)
	}
}

// latency is how far ahead of the ear the server may have read at a time: as far
// as it lately did, and not less than what we know of.
func (c *clock) latency(now time.Time) time.Duration {
	latency := c.guess
	if len(c.peaks) > 0 {
		latency = c.peaks[0].latency
	}
	if c.seen > 0 {
		latency = max(latency, c.heard(c.read).Sub(now))
	}
	return latency
}

// heard is when a frame is heard.
func (c *clock) heard(frame int64) time.Time { return c.base.Add(speaker.FramesToDuration(frame)) }

// frame is the one heard at t.
func (c *clock) frame(t time.Time) int64 { return speaker.DurationToFrames(t.Sub(c.base)) }
