// Package speech turns text into sound: with espeak-ng on this machine, with a
// Wyoming server (Piper, say) on the network, or with an HTTP service that speaks
// the OpenAI interface. What was spoken once is kept, and comes from the disk the
// next time.
//
// Engines are not trusted. One that hangs, floods, forks or answers nonsense is
// stopped, and the error says which it did. Everything that a playback can fail
// with wraps speaker.ErrMedia.
package speech

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hkw/speaker"
)

var (
	// ErrNoEngine is why nothing is said where there is nothing to say it with.
	ErrNoEngine = errors.New("no speech engine configured: apt-get install espeak-ng, or configure a Wyoming server (Piper, for one) or an OpenAI-compatible HTTP service")
	// ErrRequest is wrapped by the errors of requests that no engine would be asked: the text or the voice is at fault.
	ErrRequest = errors.New("cannot be said")
	// ErrClosed is why speech ends when its Speech was closed.
	ErrClosed = errors.New("speech is shutting down")
)

// Request is what shall be said.
type Request struct {
	Text  string // 1 to MaxText bytes of UTF-8; control characters are not spoken
	Voice string // as the engine calls it, at most MaxVoice bytes; "" is the default
}

// Engine is something that speaks.
type Engine interface {
	// Name tells engines apart, for people and for the cache: it names the kind
	// and, if there is one, the address. It holds no secret.
	Name() string
	// Synthesize begins to speak. The first samples can be read while the rest is
	// still being made. The source ends soon after ctx does, and with it whatever
	// it started; closing it has the same effect. An engine sets no limits of time
	// or length: Speech does.
	Synthesize(ctx context.Context, r Request) (speaker.Source, error)
	// Check tells whether the engine could speak now. The error says what to do.
	Check(ctx context.Context) error
}

// Config configures a Speech. The zero value works and says ErrNoEngine.
type Config struct {
	Engine Engine         // nil: every request ends in ErrNoEngine
	Voice  string         // for requests that name none; "" leaves it to the engine
	Chime  speaker.Opener // sounds before the speech; nil for none

	CacheDir   string // is made if it is not there; "" for no cache
	CacheBytes int64  // of all that is kept there; 64 MiB if 0

	Stall      time.Duration // how long an engine may go without a sample, the first one included; 15 s if 0
	Limit      time.Duration // how long it may take to speak one text; 5 min if 0
	Length     time.Duration // the longest speech; 10 min if 0
	Renderings int           // how many texts are spoken at once, others wait; 4 if 0

	Log zerolog.Logger
}

// Speech says what it is asked to. It is safe for use by several goroutines.
type Speech struct {
	cfg   Config
	cache *cache // nil if there is none

	ctx    context.Context
	cancel context.CancelCauseFunc
	slots  chan struct{} // taken by engines at work
	wg     sync.WaitGroup

	mu     sync.Mutex
	active map[string]*rendering // by key; what is being spoken or listened to
}

// New makes a Speech. It does nothing until something is to be said.
func New(cfg Config) *Speech {
	cfg.CacheBytes = orDefault(cfg.CacheBytes, 64<<20)
	cfg.Stall = orDefault(cfg.Stall, 15*time.Second)
	cfg.Limit = orDefault(cfg.Limit, 5*time.Minute)
	cfg.Length = orDefault(cfg.Length, 10*time.Minute)
	cfg.Renderings = orDefault(cfg.Renderings, 4)
	s := &Speech{cfg: cfg, slots: make(chan struct{}, cfg.Renderings), active: map[string]*rendering{}}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	if cfg.CacheDir != "" {
		s.cache = &cache{dir: cfg.CacheDir, limit: cfg.CacheBytes, log: cfg.Log}
	}
	return s
}

