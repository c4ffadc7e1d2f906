package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"hkw/speaker"
)

// Limits of what a decoder may claim.
const (
	minRate = 4000   // Hz
	maxRate = 384000 // Hz
)

// A block is what a decoder decoded at once. It stays valid until the decoder's next call.
type block struct {
	samples   []float32 // interleaved, len(positions) per frame
	positions []uint32  // of the channels
	rate      int       // Hz
}

// decoder decodes one format at the file's own rate and channels.
type decoder interface {
	// next decodes the next block, which may be empty; io.EOF after the last. Rate and positions may change.
	next() (block, error)
	// seek makes the frame of that number, at the file's rate, the next; beyond the end, the end.
	seek(frame int64) error
	// about describes the file. It may change when blocks are decoded.
	about() about
	close() error
}

// about is what a decoder knows of its file.
type about struct {
	codec    string
	rate     int
	frames   int64 // at rate; 0 if unknown
	seekable bool
}

// source is a decoder made into what the engine plays.
type source struct {
	ctx   context.Context
	dec   decoder
	name  string
	info  speaker.Info
	title func() string // nil if the source tells none

	rate      int        // of the current resampler, or SampleRate
	resamp    *resampler // nil at 48 kHz
	positions []uint32   // of the latest block
	mix       downmix
	mixed     []float32 // decoded, stereo, still at the file's rate
	pending   []float32 // the part of mixed that is not used yet; without resampler
	drained   bool      // the decoder has ended
	failed    error     // what every further Read answers

	closeOnce sync.Once
	closeErr  error
	stop      func() bool
	input     io.Closer
}

// newSource wraps dec. From here on Close closes dec and closer, and so does the end of ctx.
func newSource(ctx context.Context, dec decoder, name string, closer io.Closer, title func() string) (*source, error) {
	s := &source{ctx: ctx, dec: dec, name: name, title: title, input: closer}
	a := dec.about()
	if a.rate < minRate || a.rate > maxRate {
		return nil, s.wrap(fmt.Errorf("sample rate of %d Hz", a.rate))
	}
	s.info = speaker.Info{Seekable: a.seekable, Codec: a.codec, Duration: frameTime(a.frames, a.rate)}
	s.setRate(a.rate, 0)
	// What blocks in a read is woken by closing what it reads from. The decoder itself is not touched from here.
	s.stop = context.AfterFunc(ctx, func() {
		if s.input != nil {
			_ = s.input.Close()
		}
	})
	return s, nil
}

func frameTime(frames int64, rate int) time.Duration {
	if frames <= 0 || rate <= 0 {
		return 0
	}
	r := int64(rate)
	if frames/r > int64(1<<63-1)/int64(time.Second)-1 {
		return 0
	}
	return time.Duration(frames/r)*time.Second + time.Duration(frames%r*int64(time.Second)/r)
}

// setRate prepares for blocks of that rate; out is the output frame that comes next.
// It returns the input frame from which blocks must be pushed.
func (s *source) setRate(rate int, out int64) int64 {
	if rate == speaker.SampleRate {
		s.rate, s.resamp = rate, nil
		return out
	}
	if s.resamp == nil || s.rate != rate {
		s.resamp = newResampler(rate)
	}
	s.rate = rate
	return s.resamp.reset(out)
}

// wrap makes err an error of this source.
func (s *source) wrap(err error) error { return mediaError(s.ctx, s.name, err) }

// mediaError wraps err in speaker.ErrMedia with the name of what was to be played. When ctx is done that is the reason.
func mediaError(ctx context.Context, name string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = cause
	}
	if errors.Is(err, speaker.ErrMedia) {
		return err
	}
	if name == "" {
		return fmt.Errorf("%w: %w", speaker.ErrMedia, err)
	}
	return fmt.Errorf("%w: %s: %w", speaker.ErrMedia, name, err)
}

// errPanic is what a decoder's panic becomes.
var errPanic = errors.New("the decoder failed on this data")

// contain turns a panic into an error.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v%s", errPanic, p, origin(debug.Stack()))
	}
}

