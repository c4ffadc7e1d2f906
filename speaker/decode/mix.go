package decode

import "math"

// How loud a channel that is neither left nor right is in each of the two: -3 dB.
const sideGain = math.Sqrt2 / 2

// Positions of channels, in the order of WAVE_FORMAT_EXTENSIBLE's channel mask.
const (
	frontLeft uint32 = 1 << iota
	frontRight
	frontCenter
	lowFrequency
	backLeft
	backRight
	frontLeftOfCenter
	frontRightOfCenter
	backCenter
	sideLeft
	sideRight
)

// maxChannels is the most that any decoder accepts.
const maxChannels = 8

// layouts are the usual positions for 1 to 8 channels.
var layouts = [maxChannels + 1][]uint32{
	1: {frontCenter},
	2: {frontLeft, frontRight},
	3: {frontLeft, frontRight, frontCenter},
	4: {frontLeft, frontRight, backLeft, backRight},
	5: {frontLeft, frontRight, frontCenter, backLeft, backRight},
	6: {frontLeft, frontRight, frontCenter, lowFrequency, backLeft, backRight},
	7: {frontLeft, frontRight, frontCenter, lowFrequency, backCenter, sideLeft, sideRight},
	8: {frontLeft, frontRight, frontCenter, lowFrequency, backLeft, backRight, sideLeft, sideRight},
}

// vorbisLayouts differ from three channels on (Vorbis I specification, 4.3.9).
var vorbisLayouts = [maxChannels + 1][]uint32{
	1: {frontCenter},
	2: {frontLeft, frontRight},
	3: {frontLeft, frontCenter, frontRight},
	4: {frontLeft, frontRight, backLeft, backRight},
	5: {frontLeft, frontCenter, frontRight, backLeft, backRight},
	6: {frontLeft, frontCenter, frontRight, backLeft, backRight, lowFrequency},
	7: {frontLeft, frontCenter, frontRight, sideLeft, sideRight, backCenter, lowFrequency},
	8: {frontLeft, frontCenter, frontRight, sideLeft, sideRight, backLeft, backRight, lowFrequency},
}

// downmix holds each channel's share of left and right.
type downmix struct{ left, right []float32 }

// newDownmix makes a stereo mix of the positions as ITU-R BS.775 has it: centre and surrounds at -3 dB, no low
// frequency effects, all of it turned down so that full scale everywhere stays full scale.
func newDownmix(positions []uint32) downmix {
	d := downmix{make([]float32, len(positions)), make([]float32, len(positions))}
	var l, r float64
	for i, p := range positions {
		var gl, gr float64
		switch p {
		case frontLeft:
			gl = 1
		case frontRight:
			gr = 1
		case frontLeftOfCenter, backLeft, sideLeft:
			gl = sideGain
		case frontRightOfCenter, backRight, sideRight:
			gr = sideGain
		case lowFrequency:
		case backCenter:
			gl, gr = 0.5, 0.5
		default:
			gl, gr = sideGain, sideGain
		}
		d.left[i], d.right[i] = float32(gl), float32(gr)
		l, r = l+gl, r+gr
	}
	if loudest := max(l, r, 1); loudest > 1 {
		for i := range d.left {
			d.left[i] /= float32(loudest)
			d.right[i] /= float32(loudest)
		}
	}
	return d
}

// stereo appends samples of the channels at positions to dst as stereo.
func (d *downmix) stereo(dst, samples []float32, positions []uint32) []float32 {
	switch ch := len(positions); ch {
	case 1:
		for _, v := range samples {
			dst = append(dst, v, v)
		}
		return dst
	case 2:
		return append(dst, samples[:len(samples)&^1]...)
	default:
		if len(d.left) != ch {
			*d = newDownmix(positions)
		}
		for ; len(samples) >= ch; samples = samples[ch:] {
			var l, r float32
			for i, v := range samples[:ch] {
				l += v * d.left[i]
				r += v * d.right[i]
			}
			dst = append(dst, l, r)
		}
		return dst
	}
}
