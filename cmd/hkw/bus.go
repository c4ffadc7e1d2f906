package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"hkw/bridge"
)

const (
	// Commands go out with QoS 1. What comes in is asked for with QoS 0, which loses
	// nothing on a living connection: brokers with one space of packet ids for both
	// directions refuse a subscription whose id some delivery still holds.
	commandQoS   = 1
	incomingQoS  = 0
	connectTime  = 5 * time.Second
	presenceTime = time.Second // for the broker to tell which hubs there are
	answerTime   = 15 * time.Second
)

// The topics that a client reads, below hkw/<hub>/.
const (
	topicStatus       = "status"
	topicAvailability = "status/availability"
	topicLastResult   = "status/result"
	topicEvents       = "event/playback"
)

// bus is a client's connection to the bus of one hub.
type bus struct {
	hub      string
	broker   string // for a person
	paho     mqtt.Client
	messages chan mqtt.Message
	lost     chan error
	done     chan struct{}
}

// openBus connects to the hub's broker.
func openBus(ctx context.Context, cfg *config, hub string) (*bus, error) {
	address := cfg.brokerURL()
	b := &bus{hub: hub, broker: address, messages: make(chan mqtt.Message, 256), lost: make(chan error, 1), done: make(chan struct{})}
	tlsConfig, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	o := mqtt.NewClientOptions().
		AddBroker(address).
		SetClientID("hkw-cli-" + randomID()).
		SetProtocolVersion(4).
		SetCleanSession(true).
		SetOrderMatters(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetKeepAlive(15 * time.Second).
		SetPingTimeout(5 * time.Second).
		SetWriteTimeout(5 * time.Second).
		SetConnectTimeout(connectTime).
		SetUsername(cfg.user).
		SetPassword(cfg.pass).
		SetTLSConfig(tlsConfig).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { b.lost <- err }).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			select {
			case b.messages <- m:
			case <-b.done:
			}
		})
	b.paho = mqtt.NewClient(o)
	if err := b.await(ctx, b.paho.Connect(), connectTime); err != nil {
		b.close()
		hint := ""
		switch {
		case errors.Is(err, packets.ErrorRefusedNotAuthorised), errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword):
			hint = "; it wants to know who asks: --" + setUser + " and " + settingByName(setPassword).env()
		case cfg.broker == "":
			hint = "; is `hkw serve` running?"
		}
		return nil, exitWith(exitNoAnswer, "cannot reach the broker at %s: %w%s", address, plainNetError(err), hint)
	}
	return b, nil
}

func randomID() string { return strings.ToLower(rand.Text()[:12]) }

func (b *bus) close() {
	close(b.done)
	b.paho.Disconnect(50)
}

func (b *bus) topic(below string) string { return "hkw/" + b.hub + "/" + below }

func (b *bus) await(ctx context.Context, token mqtt.Token, limit time.Duration) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-time.After(limit):
		return context.DeadlineExceeded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribe subscribes to whole topics and looks whether each was granted.
func (b *bus) subscribe(ctx context.Context, topics ...string) error {
	filters := map[string]byte{}
	for _, t := range topics {
		filters[t] = incomingQoS
	}
	token := b.paho.SubscribeMultiple(filters, nil)
	if err := b.await(ctx, token, connectTime); err != nil {
		return exitWith(exitNoAnswer, "subscribe at %s: %w", b.broker, plainNetError(err))
	}
	for topic, granted := range token.(*mqtt.SubscribeToken).Result() {
		if granted >= 0x80 {
			return exitWith(exitNoAnswer, "the broker at %s refuses to tell of %s", b.broker, topic)
		}
	}
	return nil
}

