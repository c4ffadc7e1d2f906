package bridge

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/rs/zerolog"
)

// ErrHubTaken says that another live instance serves the hub.
var ErrHubTaken = errors.New("another hkw serves this hub")

// How the client meets its broker.
const (
	qos            = 1 // of everything, in and out, so that order holds
	keepAlive      = 15 * time.Second
	connectTimeout = 5 * time.Second
	minReconnect   = 200 * time.Millisecond
	maxReconnect   = time.Second
	handshakeTime  = 5 * time.Second // for the broker to answer subscriptions and echo
	probeTime      = 2 * time.Second // for another instance to answer
	leaveTime      = 250             // ms for a farewell to be sent
)

// BrokerConfig says where the bus is.
type BrokerConfig struct {
	// URL is tcp://host:port, tls://host:port, ws:// or wss://. Ignored if Dial is set.
	URL      string
	Username string
	Password string
	TLS      *tls.Config
	// Dial connects to a broker in this process.
	Dial func(ctx context.Context, hub string) (net.Conn, error)
}

// client keeps one hub on its broker. Each connection is made afresh, without
// the library's own reconnecting: that one sends again what it had stored, and
// an old status would then overwrite the snapshot that a connection begins with.
type client struct {
	hub     string
	boot    string
	cfg     BrokerConfig
	out     *outbox
	home    *announcer
	deliver func(topic string, payload []byte, retained bool)
	log     zerolog.Logger
}

// run stays connected until ctx is done, says offline then, and returns nil; or
// an error that wraps ErrHubTaken.
func (c *client) run(ctx context.Context) error {
	wait := minReconnect
	for ctx.Err() == nil {
		began := time.Now()
		err := c.connection(ctx)
		if errors.Is(err, ErrHubTaken) {
			return err
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // to leave when told so is no failure
		}
		if time.Since(began) > maxReconnect {
			wait = minReconnect
		}
		c.log.Warn().Err(err).Str("broker", c.where()).Msg("no connection to the broker; trying again")
		select {
		case <-ctx.Done():
		case <-time.After(wait - rand.N(wait/4)):
		}
		wait = min(2*wait, maxReconnect)
	}
	return nil
}

// arrivals is what a connection has received before it serves: the hub's own
// retained topics, and echoes of what it sent to itself.
type arrivals struct {
	mu       sync.Mutex
	retained map[string][]byte
	outside  map[string][]byte      // retained too, by whole topic
	echoes   map[string]chan []byte // by topic
}

// topics are what the broker has retained for the hub.
func (a *arrivals) topics() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.retained))
}

// read is what a topic has in one of the maps.
func (a *arrivals) read(from map[string][]byte, topic string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return from[topic]
}

// connection lives as long as one connection to the broker.
func (c *client) connection(ctx context.Context) error {
	lost := make(chan error, 1)
	got := &arrivals{retained: map[string][]byte{}, outside: map[string][]byte{}, echoes: map[string]chan []byte{}}
	paho := mqtt.NewClient(c.options(ctx, lost, got))
	if err := await(ctx, paho.Connect(), connectTimeout+time.Second); err != nil {
		paho.Disconnect(leaveTime)
		if c.cfg.Dial == nil && errors.Is(err, packets.ErrorRefusedNotAuthorised) {
			return fmt.Errorf("the broker admits no hub from here: it wants other credentials, or it is the embedded broker of another hkw, "+
				"which serves its own hubs only (list this hub under hubs: there, or let both use a Mosquitto): %w", err)
		}
		return fmt.Errorf("connect: %w", err)
	}
	if err := c.greet(ctx, paho, got); err != nil {
		paho.Disconnect(leaveTime) // with a farewell: the will would say that the hub is offline
		return err
	}
	c.out.attach(got.topics(), c.home.abandoned(got.read(got.retained, announcedTopic)))
	c.log.Info().Str("broker", c.where()).Msg("connected to the broker")
	err := c.drain(ctx, paho, lost)
	if ctx.Err() != nil {
		token := paho.Publish(c.out.prefix+availabilityTopic, qos, true, Offline)
		token.WaitTimeout(time.Second)
	}
	paho.Disconnect(leaveTime)
	return err
}

func (c *client) options(ctx context.Context, lost chan<- error, got *arrivals) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions().
		SetClientID("hkw-hub-"+c.hub+"-"+randomText(8)).
		SetProtocolVersion(4).
		SetCleanSession(true). // a doorbell pressed while the hub was away must not ring later
		SetOrderMatters(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetKeepAlive(keepAlive).
		SetPingTimeout(5*time.Second).
		SetWriteTimeout(5*time.Second).
		SetConnectTimeout(connectTimeout).
		SetUsername(c.cfg.Username).
		SetPassword(c.cfg.Password).
		SetTLSConfig(c.cfg.TLS).
		SetBinaryWill(c.out.prefix+availabilityTopic, []byte(Offline), qos, true).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err }).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.receive(m, got) })
	if c.cfg.Dial != nil {
		o.AddBroker("tcp://embedded:1883")
		o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return c.cfg.Dial(ctx, c.hub) })
	} else {
		o.AddBroker(c.cfg.URL)
	}
	return o
}

