//go:build darwin || windows

package oto

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	oto "github.com/ebitengine/oto/v3"

	"hkw/speaker"
)

const (
	frameBytes   = 4 * speaker.Channels
	playerBuffer = 20 * time.Millisecond  // what the library keeps for this sink, beside the device's
	check        = 500 * time.Millisecond // how often the device is asked whether it works
	averaged     = 50                     // observations that the estimate of time is made of
	outlier      = 60 * time.Millisecond  // an observation off by more begins a new estimate
)

// sink is one player of the library, which reads from it.
type sink struct {
	device *oto.Context
	player *oto.Player
	once   sync.Once
	halt   sync.Once
	work   sync.WaitGroup
	stop   chan struct{}
	failed chan struct{}
	err    error // readable once failed is closed

	mu      sync.Mutex // never held while the player is called: it may read from within
	pull    speaker.Pull
	running bool
	frames  int64     // pulled and not taken back, since it ran
	base    time.Time // when frame 0 is heard, as far as is known
	seen    int       // observations in base
	samples []float32
}

func newSink(device *oto.Context) *sink {
	s := &sink{device: device, stop: make(chan struct{}), failed: make(chan struct{})}
	s.player = device.NewPlayer(s)
	s.player.SetBufferSize(int(speaker.DurationToFrames(playerBuffer)) * frameBytes)
	return s
}

// Start gives the sink what to play.
func (s *sink) Start(pull speaker.Pull) {
	s.once.Do(func() {
		s.mu.Lock()
		s.pull = pull
		s.mu.Unlock()
		s.work.Add(1)
		go s.watch()
	})
}

func (s *sink) watch() {
	defer s.work.Done()
	ticker := time.NewTicker(check)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		err := s.device.Err()
		if err == nil {
			err = s.player.Err()
		}
		if err != nil {
			s.err = fmt.Errorf("the output failed: %w", err)
			close(s.failed)
			return
		}
	}
}

// Run lets the library read.
func (s *sink) Run(time.Time) error {
	if err := s.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	again := s.running
	if !again {
		s.running, s.frames, s.seen = true, 0, 0
	}
	s.mu.Unlock()
	if !again {
		s.player.Play()
	}
	return s.Err()
}

// Idle stops the reading; by then only silence is buffered.
func (s *sink) Idle() error {
	s.mu.Lock()
	was := s.running
	s.running = false
	s.mu.Unlock()
	if was {
		s.player.Pause()
		if _, err := s.player.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("rest: %w", err)
		}
	}
	return s.Err()
}

// Flush takes back what the device does not have yet.
func (s *sink) Flush() error {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if !running {
		return s.Err()
	}
	s.player.Pause()
	kept := int64(s.player.BufferedSize() / frameBytes)
	if _, err := s.player.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	s.mu.Lock()
	s.frames -= kept
	s.mu.Unlock()
	s.player.Play()
	return s.Err()
}

// Seek is how the library empties a player's buffer; there is nowhere to go.
func (s *sink) Seek(int64, int) (int64, error) { return 0, nil }

// Read is the library's pull.
func (s *sink) Read(p []byte) (int, error) {
	queued := int64(s.player.BufferedSize() / frameBytes)
	n := int64(len(p) / frameBytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 0 || !s.running || s.pull == nil {
		clear(p)
		return len(p), nil
	}
	s.observe(time.Now().Add(deviceBuffer + speaker.FramesToDuration(queued-s.frames)))
	if int64(cap(s.samples)) < n*speaker.Channels {
		s.samples = make([]float32, n*speaker.Channels)
	}
	samples := s.samples[:n*speaker.Channels]
	s.pull(samples, s.base.Add(speaker.FramesToDuration(s.frames)))
	s.frames += n
	for i, x := range samples {
		binary.LittleEndian.PutUint32(p[4*i:], math.Float32bits(x))
	}
	return int(n) * frameBytes, nil
}

// observe improves the estimate of when frames are heard. Reads come in the bursts in
// which the device asks; on the average they tell.
func (s *sink) observe(base time.Time) {
	off := base.Sub(s.base)
	if s.seen == 0 || off > outlier || off < -outlier {
		s.base, s.seen = base, 1
		return
	}
	s.seen = min(s.seen+1, averaged)
	s.base = s.base.Add(off / time.Duration(s.seen))
}

// Latency is what the device has, and a moment.
func (s *sink) Latency() time.Duration { return deviceBuffer + 5*time.Millisecond }

// Failed is closed when the device or the player has failed.
func (s *sink) Failed() <-chan struct{} { return s.failed }

// Err is why.
func (s *sink) Err() error {
	select {
	case <-s.failed:
		return s.err
	default:
		return nil
	}
}

// Close ends the player.
func (s *sink) Close() error {
	s.halt.Do(func() {
		s.mu.Lock()
		s.running = false
		s.mu.Unlock()
		close(s.stop)
		s.player.Pause()
		s.work.Wait()
	})
	return nil
}
