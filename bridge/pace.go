package bridge

import (
	"bytes"
	"hash/maphash"
	"math"
	"time"

	"hkw/speaker/library"
)

// Rate is how fast commands may come: PerSecond for ever, and Burst of them at
// once. Zeros stand for the default; a PerSecond below zero for no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Pace is how fast a hub carries out commands. Nothing that a person, a slider or
// a flow does reaches its defaults; what goes beyond them is refused with
// RateLimited.
type Pace struct {
	Topic Rate // of the commands on one topic; the topics of volumes count as one
	Hub   Rate // of all commands, and once more of those that only ask on the bus
	// Bounce is how long a sound that is asked for again in the very same bytes,
	// without an id, is the bouncing contact of a button; negative for never.
	Bounce time.Duration
}

// The defaults of Pace.
const (
	topicPerSecond = 50
	topicBurst     = 100
	hubPerSecond   = 200
	hubBurst       = 400
	bounceTime     = 500 * time.Millisecond
)

// Bounds of what pace remembers.
const (
	maxBuckets = 1024 // topics; those beyond share one bucket
	maxPresses = 1024 // the oldest go first
	maxHeld    = 64   // values that wait for their turn
)

func (p Pace) orDefaults() Pace {
	p.Topic = p.Topic.or(topicPerSecond, topicBurst)
	p.Hub = p.Hub.or(hubPerSecond, hubBurst)
	if p.Bounce == 0 {
		p.Bounce = bounceTime
	}
	return p
}

func (r Rate) or(perSecond float64, burst int) Rate {
	if r.PerSecond == 0 {
		r.PerSecond = perSecond
	}
	if r.Burst <= 0 {
		r.Burst = burst
	}
	return r
}

func (r Rate) unlimited() bool { return r.PerSecond < 0 }

// bucket is what is left of a Rate.
type bucket struct {
	tokens float64
	at     time.Time // when that was true
}

// left is what is in the bucket at now.
func (b *bucket) left(r Rate, now time.Time) float64 {
	return min(float64(r.Burst), b.tokens+max(0, now.Sub(b.at).Seconds())*r.PerSecond)
}

// lacks is how long it takes until one may be taken; 0 for now.
func (b *bucket) lacks(r Rate, now time.Time) time.Duration {
	missing := 1 - b.left(r, now)
	if r.unlimited() || missing <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(missing / r.PerSecond * float64(time.Second)))
}

func (b *bucket) take(r Rate, now time.Time) {
	b.tokens = b.left(r, now) - 1
	if now.After(b.at) {
		b.at = now
	}
}

// press is a sound that was asked for without an id.
type press struct {
	topic   string
	payload uint64 // its hash: remembering the bytes would let a flood fill the memory
}

// pressed is a press and when it was.
type pressed struct {
	press
	at time.Time
}

// pacer judges whether a command comes too fast. It belongs to the hub's loop.
type pacer struct {
	pace   Pace
	seed   maphash.Seed
	topics map[string]*bucket
	others bucket // of the topics for which there is no room
	hub    bucket
	asks   bucket // of the commands that only ask: who polls must not hush who rings
	spare  bucket // of the commands on topics that have rested, when others have emptied hub

	recent  map[press]time.Time // first presses
	presses []pressed           // the same, oldest first

	held []*incoming // newest values of what goes too fast, oldest first

	bounces, floods burst
}

func newPacer(pace Pace) *pacer {
	p := &pacer{pace: pace.orDefaults(), seed: maphash.MakeSeed(), topics: map[string]*bucket{}, recent: map[press]time.Time{}}
	p.hub.tokens = float64(p.pace.Hub.Burst)
	p.asks, p.spare = p.hub, p.hub
	return p
}

// bounced tells for how long yet the command is the bounce of an earlier one; 0
// if it is none. What begins the time is the first press alone: a contact that is
// stuck rings every 500 ms instead of never again.
func (p *pacer) bounced(a *incoming) time.Duration {
	if !a.bounces() {
		return 0
	}
	now := a.request.at
	for len(p.presses) > 0 && (!now.Before(p.presses[0].at.Add(p.pace.Bounce)) || len(p.presses) > maxPresses) {
		if p.recent[p.presses[0].press].Equal(p.presses[0].at) {
			delete(p.recent, p.presses[0].press)
		}
		p.presses = p.presses[1:]
	}
	first, ok := p.recent[p.press(a)]
	if !ok {
		return 0
	}
	return max(0, first.Add(p.pace.Bounce).Sub(now))
}

// pressed remembers a command whose bounces are to be refused. One that ends
// sounds makes all presses be forgotten: who stops and plays again means it.
func (p *pacer) pressed(a *incoming) {
	switch {
	case a.why == nil && is(a.cmd.route.ends, a.cmd):
		clear(p.recent)
		p.presses = nil
	case a.bounces() && p.pace.Bounce > 0:
		k := p.press(a)
		p.recent[k] = a.request.at
		p.presses = append(p.presses, pressed{k, a.request.at})
	}
}

