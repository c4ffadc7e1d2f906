package bridge

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/rs/zerolog"

	"hkw/broker"
	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
	"hkw/speaker/null"
)

// house is a hub in a house: an embedded broker on a port of loopback, the real
// engine, and a client on the bus, which is the test.
type house struct {
	t      testing.TB
	hub    *Hub
	url    string // of the broker
	client mqtt.Client
	leave  context.CancelFunc
	left   chan error
}

// furnish changes the hub's configuration before it is made.
type furnish func(*Config)

// unpaced takes commands as fast as they come: for what presses faster than any
// hand.
func unpaced(c *Config) {
	c.Pace = Pace{Topic: Rate{PerSecond: -1}, Hub: Rate{PerSecond: -1}, Bounce: -1}
}

func newHouse(t testing.TB, furnishing ...furnish) *house {
	t.Helper()
	b, err := broker.New(broker.Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(ln) }()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return newHouseOn(t, "tcp://"+ln.Addr().String(), append([]furnish{func(c *Config) { c.Broker.Dial = b.DialHub }}, furnishing...)...)
}

// newHouseOn is a house on a broker that is there already.
func newHouseOn(t testing.TB, url string, furnishing ...furnish) *house {
	t.Helper()
	lib, err := library.Open(t.Context(), library.Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lib.Close() })
	driver := null.New()
	t.Cleanup(func() { _ = driver.Close() })
	cfg := Config{
		Hub:      "home",
		Speakers: []speaker.Setup{{ID: "kitchen", Name: "Kitchen", Driver: driver}},
		Media:    lib,
		Broker:   BrokerConfig{URL: url},
		Log:      zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}
	for _, f := range furnishing {
		f(&cfg)
	}
	hub, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, hub: hub, url: url, left: make(chan error, 1)}
	h.client = dial(t, url)
	online := h.listen("status/availability", "status")
	ctx, leave := context.WithCancel(context.Background())
	h.leave = leave
	go func() { h.left <- hub.Run(ctx) }()
	t.Cleanup(func() {
		leave()
		if err := <-h.left; err != nil {
			t.Error(err)
		}
	})
	until(t, online, "the hub is online", func(m busMessage) bool { return string(m.payload) == Online && !m.retained })
	until(t, h.listen("status"), "all speakers are there", func(m busMessage) bool {
		var s Status
		_ = json.Unmarshal(m.payload, &s)
		up := 0
		for _, sp := range s.Speakers {
			if sp.Available {
				up++
			}
		}
		return up >= len(cfg.Speakers)
	})
	return h
}

func dial(t testing.TB, url string) mqtt.Client {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetClientID("test-" + randomText(8)).SetProtocolVersion(4).
		SetCleanSession(true).SetAutoReconnect(true).SetMaxReconnectInterval(time.Second))
	if tok := c.Connect(); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatalf("connect to %s: %v", url, tok.Error())
	}
	t.Cleanup(func() { c.Disconnect(50) })
	return c
}

// busMessage is what the test heard; its topic is whole.
type busMessage struct {
	topic    string
	payload  []byte
	retained bool
	at       time.Time
}

// listen subscribes to filters below hkw/home/. The channel holds plenty.
func (h *house) listen(filters ...string) <-chan busMessage { return listen(h.t, h.client, filters...) }

func listen(t testing.TB, c mqtt.Client, filters ...string) <-chan busMessage {
	t.Helper()
	heard := make(chan busMessage, 10000)
	wanted := map[string]byte{}
	for _, f := range filters {
		wanted["hkw/home/"+f] = 1
	}
	var once sync.Once
	tok := c.SubscribeMultiple(wanted, func(_ mqtt.Client, m mqtt.Message) {
		select {
		case heard <- busMessage{m.Topic(), m.Payload(), m.Retained(), time.Now()}:
		default:
			once.Do(func() { t.Error("a listener's channel is full") })
		}
	})
	if !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatalf("subscribe: %v", tok.Error())
	}
	return heard
}

func (h *house) publish(topic, payload string) {
	h.t.Helper()
	if tok := h.client.Publish("hkw/home/"+topic, 1, false, payload); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		h.t.Fatalf("publish: %v", tok.Error())
	}
}

// command publishes a command with an id of its own and waits for its result.
// fields are those of a JSON object, without the braces.
func (h *house) command(topic, fields string) Result {
	h.t.Helper()
	id := "t-" + randomText(10)
	heard := h.listen("result/" + id)
	if fields != "" {
		fields = "," + fields
	}
	h.publish(topic, `{"id":"`+id+`"`+fields+`}`)
	m := until(h.t, heard, "the result of "+topic, func(busMessage) bool { return true })
	var r Result
	if err := json.Unmarshal(m.payload, &r); err != nil {
		h.t.Fatalf("%s: %v", m.payload, err)
	}
	return r
}

// must is a command that has to end well.
func (h *house) must(topic, fields string, outcome session.Outcome) Result {
	h.t.Helper()
	r := h.command(topic, fields)
	if r.Outcome != outcome {
		h.t.Fatalf("%s {%s}: %s %s %q, want %s", topic, fields, r.Outcome, r.Error, r.Message, outcome)
	}
	return r
}

// event waits for an event of a playback.
func event(t testing.TB, heard <-chan busMessage, kind session.EventKind, playback string) Event {
	t.Helper()
	var e Event
	until(t, heard, string(kind)+" of "+playback, func(m busMessage) bool {
		e = Event{}
		return strings.HasSuffix(m.topic, "/event/playback") && json.Unmarshal(m.payload, &e) == nil && e.Event == kind && (playback == "" || e.ID == playback)
	})
	return e
}

// until waits for a message.
func until(t testing.TB, heard <-chan busMessage, what string, ok func(busMessage) bool) busMessage {
	t.Helper()
	limit := time.After(20 * time.Second)
	var last busMessage
	for {
		select {
		case m := <-heard:
			if ok(m) {
				return m
			}
			last = m
		case <-limit:
			t.Fatalf("waited in vain until %s; the last message was\n%s %s", what, last.topic, last.payload)
		}
	}
}
