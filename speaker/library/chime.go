package library

import (
	"context"
	"io"
	"math"
	"sync"
	"time"

	"hkw/speaker"
)

// chimePeak is how loud the loudest sample of every chime is: -9 dBFS.
const chimePeak = 11627 // of 32768

// A bell is one struck note of a chime.
type bell struct {
	at     float64 // seconds from the beginning
	pitch  float64 // Hz
	gain   float64
	decay  float64 // seconds until it is down to 1/e
	pan    float64 // -1 left to 1 right
	timbre []partial
}

// A partial is one of the tones that a bell is made of.
type partial struct{ ratio, gain, decay float64 }

// Timbres, from soft to clear. The ratios of the first are those of a tuned bar, of the second those of a small bell.
var (
	bar    = []partial{{1, 1, 1}, {3.984, 0.22, 0.30}, {10.67, 0.05, 0.10}}
	bowl   = []partial{{1, 1, 1}, {2.0, 0.35, 0.7}, {2.99, 0.20, 0.5}, {4.21, 0.12, 0.35}, {5.43, 0.06, 0.2}}
	pulse  = []partial{{1, 1, 1}, {2, 0.30, 0.9}, {3, 0.22, 0.8}, {5, 0.08, 0.6}}
	whoosh = []partial{{1, 1, 1}, {1.5, 0.25, 0.8}, {2, 0.15, 0.6}}
)

// A recipe is how a chime is made.
type recipe struct {
	name, title string
	length      float64 // seconds
	bells       []bell
}

// Pitches, equally tempered.
const (
	a3  = 220.00
	c4  = 261.63
	e4  = 329.63
	g4  = 392.00
	bb4 = 466.16
	c5  = 523.25
	d5  = 587.33
	e5  = 659.26
	g5  = 783.99
	a5  = 880.00
	c6  = 1046.50
	e6  = 1318.51
	g6  = 1567.98
	b6  = 1975.53
)

// recipes are the chimes that are built in, in the order of their names.
func recipes() []recipe {
	return []recipe{
		{"alarm", "Alarm", 6.4, alarmBells()},
		{"alert", "Alert", 1.5, []bell{
			{0.00, a5, 1, 0.14, -0.3, pulse}, {0.16, e6, 1, 0.14, 0.3, pulse},
			{0.48, a5, 1, 0.14, -0.3, pulse}, {0.64, e6, 1, 0.30, 0.3, pulse},
		}},
		{"chime", "Chime", 1.6, []bell{{0, e5, 1, 0.45, -0.25, bar}, {0.42, c5, 1, 0.60, 0.25, bar}}},
		{"ding", "Ding", 1.2, []bell{{0, e6, 1, 0.32, 0, bowl}}},
		{"doorbell", "Doorbell", 3.2, []bell{
			{0.00, g5, 1, 0.50, -0.3, bowl}, {0.45, e5, 1, 0.50, 0.1, bowl},
			{0.90, c5, 1, 0.55, 0.3, bowl}, {1.35, g4, 1, 0.80, 0, bowl},
		}},
		{"error", "Error", 1.0, []bell{{0, bb4, 1, 0.16, 0, pulse}, {0.20, a3 * 1.4983, 1, 0.30, 0, pulse}}},
		{"gong", "Gong", 4.0, []bell{{0, c4 / 2, 1, 1.4, 0, bowl}, {0.01, e4, 0.25, 0.8, -0.4, whoosh}, {0.02, g4, 0.2, 0.7, 0.4, whoosh}}},
		{"notify", "Notify", 1.0, []bell{{0, d5, 0.8, 0.22, -0.2, bar}, {0.11, a5, 1, 0.35, 0.2, bar}}},
		{"success", "Success", 1.3, []bell{
			{0.00, c5, 0.8, 0.25, -0.3, bar}, {0.12, e5, 0.9, 0.25, 0, bar}, {0.24, g5, 1, 0.30, 0.15, bar}, {0.36, c6, 1, 0.40, 0.3, bar},
		}},
		{"tick", "Tick", 0.12, []bell{{0, b6, 1, 0.03, 0, bar}}},
		{"westminster", "Westminster", 5.6, []bell{
			{0.0, e5, 1, 0.7, -0.2, bowl}, {0.7, c5, 1, 0.7, 0.2, bowl}, {1.4, d5, 1, 0.7, 0, bowl}, {2.1, g4, 1, 1.0, 0, bowl},
			{3.2, g4, 1, 0.7, -0.2, bowl}, {3.6, d5, 1, 0.7, 0, bowl}, {4.0, e5, 1, 0.7, 0.2, bowl}, {4.4, c5, 1, 0.9, 0, bowl},
		}},
	}
}

