package pulse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"hkw/speaker"
)

const (
	// target is how far ahead of the ear sound is written. A flush takes back what
	// the server has not read, so this costs no reaction time; it is what a busy
	// machine may keep us from our work without anybody hearing it.
	target = 150 * time.Millisecond
	most   = 5 * time.Second // the same, where the server reads far ahead
	// The server reads in steps of what a buffer is longer than two requests. It
	// asks for sound once a request; nobody answers that, so it had better be rare.
	request = 40 * time.Millisecond
	step    = 4 * time.Millisecond

	pace      = 20 * time.Millisecond // how often it is written
	slack     = 60 * time.Millisecond // what is written beyond the server's own latency
	block     = speaker.SampleRate / 50
	frameSize = 4 * speaker.Channels

	pollEarly = 20 * time.Millisecond // between measurements, in the first second
	pollLate  = 100 * time.Millisecond
	frozen    = 1200 * time.Millisecond // a running stream that does not move for so long is dead
)

// sink is one stream. It runs without prebuffering, so that its frames, counted
// from its creation, are a clock: frame n is heard when the server says it
// is, whether or not anything was written there. Everything is written to the frame
// at which it is to be heard, and a flush is nothing but writing there again.
type sink struct {
	conn   *conn
	stream uint32
	start  sync.Once
	work   sync.WaitGroup
	stop   chan struct{}
	halt   sync.Once
	wake   chan struct{}         // the writer's
	awake  chan struct{}         // the poller's
	lag    atomic.Pointer[clock] // a copy, for whoever must not wait for the server
	dry    atomic.Bool           // the server had nothing to read
	lost   atomic.Bool           // the stream is somewhere else now

	mu      sync.Mutex
	pull    speaker.Pull
	running bool
	since   time.Time // when it began to run
	clock   clock
	written int64 // the frame after the last one written
	ahead   time.Duration
	server  int64 // where the server will put what is sent without a place
	samples []float32
	bytes   []byte
	moved   time.Time // when the server's read index was last seen to move
	reading int64

	failed chan struct{}
	fault  sync.Once
	err    error
}

func newSink() *sink {
	s := &sink{
		awake: make(chan struct{}, 1), stop: make(chan struct{}), failed: make(chan struct{}), wake: make(chan struct{}, 1),
		ahead: target, samples: make([]float32, block*speaker.Channels), bytes: make([]byte, block*frameSize),
	}
	s.clock.guess = unmeasured
	s.lag.Store(&clock{guess: unmeasured})
	return s
}

// create makes the stream on the server.
func (s *sink) create(name string) error {
	if len(name) > 512 {
		return fmt.Errorf("%w: a sink's name of %d bytes", speaker.ErrNoSuchSpeaker, len(name))
	}
	bytes := func(d time.Duration) uint32 { return uint32(speaker.DurationToFrames(d) * frameSize) }
	var made proto.CreatePlaybackStreamReply
	err := s.conn.ask(&proto.CreatePlaybackStream{
		SampleSpec:            proto.SampleSpec{Format: proto.FormatFloat32LE, Channels: speaker.Channels, Rate: speaker.SampleRate},
		ChannelMap:            proto.ChannelMap{proto.ChannelFrontLeft, proto.ChannelFrontRight},
		SinkIndex:             proto.Undefined,
		SinkName:              name,
		BufferMaxLength:       bytes(8 * time.Second),
		Corked:                true,
		BufferTargetLength:    bytes(2*request + step),
		BufferPrebufferLength: 0,
		BufferMinimumRequest:  bytes(request),
		ChannelVolumes:        proto.ChannelVolumes{proto.VolumeNorm, proto.VolumeNorm},
		NoMove:                name != "", // a named speaker is that one, not the next best
		Properties: proto.PropList{
			"media.name": proto.PropListString("hkw"),
			"media.role": proto.PropListString("music"),
		},
	}, &made)
	if err != nil {
		return unknown(name, fmt.Errorf("open the sink: %w", err))
	}
	s.stream = made.StreamIndex
	// What the server means to read at once is what it will have read ahead, but for
	// what a device adds; the first measurements will tell.
	s.clock.guess = time.Duration(made.SinkLatency)*time.Microsecond + 2*time.Millisecond
	s.lag.Store(&clock{guess: s.clock.guess})
	return s.rouse(made.SinkName)
}

