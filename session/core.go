package session

import "time"

// Core is the state of one hub. It is not safe for concurrent use: one
// goroutine owns it.
//
// At most two playbacks hold the hub: music, and an announcement over it.
// Everything else waits, is paused, or is gone.
type Core struct {
	cfg   Config
	now   time.Time // of the current or latest Step
	seq   uint64    // counts sessions, playbacks and timers, so that ties are decided by age
	steps uint64    // counts Steps, so that a report is not taken for the answer to an order of its own Step

	sessions  map[string]*session  // open ones by token
	refs      map[string]*session  // all of them by ref, implicit ones too
	playbacks map[string]*playback // everything that has not ended
	used      memory               // ids that have ended

	music   *playback   // ordinary playback that holds the hub: starting … returning
	voice   *playback   // announcement that holds it, over the music if there is any
	paused  []*playback // oldest pause first
	waiting []*playback // preparing and queued, by arrival

	speakers []*speaker // by id
	mute     Mute       // of the hub as a whole
	quiet    quiet

	timers timers
	state  PlayerState // of the hub
	played bool        // something was heard since the start

	// What the current Step gives back, kept between Steps for their memory.
	out      []Effect
	orders   []Order
	changed  bool
	dirty    []*session
	gone     []string
	events   []Event
	results  []Result
	scratch  []*playback
	scratch2 []*playback
}

// New makes an idle core without speakers.
func New(cfg Config) *Core {
	return &Core{
		cfg:       cfg.withDefaults(),
		mute:      cfg.Mute,
		quiet:     newQuiet(cfg.Quiet, cfg.QuietOverride),
		sessions:  make(map[string]*session),
		refs:      make(map[string]*session),
		playbacks: make(map[string]*playback),
		used:      memory{known: make(map[usedID]struct{})},
		state:     PlayerStateInitialized,
	}
}

// Step does what has become due at now, applies in, and returns what the caller
// must carry out. now must not run backwards (an earlier one counts as the
// latest seen). The returned slice is valid until the next Step.
//
// Step(now, in) is Step(now, Tick{}) and then in: what is due goes first, so
// that a late timer can never leave the wrong owner.
func (c *Core) Step(now time.Time, in Input) []Effect {
	if now.After(c.now) || c.now.IsZero() {
		c.now = now
	}
	c.steps++
	c.sweep()
	c.lookAtClock()
	c.advance()
	c.apply(in)
	c.advance()
	return c.flush()
}

// Deadline is when Step wants to be called next if nothing else happens. After
// a Step it lies in the future of that Step.
func (c *Core) Deadline() (time.Time, bool) {
	at := c.nextLook()
	if len(c.timers) > 0 {
		at = earlier(at, c.timers[0].at)
	}
	return at, !at.IsZero()
}

// apply hands one input to its case. Inputs are values; anything else is only
// the passing of time.
func (c *Core) apply(in Input) {
	switch in := in.(type) {
	case Open:
		c.open(in)
	case Close:
		c.close(in)
	case Read:
		c.read(in)
	case SetSpeakers:
		c.setSpeakers(in)
	case Play:
		c.play(in)
	case Stop:
		c.stop(in)
	case Pause:
		c.pause(in)
	case Resume:
		c.resume(in)
	case Seek:
		c.seek(in)
	case SetVolume:
		c.setVolume(in)
	case SetMute:
		c.setMute(in)
	case SetQuiet:
		c.setQuiet(in)
	case Prepared:
		c.reportPrepared(in)
	case Started:
		c.reportStarted(in)
	case Paused:
		c.reportPaused(in)
	case Ended:
		c.reportEnded(in)
	case Failed:
		c.reportFailed(in)
	case Speaker:
		c.reportSpeaker(in)
	case SpeakerGone:
		c.reportSpeakerGone(in)
	}
}
