package speaker

import "time"

// Frames and durations: 48 frames are exactly one millisecond, so whole frames
// are whole thirds of 62.5 µs and both ways of the conversion are exact enough to
// come back to the frame they started from.

// FramesToDuration is how long n frames last.
func FramesToDuration(n int64) time.Duration {
	return time.Duration(n/SampleRate)*time.Second +
		time.Duration(n%SampleRate)*time.Second/SampleRate
}

// DurationToFrames is how many frames fit d, to the nearest one.
func DurationToFrames(d time.Duration) int64 {
	const half = time.Second / 2
	whole := int64(d / time.Second)
	rest := d % time.Second * SampleRate
	if rest < 0 {
		rest -= half
	} else {
		rest += half
	}
	return whole*SampleRate + int64(rest/time.Second)
}