// receive sorts one message; it only enqueues.
func (c *client) receive(m mqtt.Message, got *arrivals) {
	topic, ok := c.out.below(m.Topic())
	if !ok {
		c.receiveOutside(m, got)
		return
	}
	first, _, _ := strings.Cut(topic, "/")
	if !quiet[first] {
		c.deliver(topic, m.Payload(), m.Retained())
		return
	}
	if topic == availabilityTopic && !m.Retained() && string(m.Payload()) == Offline {
		c.out.stillHere() // the will of another instance that came and broke off
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	if echo, ok := got.echoes[topic]; ok {
		select {
		case echo <- m.Payload():
		default:
		}
	} else if m.Retained() {
		got.retained[topic] = m.Payload()
	}
}

// greet finds out what the broker has retained for this hub, makes sure that no
// other instance lives, and subscribes to the commands.
func (c *client) greet(ctx context.Context, paho mqtt.Client, got *arrivals) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime+probeTime)
	defer cancel()
	// What is retained arrives before this echo: the broker keeps the order.
	echo := c.expect(got, "result/"+newCommandID())
	if err := c.subscribe(ctx, paho, "status/#", echo.topic); err != nil {
		return err
	}
	c.askOutside(ctx, paho)
	paho.Publish(c.out.prefix+echo.topic, qos, false, "{}")
	if _, err := echo.wait(ctx, handshakeTime); err != nil {
		return fmt.Errorf("the broker does not let this hub publish below %s: %w", c.out.prefix, err)
	}
	got.mu.Lock()
	online := string(got.retained[availabilityTopic]) == Online
	var last Stamp
	_ = json.Unmarshal(got.retained["status"], &last) // a foreign payload there has no boot
	got.mu.Unlock()
	if online && last.Boot != c.boot {
		// "online" alone proves nothing: a power cut leaves it standing.
		if where, alive := c.probe(ctx, paho, got); alive {
			return fmt.Errorf("%w: %s", ErrHubTaken, where)
		}
	}
	paho.Unsubscribe(c.out.prefix+"status/#", c.out.prefix+echo.topic)
	c.greetOutside(ctx, paho, got)
	return c.subscribe(ctx, paho, append([]string{availabilityTopic}, Filters...)...)
}

// probe asks for a live instance of the hub.
func (c *client) probe(ctx context.Context, paho mqtt.Client, got *arrivals) (where string, alive bool) {
	id := newCommandID()
	answer := c.expect(got, "result/"+id)
	if c.subscribe(ctx, paho, answer.topic) != nil {
		return "", false
	}
	defer paho.Unsubscribe(c.out.prefix + answer.topic)
	paho.Publish(c.out.prefix+"ping", qos, false, marshal(map[string]string{"id": id}))
	payload, err := answer.wait(ctx, probeTime)
	if err != nil {
		return "", false
	}
	var res Result
	if json.Unmarshal(payload, &res) != nil || res.Boot == c.boot {
		return "", false
	}
	return res.Instance, true
}

// expected is a message that is to come on topic.
type expected struct {
	topic   string
	arrived chan []byte
}

func (c *client) expect(got *arrivals, topic string) expected {
	e := expected{topic, make(chan []byte, 1)}
	got.mu.Lock()
	got.echoes[topic] = e.arrived
	got.mu.Unlock()
	return e
}

func (e expected) wait(ctx context.Context, limit time.Duration) ([]byte, error) {
	select {
	case p := <-e.arrived:
		return p, nil
	case <-time.After(limit):
		return nil, fmt.Errorf("nothing came back within %s", limit)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// subscribe subscribes to filters below hkw/<hub>/, and looks whether the broker
// granted each: a refused one is no error to the library.
func (c *client) subscribe(ctx context.Context, paho mqtt.Client, filters ...string) error {
	whole := make([]string, len(filters))
	for i, f := range filters {
		whole[i] = c.out.prefix + f
	}
	return subscribeWhole(ctx, paho, whole...)
}

func subscribeWhole(ctx context.Context, paho mqtt.Client, filters ...string) error {
	wanted := map[string]byte{}
	for _, f := range filters {
		wanted[f] = qos
	}
	token := paho.SubscribeMultiple(wanted, nil)
	if err := await(ctx, token, handshakeTime); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	for filter, granted := range token.(*mqtt.SubscribeToken).Result() {
		if granted >= 0x80 {
			return fmt.Errorf("the broker refused the subscription to %s", filter)
		}
	}
	return nil
}

// drain publishes what the hub has to say until the connection ends.
func (c *client) drain(ctx context.Context, paho mqtt.Client, lost <-chan error) error {
	type flight struct {
		message
		token mqtt.Token
	}
	var inFlight []flight // handed over, not yet acknowledged
	defer func() {
		var unsent []message
		for _, f := range inFlight {
			if !f.token.WaitTimeout(0) || f.token.Error() != nil {
				unsent = append(unsent, f.message)
			}
		}
		c.out.detach(unsent)
	}()
	publish := func() bool {
		messages, overrun := c.out.take()
		for _, m := range messages {
			inFlight = append(inFlight, flight{m, c.publish(paho, m)})
		}
		for len(inFlight) > 0 && inFlight[0].token.WaitTimeout(0) {
			inFlight = inFlight[1:]
		}
		return !overrun
	}
	for {
		select {
		case <-ctx.Done():
			publish()
			return nil
		case err := <-lost:
			return fmt.Errorf("connection lost: %w", err)
		case <-c.out.ready:
			if !publish() {
				return errors.New("the broker takes messages more slowly than they come")
			}
		}
	}
}

func await(ctx context.Context, token mqtt.Token, limit time.Duration) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-time.After(limit):
		return fmt.Errorf("no answer within %s", limit)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// where names the broker in logs.
func (c *client) where() string {
	if c.cfg.Dial != nil {
		return "embedded"
	}
	u, err := url.Parse(c.cfg.URL)
	if err != nil {
		return ""
	}
	return u.Redacted()
}
