package speaker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// How a sound that has been given an extent is played.
const (
	// A round that is shorter than these is followed by silence: a tick of a few
	// frames would be rewound, or asked of a server, thousands of times a second.
	minRewound  = SampleRate / 10
	minReopened = SampleRate

	cutFade = SampleRate / 100 // frames over which a sound fades out that its limit cuts off
)

// Lasting returns an opener of o's sound with another extent: with repeat it
// begins again whenever it ends, without a gap where the source can be rewound;
// and if limit is not 0 it ends after so much sound, to the sample. Time in which
// it is held or waits for data does not count. Positions run on from round to
// round.
func Lasting(o Opener, repeat bool, limit time.Duration) Opener {
	if !repeat && limit <= 0 {
		return o
	}
	l := lasting{Opener: o, repeat: repeat, limit: math.MaxInt64}
	if limit > 0 {
		l.limit = DurationToFrames(limit)
	}
	return l
}

type lasting struct {
	Opener
	repeat bool
	limit  int64 // frames
}

// Open opens the sound.
func (l lasting) Open(ctx context.Context) (Source, error) {
	src, err := l.Opener.Open(ctx)
	if err != nil || src == nil {
		return nil, err
	}
	return &lastingSource{lasting: l, ctx: ctx, src: src}, nil
}

// lastingSource is a source whose rounds follow each other. In each round come
// first the frames of src, then the silence, if it is too short.
type lastingSource struct {
	lasting
	ctx    context.Context
	src    Source
	pos    int64 // frames from the beginning of the first round
	round  int64 // frames from the beginning of this one
	length int64 // frames of src, 0 until its end has been seen
	silent bool  // the rest of this round is silence
	inside bool  // this round did not begin at its beginning
}

func (s *lastingSource) Read(dst []float32) (int, error) {
	most := min(int64(len(dst)/Channels), s.limit-s.pos)
	if most <= 0 {
		return 0, io.EOF
	}
	dst = dst[:most*Channels]
	n, err := 0, error(nil)
	for range 2 { // the end of a round, then the beginning of the next
		n, err = s.read(dst)
		if n != 0 || !errors.Is(err, io.EOF) || !s.repeat {
			break
		}
		if err = s.again(); err != nil {
			return 0, err
		}
	}
	if n > 0 {
		s.fade(dst[:n*Channels])
		s.pos += int64(n)
		s.round += int64(n)
	}
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil // it comes again, or the next round does
	}
	return n, err
}

// read gives what is left of this round.
func (s *lastingSource) read(dst []float32) (int, error) {
	if !s.silent {
		n, err := s.src.Read(dst)
		if n != 0 || !errors.Is(err, io.EOF) || !s.repeat {
			return n, err
		}
		if s.round == 0 {
			return 0, io.EOF // nothing in it
		}
		if !s.inside {
			s.length = s.round
		}
		s.silent = true
	}
	left := s.shortest() - s.round
	if left <= 0 {
		return 0, io.EOF
	}
	dst = dst[:min(int64(len(dst)), left*Channels)]
	clear(dst)
	return len(dst) / Channels, nil
}

// shortest is how many frames a round has at least.
func (s *lastingSource) shortest() int64 {
	if s.src.Info().Seekable {
		return minRewound
	}
	return minReopened
}

// again begins another round.
func (s *lastingSource) again() error {
	if s.round == 0 {
		return errNoSound
	}
	if s.src.Info().Seekable {
		if err := s.src.SeekTo(0); err != nil {
			return fmt.Errorf("repeat: %w", err)
		}
	} else {
		src, err := s.Opener.Open(s.ctx)
		if err == nil && src == nil {
			err = errNoSound
		}
		if err != nil {
			return fmt.Errorf("repeat: %w", err)
		}
		_ = s.src.Close()
		s.src = src
	}
	s.round, s.silent, s.inside = 0, false, false
	return nil
}

// fade lowers what comes just before the limit, so that cutting it off does not click.
func (s *lastingSource) fade(samples []float32) {
	if s.limit == math.MaxInt64 {
		return
	}
	for i := range int64(len(samples) / Channels) {
		if left := s.limit - s.pos - i; left <= cutFade {
			g := float32(left-1) / cutFade
			samples[i*Channels] *= g
			samples[i*Channels+1] *= g
		}
	}
}

// SeekTo goes to a frame counted from the beginning of the first round.
func (s *lastingSource) SeekTo(frame int64) error {
	frame = max(0, min(frame, s.limit))
	in := frame
	if length := s.rounds(); s.repeat && length > 0 {
		in %= length
	}
	to := in
	if s.length > 0 {
		to = min(to, s.length)
	}
	if err := s.src.SeekTo(to); err != nil {
		return err
	}
	s.pos, s.round, s.silent, s.inside = frame, in, false, in > 0
	return nil
}

// rounds is the length of a round in frames, 0 if nobody knows yet. Before its end
// has been seen it is what the source says of itself.
func (s *lastingSource) rounds() int64 {
	length := s.length
	if length == 0 {
		length = DurationToFrames(s.src.Info().Duration)
	}
	if length == 0 {
		return 0
	}
	return max(length, s.shortest())
}

// Info describes the sound as a whole.
func (s *lastingSource) Info() Info {
	info := s.src.Info()
	limit := FramesToDuration(s.limit)
	switch {
	case s.limit == math.MaxInt64:
		info.Duration = 0 // it has no end of its own
	case s.repeat || info.Duration == 0 || limit < info.Duration:
		info.Duration = limit
	}
	return info
}

func (s *lastingSource) Title() string { return s.src.Title() }

func (s *lastingSource) Close() error { return s.src.Close() }
