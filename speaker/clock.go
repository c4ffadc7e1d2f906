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

// DurationToFrames is how many frames fit d, to the nearest one; what lies just
// in between counts as the later one, before zero as after it, so that moving a time
// by whole frames never changes how it is rounded.
func DurationToFrames(d time.Duration) int64 {
	whole, rest := int64(d/time.Second), d%time.Second
	if rest < 0 {
		whole, rest = whole-1, rest+time.Second
	}
	return whole*SampleRate + int64((rest*SampleRate+time.Second/2)/time.Second)
}
