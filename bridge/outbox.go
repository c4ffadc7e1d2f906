package bridge

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Bounds of the outbox.
const (
	maxKept   = 256  // results and events that wait for a lost connection to return; the oldest go
	backlog   = 64   // messages from which on an older retained payload gives way to a newer one
	maxQueued = 4096 // messages that wait for a live connection to take them; more, and it is cut
)

// availabilityTopic says whether the hub is there; it is also the topic of its will.
const availabilityTopic = "status/availability"

// message is one publish, its topic below hkw/<hub>/, or a whole one.
type message struct {
	topic    string
	payload  []byte
	retained bool
	whole    bool
}

// outbox holds what the hub has to say, in order, and the truth that is to stand
// on its retained topics. It never blocks the one who writes. While no broker is
// there, retained messages are only remembered: the next connection begins with
// all of them.
type outbox struct {
	prefix string // hkw/<hub>/
	feed   *feed  // gets all of status and event too
	log    zerolog.Logger

	mu       sync.Mutex
	retained map[string][]byte
	outside  map[string][]byte // retained too, by whole topics that are not the hub's
	queue    []message
	live     bool // a connection drains the queue
	patient  bool // what is written now need not be drained at once
	overrun  bool // the connection is too slow
	ready    chan struct{}
}

func newOutbox(prefix string, f *feed, log zerolog.Logger) *outbox {
	return &outbox{prefix: prefix, feed: f, log: log, retained: map[string][]byte{}, outside: map[string][]byte{}, ready: make(chan struct{}, 1)}
}

// retain sets what stands on a retained topic; an empty payload removes it.
func (o *outbox) retain(topic string, payload []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tooLarge(topic, payload) {
		return
	}
	if len(payload) == 0 {
		delete(o.retained, topic)
	} else {
		o.retained[topic] = payload
	}
	o.feed.publish(topic, payload)
	if o.live {
		o.push(message{topic: topic, payload: payload, retained: true})
	}
}

// send publishes a message that is not retained.
func (o *outbox) send(topic string, payload []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tooLarge(topic, payload) {
		return
	}
	if strings.HasPrefix(topic, "event/") { // results are for the asker
		o.feed.publish(topic, payload)
	}
	o.push(message{topic: topic, payload: payload})
	if !o.live && len(o.queue) > maxKept {
		o.queue = slices.Delete(o.queue, 0, len(o.queue)-maxKept)
	}
}

// tooLarge tells whether a payload would end the connection, and is left out. Those
// who write see to it that none is; this is for what they overlooked.
func (o *outbox) tooLarge(topic string, payload []byte) bool {
	if len(payload) <= maxMessage {
		return false
	}
	o.log.Error().Str("topic", topic).Int("bytes", len(payload)).Int("most", maxMessage).Msg("too large to be published")
	return true
}

func (o *outbox) push(m message) {
	if m.retained && len(o.queue) >= backlog {
		// Only the newest snapshot is worth anything to a connection that is behind.
		o.queue = slices.DeleteFunc(o.queue, func(old message) bool { return old.retained && old.topic == m.topic && old.whole == m.whole })
	}
	if o.live && len(o.queue) >= maxQueued {
		o.overrun = true
	} else {
		o.queue = append(o.queue, m)
	}
	if !o.patient {
		o.wake()
	}
}

// wake lets the connection drain the queue.
func (o *outbox) wake() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// afterwards is how long the bus waits for what came of a command that did not come
// from there, so that the caller's answer is on its way first: telling the bus is
// several times the work of the answer. Whatever the bus itself asks ends the wait.
const afterwards = 200 * time.Microsecond

// patiently lets what is written until done is called be drained a little later.
func (o *outbox) patiently() (done func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.patient = true
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.patient = false
		if len(o.queue) > 0 {
			time.AfterFunc(afterwards, o.wake)
		}
	}
}

// get reads what stands on a retained topic.
func (o *outbox) get(topic string) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, ok := o.retained[topic]
	return p, ok
}

// all is everything that stands on retained topics, whether the hub has its
// broker included.
func (o *outbox) all() map[string][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := maps.Clone(o.retained)
	all[availabilityTopic] = []byte(Offline)
	if o.live {
		all[availabilityTopic] = []byte(Online)
	}
	return all
}

// announce sets what stands on a retained topic outside the hub's own, if that is new.
func (o *outbox) announce(topic string, payload []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if bytes.Equal(o.outside[topic], payload) || o.tooLarge(topic, payload) {
		return
	}
	o.outside[topic] = payload
	if o.live {
		o.push(message{topic: topic, payload: payload, retained: true, whole: true})
	}
}

// announceAgain publishes what stands outside once more: somebody has come.
func (o *outbox) announceAgain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.live {
		return
	}
	for _, topic := range slices.Sorted(maps.Keys(o.outside)) {
		o.push(message{topic: topic, payload: o.outside[topic], retained: true, whole: true})
	}
}

// announces tells whether something stands on a topic outside.
func (o *outbox) announces(topic string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.outside[topic]) > 0
}

// attach begins a connection. onBroker is what the broker has retained for this
// hub, abandoned what an earlier run has left on topics outside: what is no longer
// true is cleared, then the whole truth follows, then what was kept while nobody
// listened, and only then "online".
func (o *outbox) attach(onBroker, abandoned []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.queue
	o.queue = nil
	for _, topic := range abandoned {
		o.queue = append(o.queue, message{topic: topic, retained: true, whole: true})
	}
	for _, topic := range onBroker {
		if _, ok := o.retained[topic]; !ok && topic != availabilityTopic {
			o.queue = append(o.queue, message{topic: topic, retained: true})
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(o.retained)) {
		o.queue = append(o.queue, message{topic: topic, payload: o.retained[topic], retained: true})
	}
	for _, topic := range slices.Sorted(maps.Keys(o.outside)) {
		o.queue = append(o.queue, message{topic: topic, payload: o.outside[topic], retained: true, whole: true})
	}
	o.queue = append(o.queue, kept...)
	o.queue = append(o.queue, message{topic: availabilityTopic, payload: []byte(Online), retained: true})
	o.live, o.overrun = true, false
	o.feed.publish(availabilityTopic, []byte(Online))
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// stillHere says online again, while a connection lasts.
func (o *outbox) stillHere() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.live {
		o.push(message{topic: availabilityTopic, payload: []byte(Online), retained: true})
	}
}

// detach ends a connection. unsent are messages that it took and that may never
// have arrived.
func (o *outbox) detach(unsent []message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.live {
		o.feed.publish(availabilityTopic, []byte(Offline))
	}
	o.live = false
	kept := slices.DeleteFunc(append(unsent, o.queue...), func(m message) bool { return m.retained })
	if len(kept) > maxKept {
		kept = kept[len(kept)-maxKept:]
	}
	o.queue = kept
}

// take gives everything that is to be published now, and whether the connection
// has fallen hopelessly behind.
func (o *outbox) take() (messages []message, overrun bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	messages, o.queue = o.queue, nil
	return messages, o.overrun
}

func (o *outbox) connected() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.live
}

// below strips the hub's prefix from a topic.
func (o *outbox) below(topic string) (string, bool) { return strings.CutPrefix(topic, o.prefix) }
