package speech

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hkw/speaker"
)

// listener is a rendering as a source. Several may listen to one.
type listener struct {
	ctx    context.Context
	to     *rendering
	leave  func() // may be called more than once
	pos    int64
	closed bool
}

var errListenerClosed = errors.New("the speech was closed")

// Read implements speaker.Source. It waits for what is still being spoken.
func (l *listener) Read(dst []float32) (int, error) {
	if len(dst) < 2 {
		return 0, nil
	}
	if l.closed {
		return 0, fmt.Errorf("%w: %w", speaker.ErrMedia, errListenerClosed)
	}
	if err := l.to.wait(l.ctx, l.pos); err != nil {
		return 0, err
	}
	n := l.to.read(l.pos, dst)
	l.pos += int64(n)
	return n, nil
}

// SeekTo implements speaker.Source. Beyond the end is the end.
func (l *listener) SeekTo(frame int64) error {
	frame = max(0, frame)
	if frame > 0 {
		// Where the end is must be known to stop at it.
		if err := l.to.wait(l.ctx, frame-1); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	l.pos = frame
	return nil
}

// Info implements speaker.Source. The duration is known when all is spoken, at once if it was kept.
func (l *listener) Info() speaker.Info {
	return speaker.Info{Duration: l.to.length(), Seekable: true, Codec: "speech"}
}

// Title implements speaker.Source. What is said is nobody else's business.
func (l *listener) Title() string { return "" }

// Close implements speaker.Source. The engine is stopped when the last listener leaves.
func (l *listener) Close() error {
	l.closed = true
	l.leave()
	return nil
}
