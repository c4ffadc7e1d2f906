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

// maxInflight is how many messages of QoS 1 and 2 may be on their way to a
// client, and how many of QoS 2 from a client of MQTT 3.1.1.
const maxInflight = 1024

// maxKeepalive is the longest keepalive, in seconds, whose one and a half still
// fits the 16 bits in which the library adds it up. Beyond it there is none: TCP's
// own keepalive notices the dead.
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
		mqtt.OnSessionEstablished, mqtt.OnClientExpired:
		return true
	}
	return false
}

// OnPacketRead mends three things before the library sees a packet.
//
// It zeroes the Receive Maximum of a CONNECT: with it the library takes a read
// lock twice when a message is acknowledged, and stands still for ever. Without it
// the library sends as fast as it can, and a client that counts, mosquitto_sub for
// one, gives up when too many messages of QoS 2 are unfinished: such a client is
// granted QoS 1, which it finishes one by one.
//
// It gives SUBSCRIBE and UNSUBSCRIBE a packet id that is free in both directions:
// the library has one set of ids for what it sends and what it receives, and
// refuses a subscription whose id a message on its way to the client happens to
// have. The acknowledgement gets the client's own id back.
//
// It shortens topics of the broker's own: published with QoS 1 or 2 the library
// never acknowledges them, and their publisher waits. As it is, OnPublish refuses
// them.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	conn, ok := cl.Net.Conn.(*guardedConn)
	if !ok {
		return pk, errRefused // no client comes by another way
	}
	conn.reading(pk)
	switch pk.FixedHeader.Type {
	case packets.Connect:
		pk.Properties.ReceiveMaximum = 0
	case packets.Publish:
		conn.slowDown(h.broker.cfg.MaxPublishRate)
		if strings.HasPrefix(pk.TopicName, "$") {
			pk.TopicName = "$"
		}
	case packets.Subscribe, packets.Unsubscribe:
		if conn.countsQoS2() {
			for i := range pk.Filters {
				pk.Filters[i].Qos = min(pk.Filters[i].Qos, 1)
			}
		}
		if pk.PacketID == 0 {
			break // a violation that the library answers
		}
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
	if cl.State.Keepalive > maxKeepalive {
		cl.State.Keepalive = 0
	}
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
	if !validClientID(cl.ID) {
		return h.refuse(cl, packets.ErrClientIdentifierNotValid)
	}
	if endsWithConnection(cl) {
		cl.Properties.Will.WillDelayInterval = 0 // MQTT 5 section 3.1.3.2.2; the library would wait, and then not retain it
	}
	if pk.Connect.WillFlag && !h.broker.mayPublish(who, pk.Connect.WillTopic) {
		return h.refuse(cl, packets.ErrNotAuthorized)
	}
	conn, ok := cl.Net.Conn.(*guardedConn)
	if !ok {
		return errRefused // no client comes by another way
	}
	if code, ok := h.broker.claim(conn, cl, who); !ok {
		return h.refuse(cl, code)
	}
	return nil
}

func (h *hook) refuse(cl *mqtt.Client, why packets.Code) error {
	reason := why.Reason
	if why == packets.ErrNotAuthorized && cl.Properties.ProtocolVersion < 5 {
		why = packets.Err3NotAuthorized // the library translates the other codes
	}
	_ = h.broker.server.SendConnack(cl, why, false, nil) // it is gone either way
	h.broker.log.Info().Str("client", cl.ID).Str("remote", cl.Net.Remote).Str("why", reason).Msg("connection refused")
	return errRefused
}

func validClientID(id string) bool {
	return len(id) <= maxClientID && utf8.ValidString(id) && id != mqtt.InlineClientId &&
		strings.IndexFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
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
//
// A hub is spared what it says itself below status and event, unless it asks for
// what is retained there. Its filter for commands takes in the topic of its
// snapshot, and a hub that is sent back all it writes could wait for the broker
// while the broker waits for it.
//
// Publishes are decided in OnPublish: refused here, a client of MQTT 3.1.1 would be
// thrown off, come back, send the same again, and so on.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	who, ok := whoIs(cl)
	if !ok || write {
		return ok
	}
	if who.hub != "" && ReservedForHubs(topic) && !strings.HasPrefix(topic, "hkw/"+who.hub+"/result/") {
		if conn, ok := cl.Net.Conn.(*guardedConn); ok && !conn.subscribing() && strings.HasPrefix(topic, "hkw/"+who.hub+"/") {
			return false
		}
	}
	return h.broker.maySubscribe(who, topic)
}

// mayRetain tells whether there is room for one more retained message. What stands
// already may be replaced or removed, and hubs are not asked. A message beyond is
// delivered, and not kept.
func (b *Broker) mayRetain(pk packets.Packet) bool {
	if len(pk.Payload) == 0 || b.server.Topics.Retained.Len() < b.cfg.MaxRetained {
		return true
	}
	if _, there := b.server.Topics.Retained.Get(pk.TopicName); there {
		return true
	}
	b.log.Debug().Int("retained", b.cfg.MaxRetained).Msg("too many retained messages; one more is not kept")
	return false
}

// OnPublish drops what must not be published, acknowledged as if it had been; a
// QoS 1 publisher of MQTT 5 is told.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil // a will, allowed at CONNECT
	}
	who, ok := whoIs(cl)
	if ok && h.broker.mayPublish(who, pk.TopicName) {
		pk.FixedHeader.Retain = pk.FixedHeader.Retain && (who.hub != "" || h.broker.mayRetain(pk))
		return pk, nil
	}
	h.broker.log.Debug().Str("client", cl.ID).Int("topic_bytes", len(pk.TopicName)).Msg("publish refused")
	if pk.ProtocolVersion == 5 && pk.FixedHeader.Qos == 1 {
		return pk, packets.ErrNotAuthorized
	}
	return pk, packets.CodeSuccessIgnore
}

// OnSessionEstablished lifts the limit of 64 unfinished QoS 2 publishes for clients
// of MQTT 3.1.1, who are not told about it and would be thrown off at the 65th.
func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	if cl.Properties.ProtocolVersion < 5 {
		cl.State.Inflight.ResetReceiveQuota(maxInflight)
	}
}

// OnClientExpired takes the subscriptions of an expired session out of the topic
// tree, where the library leaves them.
func (h *hook) OnClientExpired(cl *mqtt.Client) {
	h.broker.server.UnsubscribeClient(cl)
	cl.ClearInflights()
}

// publishWill publishes the will of a client whose handler panicked, at once.
func (b *Broker) publishWill(cl *mqtt.Client) {
	will := cl.Properties.Will
	if will.Flag == 0 {
		return
	}
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Retain: will.Retain, Qos: will.Qos},
		TopicName:   will.TopicName,
		Payload:     will.Payload,
		Properties:  packets.Properties{User: will.User},
		PacketID:    uint16(min(will.Qos, 1)), // asked for with QoS 1 and 2, and not used
		Created:     time.Now().Unix(),
	}
	// In the client's own name a QoS of 1 would be acknowledged to its dead connection.
	executor := b.server.NewClient(nil, inProcessID, mqtt.InlineClientId, true)
	executor.Properties.ProtocolVersion = cl.Properties.ProtocolVersion
	defer executor.Stop(nil)
	if err := b.server.InjectPacket(executor, pk); err != nil {
		b.log.Debug().Err(err).Msg("a will could not be published")
	}
}