func orDefault[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Accepts tells, at once, why a request cannot be said: ErrNoEngine, or an error
// that wraps ErrRequest. nil promises only that the engine will be asked.
func (s *Speech) Accepts(r Request) error {
	_, err := s.prepare(r)
	return err
}

// prepare makes of a request what the engine gets.
func (s *Speech) prepare(r Request) (Request, error) {
	if s.cfg.Engine == nil {
		return r, ErrNoEngine
	}
	if r.Voice == "" {
		r.Voice = s.cfg.Voice
	}
	r, err := clean(r)
	if e, ok := s.cfg.Engine.(fussy); ok && err == nil {
		err = e.accepts(r)
	}
	return r, err
}

// fussy is an engine that knows without trying what it cannot say.
type fussy interface{ accepts(Request) error }

// Opener is the request as something to play: the chime, if there is one, and the
// speech. Its Open returns when both could begin to sound.
func (s *Speech) Opener(r Request) speaker.Opener {
	o := &opener{speech: s, request: r}
	if s.cfg.Chime == nil {
		return o
	}
	return Concat(s.cfg.Chime, o)
}

// Check tells whether something could be said now; the error says what to do.
func (s *Speech) Check(ctx context.Context) error {
	if s.cfg.Engine == nil {
		return ErrNoEngine
	}
	return s.cfg.Engine.Check(ctx)
}

// State tells which kind of engine speaks (espeak, wyoming, http, or none) and why
// nothing could be said now.
func (s *Speech) State(ctx context.Context) (engine string, err error) {
	if s.cfg.Engine == nil {
		return "none", ErrNoEngine
	}
	kind, _, _ := strings.Cut(s.cfg.Engine.Name(), " ")
	return strings.TrimSuffix(kind, "-ng"), s.cfg.Engine.Check(ctx)
}

// Close ends all speech and waits until the engines are quiet.
func (s *Speech) Close() error {
	s.mu.Lock()
	s.cancel(ErrClosed)
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

type opener struct {
	speech  *Speech
	request Request
}

// Open implements speaker.Opener. It returns when the first samples are there.
func (o *opener) Open(ctx context.Context) (speaker.Source, error) {
	r, err := o.speech.prepare(o.request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", speaker.ErrMedia, err)
	}
	return o.speech.open(ctx, r)
}

func (s *Speech) open(ctx context.Context, r Request) (speaker.Source, error) {
	spoken, err := s.join(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", speaker.ErrMedia, err)
	}
	l := &listener{ctx: ctx, to: spoken}
	leave := sync.OnceFunc(func() { s.leave(spoken) })
	stop := context.AfterFunc(ctx, leave)
	l.leave = func() { stop(); leave() }
	err = spoken.wait(ctx, 0)
	if err == nil {
		err = spoken.failed() // the first words are there, and already no more can come
	}
	if err != nil {
		l.leave()
		return nil, err
	}
	return l, nil
}

// join finds the text being spoken, or has it spoken. Each join wants a leave.
func (s *Speech) join(r Request) (*rendering, error) {
	key := s.key(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if spoken := s.active[key]; spoken != nil {
		spoken.listeners++
		return spoken, nil
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	spoken := &rendering{key: key, cancel: cancel, changed: make(chan struct{}), listeners: 1}
	s.active[key] = spoken
	s.wg.Go(func() {
		defer cancel(nil)
		kept, err := s.render(ctx, spoken, r)
		if err != nil {
			s.forget(spoken) // the next one tries again
		}
		spoken.finish(err)
		if err == nil && !kept && s.cache != nil {
			s.cache.store(key, spoken) // last, so that nobody waits for the disk
		}
	})
	return spoken, nil
}

var errUnheard = errors.New("nobody listens any more")

// leave ends what nobody listens to.
func (s *Speech) leave(spoken *rendering) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if spoken.listeners--; spoken.listeners > 0 {
		return
	}
	if s.active[spoken.key] == spoken {
		delete(s.active, spoken.key)
	}
	spoken.cancel(errUnheard)
}

func (s *Speech) forget(spoken *rendering) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[spoken.key] == spoken {
		delete(s.active, spoken.key)
	}
}

// key names what the engine makes of a request.
func (s *Speech) key(r Request) string {
	h := sha256.Sum256(fmt.Appendf(nil, "1 %q %q %q", s.cfg.Engine.Name(), r.Voice, r.Text))
	return hex.EncodeToString(h[:])
}
