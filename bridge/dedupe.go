package bridge

import (
	"crypto/sha256"
	"time"
)

// dedupeTime is how long a command's id is remembered.
const dedupeTime = 10 * time.Minute

// maxRemembered bounds the ids that are remembered; the oldest go first.
const maxRemembered = 4096

// dedupeKey names a command: the same id on two topics is two commands.
type dedupeKey struct{ topic, id string }

// firstTime is a command that came with an id.
type firstTime struct {
	key     dedupeKey
	payload [sha256.Size]byte // its hash: remembering the bytes would let a flood fill the memory
	at      time.Time
	pending *pending // until it has its result
	result  Result   // without the token
}

func (f *firstTime) same(payload []byte) bool { return f.payload == sha256.Sum256(payload) }

// dedupe remembers commands by topic and id, so that one that is sent again
// (a QoS 1 duplicate, a retry) is answered again and carried out once.
type dedupe struct {
	byKey map[dedupeKey]*firstTime
	order []*firstTime // oldest first
}

func newDedupe() dedupe { return dedupe{byKey: map[dedupeKey]*firstTime{}} }

func (d *dedupe) look(key dedupeKey, now time.Time) (*firstTime, bool) {
	for len(d.order) > 0 && (!now.Before(d.order[0].at.Add(dedupeTime)) || len(d.order) > maxRemembered) {
		delete(d.byKey, d.order[0].key)
		d.order[0] = nil
		d.order = d.order[1:]
	}
	f, ok := d.byKey[key]
	return f, ok
}

func (d *dedupe) add(key dedupeKey, payload []byte, p *pending, now time.Time) {
	f := &firstTime{key: key, payload: sha256.Sum256(payload), at: now, pending: p}
	d.byKey[key] = f
	d.order = append(d.order, f)
}

// answered keeps the result for whoever sends the command again.
func (d *dedupe) answered(key dedupeKey, res Result) {
	if f, ok := d.byKey[key]; ok {
		res.Session = ""
		f.pending, f.result = nil, res
	}
}