// rouse shakes a null sink awake that nobody plays to. It has then made two
// seconds of silence in advance, and does not take that back when somebody begins to.
// Real devices do, and are left alone.
func (s *sink) rouse(name string) error {
	const idle = 1
	var info proto.GetSinkInfoReply
	if err := s.conn.ask(&proto.GetSinkInfo{SinkIndex: proto.Undefined, SinkName: name}, &info); err != nil {
		return unknown(name, fmt.Errorf("ask for the sink: %w", err))
	}
	if info.Driver != "module-null-sink.c" || info.State != idle || info.Latency < proto.Microseconds(unmeasured.Microseconds()) {
		return nil
	}
	for _, suspend := range []bool{true, false} {
		if err := s.conn.ask(&proto.SuspendSink{SinkIndex: info.SinkIndex, Suspend: suspend}, nil); err != nil {
			return fmt.Errorf("wake the sink: %w", err)
		}
	}
	return nil
}

// Start gives the sink what to play.
func (s *sink) Start(pull speaker.Pull) {
	s.start.Do(func() {
		s.mu.Lock()
		s.pull = pull
		s.mu.Unlock()
		s.work.Add(3)
		go s.write()
		go s.poll()
		go func() {
			defer s.work.Done()
			select {
			case <-s.conn.failed:
				_ = s.fail(s.conn.err)
			case <-s.stop:
			}
		}()
	})
}

// Run lets the server play. It returns when it is known when frames are heard.
func (s *sink) Run(time.Time) error {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running {
		return nil
	}
	if err := s.cork(false); err != nil {
		return s.fail(err)
	}
	s.mu.Lock()
	s.clock.reset()
	s.mu.Unlock()
	for range 3 {
		if err := s.measure(); err != nil {
			return s.fail(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.running, s.since, s.moved = true, now, now
	s.written = s.earliest(now)
	s.server = -1
	err := s.fill(now)
	s.nudge()
	return err
}

// Idle lets what was written be heard, and corks the stream.
func (s *sink) Idle() error {
	s.mu.Lock()
	if !s.running {
		s.mu.Unlock()
		return nil
	}
	s.running = false
	rest := time.Until(s.clock.heard(s.written))
	s.mu.Unlock()
	if rest > 0 {
		select {
		case <-time.After(min(rest, most)):
		case <-s.stop:
		case <-s.failed:
		}
	}
	if err := s.cork(true); err != nil {
		return s.fail(err)
	}
	if err := s.conn.ask(&proto.FlushPlaybackStream{StreamIndex: s.stream}, nil); err != nil {
		return s.fail(fmt.Errorf("flush the stream: %w", err))
	}
	return nil
}

func (s *sink) cork(corked bool) error {
	if err := s.conn.ask(&proto.CorkPlaybackStream{StreamIndex: s.stream, Corked: corked}, nil); err != nil {
		return fmt.Errorf("let the stream run or rest: %w", err)
	}
	return nil
}

// Flush writes again what the server has not read yet. There is no gap: what was
// there is played until what comes in its place has arrived.
func (s *sink) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return nil
	}
	now := time.Now()
	s.written = min(s.written, s.earliest(now))
	return s.fill(now)
}

// Latency is how far ahead the server reads, at the most.
func (s *sink) Latency() time.Duration { return s.lag.Load().latency(time.Now()) }

// earliest is the first frame that surely was not read yet. The mutex is held.
func (s *sink) earliest(now time.Time) int64 {
	return max(0, s.clock.frame(now.Add(s.clock.latency(now))))
}

// fill writes as far ahead as is meant to be. The mutex is held.
func (s *sink) fill(now time.Time) error {
	to := s.clock.frame(now.Add(min(max(s.ahead, s.clock.latency(now)+slack), most)))
	if first := s.earliest(now); s.written < first && s.clock.frame(now) > s.written {
		s.written = first // too late for what is in between
	}
	for s.written < to {
		n := min(block, to-s.written)
		samples, bytes := s.samples[:n*speaker.Channels], s.bytes[:n*frameSize]
		s.pull(samples, s.clock.heard(s.written))
		for i, x := range samples {
			binary.LittleEndian.PutUint32(bytes[4*i:], math.Float32bits(x))
		}
		at := int64(-1)
		if s.server != s.written {
			at = s.written * frameSize
		}
		if err := s.conn.send(s.stream, at, bytes); err != nil {
			return s.fail(err)
		}
		s.written += n
		s.server = s.written
	}
	return nil
}

// write keeps the server's buffer full, on a goroutine of its own.
func (s *sink) write() {
	defer s.work.Done()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		s.mu.Lock()
		running := s.running
		if running && s.fill(time.Now()) != nil {
			running = false
		}
		s.mu.Unlock()
		tick := ticker.C
		if !running {
			tick = nil
			ticker.Stop()
		}
		select {
		case <-s.stop:
			return
		case <-s.failed:
			return
		case <-tick:
		case <-s.wake:
			ticker.Reset(pace)
		}
	}
}

