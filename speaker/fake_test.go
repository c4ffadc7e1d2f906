package speaker_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hkw/speaker"
)

// fakeSink plays into memory, in the time of a synctest bubble. What it pulled is
// on its way for the latency and can't be taken back; before that lies a buffer, which can.
type fakeSink struct {
	room
	driver *fakeDriver

	mu      sync.Mutex
	pull    speaker.Pull
	running bool
	deaf    bool // it does not pull although it runs
	next    int64
	run     time.Time
	wake    chan struct{}
	stop    chan struct{}
	ended   chan struct{}
	once    sync.Once
	failed  chan struct{}
	err     error
	calls   []string
	starts  []time.Time
}

// room is what a fakeSink is like.
type room struct {
	latency time.Duration
	buffer  time.Duration
	drift   float64 // by how much its clock is too fast
}

// fakeDriver makes fakeSinks; their targets are names of its map.
type fakeDriver struct {
	mu        sync.Mutex
	kinds     map[string]room  // what a target is like
	broken    map[string]error // why it can't be opened
	open      map[string]*fakeSink
	heard     map[string][]float32 // the left channel, by target and number of the frame since the epoch
	forgetful bool                 // nothing is kept
	events    chan speaker.TargetEvent
	epoch     time.Time
}

func newFakeDriver(kinds map[string]room) *fakeDriver {
	d := &fakeDriver{
		kinds: kinds, broken: map[string]error{}, open: map[string]*fakeSink{},
		heard: map[string][]float32{}, events: make(chan speaker.TargetEvent, 1), epoch: time.Now(),
	}
	return d
}

func (d *fakeDriver) Name() string                       { return "fake" }
func (d *fakeDriver) Events() <-chan speaker.TargetEvent { return d.events }
func (d *fakeDriver) Close() error                       { return nil }
func (d *fakeDriver) number(t time.Time) int64           { return speaker.DurationToFrames(t.Sub(d.epoch)) }
func (d *fakeDriver) sink(target string) *fakeSink {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[target]
}

func (d *fakeDriver) Targets(context.Context) ([]speaker.Target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.broken[""]; err != nil {
		return nil, err
	}
	var ts []speaker.Target
	for k := range d.kinds {
		ts = append(ts, speaker.Target{ID: k, Description: "the " + k})
	}
	return ts, nil
}

func (d *fakeDriver) Open(_ context.Context, target string) (speaker.Sink, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	kind, ok := d.kinds[target]
	if err := d.broken[target]; err != nil {
		return nil, err
	}
	if !ok {
		return nil, speaker.ErrNoSuchSpeaker
	}
	s := &fakeSink{
		room: kind, driver: d,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}), failed: make(chan struct{}),
	}
	d.open[target] = s
	go s.loop()
	return s, nil
}

// breakDown lets an open sink fail, and the next ones not open until mend.
func (d *fakeDriver) breakDown(target string) {
	d.mu.Lock()
	d.broken[target] = errors.New("unplugged")
	s := d.open[target]
	d.mu.Unlock()
	s.mu.Lock()
	s.err, s.running = errors.New("unplugged"), false
	s.mu.Unlock()
	close(s.failed)
}

func (d *fakeDriver) mend(target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.broken, target)
}

func (s *fakeSink) Start(pull speaker.Pull) { s.mu.Lock(); s.pull = pull; s.mu.Unlock() }
func (s *fakeSink) Latency() time.Duration  { return s.latency }
func (s *fakeSink) Failed() <-chan struct{} { return s.failed }
func (s *fakeSink) Err() error              { s.mu.Lock(); defer s.mu.Unlock(); return s.err }

func (s *fakeSink) Run(start time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.starts = append(s.calls, "run"), append(s.starts, start)
	s.running, s.run, s.next = true, time.Now(), 0
	s.fill()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.err
}

func (s *fakeSink) Idle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.running = append(s.calls, "idle"), false
	return s.err
}

func (s *fakeSink) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "flush")
	if s.running && !s.deaf {
		s.next = min(s.next, s.played())
		s.fill()
	}
	return s.err
}

