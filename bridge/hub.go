// Package bridge is the hub: commands come in from the message bus, the core
// decides, the sound engine plays, and what became of it goes out as retained
// status, events and results.
//
// A hub is one goroutine (Hub.Run) that owns the core. A message travels
//
//	client.go   the MQTT handler only enqueues
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
	audio "hkw/speaker/decode"
	"hkw/speaker/library"
	"hkw/speaker/speech"
)

// inboxSize is how many commands may wait for the loop; one more is answered
// with Busy at once.
const inboxSize = 256

// Catalogue is where media is found by name.
type Catalogue interface {
	Resolve(name string) (library.Media, error)
	List(query string, offset, limit int) (items []library.Media, total int)
	Count() int // of all media; asked for at each change of the status
}

// Speech turns text into sound.
type Speech interface {
	// Accepts tells, at once, why a text cannot be said.
	Accepts(r speech.Request) error
	// Opener opens the spoken text.
	Opener(r speech.Request) speaker.Opener
	// State tells which kind of engine speaks, and why nothing could be said now. It may take a while.
	State(ctx context.Context) (engine string, err error)
}

// engine is what the hub wants of the sound engine.
type engine interface {
	Run(ctx context.Context) error
	Do(orders []speaker.Order)
	Position(playback string) (pos time.Duration, at time.Time, ok bool)
}

// Config is what a hub is made of.
type Config struct {
	Hub      string           // its id, [A-Za-z0-9_-]{1,64}
	Session  session.Config   // limits of the core
	Speakers []speaker.Setup  // configured speakers
	Discover []speaker.Driver // drivers each of whose targets becomes a speaker
	Media    Catalogue
	Speech   Speech // nil: nothing is said
	// StrictWeb is how URLs are opened that come over HTTP, where a page may have
	// named them. Those of the bus are opened as the catalogue does.
	StrictWeb audio.Web
	Presets   map[string]Preset // by name
	Broker    BrokerConfig      // where the bus is
	DataDir   string            // keeps volumes, mutes and switched quiet hours across restarts; "" for nowhere
	Warnings  map[string]string // by speaker id: what its status says as a warning
	Pace      Pace              // how fast commands may come
	Log       zerolog.Logger

	// HomeAssistant is how the hub announces itself there; the zero value is not at all.
	HomeAssistant HomeAssistant
}

// Preset is a name for something to play, with defaults of its own for what a
// command leaves open.
type Preset struct {
	Media    string // as in a play
	Priority *int   // 0 to 9999
	Volume   *int   // 0 to 50
	OnBusy   session.OnBusy
	Duck     bool
	Speakers []string
}

// request is one message on its way to the loop.
type request struct {
	topic    string // below hkw/<hub>/
	payload  []byte
	retained bool
	at       time.Time
	overHTTP bool
	dialect  bool          // a client of HKWHub called it
	reply    chan<- Result // of who waits beside the bus; buffered, gets one result
}

// pending is a command whose result is still to come.
type pending struct {
	cmd      *command
	decorate func(*Result)
	plays    *item     // what it is to play, if it is
	refused  *refusal  // what it is answered with, should its session live
	key      dedupeKey // zero if the command named no id
	waiters  []chan<- Result
	started  time.Time
	named    bool          // its id is its sender's
	untold   bool          // its result is its sender's alone, and does not stand on status/result
	unlogged bool          // its result is no news
	wait     time.Duration // of a command that came too fast: how much later it would have passed
}

