package pulse

import (
	"time"

	"hkw/speaker"
)

const (
	averaged   = 20                     // observations that the estimate is made of, once there are so many
	outlier    = 3 * time.Millisecond   // an observation that is off by more is not believed…
	slowTrip   = 2 * time.Millisecond   // …nor one for which the server took longer…
	persuasion = 5                      // …unless so many in a row are
	memory     = 3 * time.Second        // over which the greatest latency is kept
	unmeasured = 15 * time.Millisecond  // a latency of which nothing is known
	reserve    = 800 * time.Microsecond // for a packet to get to the server, beyond what an answer takes
	mostTrip   = 30 * time.Millisecond  // an answer that takes longer is not what to be ready for
)

// clock knows when a frame of the stream is heard. The server tells now and then
// which frame it reads and how long from there to the ear; both waver by
// tenths of a millisecond, the average does not.
type clock struct {
	base  time.Time     // when frame 0 would have been heard
	seen  int           // observations in it
	off   int           // observations not believed, in a row
	read  int64         // the frame that the server read last, as far as we know
	depth greatest      // how far ahead of the ear it had read
	trips greatest      // how long it took to answer
	guess time.Duration // the latency while nothing was measured
}

// reset forgets when frames are heard, and not how great the latency may be.
func (c *clock) reset() { c.seen, c.off = 0, 0 }

// observe takes a measurement: at some time between asked and answered, the
// server read the given frame, and what it read was to be heard so much later.
func (c *clock) observe(asked, answered time.Time, frame int64, latency time.Duration) {
	trip := answered.Sub(asked)
	at := asked.Add(trip / 2)
	base := at.Add(latency - speaker.FramesToDuration(frame))
	c.trips.note(at, min(trip, mostTrip))
	if c.seen > 0 && frame != c.read {
		// What a sink that sleeps has before it says nothing of how far ahead it reads.
		c.depth.note(at, latency)
	}
	c.read = frame
	diff := base.Sub(c.base)
	if c.seen > 0 && (diff > outlier || diff < -outlier || c.seen > 2 && trip > slowTrip) {
		if c.off++; c.off < persuasion {
			return
		}
		if diff > outlier || diff < -outlier {
			c.seen = 0
		}
	}
	c.off = 0
	if c.seen == 0 {
		c.base, c.seen = base, 1
		return
	}
	c.seen = min(c.seen+1, averaged)
	c.base = c.base.Add(diff / time.Duration(c.seen))
}

// latency is how long before a frame is heard it must be sent, at a time: as far
// ahead as the server lately read, and not less than what we know of, and the way to it.
func (c *clock) latency(now time.Time) time.Duration {
	depth := c.guess
	if d, ok := c.depth.most(); ok {
		depth = d
	}
	if c.seen > 0 {
		depth = max(depth, c.heard(c.read).Sub(now))
	}
	trip, _ := c.trips.most()
	return depth + trip + reserve
}

// heard is when a frame is heard.
func (c *clock) heard(frame int64) time.Time { return c.base.Add(speaker.FramesToDuration(frame)) }

// frame is the one heard at t.
func (c *clock) frame(t time.Time) int64 { return speaker.DurationToFrames(t.Sub(c.base)) }

// copy is one that does not change with the original.
func (c *clock) copy() *clock {
	d := *c
	d.depth = append(greatest(nil), c.depth...)
	d.trips = append(greatest(nil), c.trips...)
	return &d
}

// greatest keeps the greatest of a value's measurements over the last seconds:
// those that are greater than all after them.
type greatest []measurement

type measurement struct {
	at    time.Time
	value time.Duration
}

func (g *greatest) note(at time.Time, value time.Duration) {
	kept := *g
	defer func() { *g = kept }()
	for len(kept) > 0 && kept[len(kept)-1].value <= value {
		kept = kept[:len(kept)-1]
	}
	for len(kept) > 0 && at.Sub(kept[0].at) > memory {
		kept = append(kept[:0], kept[1:]...)
	}
	kept = append(kept, measurement{at, value})
}

func (g greatest) most() (time.Duration, bool) {
	if len(g) == 0 {
		return 0, false
	}
	return g[0].value, true
}
