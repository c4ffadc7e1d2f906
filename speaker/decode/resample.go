package decode

import (
	"math"

	"hkw/speaker"
)

// The filter: transition from 0.45 to 0.55 of the lower rate, 96 dB down beyond it.
const (
	resampleTaps   = 64   // per phase, at the lower of the two rates
	resampleBeta   = 9.6  // of the Kaiser window: 96 dB
	resamplePhases = 1024 // with more, neighbouring phases are interpolated: below -110 dB
)

// resampler converts interleaved stereo from one rate to 48 kHz. Output frame n
// is the input's value at frame n·down/up exactly, whichever way it got there:
// it has no delay, and after a seek it gives what it would have given without.
type resampler struct {
	up, down int64 // 48000/rate in lowest terms
	taps     int
	half     int       // frames needed before and after
	phases   int       // in the table
	table    []float32 // phases (+1 when interpolating) × taps
	interp   bool

	buf   []float32 // stereo input; the frame at buf[2i] is number first+i
	first int64
	next  int64 // output frame that comes next
	end   int64 // input frames in all, once known; -1 before
}

func newResampler(rate int) *resampler {
	g := gcd(speaker.SampleRate, int64(rate))
	r := &resampler{up: speaker.SampleRate / g, down: int64(rate) / g}
	cutoff := 0.5 // of the input's rate
	r.taps = resampleTaps
	if rate > speaker.SampleRate {
		cutoff = 0.5 * speaker.SampleRate / float64(rate)
		r.taps = (resampleTaps*rate/speaker.SampleRate + 3) &^ 3
	}
	r.half = r.taps / 2
	r.phases = int(min(r.up, resamplePhases))
	r.interp = r.up > resamplePhases
	rows := r.phases
	if r.interp {
		rows++
	}
	r.table = make([]float32, rows*r.taps)
	row := make([]float64, r.taps)
	norm := 1 / bessel0(resampleBeta)
	for p := range rows {
		frac := float64(p) / float64(r.phases)
		sum := 0.0
		for k := range row {
			// Tap k weighs input frame floor(t) - half + 1 + k.
			x := float64(k-r.half+1) - frac
			w := x / float64(r.half)
			v := 0.0
			if w > -1 && w < 1 {
				v = bessel0(resampleBeta*math.Sqrt(1-w*w)) * norm * sinc(2*cutoff*x)
			}
			row[k] = v
			sum += v
		}
		for k, v := range row {
			r.table[p*r.taps+k] = float32(v / sum) // a constant stays what it is
		}
	}
	r.reset(0)
	return r
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// bessel0 is the modified Bessel function of the first kind, order zero.
func bessel0(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-16; k++ {
		term *= x / (2 * k) * x / (2 * k)
		sum += term
	}
	return sum
}

// reset makes out the next output frame and returns the input frame that push must begin with.
func (r *resampler) reset(out int64) int64 {
	r.next, r.end = out, -1
	start := r.at(out) - int64(r.half) + 1
	r.first = start
	r.buf = r.buf[:0]
	for ; r.first+int64(len(r.buf)/2) < 0; start++ {
		r.buf = append(r.buf, 0, 0) // before the beginning there is silence
	}
	return start
}

// at is the input frame at or before output frame n.
func (r *resampler) at(n int64) int64 { return n/r.up*r.down + n%r.up*r.down/r.up }

// push appends input.
func (r *resampler) push(stereo []float32) { r.buf = append(r.buf, stereo...) }

// finish tells that no more input comes.
func (r *resampler) finish() {
	if r.end >= 0 {
		return
	}
	r.end = r.first + int64(len(r.buf)/2)
	r.buf = append(r.buf, make([]float32, 2*r.half)...)
}

// pull converts into dst and returns the frames; 0 when input is missing, or, after finish, at the end.
func (r *resampler) pull(dst []float32) int {
	n := 0
	have := r.first + int64(len(r.buf)/2)
	t, num := r.at(r.next), r.next%r.up*r.down%r.up // its phase is num/up
	whole, part := r.down/r.up, r.down%r.up
	for ; 2*n+1 < len(dst); n++ {
		if t+int64(r.half) >= have || r.end >= 0 && t >= r.end {
			break
		}
		at := int(t-int64(r.half)+1-r.first) * 2
		in := r.buf[at : at+2*r.taps]
		if !r.interp {
			dst[2*n], dst[2*n+1] = convolve(in, r.table[int(num)*r.taps:][:r.taps])
		} else {
			p := num * int64(r.phases)
			row := int(p / r.up)
			f := float32(p%r.up) / float32(r.up)
			a, b := convolve(in, r.table[row*r.taps:][:r.taps])
			c, d := convolve(in, r.table[(row+1)*r.taps:][:r.taps])
			dst[2*n], dst[2*n+1] = a+f*(c-a), b+f*(d-b)
		}
		if t, num = t+whole, num+part; num >= r.up {
			t, num = t+1, num-r.up
		}
	}
	r.next += int64(n)
	// What no later output needs is dropped, in big steps: moving costs.
	if drop := r.at(r.next) - int64(r.half) + 1 - r.first; drop > int64(4*r.taps) {
		drop = min(drop, int64(len(r.buf)/2))
		r.buf = r.buf[:copy(r.buf, r.buf[2*drop:])]
		r.first += drop
	}
	return n
}

// convolve weighs interleaved stereo with coefficients; len(in) is 2·len(c), a multiple of 8.
func convolve(in, c []float32) (left, right float32) {
	var l0, r0, l1, r1, l2, r2, l3, r3 float32
	for len(c) >= 4 && len(in) >= 8 {
		k, v := (*[4]float32)(c), (*[8]float32)(in)
		l0 += v[0] * k[0]
		r0 += v[1] * k[0]
		l1 += v[2] * k[1]
		r1 += v[3] * k[1]
		l2 += v[4] * k[2]
		r2 += v[5] * k[2]
		l3 += v[6] * k[3]
		r3 += v[7] * k[3]
		c, in = c[4:], in[8:]
	}
	return l0 + l1 + (l2 + l3), r0 + r1 + (r2 + r3)
}
