// Package paced is a sink that keeps its own time: it pulls at 48,000 frames a
// second of the machine's monotonic clock and hands what has been "heard" to a
// function. Drivers whose output has no clock, a file or a connection or nothing at
// all, are made of it.
package paced

import (
	"errors"
	"sync"
	"time"

	"hkw/speaker"
)

const (
	// Block is the longest run of frames pulled at once, and how often there is a pull.
	Block = 10 * time.Millisecond
	// Ahead is how far pulls run ahead of what is heard. It is what a flush may come late,
	// on a busy machine, without the first samples of a new sound being lost.
	Ahead = 20 * time.Millisecond
)

// Out takes what has been heard, in order and without a gap since the last
// Run. The slice is the caller's again afterwards. An error ends the sink.
type Out func(samples []float32) error

// Sink implements speaker.Sink. The zero value is not usable; see New.
type Sink struct {
	out  Out
	run  func(start time.Time)
	rest func() error // when the sink goes idle
	tick func(now time.Time) error
	end  func() error

	wake   chan struct{}
	stop   chan struct{}
	ended  chan struct{}
	failed chan struct{}
	once   sync.Once
	launch sync.Once

	mu      sync.Mutex
	pull    speaker.Pull
	running bool
	start   time.Time // when frame 0 is heard
	heard   int64     // frames handed to out since start
	pulled  int64     // frames pulled since start
	pending []float32 // those in between
	idling  bool      // play out what is pending, then rest
	err     error
}

// Hooks are told of the life of a sink, on its goroutine or its caller's, one at a
// time. None may call the sink. Any may be nil.
type Hooks struct {
	Run  func(start time.Time)     // the sink was idle and runs: frame 0 is heard at start
	Tick func(now time.Time) error // at each pull
	Rest func() error              // the sink went idle
	End  func() error              // the sink is closed; its error is that of Close
}

// New makes a sink that hands what is heard to out.
func New(out Out, hooks Hooks) *Sink {
	return &Sink{
		out: out, run: hooks.Run, rest: hooks.Rest, tick: hooks.Tick, end: hooks.End,
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
		ended: make(chan struct{}), failed: make(chan struct{}),
	}
}

// Start gives the sink what to play.
func (s *Sink) Start(pull speaker.Pull) {
	s.launch.Do(func() {
		s.mu.Lock()
		s.pull = pull
		s.mu.Unlock()
		go s.loop()
	})
}

// Run counts frames from start on.
func (s *Sink) Run(start time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if s.running && !s.idling {
		return nil
	}
	if s.running { // it was about to rest: go on as if nothing had been said
		s.idling = false
		return nil
	}
	s.running, s.idling = true, false
	s.start, s.heard, s.pulled, s.pending = start, 0, 0, s.pending[:0]
	if s.run != nil {
		s.run(start)
	}
	s.signal()
	return nil
}

// Idle lets what was pulled be heard and stops.
func (s *Sink) Idle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		s.idling = true
		s.signal()
	}
	return s.err
}

// Flush pulls anew from this moment on.
func (s *Sink) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || !s.running || s.idling {
		return s.err
	}
	now := s.now()
	if err := s.play(now); err != nil {
		return s.fail(err)
	}
	// What play left pending is not heard yet.
	s.pulled, s.pending = s.heard, s.pending[:0]
	s.fetch(now + frames(Ahead))
	return nil
}

// Latency is Ahead: a frame may be decided upon a moment before it is heard, but to
// promise less would lose the beginnings of sounds whenever the machine is busy.
func (s *Sink) Latency() time.Duration { return Ahead }

// Failed is closed when out or a hook has failed, or Fail was called.
func (s *Sink) Failed() <-chan struct{} { return s.failed }

// Err is why.
func (s *Sink) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Fail ends the sink from outside, as an error of out does.
func (s *Sink) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.fail(err)
}

// Close ends the sink; what was not heard yet never is.
func (s *Sink) Close() error {
	var err error
	s.once.Do(func() {
		close(s.stop)
		s.launch.Do(func() { close(s.ended) }) // it was never started
		<-s.ended
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running { // what has been heard since the last pull counts
			err = s.play(min(s.now(), s.pulled))
		}
		if s.end != nil {
			err = errors.Join(err, s.end())
		}
	})
	return err
}

func (s *Sink) loop() {
	defer close(s.ended)
	ticker := time.NewTicker(Block)
	defer ticker.Stop()
	for {
		s.mu.Lock()
		err := s.step()
		if err != nil {
			err = s.fail(err)
		}
		asleep := !s.running
		s.mu.Unlock()
		if err != nil {
			return
		}
		tick := ticker.C
		if asleep {
			ticker.Stop()
			tick = nil
		}
		select {
		case <-s.stop:
			return
		case <-tick:
		case <-s.wake:
			ticker.Reset(Block)
		}
	}
}

// step does what is due: lets be heard what has been, and pulls ahead.
func (s *Sink) step() error {
	if !s.running {
		return nil
	}
	now := s.now()
	if err := s.play(now); err != nil {
		return err
	}
	if !s.idling {
		s.fetch(now + frames(Ahead))
	}
	if s.tick != nil {
		if err := s.tick(time.Now()); err != nil {
			return err
		}
	}
	if s.idling && s.heard >= s.pulled {
		s.running, s.idling = false, false
		if s.rest != nil {
			return s.rest()
		}
	}
	return nil
}

// play hands out all frames up to the given one. Those that nobody had time to
// pull before are pulled now, with the time at which they ought to have been heard.
func (s *Sink) play(to int64) error {
	for s.heard < to {
		if s.heard == s.pulled {
			if s.idling {
				return nil
			}
			s.fetch(min(to, s.pulled+frames(Block)))
		}
		n := min(to, s.pulled) - s.heard
		if err := s.out(s.pending[:n*speaker.Channels]); err != nil {
			return err
		}
		s.heard += n
		s.pending = s.pending[:copy(s.pending, s.pending[n*speaker.Channels:])]
	}
	return nil
}

// fetch pulls up to the given frame, in blocks.
func (s *Sink) fetch(to int64) {
	for s.pulled < to {
		n := min(to-s.pulled, frames(Block))
		at := len(s.pending)
		if need := at + int(n)*speaker.Channels; need <= cap(s.pending) {
			s.pending = s.pending[:need]
		} else {
			s.pending = append(s.pending, make([]float32, int(n)*speaker.Channels)...)
		}
		s.pull(s.pending[at:], s.start.Add(speaker.FramesToDuration(s.pulled)))
		s.pulled += n
	}
}

// now is the number of frames that have been heard by now.
func (s *Sink) now() int64 { return max(0, speaker.DurationToFrames(time.Since(s.start))) }

func (s *Sink) fail(err error) error {
	if s.err == nil {
		s.err = err
		s.running = false
		close(s.failed)
	}
	return s.err
}

func (s *Sink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func frames(d time.Duration) int64 { return speaker.DurationToFrames(d) }