// next is the next message that arrives.
func (b *bus) next(ctx context.Context) (mqtt.Message, error) {
	select {
	case m := <-b.messages:
		return m, nil
	default:
	}
	select {
	case m := <-b.messages:
		return m, nil
	case err := <-b.lost:
		return nil, exitWith(exitNoAnswer, "the connection to the broker at %s was lost: %w", b.broker, err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// present makes sure that the hub is there. More topics are subscribed on the way.
func (b *bus) present(ctx context.Context, more ...string) error {
	// What is retained comes before the second answer, or soon after.
	if err := b.subscribe(ctx, "hkw/+/"+topicAvailability); err != nil {
		return err
	}
	if len(more) > 0 {
		if err := b.subscribe(ctx, more...); err != nil {
			return err
		}
	}
	waiting, cancel := context.WithTimeout(ctx, presenceTime)
	defer cancel()
	var others []string
	for {
		m, err := b.next(waiting)
		if err != nil {
			if ctx.Err() != nil || waiting.Err() == nil {
				return err
			}
			seen := "none is there"
			if len(others) > 0 {
				slices.Sort(others)
				seen = "there are " + strings.Join(others, ", ")
			}
			return exitWith(exitNoAnswer, "there is no hub %q on %s; %s", b.hub, b.broker, seen)
		}
		hub, ok := hubOfAvailability(m.Topic())
		switch online := string(m.Payload()) == bridge.Online; {
		case !ok:
		case hub != b.hub:
			if online {
				others = append(others, hub)
			}
		case online:
			return nil
		default:
			return b.offline()
		}
	}
}

func (b *bus) offline() error {
	return exitWith(exitNoAnswer, "the hub %q on %s is offline", b.hub, b.broker)
}

// hubOfAvailability reads the hub out of hkw/<hub>/status/availability.
func hubOfAvailability(topic string) (string, bool) {
	rest, ok := strings.CutPrefix(topic, "hkw/")
	if !ok {
		return "", false
	}
	hub, ok := strings.CutSuffix(rest, "/"+topicAvailability)
	return hub, ok && !strings.Contains(hub, "/")
}

// answer is the result of a command.
type answer struct {
	bridge.Result
	raw    []byte
	events []mqtt.Message // of this command, that came before its result
}

// command publishes a command and waits for its result. With events, the events
// of playbacks are subscribed too.
func (b *bus) command(ctx context.Context, limit time.Duration, topic string, fields map[string]any, events bool) (answer, error) {
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	id := "cli-" + randomID()
	fields["id"] = id
	payload, err := json.Marshal(fields)
	if err != nil {
		return answer{}, err
	}
	resultTopic := b.topic("result/" + id)
	topics := []string{resultTopic}
	if events {
		topics = append(topics, b.topic(topicEvents))
	}
	if err := b.present(waiting, topics...); err != nil {
		return answer{}, b.late(ctx, limit, err)
	}
	b.paho.Publish(b.topic(topic), commandQoS, false, payload)
	var a answer
	for {
		m, err := b.next(waiting)
		if err != nil {
			return a, b.late(ctx, limit, err)
		}
		switch m.Topic() {
		case resultTopic:
			a.raw = m.Payload()
			if err := json.Unmarshal(a.raw, &a.Result); err != nil {
				return a, exitWith(exitNoAnswer, "the hub %q answered with something else than a result: %w", b.hub, err)
			}
			return a, nil
		case b.topic(topicEvents):
			if eventOf(m).Command == id {
				a.events = append(a.events, m)
			}
		case b.topic(topicAvailability):
			if string(m.Payload()) != bridge.Online {
				return a, b.offline()
			}
		}
	}
}

// late says that time ran out, if that is what happened.
func (b *bus) late(ctx context.Context, limit time.Duration, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return exitWith(exitNoAnswer, "no answer from the hub %q on %s within %s", b.hub, b.broker, limit)
	}
	return err
}

// status reads the hub's retained snapshot.
func (b *bus) status(ctx context.Context, limit time.Duration) (bridge.Status, error) {
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var s bridge.Status
	if err := b.present(waiting); err != nil {
		return s, b.late(ctx, limit, err)
	}
	if err := b.subscribe(waiting, b.topic(topicStatus)); err != nil {
		return s, err
	}
	for {
		m, err := b.next(waiting)
		if err != nil {
			return s, b.late(ctx, limit, err)
		}
		if m.Topic() != b.topic(topicStatus) {
			continue
		}
		if err := json.Unmarshal(m.Payload(), &s); err != nil {
			return s, exitWith(exitNoAnswer, "the status of the hub %q cannot be read: %w", b.hub, err)
		}
		return s, nil
	}
}

// readStatus connects, reads a hub's snapshot and leaves.
func readStatus(ctx context.Context, cfg *config, hub string, limit time.Duration) (bridge.Status, error) {
	b, err := openBus(ctx, cfg, hub)
	if err != nil {
		return bridge.Status{}, err
	}
	defer b.close()
	return b.status(ctx, limit)
}

func eventOf(m mqtt.Message) bridge.Event {
	var e bridge.Event
	_ = json.Unmarshal(m.Payload(), &e) // what is no event has no kind
	return e
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// brokerHost splits a broker's URL for tools that want host and port.
func brokerHost(address string) (scheme, host, port string) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", ""
	}
	return u.Scheme, u.Hostname(), u.Port()
}
