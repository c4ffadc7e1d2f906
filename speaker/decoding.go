package speaker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

const (
	decodeChunk = 2048            // frames asked of a source at once
	firstFrames = SampleRate / 10 // frames that must be there before a sound counts as prepared
	emptyReads  = 100             // reads in a row without a frame that are borne
)

var errNoSound = errors.New("it holds no sound")

// decoded is what a decoder tells the engine.
type decoded struct {
	info  Info  // of the source, once it is open
	ring  *ring // that now holds its first samples
	seek  bool  // because of a seek
	err   error // that the seek could not be done, if ring is nil, or else
	fatal bool  // that nothing more will come
}

// decoder is the goroutine of a playback: it owns the Source.
type decoder struct {
	play *playback
	tell func(decoded)

	src    Source
	info   Info
	ring   *ring
	frames int64 // since the ring was begun
	title  string
	seek   bool // the ring was begun for a seek
	told   bool // that its first samples are there
}

// decode runs until the playback is released. Decoders meet whatever is on the
// web; one that panics ends its own playback and nothing else.
func (p *playback) decode(ctx context.Context, tell func(decoded)) {
	d := &decoder{play: p, tell: tell, ring: p.ring}
	defer func() { _ = contained(d.close) }()
	err := contained(func() error { return d.run(ctx) })
	if err == nil || ctx.Err() != nil {
		return
	}
	err = unplayable(err)
	tell(decoded{err: err, fatal: true, seek: d.seek})
	if d.told {
		d.ring.finish(err) // what was decoded is still heard
		wake(p.notice)
	}
}

// contained makes an error of a panic.
func contained(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{r, debug.Stack()}
		}
	}()
	return f()
}

type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("broke down: %v", e.value) }

func (d *decoder) close() error {
	if d.src == nil {
		return nil
	}
	return d.src.Close()
}

func (d *decoder) run(ctx context.Context) error {
	if d.play.opener == nil {
		return errors.New("nothing to open")
	}
	src, err := d.play.opener.Open(ctx)
	if err != nil {
		return err
	}
	if src == nil {
		return errors.New("nothing was opened")
	}
	d.src = src
	d.info = src.Info()
	buf := make([]float32, decodeChunk*Channels)
	for {
		if err := d.fill(ctx, buf); err != nil {
			return err
		}
		// The end is reached; somebody may still seek.
		select {
		case <-ctx.Done():
			return nil
		case frame := <-d.play.seeks:
			if err := d.goTo(frame); err != nil {
				return err
			}
		}
	}
}

// fill decodes to the end, or until ctx is done.
func (d *decoder) fill(ctx context.Context, buf []float32) error {
	for idle := 0; ctx.Err() == nil; {
		select {
		case frame := <-d.play.seeks:
			if err := d.goTo(frame); err != nil {
				return err
			}
		default:
		}
		if d.ring.room() < decodeChunk {
			select {
			case <-ctx.Done():
				return nil
			case <-d.ring.space:
			case frame := <-d.play.seeks:
				if err := d.goTo(frame); err != nil {
					return err
				}
			}
			continue
		}
		n, err := d.src.Read(buf)
		if n < 0 || n > decodeChunk {
			return fmt.Errorf("its decoder claims %d frames of %d", n, decodeChunk)
		}
		if n > 0 {
			idle = 0
			d.take(buf[:n*Channels])
		} else if idle++; err == nil && idle > emptyReads {
			return io.ErrNoProgress
		}
		if errors.Is(err, io.EOF) {
			if d.frames == 0 && !d.seek {
				return errNoSound
			}
			d.ring.finish(nil)
			d.arrived()
			wake(d.play.notice)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take puts samples, and a new title, where they belong.
func (d *decoder) take(samples []float32) {
	if t := d.src.Title(); t != d.title {
		d.title = t
		hi, _, _ := d.ring.extent()
		d.play.mu.Lock()
		d.play.titles = append(d.play.titles, titleChange{hi, t})
		d.play.mu.Unlock()
	}
	d.ring.write(samples)
	d.frames += int64(len(samples) / Channels)
	if d.frames >= firstFrames {
		d.arrived()
	}
	wake(d.play.notice)
}

// arrived says, once for each ring, that the first samples are there.
func (d *decoder) arrived() {
	if d.told {
		return
	}
	d.tell(decoded{info: d.info, ring: d.ring, seek: d.seek})
	d.told, d.seek = true, false
	// The engine now stands next in line behind this goroutine, which has much to
	// decode yet; where all cores are busy that would be a millisecond or two.
	runtime.Gosched()
}

// goTo begins a new ring at a frame. What plays keeps the old one until the new
// one has its first samples.
func (d *decoder) goTo(frame int64) error {
	err := d.src.SeekTo(frame)
	if errors.Is(err, ErrNotSeekable) {
		d.tell(decoded{seek: true, err: err})
		return nil
	}
	if err != nil {
		return fmt.Errorf("seek: %w", err)
	}
	d.ring = newRing(d.ring.size, frame)
	d.play.mu.Lock()
	d.play.ring = d.ring
	d.play.mu.Unlock()
	d.frames, d.seek, d.told = 0, true, false
	return nil
}