// poll measures while the stream runs, on a goroutine of its own.
func (s *sink) poll() {
	defer s.work.Done()
	timer := time.NewTimer(pollEarly)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.failed:
			return
		case <-s.awake:
			timer.Reset(pollEarly)
			continue
		case <-timer.C:
		}
		s.mu.Lock()
		running, since := s.running, s.since
		s.mu.Unlock()
		if !running {
			continue // until awake
		}
		if err := s.measure(); err != nil {
			_ = s.fail(err)
			return
		}
		if time.Since(since) < time.Second {
			timer.Reset(pollEarly)
		} else {
			timer.Reset(pollLate)
		}
	}
}

// measure asks the server what it reads.
func (s *sink) measure() error {
	sent := time.Now()
	var r proto.GetPlaybackLatencyReply
	if err := s.conn.ask(&proto.GetPlaybackLatency{StreamIndex: s.stream}, &r); err != nil {
		return fmt.Errorf("ask for the latency: %w", err)
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost.Swap(false) {
		s.clock.reset()
	}
	s.clock.observe(sent, now, r.ReadIndex/frameSize, time.Duration(r.Latency)*time.Microsecond)
	s.lag.Store(s.clock.copy())
	if s.dry.Swap(false) && s.running && now.Sub(s.since) > slack+target {
		s.ahead = min(s.ahead+slack, most)
	}
	if r.ReadIndex != s.reading {
		s.reading, s.moved = r.ReadIndex, now
	} else if s.running && now.Sub(s.moved) > frozen {
		return errors.New("the sound server has stopped playing, its sink may be suspended")
	}
	return nil
}

// event takes what the server tells unasked, on the connection's goroutine, which must not wait.
func (s *sink) event(msg any) {
	switch msg.(type) {
	case *proto.PlaybackStreamKilled:
		_ = s.fail(errors.New("the sound server has removed the sink"))
	case *proto.PlaybackStreamMoved, *proto.PlaybackStreamSuspended:
		s.lost.Store(true)
	case *proto.Underflow:
		s.dry.Store(true)
	}
}

// nudge wakes the writer and the poller.
func (s *sink) nudge() {
	for _, c := range []chan struct{}{s.wake, s.awake} {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Failed is closed when the stream, the sink or the server is gone.
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

func (s *sink) fail(err error) error {
	s.fault.Do(func() {
		s.err = err
		close(s.failed)
	})
	return err
}

// Close ends the stream at once.
func (s *sink) Close() error {
	s.halt.Do(func() {
		close(s.stop)
		s.conn.close()
		s.work.Wait()
	})
	return nil
}
