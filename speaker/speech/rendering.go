package speech

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"hkw/speaker"
)

// Why an engine is stopped, or its speech not believed.
var (
	errStalled = errors.New("it stopped speaking in the middle, or never began")
	errSlow    = errors.New("it took too long")
	errLong    = errors.New("it would not stop speaking")
	errNothing = errors.New("it said nothing")
)

// chunkFrames is half a second: what is allocated at once.
const chunkFrames = speaker.SampleRate / 2

// A chunk is a part of what was spoken, as 16 bit samples: of one channel as long
// as both are the same, which is how engines speak.
type chunk struct {
	channels int
	pcm      []int16
}

func (c *chunk) frames() int { return len(c.pcm) / c.channels }

// widen gives both channels their own samples.
func (c *chunk) widen() {
	if c.channels == 2 {
		return
	}
	both := make([]int16, 0, 2*chunkFrames)
	for _, v := range c.pcm {
		both = append(both, v, v)
	}
	*c = chunk{2, both}
}

// rendering is a text being spoken, or one that was. It holds the whole of it, so
// that an engine is done as soon as it can be, however slowly somebody listens,
// and so that the first time sounds exactly as every other time.
type rendering struct {
	key       string
	cancel    context.CancelCauseFunc
	listeners int // guarded by Speech.mu

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, when there is more
	chunks  []*chunk      // each but the last one is of chunkFrames
	frames  int64
	done    bool
	err     error // why it failed, after done
}

// append adds interleaved stereo samples.
func (r *rendering) append(samples []float32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(samples) > 0 {
		if r.frames%chunkFrames == 0 {
			r.chunks = append(r.chunks, &chunk{1, make([]int16, 0, chunkFrames)})
		}
		c := r.chunks[len(r.chunks)-1]
		part := samples[:min(len(samples), 2*(chunkFrames-c.frames()))]
		samples = samples[len(part):]
		for i := 0; i < len(part); i += 2 {
			left, right := pcm16(part[i]), pcm16(part[i+1])
			if left != right {
				c.widen()
			}
			c.pcm = append(c.pcm, left)
			if c.channels == 2 {
				c.pcm = append(c.pcm, right)
			}
		}
		r.frames += int64(len(part) / 2)
	}
	r.wake()
}

// pcm16 rounds a sample to 16 bit. One that was made of 16 bit, by a division by 32768, comes out as it was.
func pcm16(x float32) int16 {
	v := math.RoundToEven(float64(x) * 32768)
	if v != v {
		return 0
	}
	return int16(min(max(v, math.MinInt16), math.MaxInt16))
}

func (r *rendering) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// finish says that there will be no more.
func (r *rendering) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done, r.err = true, err
	r.wake()
}

// wait waits for a frame: nil when it is there, io.EOF if it comes after the last one.
func (r *rendering) wait(ctx context.Context, frame int64) error {
	for {
		r.mu.Lock()
		there, done, err, changed := r.frames > frame, r.done, r.err, r.changed
		r.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", speaker.ErrMedia, context.Cause(ctx))
		case there:
			return nil
		case err != nil:
			return err
		case done:
			return io.EOF
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// read copies what is there from a frame on, and returns the number of frames.
func (r *rendering) read(frame int64, dst []float32) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for frame < r.frames && n < len(dst)/2 {
		c := r.chunks[frame/chunkFrames]
		at := int(frame % chunkFrames)
		k := min(c.frames()-at, len(dst)/2-n)
		for i := range k {
			from := (at + i) * c.channels
			dst[2*(n+i)] = float32(c.pcm[from]) / (1 << 15)
			dst[2*(n+i)+1] = float32(c.pcm[from+c.channels-1]) / (1 << 15)
		}
		n += k
		frame += int64(k)
	}
	return n
}

// failed is why it failed, nil if it did not yet.
func (r *rendering) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// length is how long the speech is, 0 while it is not known.
func (r *rendering) length() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.done {
		return 0
	}
	return time.Duration(r.frames) * time.Second / speaker.SampleRate
}

// samples is the whole, interleaved, in one channel if that tells all. Called when nothing is added any more.
func (r *rendering) samples() (pcm []int16, channels int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	channels = 1
	if slices.ContainsFunc(r.chunks, func(c *chunk) bool { return c.channels == 2 }) {
		channels = 2
	}
	pcm = make([]int16, 0, r.frames*int64(channels))
	for _, c := range r.chunks {
		if channels == 2 {
			c.widen()
		}
		pcm = append(pcm, c.pcm...)
	}
	return pcm, channels
}

// fill makes the whole of what samples gave.
func (r *rendering) fill(pcm []int16, channels int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for part := range slices.Chunk(pcm, chunkFrames*channels) {
		r.chunks = append(r.chunks, &chunk{channels, part})
	}
	r.frames = int64(len(pcm) / channels)
	r.done = true // whoever opens it knows its length at once
	r.wake()
}

// render fills a rendering: with what the cache kept, else by the engine. It returns when the engine is quiet again.
func (s *Speech) render(ctx context.Context, to *rendering, r Request) (kept bool, err error) {
	if s.cache != nil {
		if pcm, channels, ok := s.cache.load(to.key); ok {
			to.fill(pcm, channels)
			return true, nil
		}
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return false, s.failure(context.Cause(ctx))
	}
	err = s.speak(ctx, to, r)
	<-s.slots
	if err != nil {
		return false, s.failure(err)
	}
	return false, nil
}

// speak has the engine speak, within the limits.
func (s *Speech) speak(ctx context.Context, to *rendering, r Request) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer time.AfterFunc(s.cfg.Limit, func() {
		cancel(fmt.Errorf("%w: it is not done after %s", errSlow, s.cfg.Limit))
	}).Stop()
	stall := time.AfterFunc(s.cfg.Stall, func() {
		cancel(fmt.Errorf("%w: no sound for %s", errStalled, s.cfg.Stall))
	})
	defer stall.Stop()
	defer func() {
		// Whatever an engine says when it is stopped, the reason is why it was.
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
	}()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the engine broke down: %v", p)
		}
	}()
	src, err := s.cfg.Engine.Synthesize(ctx, r)
	if err != nil {
		return err
	}
	defer func() {
		cancel(err) // first: what Close waits for must have an end
		_ = src.Close()
	}()
	most := int64(s.cfg.Length.Seconds() * speaker.SampleRate)
	buf := make([]float32, 2*2048)
	total := int64(0)
	for idle := 0; ; {
		n, err := src.Read(buf)
		if n > 0 {
			if total += int64(n); total > most {
				return fmt.Errorf("%w: more than %s of sound", errLong, s.cfg.Length)
			}
			to.append(buf[:2*n])
			stall.Reset(s.cfg.Stall)
			idle = 0
		} else if idle++; err == nil && idle > 100 {
			return io.ErrNoProgress
		}
		if err == io.EOF { //nolint:errorlint // one that is wrapped tells of a connection, and is not the end of the speech
			if total == 0 {
				return errNothing
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// failure makes err one that a playback can end with.
func (s *Speech) failure(err error) error {
	if errors.Is(err, speaker.ErrMedia) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", speaker.ErrMedia, s.cfg.Engine.Name(), err)
}
