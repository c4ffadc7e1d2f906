package snapcast

import (
	"context"
	"time"

	"hkw/speaker"
	"hkw/speaker/paced"
)

// sink is a paced one whose output is a line to a server. What the paced sink
// calls heard is handed over.
type sink struct {
	*paced.Sink
	line  *line
	delay time.Duration // between the two, as far as it is to be known
}

// open connects to a server; stuck is called if it turns out to take no sound.
func open(ctx context.Context, t Target, stuck func()) (*sink, error) {
	s := &sink{}
	if t.Latency > 0 {
		s.delay = t.Latency + lead - chunk
	}
	line, err := connect(ctx, t.Address, func(err error) { s.Fail(err) }, stuck)
	if err != nil {
		return nil, err
	}
	s.line = line
	s.Sink = paced.New(line.play, paced.Hooks{Run: line.begin, Rest: line.rest})
	line.tend()
	return s, nil
}

// Start gives the sink what to play, and what it plays a time of its own.
func (s *sink) Start(pull speaker.Pull) {
	s.Sink.Start(func(dst []float32, heard time.Time) { pull(dst, heard.Add(s.delay)) })
}

// Latency is until a frame is handed over, or heard if the target says how long that takes.
func (s *sink) Latency() time.Duration { return s.Sink.Latency() + s.delay }

// Close ends the connection. What was handed over is still heard.
func (s *sink) Close() error {
	s.line.hurry()
	err := s.Sink.Close()
	s.line.close()
	return err
}