func (s *fakeSink) Close() error {
	s.once.Do(func() { close(s.stop); <-s.ended })
	return nil
}

func (s *fakeSink) runs() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.running }
func (s *fakeSink) did() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// played is how many frames have left the buffer; heard when one is heard.
func (s *fakeSink) played() int64 {
	return speaker.DurationToFrames(time.Duration(float64(time.Since(s.run)) * (1 + s.drift)))
}

func (s *fakeSink) heard(frame int64) time.Time {
	d := time.Duration(float64(speaker.FramesToDuration(frame)) / (1 + s.drift))
	return s.run.Add(d + s.latency)
}

func (s *fakeSink) fill() {
	to := s.played() + speaker.DurationToFrames(s.buffer)
	buf := make([]float32, 960)
	for s.next < to {
		n := min(480, to-s.next)
		at := s.heard(s.next)
		s.pull(buf[:2*n], at)
		s.note(at, buf[:2*n])
		s.next += n
	}
}

// note keeps samples under the time at which they are heard.
func (s *fakeSink) note(at time.Time, samples []float32) {
	d := s.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	for target, open := range d.open {
		if open != s || d.forgetful {
			continue
		}
		first := d.number(at)
		rec := d.heard[target]
		if more := first + int64(len(samples)/2) - int64(len(rec)); more > 0 {
			rec = append(rec, make([]float32, more)...)
		}
		for i := range int64(len(samples) / 2) {
			rec[first+i] = samples[2*i]
			if samples[2*i+1] != -samples[2*i] {
				panic("left and right were mixed up")
			}
		}
		d.heard[target] = rec
	}
}

