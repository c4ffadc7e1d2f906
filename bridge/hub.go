// Package bridge is the hub: commands come in from the message bus, the core
// decides, the sound engine plays, and what became of it goes out as retained
// status, events and results.
//
// A hub is one goroutine (Hub.Run) that owns the core. A message travels
//
//	client.go   the MQTT handler only enqueues
//	inbox.go    the loop takes it up, a repeated one not again
//	codec.go    decode checks it against its Route
//	pace.go     what comes too fast goes no further
//	inputs.go   makes it an input of the core, media resolved
//	hub.go      Step, by the one goroutine
//	effects.go  orders to the engine, then status, event, result
//	outbox.go   and out, in order, over one connection
//
// and what the engine reports comes back as the next input.
package bridge

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker"
)

// engine is what the hub wants of the sound engine.
type engine interface {
	Run(ctx context.Context) error
	Do(orders []speaker.Order)
	Position(playback string) (pos time.Duration, at time.Time, ok bool)
}

// Hub is one hub: an address on the bus.
type Hub struct {
	cfg       Config
	log       zerolog.Logger
	boot      string
	where     string // instance, as ping tells it
	engine    engine
	out       *outbox
	feed      *feed
	inbox     chan request
	mail      mailbox
	media     chan struct{} // the catalogue has changed
	alive     chan struct{} // given by the loop to whoever asks whether it goes round
	voices    voiceWatch
	saved     *store
	dialect   *dialectBus // HKWHub's clients on the bus
	announcer *announcer  // to Home Assistant

	// Owned by the loop.
	core     *session.Core
	seq      uint64
	pending  map[string]*pending // by the key that the core knows
	keys     uint64
	seen     dedupe
	pacer    *pacer
	items    map[string]*item // by playback, while it lives
	speakers map[string]speaker.SpeakerInfo
	voice    SpeechStatus
}

// New makes a hub; Run starts it.
func New(cfg Config) (*Hub, error) {
	if !ValidID(cfg.Hub) {
		return nil, fmt.Errorf("hub id %q: must be 1 to 64 letters, digits, _ or -", cfg.Hub)
	}
	host, _ := os.Hostname()
	h := &Hub{
		cfg:      cfg,
		log:      cfg.Log.With().Str("component", "hub").Str("hub", cfg.Hub).Logger(),
		boot:     randomText(8),
		where:    fmt.Sprintf("host %s, process %d", host, os.Getpid()),
		inbox:    make(chan request, inboxSize),
		mail:     mailbox{ready: make(chan struct{}, 1)},
		media:    make(chan struct{}, 1),
		alive:    make(chan struct{}),
		voices:   voiceWatch{ask: make(chan struct{}, 1), told: make(chan SpeechStatus)},
		voice:    SpeechStatus{Engine: noEngine},
		pending:  map[string]*pending{},
		seen:     newDedupe(),
		pacer:    newPacer(cfg.Pace),
		items:    map[string]*item{},
		speakers: map[string]speaker.SpeakerInfo{},
	}
	h.feed = newFeed(h.boot)
	h.out = newOutbox("hkw/"+cfg.Hub+"/", h.feed, h.log)
	h.announcer = newAnnouncer(cfg.HomeAssistant, cfg.Hub, h.out)
	h.dialect = newDialectBus(h)
	h.saved = openStore(cfg.DataDir, cfg.Hub, h.log)
	left := h.saved.hub()
	h.cfg.Session.Mute, h.cfg.Session.QuietOverride = left.mute(), left.override()
	h.core = session.New(h.cfg.Session)
	h.engine = speaker.NewEngine(speaker.Config{
		Speakers: cfg.Speakers, Discover: cfg.Discover, Report: h.mail.put,
		Log: cfg.Log.With().Str("component", "engine").Str("hub", cfg.Hub).Logger(),
	})
	return h, nil
}

// Run serves the hub until ctx is done, then ends what plays, says offline and
// leaves. It returns an error that wraps ErrHubTaken if another live instance
// serves the hub.
func (h *Hub) Run(ctx context.Context) error {
	engineCtx, stopEngine := context.WithCancel(context.Background())
	clientCtx, stopClient := context.WithCancel(context.Background())
	defer stopEngine()
	defer stopClient()

	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.engine.Run(engineCtx); err != nil {
			h.log.Error().Err(err).Msg("the sound engine ended")
		}
	})
	clientDone := make(chan error, 1)
	c := &client{hub: h.cfg.Hub, boot: h.boot, cfg: h.cfg.Broker, out: h.out, home: h.announcer, deliver: h.deliver,
		log: h.cfg.Log.With().Str("component", "mqtt").Str("hub", h.cfg.Hub).Logger()}
	wg.Go(func() { clientDone <- c.run(clientCtx) })
	wg.Go(func() { h.saved.run(clientCtx) })
	wg.Go(func() { h.voices.run(clientCtx, h.cfg.Speech) })
	stopDialect := h.dialect.start()

	h.step(session.Tick{}) // whether it is quiet now
	h.announce()
	h.publishStatus(time.Now())
	err := h.loop(ctx, clientDone)

	h.shutDown()
	h.announcer.close()
	stopDialect() // its last answers leave with the client
	h.feed.close()
	stopClient()
	stopEngine()
	wg.Wait()
	return err
}

// loop is the one goroutine that owns the core.
func (h *Hub) loop(ctx context.Context, clientDone <-chan error) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if at, ok := h.deadline(time.Now()); ok {
			timer.Reset(time.Until(at))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-clientDone:
			return err
		case r := <-h.inbox:
			h.handle(r)
		case <-h.mail.ready:
			for _, r := range h.mail.take() {
				h.handleReport(r)
			}
		case <-h.media:
			h.publishStatus(time.Now())
		case h.alive <- struct{}{}: // see Alive
		case h.voice = <-h.voices.told:
			h.publishStatus(time.Now())
		case <-timer.C:
			h.catchUp(time.Now())
			h.step(session.Tick{})
		}
	}
}

// deadline is when the loop has something to do if nothing comes.
func (h *Hub) deadline(now time.Time) (time.Time, bool) {
	at, ok := h.core.Deadline()
	if paced, has := h.pacer.deadline(now); has && (!ok || paced.Before(at)) {
		return paced, true
	}
	return at, ok
}

// shutDown ends everything audible and answers everyone who still waits.
func (h *Hub) shutDown() {
	top := session.MaxPriority
	h.step(session.Stop{Request: session.Request{ID: "shutdown", Priority: &top}})
	for {
		select {
		case r := <-h.inbox:
			h.answerUnqueued(r, &refusal{Internal, "the hub is shutting down"})
			continue
		default:
		}
		break
	}
	for key := range h.pending {
		h.finish(key, session.Result{ID: key, Outcome: session.OutcomeFailed, Code: session.Cancelled, Message: "the hub is shutting down"})
	}
}

// step runs the core and carries out what it decides.
func (h *Hub) step(in session.Input) {
	now := time.Now()
	h.carryOut(now, h.core.Step(now, in))
}

// MediaChanged tells the hub that its catalogue has changed, so that its status
// says how much there is.
func (h *Hub) MediaChanged() {
	select {
	case h.media <- struct{}{}:
	default:
	}
}

// Boot is the random name of this run of the hub, as in every payload's boot.
func (h *Hub) Boot() string { return h.boot }

// Connected tells whether the hub's connection to the broker is up.
func (h *Hub) Connected() bool { return h.out.connected() }

// ID is the hub's id.
func (h *Hub) ID() string { return h.cfg.Hub }