func (p *pacer) press(a *incoming) press {
	return press{a.request.topic, maphash.Bytes(p.seed, a.request.payload)}
}

// bounces tells whether the command, sent again, may be the bounce of a contact.
// HKWHub's clients are as they were: what they call twice they mean.
func (a *incoming) bounces() bool {
	return a.why == nil && is(a.cmd.route.rings, a.cmd) && !a.pending.named && !a.request.dialect
}

// take takes the command from what may still come, or tells how long it has to
// wait and takes nothing.
func (p *pacer) take(a *incoming, now time.Time) time.Duration {
	if a.cmd.route != nil && a.cmd.route.reads {
		if a.request.overHTTP {
			return 0 // nobody but the asker hears of it, and that one waits for each answer
		}
		return p.takeOf(now, &p.asks, p.pace.Hub, nil, Rate{PerSecond: -1})
	}
	all := p.pace.Hub
	if a.why == nil && is(a.cmd.route.ends, a.cmd) {
		all.PerSecond = -1 // silence can be asked for whatever else goes on
	}
	one := p.bucket(a, now)
	// Looked at before anything is taken.
	rested := a.to == toOwn && one != nil && now.Sub(one.at) >= restTime
	wait := p.takeOf(now, &p.hub, all, one, p.pace.Topic)
	if wait > 0 && rested {
		// A flood on many topics must not hush a doorbell on one of its own.
		return p.takeOf(now, &p.spare, all, one, p.pace.Topic)
	}
	return wait
}

// restTime is for how long nothing may have passed on a topic that has rested.
const restTime = time.Second

func (p *pacer) takeOf(now time.Time, all *bucket, ofAll Rate, one *bucket, ofOne Rate) time.Duration {
	wait := all.lacks(ofAll, now)
	if one != nil {
		wait = max(wait, one.lacks(ofOne, now))
	}
	if wait > 0 {
		return wait
	}
	if !ofAll.unlimited() {
		all.take(ofAll, now)
	}
	if one != nil && !ofOne.unlimited() {
		one.take(ofOne, now)
	}
	return 0
}

// bucket finds the bucket of a topic. A full one is as good as none, so that only
// the topics of the last seconds are remembered, whatever names are invented.
func (p *pacer) bucket(a *incoming, now time.Time) *bucket {
	name := a.request.topic
	switch {
	case p.pace.Topic.unlimited():
		return nil
	case a.to == toNothing:
		name = "" // of all that is no command, or names nothing
	case a.cmd.route.latest:
		name = a.cmd.route.Command // of all speakers
	}
	if b, ok := p.topics[name]; ok {
		return b
	}
	if len(p.topics) >= maxBuckets/2 {
		for name, b := range p.topics {
			if b.lacks(p.pace.Topic, now) == 0 && b.left(p.pace.Topic, now) >= float64(p.pace.Topic.Burst) {
				delete(p.topics, name)
			}
		}
	}
	fresh := bucket{tokens: float64(p.pace.Topic.Burst), at: now.Add(-restTime)}
	if len(p.topics) >= maxBuckets {
		if p.others.at.IsZero() {
			p.others = fresh
		}
		return &p.others
	}
	p.topics[name] = &fresh
	return &fresh
}

// destination is what the topic of a command leads to.
type destination int

const (
	toNothing destination = iota // what is no command, or names nothing that there is
	toMany                       // media of the library: there may be any number of it
	toOwn                        // all others: of commands, presets, chimes and speakers there are few
)

// destinationOf finds out where a command's topic leads.
func (h *Hub) destinationOf(a *incoming) destination {
	switch {
	case a.cmd.route == nil:
		return toNothing
	case a.cmd.route.Wild == "":
		return toOwn
	}
	_, name := findRoute(a.request.topic)
	if a.cmd.route.Wild == "speaker" {
		if _, there := h.speakers[name]; there {
			return toOwn
		}
		return toNothing
	}
	if _, preset := h.cfg.Presets[name]; preset {
		return toOwn
	}
	switch m, err := h.cfg.Media.Resolve(name); {
	case err != nil:
		return toNothing
	case m.Kind == library.KindChime:
		return toOwn
	}
	return toMany
}

// hold keeps a command until it may be carried out, in place of an older value
// for the same thing, which it returns.
func (p *pacer) hold(a *incoming) (older *incoming, ok bool) {
	for i, h := range p.held {
		if h.request.topic == a.request.topic && h.cmd.text("speaker") == a.cmd.text("speaker") && h.cmd.text("session") == a.cmd.text("session") {
			older = h
			p.held = append(p.held[:i], p.held[i+1:]...)
			break
		}
	}
	if len(p.held) >= maxHeld {
		return nil, false
	}
	p.held = append(p.held, a)
	return older, true
}

