package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	"hkw/session"
)

// Topics of the bus dialect, below hkw/<hub>/.
const (
	dialectTopic   = "command" // one JSON object each
	dialectReplies = "reply"   // its replies, and the dialect's two events
)

// Bounds of the bus dialect; what is beyond them is answered with Busy.
const (
	dialectWaiting  = 64 // messages that wait to be read
	dialectInFlight = 16 // calls that wait for their results
)

// dialectBus serves HKWHub's dialect on the bus, beside the loop. Calls enter the
// loop in the order in which they came; each is answered when it has its result.
type dialectBus struct {
	hub   *Hub
	inbox chan dialectMessage
	slots chan struct{}
	used  chan string // refs of sessions that a client of the dialect has
	work  sync.WaitGroup
}

type dialectMessage struct {
	payload  []byte
	retained bool
}

func newDialectBus(h *Hub) *dialectBus {
	return &dialectBus{hub: h, inbox: make(chan dialectMessage, dialectWaiting),
		slots: make(chan struct{}, dialectInFlight), used: make(chan string)}
}

// start serves until the function that it returns is called, which answers who
// still waits.
func (b *dialectBus) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	b.work.Go(func() { b.run(ctx) })
	b.work.Go(func() { b.tell(ctx) })
	return func() {
		cancel()
		b.work.Wait()
	}
}

// deliver takes a message from the MQTT client. It never blocks.
func (b *dialectBus) deliver(payload []byte, retained bool) {
	m := dialectMessage{payload, retained}
	select {
	case b.inbox <- m:
	default:
		c, _ := b.read(m)
		b.send(c.denied(session.Busy))
	}
}

func (b *dialectBus) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			for len(b.inbox) > 0 {
				c, _ := b.read(<-b.inbox)
				b.send(c.denied(session.Cancelled))
			}
			return
		case m := <-b.inbox:
			b.take(ctx, m)
		}
	}
}

// take begins to carry out a message.
func (b *dialectBus) take(ctx context.Context, m dialectMessage) {
	c, refusal := b.read(m)
	if refusal != nil {
		b.send(refusal)
		return
	}
	select {
	case b.slots <- struct{}{}:
	default:
		b.send(c.denied(session.Busy))
		return
	}
	topic, payload, refused := c.order()
	reply := b.hub.submit(request{topic: topic, payload: payload, dialect: true})
	b.work.Go(func() {
		var r Result
		select {
		case r = <-reply:
		case <-ctx.Done():
			select {
			case r = <-reply: // the hub answers everyone before it ends
			default:
				r.Error = session.Cancelled
			}
		}
		<-b.slots // before the next call can follow the answer
		answer := c.answer(r, refused)
		if len(answer.body) > maxMessage {
			answer = c.refuse(http.StatusBadRequest, "the answer is too long for a message; ask for it over HTTP")
		}
		b.send(answer)
		if r.SessionRef != "" {
			select {
			case b.used <- r.SessionRef:
			case <-ctx.Done():
			}
		}
	})
}

func (b *dialectBus) send(r *dialectReply) { b.hub.out.send(dialectReplies, r.body) }

// read makes a call of a message, or the reply that refuses it. There is a call
// also then, for its name and its session.
func (b *dialectBus) read(m dialectMessage) (*dialectCall, *dialectReply) {
	args, err := dialectArguments(m.payload)
	c, refusal := b.hub.newCall(dialectOnBus, args["Command"], args)
	switch {
	case m.retained:
		return c, c.denied(RetainedCommand)
	case err != nil:
		return c, c.refuse(http.StatusBadRequest, err.Error())
	case args["Command"] == "":
		return c, c.refuse(http.StatusBadRequest, "Command is missing")
	}
	return c, refusal
}

// dialectArguments reads a JSON object strictly. What it returns beside an error is
// what could be read.
func dialectArguments(payload []byte) (map[string]string, error) {
	args := map[string]string{}
	switch {
	case len(payload) > MaxPayload:
		return args, fmt.Errorf("the message has %d bytes; at most %d are allowed", len(payload), MaxPayload)
	case !utf8.Valid(payload):
		return args, errors.New("the message is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return args, errors.New("the message is not a JSON object")
	}
	var wrong error
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return args, fmt.Errorf("the message is not valid JSON: %w", jsonError(err))
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return args, fmt.Errorf("the message is not valid JSON: %w", jsonError(err))
		}
		name, _ := key.(string)
		text, ok := argumentText(value)
		switch {
		case seen[name]:
			wrong = fmt.Errorf("%s is given twice", clip(name))
		case ok:
			args[name] = text
		case dialectParamNames[name]:
			wrong = fmt.Errorf("%s must be a string or a number", name)
		}
		seen[name] = true
	}
	if _, err := dec.Token(); err != nil {
		return args, fmt.Errorf("the message is not valid JSON: %w", jsonError(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return args, errors.New("there is something after the JSON object")
	}
	return args, wrong
}

// argumentText is a value as a query would have it. Numbers are told digit by digit:
// a PersistentID has more than a float64 holds.
func argumentText(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case []any:
		var list []string
		for _, each := range v {
			text, ok := argumentText(each)
			if !ok {
				return "", false
			}
			list = append(list, text)
		}
		return strings.Join(list, ","), true
	}
	return "", false
}

var dialectParamNames = namesOfParams()

func namesOfParams() map[string]bool {
	names := map[string]bool{"Command": true}
	for _, key := range dialectOnBus.keys {
		names[key] = true
	}
	for _, c := range dialectCommands {
		for _, p := range c.params {
			names[p.name] = true
		}
	}
	return names
}