// Read implements speaker.Source.
func (s *source) Read(dst []float32) (frames int, err error) {
	dst = dst[:len(dst)&^1]
	if s.failed != nil || len(dst) == 0 {
		return 0, s.failed
	}
	if s.ctx.Err() != nil {
		s.failed = s.wrap(s.ctx.Err())
		return 0, s.failed
	}
	for frames == 0 {
		if frames = s.take(dst); frames > 0 {
			break
		}
		if s.drained {
			s.failed = io.EOF
			return 0, io.EOF
		}
		if err := s.fill(); err != nil {
			s.failed = s.wrap(err)
			return 0, s.failed
		}
	}
	return frames, nil
}

// take moves what is decoded to dst.
func (s *source) take(dst []float32) int {
	n := 0
	if len(s.pending) > 0 {
		k := copy(dst, s.pending)
		s.pending = s.pending[k:]
		n = k / 2
	}
	if s.resamp != nil && 2*n < len(dst) {
		n += s.resamp.pull(dst[2*n:])
	}
	return n
}

// fill decodes one block.
func (s *source) fill() error {
	b, err := s.decode()
	if errors.Is(err, io.EOF) {
		s.drained = true
		if s.resamp != nil {
			s.resamp.finish()
		}
		return nil
	}
	if err != nil {
		return err
	}
	if len(b.samples) == 0 {
		return s.ctx.Err()
	}
	if n := len(b.positions); n == 0 || n > maxChannels {
		return fmt.Errorf("%d channels", n)
	}
	var before []float32
	if b.rate != s.rate {
		if b.rate < minRate || b.rate > maxRate {
			return fmt.Errorf("sample rate of %d Hz", b.rate)
		}
		// A stream that goes on at another rate: what the old resampler holds is played out, the new one begins afresh.
		if s.resamp != nil {
			s.resamp.finish()
			before = drain(s.resamp)
		}
		s.setRate(b.rate, 0)
	}
	if !slices.Equal(s.positions, b.positions) {
		s.positions, s.mix = b.positions, downmix{}
	}
	s.mixed = s.mix.stereo(s.mixed[:0], b.samples, b.positions)
	if s.resamp != nil {
		s.resamp.push(s.mixed)
		s.pending = before
	} else if s.pending = s.mixed; before != nil {
		s.pending = slices.Concat(before, s.mixed)
	}
	return nil
}

// drain pulls all that a finished resampler holds.
func drain(r *resampler) (to []float32) {
	var buf [512]float32
	for {
		n := r.pull(buf[:])
		if n == 0 {
			return to
		}
		to = append(to, buf[:2*n]...)
	}
}

func (s *source) decode() (b block, err error) {
	defer contain(&err)
	return s.dec.next()
}

// SeekTo implements speaker.Source. It goes to exactly that frame, or to the end.
func (s *source) SeekTo(frame int64) (err error) {
	if s.failed != nil && !errors.Is(s.failed, io.EOF) {
		return s.failed
	}
	if !s.info.Seekable {
		return speaker.ErrNotSeekable
	}
	if s.ctx.Err() != nil {
		return s.wrap(s.ctx.Err())
	}
	s.pending, s.drained, s.failed = nil, false, nil
	from := s.setRate(s.dec.about().rate, max(0, min(frame, 1<<48)))
	if err := s.seekDecoder(from); err != nil {
		s.failed = s.wrap(err)
		return s.failed
	}
	return nil
}

func (s *source) seekDecoder(frame int64) (err error) {
	defer contain(&err)
	return s.dec.seek(frame)
}

// Info implements speaker.Source.
func (s *source) Info() speaker.Info { return s.info }

// Title implements speaker.Source.
func (s *source) Title() string {
	if s.title != nil {
		if t := s.title(); t != "" {
			return t
		}
	}
	if d, ok := s.dec.(interface{ streamTitle() string }); ok && !s.info.Seekable {
		return d.streamTitle()
	}
	return ""
}

// Close implements speaker.Source.
func (s *source) Close() error {
	s.closeOnce.Do(func() {
		s.stop()
		s.failed = s.wrap(errors.New("closed"))
		if s.input != nil {
			s.closeErr = s.input.Close() // first: what hangs in a read of it must not hold up the decoder
		}
		s.closeErr = errors.Join(s.closeErr, s.dec.close())
	})
	return s.closeErr
}