// alarmBells are four calls of four, each a little louder.
func alarmBells() (bells []bell) {
	for call := range 4 {
		for i, pitch := range []float64{c6, g6, c6, g6} {
			bells = append(bells, bell{
				at: 1.6*float64(call) + 0.2*float64(i), pitch: pitch, gain: 0.55 + 0.15*float64(call),
				decay: 0.12, pan: 0.4 * float64(1-2*(i%2)), timbre: pulse,
			})
		}
	}
	return bells
}

// frames is the length of the chime.
func (r recipe) frames() int { return int(math.Round(r.length * speaker.SampleRate)) }

// render computes the chime: interleaved stereo, every sample a multiple of
// 1/32768, so that a sink of 16 bits at full volume gets exactly these.
func (r recipe) render() []float32 {
	n := r.frames()
	mix := make([]float64, 2*n)
	for _, b := range r.bells {
		first := int(b.at * speaker.SampleRate)
		left, right := math.Sqrt((1-b.pan)/2), math.Sqrt((1+b.pan)/2)
		for _, p := range b.timbre {
			f := b.pitch * p.ratio
			if f > 0.45*speaker.SampleRate {
				continue
			}
			// A decaying tone is a rotation that shrinks.
			w, shrink := 2*math.Pi*f/speaker.SampleRate, math.Exp(-1/(b.decay*p.decay*speaker.SampleRate))
			cos, sin := math.Cos(w)*shrink, math.Sin(w)*shrink
			x, y := b.gain*p.gain, 0.0
			for i := first; i < n && x*x+y*y > 1e-12; i++ {
				attack := min(1, float64(i-first)/96) // 2 ms, so that it does not click
				mix[2*i] += y * attack * left
				mix[2*i+1] += y * attack * right
				x, y = x*cos-y*sin, x*sin+y*cos
			}
		}
	}
	// The last 30 ms fade to nothing.
	fade := min(n, speaker.SampleRate*30/1000)
	peak := 0.0
	for i := range n {
		g := min(1, float64(n-1-i)/float64(fade))
		mix[2*i] *= g
		mix[2*i+1] *= g
		peak = max(peak, math.Abs(mix[2*i]), math.Abs(mix[2*i+1]))
	}
	out := make([]float32, 2*n)
	for i, v := range mix {
		out[i] = float32(math.Round(v/peak*chimePeak)) / 32768
	}
	return out
}

// Chimes returns the media that are built in, in the order of their names. They need no file.
func Chimes() []Media {
	var all []Media
	for _, r := range recipes() {
		c := &chime{recipe: r}
		all = append(all, Media{
			ID: r.name, Kind: KindChime, Title: r.title,
			Duration: time.Duration(r.frames()) * time.Second / speaker.SampleRate,
			opener:   c,
		})
	}
	return all
}

// chime is a recipe and what came of it, computed when it is first played.
type chime struct {
	recipe  recipe
	once    sync.Once
	samples []float32
}

// Open implements speaker.Opener.
func (c *chime) Open(ctx context.Context) (speaker.Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.once.Do(func() { c.samples = c.recipe.render() })
	return &chimeSource{ctx: ctx, samples: c.samples}, nil
}

// chimeSource plays samples that are in memory.
type chimeSource struct {
	ctx     context.Context
	samples []float32
	pos     int
}

func (s *chimeSource) Read(dst []float32) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n := copy(dst[:len(dst)&^1], s.samples[s.pos:])
	s.pos += n
	if n == 0 && len(dst) > 1 {
		return 0, io.EOF
	}
	return n / 2, nil
}

func (s *chimeSource) SeekTo(frame int64) error {
	s.pos = int(max(0, min(frame, int64(len(s.samples)/2)))) * 2
	return nil
}

func (s *chimeSource) Info() speaker.Info {
	return speaker.Info{
		Duration: time.Duration(len(s.samples)/2) * time.Second / speaker.SampleRate,
		Seekable: true,
		Codec:    "chime",
	}
}

func (s *chimeSource) Title() string { return "" }

func (s *chimeSource) Close() error { return nil }
