package bridge

import (
	"fmt"
	"time"

	"hkw/session"
)

// inboxSize is how many commands may wait for the loop; one more is answered
// with Busy at once.
const inboxSize = 256

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
	to      destination // what its topic leads to
}

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
	if a := (&incoming{request: r, cmd: cmd, why: why, pending: p}); !h.tooFast(a) {
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