// incoming is a command on its way to the core.
type incoming struct {
	request request
	cmd     *command
	why     *refusal // what is wrong with it as it stands
	pending *pending
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

// deliver takes a message from the MQTT client. It never blocks: when the inbox
// is full, the command is answered with Busy beside the loop.
func (h *Hub) deliver(topic string, payload []byte, retained bool) {
	if topic == dialectTopic {
		h.dialect.deliver(payload, retained)
		return
	}
	h.enqueue(request{topic: topic, payload: payload, retained: retained, at: time.Now()})
}

func (h *Hub) enqueue(r request) {
	select {
	case h.inbox <- r:
	default:
		h.answerUnqueued(r, &refusal{session.Busy, "the hub has too many commands to carry out"})
	}
}

// answerUnqueued refuses a command without the loop's state. Its sequence
// number is 0: it stands outside the order of what the loop publishes.
func (h *Hub) answerUnqueued(r request, why *refusal) {
	cmd, _ := decode(r.topic, r.payload, r.at)
	if cmd.id == "" {
		cmd.id = newCommandID()
	}
	res := Result{ID: cmd.id, Command: cmd.name, Outcome: session.OutcomeRejected, Error: why.code, Message: why.message,
		Stamp: Stamp{Boot: h.boot, At: wall(time.Now())}}
	h.out.send("result/"+cmd.id, marshal(res))
	if r.reply != nil {
		r.reply <- res
	}
}

// handle carries out one message.
func (h *Hub) handle(r request) {
	if r.overHTTP {
		defer h.out.patiently()()
	}
	cmd, why := decode(r.topic, r.payload, r.at)
	cmd.fromBus = !r.overHTTP
	p := &pending{cmd: cmd, started: r.at, named: cmd.id != ""}
	if !p.named {
		cmd.id = newCommandID()
	}
	if r.reply != nil {
		p.waiters = append(p.waiters, r.reply)
	}
	h.keys++
	cmd.key = fmt.Sprintf("c%d", h.keys)
	h.pending[cmd.key] = p
	if r.retained {
		// Whoever retains a play would ring the house at each reconnect.
		h.refuse(cmd, &refusal{RetainedCommand, "retained commands are never carried out; publish without retain, and clear the topic with an empty retained message"})
		return
	}
	if a := (&incoming{r, cmd, why, p}); !h.tooFast(a) {
		h.admit(a)
	}
}

// admit takes a command that comes in its time to the core.
func (h *Hub) admit(a *incoming) {
	r, cmd, why, p := a.request, a.cmd, a.why, a.pending
	if p.named && (cmd.route == nil || !cmd.route.reads) { // what only asks is asked anew: long lists are not to be remembered
		p.key = dedupeKey{r.topic, cmd.id}
		switch first, seen := h.seen.look(p.key, r.at); {
		case seen && !first.same(r.payload):
			p.key = dedupeKey{}
			why = invalid("%q: %q named another command on this topic less than %s ago", "id", cmd.id, dedupeTime)
		case seen:
			delete(h.pending, cmd.key)
			h.repeat(first, p)
			return
		default:
			h.seen.add(p.key, r.payload, p, r.at)
		}
	}
	var in session.Input
	if why == nil {
		in, why = cmd.route.input(h, cmd)
		if why != nil && why.code != session.InvalidCommand && cmd.text("session") != "" {
			// A dead session is what its client has to hear first; a live one is
			// renewed by a command that is refused as by any other.
			in, p.refused, why = session.Read{Request: cmd.request()}, why, nil
		}
	}
	switch {
	case why != nil:
		h.refuse(cmd, why)
	case in == nil: // answered without the core
		h.finish(cmd.key, session.Result{ID: cmd.key, Outcome: session.OutcomeDone})
	default:
		h.step(in)
	}
}

// refuse answers a command that does not get to the core.
func (h *Hub) refuse(cmd *command, why *refusal) {
	h.finish(cmd.key, session.Result{ID: cmd.key, Outcome: session.OutcomeRejected, Code: why.code, Message: why.message})
}

// repeat answers a command that came before: with its result if there is one,
// else together with the first when that has one.
func (h *Hub) repeat(first *firstTime, p *pending) {
	if first.pending != nil {
		first.pending.waiters = append(first.pending.waiters, p.waiters...)
		return
	}
	res := first.result
	res.Repeated = true
	h.reply(p, res)
}
