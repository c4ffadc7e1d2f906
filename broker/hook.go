package broker

import (
	"errors"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// maxKeepalive is the longest keepalive, in seconds, whose one and a half still
// fits the 16 bits in which the library adds it up.
const maxKeepalive = 43000

// maxClientID is the longest client id, in bytes.
const maxClientID = 128

// hook is the one hook of the broker: hooks of the library are or-ed together, so
// a second one could only open what this one closes.
type hook struct {
	mqtt.HookBase
	broker *Broker
}

var errRefused = errors.New("connection refused")

// ID names the hook.
func (h *hook) ID() string { return "hkw" }

// Provides lists the events that the hook wants.
func (h *hook) Provides(b byte) bool {
	switch b {
	case mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish,
		mqtt.OnSelectSubscribers, mqtt.OnUnsubscribe:
		return true
	}
	return false
}

// OnPacketRead mends two things before the library sees a packet.
//
// It zeroes the Receive Maximum of a CONNECT: with it the library takes a read
// lock twice when a message is acknowledged, and stands still for ever.
//
// It gives SUBSCRIBE and UNSUBSCRIBE a packet id that is free in both directions:
// the library has one set of ids for what it sends and what it receives, and
// refuses a subscription whose id a message on its way to the client happens to
// have. The acknowledgement gets the client's own id back.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	switch pk.FixedHeader.Type {
	case packets.Connect:
		pk.Properties.ReceiveMaximum = 0
	case packets.Subscribe, packets.Unsubscribe:
		conn, ok := cl.Net.Conn.(*guardedConn)
		if !ok || pk.PacketID == 0 {
			break // 0 is a violation that the library answers
		}
		conn.setAckID(pk.PacketID)
		for id := uint16(math.MaxUint16); id > 0; id-- {
			if _, taken := cl.State.Inflight.Get(id); !taken {
				pk.PacketID = id
				break
			}
		}
	}
	return pk, nil
}

// OnPacketEncode undoes what OnPacketRead did to packet ids. A client's packets are
// handled one after another, so there is only ever one to remember.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	if t := pk.FixedHeader.Type; t == packets.Suback || t == packets.Unsuback {
		if conn, ok := cl.Net.Conn.(*guardedConn); ok {
			pk.PacketID = conn.ackID()
		}
	}
	return pk
}

// OnConnect is the gate: who is it, may it have this client id, and may its will
// be published. The library itself publishes wills unasked.
func (h *hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	cl.State.Keepalive = min(cl.State.Keepalive, maxKeepalive)
	c := Client{ID: cl.ID, Username: string(pk.Connect.Username), Password: pk.Connect.Password}
	c.Hub, _ = strings.CutPrefix(cl.Net.Listener, hubPrefix)
	if c.Hub == cl.Net.Listener {
		c.Hub = ""
	}
	who := identity{hub: c.Hub}
	if c.Hub == "" {
		name, ok := h.broker.cfg.Access.Connect(c)
		if !ok {
			return h.refuse(cl, packets.ErrBadUsernameOrPassword)
		}
		who.name = name
	}
	if !validClientID(cl.ID) || !h.mayTake(cl.ID, who) {
		return h.refuse(cl, packets.ErrClientIdentifierNotValid)
	}
	if pk.Connect.WillFlag && !h.broker.mayPublish(who, pk.Connect.WillTopic) {
		return h.refuse(cl, packets.ErrNotAuthorized)
	}
	conn, ok := cl.Net.Conn.(*guardedConn)
	if !ok {
		return errRefused // no client comes by another way
	}
	conn.admit(cl, who)
	return nil
}

func (h *hook) refuse(cl *mqtt.Client, why packets.Code) error {
	_ = h.broker.server.SendConnack(cl, why, false, nil) // it is gone either way
	h.broker.log.Info().Str("client", cl.ID).Str("remote", cl.Net.Remote).Str("why", why.Reason).Msg("connection refused")
	return errRefused
}

func validClientID(id string) bool {
	return len(id) <= maxClientID && utf8.ValidString(id) && id != mqtt.InlineClientId &&
		strings.IndexFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// mayTake tells whether a client id is free or belongs to who. Without that a
// stranger who takes an id takes the messages that wait for it.
func (h *hook) mayTake(id string, who identity) bool {
	existing, ok := h.broker.server.Clients.Get(id)
	if !ok {
		return true
	}
	owner, ok := whoIs(existing)
	return ok && owner == who
}

// OnConnectAuthenticate: whoever passed OnConnect is known.
func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	_, ok := whoIs(cl)
	return ok
}

// whoIs tells who a client is, once the gate has let it in; its connection knows.
func whoIs(cl *mqtt.Client) (identity, bool) {
	conn, ok := cl.Net.Conn.(*guardedConn)
	if !ok {
		return identity{}, false
	}
	return conn.identity()
}

// OnACLCheck decides about subscriptions, and about each message to a subscriber.
// Publishes are decided in OnPublish: refused here, a client of MQTT 3.1.1 would be
// thrown off, come back, send the same again, and so on.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	who, ok := whoIs(cl)
	return ok && (write || h.broker.maySubscribe(who, topic))
}

// OnPublish drops what must not be published, acknowledged as if it had been; a
// QoS 1 publisher of MQTT 5 is told.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	who, ok := whoIs(cl)
	if ok && h.broker.mayPublish(who, pk.TopicName) {
		return pk, nil
	}
	h.broker.log.Debug().Str("client", cl.ID).Int("topic_bytes", len(pk.TopicName)).Msg("publish refused")
	if pk.ProtocolVersion == 5 && pk.FixedHeader.Qos == 1 {
		return pk, packets.ErrNotAuthorized
	}
	return pk, packets.CodeSuccessIgnore
}

// OnSelectSubscribers spares a hub what it says itself below status and event. Its
// filter for commands takes in the topic of its snapshot, and a hub that is sent
// back all it writes could wait for the broker while the broker waits for it.
func (h *hook) OnSelectSubscribers(subs *mqtt.Subscribers, pk packets.Packet) *mqtt.Subscribers {
	if _, subscribed := subs.Subscriptions[pk.Origin]; !subscribed || !ReservedForHubs(pk.TopicName) || strings.Contains(pk.TopicName, "/result/") {
		return subs
	}
	if cl, ok := h.broker.server.Clients.Get(pk.Origin); ok {
		if who, ok := whoIs(cl); ok && who.hub != "" {
			delete(subs.Subscriptions, pk.Origin)
		}
	}
	return subs
}

// OnUnsubscribe keeps filters away from the topic tree that no subscription can have.
func (h *hook) OnUnsubscribe(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	for i := range pk.Filters {
		if !h.broker.reasonable(pk.Filters[i].Filter) {
			pk.Filters[i].Filter = "-"
		}
	}
	return pk
}

// publishWill publishes the will of a client whose handler panicked.
func (b *Broker) publishWill(cl *mqtt.Client) {
	will := cl.Properties.Will
	if will.Flag == 0 {
		return
	}
	pk := packets.Packet{
		ProtocolVersion: cl.Properties.ProtocolVersion,
		FixedHeader:     packets.FixedHeader{Type: packets.Publish, Retain: will.Retain},
		TopicName:       will.TopicName,
		Payload:         will.Payload,
		Created:         time.Now().Unix(),
	}
	if err := b.server.InjectPacket(cl, pk); err != nil {
		b.log.Debug().Err(err).Msg("a will could not be published")
	}
}