// waiting finds the command that waits already and of which this is a repetition,
// by its id: it has one result.
func (p *pacer) waiting(a *incoming) *incoming {
	for _, h := range p.held {
		if a.pending.named && h.pending.named && h.cmd.id == a.cmd.id && h.request.topic == a.request.topic && bytes.Equal(h.request.payload, a.request.payload) {
			return h
		}
	}
	return nil
}

// burst is a run of refusals. Only its first is told to everyone.
type burst struct {
	began, last time.Time
	refused     int
	topic       string // of the first
}

// A burst ends when nothing was refused for burstPause, or after burstLength, so
// that a flood that never ends is seen again.
const (
	burstPause  = time.Second
	burstLength = time.Minute
)

// refuse counts a refusal, and tells whether it is the first of its burst.
func (b *burst) refuse(topic string, now time.Time) (first bool) {
	if b.refused == 0 {
		*b = burst{began: now, topic: topic}
	}
	b.refused++
	b.last = now
	return b.refused == 1
}

// ends is when the burst ends if nothing more comes.
func (b *burst) ends() (time.Time, bool) {
	if b.refused == 0 {
		return time.Time{}, false
	}
	end := b.last.Add(burstPause)
	if longest := b.began.Add(burstLength); longest.Before(end) {
		end = longest
	}
	return end, true
}

// deadline is when pace has something to do if nothing comes.
func (p *pacer) deadline(now time.Time) (time.Time, bool) {
	at, ok := p.bounces.ends()
	if end, has := p.floods.ends(); has && (!ok || end.Before(at)) {
		at, ok = end, true
	}
	if len(p.held) > 0 {
		due := now.Add(p.waits(p.held[0], now))
		if !ok || due.Before(at) {
			at, ok = due, true
		}
	}
	return at, ok
}

// waits is how long a held command has to wait yet.
func (p *pacer) waits(a *incoming, now time.Time) time.Duration {
	wait := p.hub.lacks(p.pace.Hub, now)
	if b := p.bucket(a, now); b != nil {
		wait = max(wait, b.lacks(p.pace.Topic, now))
	}
	return wait
}

// tooFast refuses what comes too fast, or keeps it for a little later if it is the
// newest value of something; it tells whether it did either.
func (h *Hub) tooFast(a *incoming) bool {
	now, p := a.request.at, h.pacer
	h.catchUp(now)
	a.to = h.destinationOf(a)
	if wait := p.bounced(a); wait > 0 {
		h.hush(a, wait, &p.bounces, "the same command came less than "+p.pace.Bounce.String()+" ago; a contact that bounces rings once")
		return true
	}
	wait := p.take(a, now)
	if wait == 0 {
		p.pressed(a)
		return false
	}
	if a.why == nil && a.cmd.route.latest { // all of them share their buckets: none overtakes one that waits
		if first := p.waiting(a); first != nil {
			delete(h.pending, a.cmd.key)
			first.pending.waiters = append(first.pending.waiters, a.pending.waiters...)
			return true
		}
		older, held := p.hold(a)
		if older != nil {
			h.hush(older, wait, &p.floods, "values came faster than they can be set; a newer one took its place")
		}
		if held {
			return true
		}
	}
	h.hush(a, wait, &p.floods, "too many commands in too short a time")
	return true
}

// hush answers a command that comes too fast. The first of a burst is logged as
// any other; the last result that everyone sees is never that of a bounce, which
// would hide what became of the press.
func (h *Hub) hush(a *incoming, wait time.Duration, b *burst, message string) {
	first := b.refuse(a.request.topic, a.request.at)
	a.pending.unlogged = !first
	a.pending.untold = !first || b == &h.pacer.bounces
	a.pending.wait = wait
	h.refuse(a.cmd, &refusal{RateLimited, message})
}

// catchUp carries out held values whose time has come, and closes the bursts that
// are over.
func (h *Hub) catchUp(now time.Time) {
	p := h.pacer
	for len(p.held) > 0 && p.take(p.held[0], now) == 0 {
		a := p.held[0]
		p.held = p.held[1:]
		h.admit(a)
	}
	h.close(&p.bounces, now, "a contact bounces: its commands were refused")
	h.close(&p.floods, now, "commands came too fast and were refused")
}

// close ends a burst that is over, and tells the log what was spared it.
func (h *Hub) close(b *burst, now time.Time, what string) {
	end, ok := b.ends()
	if !ok || now.Before(end) {
		return
	}
	if b.refused > 1 { // the first has its line
		h.log.Info().Str("code", string(RateLimited)).Str("topic", b.topic).Int("refused", b.refused).
			Float64("dur_ms", float64(b.last.Sub(b.began).Microseconds())/1000).Msg(what)
	}
	*b = burst{}
}
