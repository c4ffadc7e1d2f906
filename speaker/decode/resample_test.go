package decode

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"hkw/speaker"
)

var rates = []int{4000, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 37800, 44056, 44100, 47999, 48001, 50000, 88200, 96000, 176400, 192000, 384000}

// resampled is a tone of that frequency, half of full scale, resampled from a rate in pieces.
func resampled(rate int, freq float64, frames int) []float32 {
	r := newResampler(rate)
	in := make([]float32, 0, 2*1000)
	var out []float32
	buf := make([]float32, 2*777)
	for i := range frames {
		v := float32(0.5 * math.Sin(2*math.Pi*freq/float64(rate)*float64(i)))
		if in = append(in, v, -v); len(in) == cap(in) || i == frames-1 {
			r.push(in)
			in = in[:0]
			if i == frames-1 {
				r.finish()
			}
			for n := r.pull(buf); n > 0; n = r.pull(buf) {
				out = append(out, buf[:2*n]...)
			}
		}
	}
	return out
}

// against returns how loud the tone is in samples, in dB against half of full
// scale and in phase with it, and how far below the tone everything else is.
func against(samples []float32, freq float64, edge int) (gain, rest float64) {
	var sin, cos float64
	n := len(samples)/2 - 2*edge
	w := 2 * math.Pi * freq / speaker.SampleRate
	for i := edge; i < edge+n; i++ {
		v := float64(samples[2*i])
		sin += v * math.Sin(w*float64(i))
		cos += v * math.Cos(w*float64(i))
	}
	sin, cos = 2*sin/float64(n), 2*cos/float64(n)
	var noise float64
	for i := edge; i < edge+n; i++ {
		d := float64(samples[2*i]) - 0.5*math.Sin(w*float64(i))
		noise += d * d
	}
	return 20 * math.Log10(math.Hypot(sin, cos)/0.5), -10 * math.Log10(noise/float64(n)/0.125)
}

// TestResampler holds that tones come out as the formula has them at 48 kHz: level, phase and all.
func TestResampler(t *testing.T) {
	for _, rate := range rates {
		lower := float64(min(rate, speaker.SampleRate))
		for _, part := range []float64{0.01, 0.11, 0.25, 0.37, 0.42} {
			freq := math.Round(part*lower/10) * 10
			out := resampled(rate, freq, rate/8)
			edge := 100 * speaker.SampleRate / int(lower)
			if want := (rate/8*speaker.SampleRate + rate - 1) / rate; len(out)/2 != want {
				t.Errorf("%d Hz: %d frames, want %d", rate, len(out)/2, want)
			}
			if _, db := against(out, freq, edge); db < 90 {
				t.Errorf("%d Hz: a tone of %.0f Hz is %.1f dB above the rest", rate, freq, db)
			}
			for i := 0; i < len(out); i += 2 {
				if out[i] != -out[i+1] {
					t.Fatalf("%d Hz: the channels differ", rate)
				}
			}
		}
		// Flat to 0.45 of the lower rate.
		freq := 0.45 * lower
		if gain, _ := against(resampled(rate, freq, rate/8), freq, 100*speaker.SampleRate/int(lower)); math.Abs(gain) > 0.1 {
			t.Errorf("%d Hz: %.0f Hz come out at %.2f dB", rate, freq, gain)
		}
	}
}

// TestStopBand holds that what does not fit under 24 kHz is gone, not folded.
func TestStopBand(t *testing.T) {
	for _, rate := range []int{88200, 96000, 176400, 192000, 384000} {
		for _, freq := range []float64{26400, 27000, 30000, 40000, 0.46 * float64(rate)} {
			if freq < 26400 {
				continue
			}
			out := resampled(rate, freq, rate/8)
			peak := 0.0
			for _, v := range out[400 : len(out)-400] {
				peak = max(peak, math.Abs(float64(v)))
			}
			if db := 20 * math.Log10(peak/0.5); db > -90 {
				t.Errorf("%d Hz: %.0f Hz are %.1f dB down", rate, freq, -db)
			}
		}
	}
}

// TestConstant holds that a constant stays one: the filter's phases weigh the same.
func TestConstant(t *testing.T) {
	for _, rate := range rates {
		r := newResampler(rate)
		in := make([]float32, 2*rate/8)
		for i := range in {
			in[i] = 0.5
		}
		r.push(in)
		out := make([]float32, 8000)
		n := r.pull(out)
		for i := 1000; i < 2*n; i++ {
			if math.Abs(float64(out[i])-0.5) > 1e-5 {
				t.Errorf("%d Hz: %v at %d", rate, out[i], i)
				break
			}
		}
	}
}

// TestRatio holds that no frame is lost or made in an hour.
func TestRatio(t *testing.T) {
	for _, rate := range rates {
		r := newResampler(rate)
		for _, n := range []int64{0, 1, 47999, 48000, 48001, 48000 * 3600, 1 << 48} {
			want := new(big.Int).Div(new(big.Int).Mul(big.NewInt(n), big.NewInt(int64(rate))), big.NewInt(speaker.SampleRate)).Int64()
			if got := r.at(n); got != want {
				t.Errorf("%d Hz: frame %d is at %d, want %d", rate, n, got, want)
			}
		}
	}
}

func BenchmarkResampler(b *testing.B) {
	for _, rate := range []int{22050, 44100, 47999, 96000, 192000} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			r := newResampler(rate)
			in := make([]float32, 2*rate/100)
			out := make([]float32, 2*600)
			b.SetBytes(int64(4 * len(in)))
			for b.Loop() {
				r.push(in)
				for r.pull(out) > 0 {
				}
			}
			b.ReportMetric(0.01*float64(b.N)/b.Elapsed().Seconds(), "×realtime")
		})
	}
}