func (s *fakeSink) loop() {
	defer close(s.ended)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		if s.running && !s.deaf {
			s.fill()
		}
		s.mu.Unlock()
		select {
		case <-s.stop:
			return
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// sound is a source of which each frame tells its number: never 0, and unlike that of another sound.
type sound struct {
	frames int64
	base   int64
	live   bool // frames are there as far as ready says
	ready  atomic.Int64
	opened func(context.Context) error
	read   func(at int64) error
	title  func(at int64) string
	fixed  bool // it can't seek
	closed *int
}

func (s *sound) value(frame int64) float32 { return float32((s.base+frame)%16000+1) / 32768 }

func (s *sound) Open(ctx context.Context) (speaker.Source, error) {
	if s.opened != nil {
		if err := s.opened(ctx); err != nil {
			return nil, err
		}
	}
	return &reader{sound: s, ctx: ctx}, nil
}

type reader struct {
	*sound
	at  int64
	ctx context.Context
}

func (r *reader) Read(dst []float32) (int, error) {
	if r.read != nil {
		if err := r.read(r.at); err != nil {
			return 0, err
		}
	}
	n := min(int64(len(dst)/2), r.frames-r.at)
	for r.live && n > 0 {
		if there := r.ready.Load() - r.at; there > 0 {
			n = min(n, there)
			break
		}
		select {
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	if n <= 0 {
		return 0, io.EOF
	}
	for i := range n {
		v := r.value(r.at + i)
		dst[2*i], dst[2*i+1] = v, -v
	}
	r.at += n
	return int(n), nil
}

func (r *reader) SeekTo(f int64) error {
	if r.fixed {
		return speaker.ErrNotSeekable
	}
	r.at = f
	return nil
}

func (r *reader) Info() speaker.Info {
	return speaker.Info{Duration: speaker.FramesToDuration(r.frames), Seekable: !r.fixed, Codec: "test"}
}

func (r *reader) Title() string {
	if r.title != nil {
		return r.title(r.at)
	}
	return ""
}

func (r *reader) Close() error {
	if r.closed != nil {
		*r.closed++
	}
	return nil
}

// house is an engine in a bubble.
type house struct {
	*speaker.Engine
	t       *testing.T
	mu      sync.Mutex
	reports []speaker.Report
	seen    int // reports that await has passed
	more    chan struct{}
	driver  *fakeDriver
}

// inHouse runs a test in a bubble, on an engine with the given speakers.
func inHouse(t *testing.T, kinds map[string]room, f func(*house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDriver(kinds)
		cfg := speaker.Config{}
		for id := range kinds {
			cfg.Speakers = append(cfg.Speakers, speaker.Setup{ID: id, Driver: d, Target: id})
		}
		h := runHouse(t, cfg)
		h.driver = d
		synctest.Wait()
		f(h)
	})
}

func runHouse(t *testing.T, cfg speaker.Config) *house {
	h := &house{t: t, more: make(chan struct{}, 1)}
	cfg.Report = func(r speaker.Report) {
		h.mu.Lock()
		h.reports = append(h.reports, r)
		h.mu.Unlock()
		select {
		case h.more <- struct{}{}:
		default:
		}
	}
	cfg.Log = zerolog.Nop()
	h.Engine = speaker.NewEngine(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

// await is the next report of a kind about a playback, or about a speaker.
func (h *house) await(kind speaker.ReportKind, of string) speaker.Report {
	h.t.Helper()
	limit := time.After(time.Hour)
	for {
		h.mu.Lock()
		for h.seen < len(h.reports) {
			r := h.reports[h.seen]
			h.seen++
			if r.Kind == kind && (r.Playback == of || r.Speaker.ID == of && of != "") {
				h.mu.Unlock()
				return r
			}
			if r.Kind == speaker.ReportFailed && r.Playback == of {
				h.mu.Unlock()
				h.t.Fatalf("%s failed: %v", of, r.Err)
			}
		}
		h.mu.Unlock()
		select {
		case <-h.more:
		case <-limit:
			h.t.Fatalf("no report %d of %q among %+v", kind, of, h.reports)
		}
	}
}

// count is how many reports of a kind there were about a playback.
func (h *house) count(kind speaker.ReportKind, of string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, r := range h.reports {
		if r.Kind == kind && (r.Playback == of || r.Speaker.ID == of && of != "") {
			n++
		}
	}
	return n
}

func (h *house) prepare(id string, s speaker.Opener) {
	h.t.Helper()
	h.Do([]speaker.Order{{Verb: speaker.Prepare, Playback: id, Opener: s}})
	h.await(speaker.ReportPrepared, id)
}

// on are outputs at full volume.
func on(ids ...string) []speaker.Output {
	var outs []speaker.Output
	for _, id := range ids {
		outs = append(outs, speaker.Output{Speaker: id, Volume: speaker.MaxVolume})
	}
	return outs
}

func (h *house) start(id string, s speaker.Opener, speakers ...string) speaker.Report {
	h.t.Helper()
	h.prepare(id, s)
	h.Do([]speaker.Order{{Verb: speaker.Start, Playback: id, Outputs: on(speakers...)}})
	return h.await(speaker.ReportStarted, id)
}

// at is what a speaker let be heard at the n-th frame after a moment.
func (h *house) at(speaker string, t time.Time, n int64) float32 {
	h.driver.mu.Lock()
	defer h.driver.mu.Unlock()
	rec, i := h.driver.heard[speaker], h.driver.number(t)+n
	if i < 0 || i >= int64(len(rec)) {
		return 0
	}
	return rec[i]
}

// expect checks that a speaker let frames of a sound be heard from a moment on, exactly.
func (h *house) expect(speaker string, t time.Time, s *sound, from, n int64) {
	h.t.Helper()
	// The moment may lie between two frames of the sink.
	shift := int64(0)
	for _, d := range []int64{-1, 1} {
		if h.at(speaker, t, d) == s.value(from) {
			shift = d
		}
	}
	for i := range n {
		if got, want := h.at(speaker, t, i+shift), s.value(from+i); got != want {
			h.t.Fatalf("%s: %d frames after %v (frame %d) is %v, want %v",
				speaker, i, t.Sub(h.driver.epoch), from+i, got*32768, want*32768)
		}
	}
}

// silent checks that nothing is heard.
func (h *house) silent(speaker string, t time.Time, n int64) {
	h.t.Helper()
	for i := range n {
		if got := h.at(speaker, t, i); got != 0 {
			h.t.Fatalf("%s: %d frames after %v is %v, want silence", speaker, i, t.Sub(h.driver.epoch), got*32768)
		}
	}
}

const second = speaker.SampleRate
