package speaker

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Verb is what an Order asks.
type Verb int

// The verbs of an Order and the report that each is answered with.
const (
	Prepare Verb = iota // open, decode to the first samples; ReportPrepared or ReportFailed
	Start               // be heard; ReportStarted or ReportFailed
	Hold                // fall silent, keep the decoder and the position; ReportHeld
	Resume              // be heard again from there; ReportStarted or ReportFailed
	Seek                // go to Position; ReportSeeked or ReportFailed
	Mix                 // new Outputs or Ducked; no answer
	Release             // fall silent, forget; no answer, no further report of it
)

// Output is a speaker and the volume of the playback there, 0–MaxVolume.
type Output struct {
	Speaker string
	Volume  int
}

// Order is an order to the engine about one playback.
type Order struct {
	Verb     Verb
	Playback string
	Opener   Opener        // of Prepare
	Outputs  []Output      // of Start, Resume and Mix: all speakers of the playback
	Ducked   bool          // of Start, Resume and Mix
	Position time.Duration // of Seek
}

// ReportKind is what a Report tells.
type ReportKind int

// The kinds of reports.
const (
	ReportPrepared    ReportKind = iota // Info is set
	ReportStarted                       // the first sample is on its way; Position, At
	ReportHeld                          // Position is where it was held
	ReportSeeked                        // Position, At
	ReportEnded                         // the last sample was heard by the last speaker
	ReportFailed                        // Err is set; the engine has forgotten the playback, unless Kept
	ReportStalled                       // a stream ran dry; Position stands still
	ReportContinued                     // and has sound again; Position, At
	ReportTitle                         // Title changed
	ReportSpeaker                       // Speaker and Available are set, Err if not available
	ReportSpeakerGone                   // Speaker no longer exists
)

// Report tells what was really played, or what happened to a speaker.
type Report struct {
	Kind     ReportKind
	Playback string
	Info     Info
	Position time.Duration // what was being heard at At
	At       time.Time
	Title    string
	Speaker  SpeakerInfo
	Err      error // wraps ErrMedia or ErrSpeaker
	Kept     bool  // of ReportFailed: it is held as before and can be resumed later
}

// SpeakerInfo describes one speaker of the hub.
type SpeakerInfo struct {
	ID        string // matches [A-Za-z0-9_-]{1,64}
	Name      string // for a person
	Driver    string
	Target    string // as the driver calls it
	Default   bool
	Available bool
	Error     string  // why it is not available
	LatencyMS float64 // between a swap and its first sample
}

// Setup names one speaker that the owner configured.
type Setup struct {
	ID     string
	Name   string
	Driver Driver
	Target string
}

// Config is what an engine is made of.
type Config struct {
	// Speakers are the configured ones. They exist whether or not they can be opened now.
	Speakers []Setup
	// Discover are drivers each of whose targets becomes a speaker by itself.
	Discover []Driver
	// Report is called for each report, from one goroutine at a time. It must not block.
	Report func(Report)
	Log    zerolog.Logger
}

// Engine plays. Do never blocks; what comes of an order arrives as a Report.
//
// One goroutine, that of Run, owns all that follows; everything else is posted
// to it. Samples do not pass through it: a decoder goroutine for each playback
// fills a ring, and the goroutines of the sinks mix what they pull from the rings.
type Engine struct {
	cfg    Config
	inbox  *mailbox[func()]
	notice chan struct{} // a mixer or decoder has something for survey
	work   sync.WaitGroup

	mu        sync.RWMutex // guards the map for Position
	playbacks map[string]*playback

	ctx      context.Context
	stations map[string]*station
	order    []string  // of the stations, as they came
	awaited  *swap     // that waits for sinks to begin to run
	held     [][]Order // what came since
	running  bool      // sinks pull
	lastBusy time.Time
}

// NewEngine makes an engine; Run starts it.
func NewEngine(cfg Config) *Engine {
	if cfg.Report == nil {
		cfg.Report = func(Report) {}
	}
	return &Engine{
		cfg:       cfg,
		inbox:     newMailbox[func()](),
		notice:    make(chan struct{}, 1),
		playbacks: map[string]*playback{},
		stations:  map[string]*station{},
	}
}

// Run opens the speakers and plays until ctx is done, then closes everything.
// The drivers stay open: whoever made them closes them.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer e.shutDown(cancel)
	e.ctx = ctx
	for _, s := range e.cfg.Speakers {
		e.addStation(s, false)
	}
	for _, d := range e.cfg.Discover {
		e.discover(d)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		if next := e.survey(now); next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(0, next.Sub(now)))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-e.notice:
		case <-e.inbox.mail:
			for _, f := range e.inbox.take() {
				f()
			}
		}
	}
}

// shutDown ends all goroutines. A source or driver that does not keep its
// promise to return soon is left behind rather than waited for.
func (e *Engine) shutDown(cancel context.CancelFunc) {
	for id := range e.playbacks {
		e.forget(id, time.Now(), 0)
	}
	cancel()
	done := make(chan struct{})
	go func() { e.work.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		e.cfg.Log.Warn().Msg("a sound source or driver did not stop in time")
	}
}

// Do carries out orders that belong together: an old playback's Release and a
// new one's Start in one call swap without a gap.
func (e *Engine) Do(orders []Order) {
	orders = append([]Order(nil), orders...)
	e.inbox.put(func() { e.do(orders) })
}

// Position tells where a playback was at a moment near now; false if the engine
// does not have it or it was never heard.
func (e *Engine) Position(playback string) (pos time.Duration, at time.Time, ok bool) {
	e.mu.RLock()
	p := e.playbacks[playback]
	e.mu.RUnlock()
	if p == nil {
		return 0, time.Time{}, false
	}
	now := time.Now()
	frame, ok := p.position(now)
	return FramesToDuration(frame), now, ok
}

// spawn runs f as one of the engine's goroutines.
func (e *Engine) spawn(f func()) {
	e.work.Add(1)
	go func() {
		defer e.work.Done()
		f()
	}()
}
