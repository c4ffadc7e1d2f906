package speech

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"hkw/speaker"
)

// Concat plays one thing after another, without a gap. All of them are opened at
// the beginning, so that what cannot be played fails before anything sounds.
// Those that are nil are left out.
func Concat(openers ...speaker.Opener) speaker.Opener {
	var all concat
	for _, o := range openers {
		if o != nil {
			all = append(all, o)
		}
	}
	return all
}

type concat []speaker.Opener

// Open implements speaker.Opener.
func (c concat) Open(ctx context.Context) (speaker.Source, error) {
	s := &sequence{}
	for _, o := range c {
		part, err := o.Open(ctx)
		if err != nil {
			_ = s.Close()
			return nil, err
		}
		s.parts = append(s.parts, part)
	}
	return s, nil
}

// sequence is several sources as one.
type sequence struct {
	parts   []speaker.Source
	current int
}

// Read implements speaker.Source.
func (s *sequence) Read(dst []float32) (int, error) {
	for s.current < len(s.parts) {
		n, err := s.parts[s.current].Read(dst)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		s.current++
		if n > 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

// SeekTo implements speaker.Source. It needs to know how long each part but the last one is.
func (s *sequence) SeekTo(frame int64) error {
	if !s.Info().Seekable {
		return speaker.ErrNotSeekable
	}
	frame = max(0, frame)
	for i, part := range s.parts {
		length := int64(math.Round(part.Info().Duration.Seconds() * speaker.SampleRate))
		if i < len(s.parts)-1 && frame >= length {
			frame -= length
			continue
		}
		if err := part.SeekTo(frame); err != nil {
			return err
		}
		for _, later := range s.parts[i+1:] {
			if err := later.SeekTo(0); err != nil {
				return err
			}
		}
		s.current = i
		return nil
	}
	return nil
}

// Info implements speaker.Source.
func (s *sequence) Info() speaker.Info {
	all := speaker.Info{Seekable: true}
	known := true
	var length time.Duration
	for i, part := range s.parts {
		info := part.Info()
		length += info.Duration
		known = known && info.Duration > 0
		all.Seekable = all.Seekable && info.Seekable && (info.Duration > 0 || i == len(s.parts)-1)
		all.Codec = info.Codec // of the last one, which is what it is about
	}
	if known {
		all.Duration = length
	}
	return all
}

// Title implements speaker.Source.
func (s *sequence) Title() string {
	if s.current < len(s.parts) {
		return s.parts[s.current].Title()
	}
	return ""
}

// Close implements speaker.Source.
func (s *sequence) Close() error {
	var all []error
	for _, part := range s.parts {
		all = append(all, part.Close())
	}
	return errors.Join(all...)
}
