package broker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come; generous, for loaded machines.
const patience = 10 * time.Second

// start makes a broker that is closed when the test ends.
func start(t testing.TB, cfg Config) *Broker {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeInTime(t, b) })
	return b
}

func closeInTime(t testing.TB, b *Broker) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- b.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Close: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Close does not return")
	}
}

// listen serves b on a port of loopback and returns its address.
func listen(t testing.TB, b *Broker) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.Serve(ln) }()
	return ln.Addr().String()
}

// eventually polls until ok says so.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Building blocks of packets, MQTT 3.1.1 and 5 sections 1.5 and 2.1.

func str(s string) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) }

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func varint(n int) (out []byte) {
	for {
		b := byte(n % 128)
		if n /= 128; n > 0 {
			b |= 0x80
		}
		if out = append(out, b); n == 0 {
			return out
		}
	}
}

func packet(first byte, body ...[]byte) []byte {
	b := cat(body...)
	return cat([]byte{first}, varint(len(b)), b)
}

// props is a property list of MQTT 5; nothing for 3.1.1.
func props(version byte, p ...[]byte) []byte {
	if version < 5 {
		return nil
	}
	b := cat(p...)
	return cat(varint(len(b)), b)
}

// connect describes a CONNECT.
type connect struct {
	version     byte // 4 if zero
	id          string
	persistent  bool
	keepalive   uint16
	props       []byte // MQTT 5
	willTopic   string
	willPayload string
	willQoS     byte
	willRetain  bool
	willProps   []byte // MQTT 5
	username    string
}

func (c connect) bytes() []byte {
	if c.version == 0 {
		c.version = 4
	}
	var flags byte
	if !c.persistent {
		flags |= 0x02
	}
	payload := str(c.id)
	if c.willTopic != "" {
		flags |= 0x04 | c.willQoS<<3
		if c.willRetain {
			flags |= 0x20
		}
		payload = cat(payload, props(c.version, c.willProps), str(c.willTopic), str(c.willPayload))
	}
	if c.username != "" {
		flags |= 0x80
		payload = cat(payload, str(c.username))
	}
	return packet(0x10, str("MQTT"), []byte{c.version, flags}, binary.BigEndian.AppendUint16(nil, c.keepalive),
		props(c.version, c.props), payload)
}

func publish(version byte, topic string, qos byte, id uint16, retain bool, payload string, p ...[]byte) []byte {
	first := byte(0x30) | qos<<1
	if retain {
		first |= 1
	}
	var pid []byte
	if qos > 0 {
		pid = binary.BigEndian.AppendUint16(nil, id)
	}
	return packet(first, str(topic), pid, props(version, p...), []byte(payload))
}

func subscribe(version byte, id uint16, qos byte, filters ...string) []byte {
	body := cat(binary.BigEndian.AppendUint16(nil, id), props(version))
	for _, f := range filters {
		body = cat(body, str(f), []byte{qos})
	}
	return packet(0x82, body)
}

func unsubscribe(version byte, id uint16, filters ...string) []byte {
	body := cat(binary.BigEndian.AppendUint16(nil, id), props(version))
	for _, f := range filters {
		body = cat(body, str(f))
	}
	return packet(0xa2, body)
}

// ack is a PUBACK (0x40), PUBREC (0x50), PUBREL (0x62) or PUBCOMP (0x70).
func ack(first byte, id uint16) []byte { return packet(first, binary.BigEndian.AppendUint16(nil, id)) }

func topicAlias(n uint16) []byte     { return binary.BigEndian.AppendUint16([]byte{0x23}, n) }
func receiveMaximum(n uint16) []byte { return binary.BigEndian.AppendUint16([]byte{0x21}, n) }
func messageExpiry(n uint32) []byte  { return binary.BigEndian.AppendUint32([]byte{0x02}, n) }
func sessionExpiry(n uint32) []byte  { return binary.BigEndian.AppendUint32([]byte{0x11}, n) }
func willDelay(n uint32) []byte      { return binary.BigEndian.AppendUint32([]byte{0x18}, n) }

// received is a packet from the broker.
type received struct {
	first   byte // type and flags
	body    []byte
	version byte
}

func (r received) kind() byte { return r.first >> 4 }
func (r received) qos() byte  { return r.first >> 1 & 3 }

// id is the packet identifier.
func (r received) id() uint16 {
	b := r.body
	if r.kind() == 3 {
		b = b[2+binary.BigEndian.Uint16(b):]
	}
	return binary.BigEndian.Uint16(b)
}

func (r received) topic() string { return string(r.body[2 : 2+binary.BigEndian.Uint16(r.body)]) }

// publishProps are the raw properties of a PUBLISH; payload is what follows.
func (r received) publishProps() (p, payload []byte) {
	b := r.body[2+binary.BigEndian.Uint16(r.body):]
	if r.qos() > 0 {
		b = b[2:]
	}
	if r.version < 5 {
		return nil, b
	}
	n, used := binary.Uvarint(b)
	return b[used : used+int(n)], b[used+int(n):]
}

func (r received) payload() string {
	_, p := r.publishProps()
	return string(p)
}

func (r received) String() string {
	if r.kind() == 3 {
		return fmt.Sprintf("PUBLISH %#x %q %q", r.first, r.topic(), r.payload())
	}
	return fmt.Sprintf("%#x % x", r.first, r.body)
}

// raw is a client that sends what it is told to, sense or not.
type raw struct {
	net.Conn
	t       testing.TB
	r       *bufio.Reader
	version byte
}

func newRaw(t testing.TB, c net.Conn) *raw {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	return &raw{Conn: c, t: t, r: bufio.NewReader(c), version: 4}
}

func dialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, c)
}

func dialHub(t testing.TB, b *Broker, hub string) *raw {
	t.Helper()
	c, err := b.DialHub(context.Background(), hub)
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, c)
}

// send writes packets; that the broker hung up already is for next to find out.
func (c *raw) send(packets ...[]byte) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.Write(cat(packets...)); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("send: %v", err)
	}
}

func (c *raw) read(within time.Duration) (received, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	first, err := c.r.ReadByte()
	if err != nil {
		return received{}, err
	}
	n, err := binary.ReadUvarint(c.r)
	if err != nil {
		return received{}, err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(c.r, body)
	return received{first: first, body: body, version: c.version}, err
}

// next is the next packet.
func (c *raw) next() received {
	c.t.Helper()
	r, err := c.read(patience)
	if err != nil {
		c.t.Fatalf("next packet: %v", err)
	}
	return r
}

// expect is the next packet, which must be of that type.
func (c *raw) expect(kind byte) received {
	c.t.Helper()
	r := c.next()
	if r.kind() != kind {
		c.t.Fatalf("got %v, want packet type %d", r, kind)
	}
	return r
}

// hello connects and returns the code of the CONNACK.
func (c *raw) hello(h connect) byte {
	c.t.Helper()
	if h.version == 5 {
		c.version = 5
	}
	c.send(h.bytes())
	return c.expect(2).body[1]
}

// welcome connects and must be let in.
func (c *raw) welcome(h connect) *raw {
	c.t.Helper()
	if code := c.hello(h); code != 0 {
		c.t.Fatalf("CONNACK %#x for %q", code, h.id)
	}
	return c
}

// subscribed subscribes and must be granted.
func (c *raw) subscribed(qos byte, filters ...string) *raw {
	c.t.Helper()
	c.send(subscribe(c.version, 9, qos, filters...))
	r := c.expect(9)
	for _, code := range r.body[len(r.body)-len(filters):] {
		if code > 2 {
			c.t.Fatalf("SUBACK %#x for %q", code, filters)
		}
	}
	return c
}

// pong sends a ping and reads up to its answer: what came before it is returned,
// and all that was sent before was dealt with.
func (c *raw) pong() (before []received) {
	c.t.Helper()
	c.send([]byte{0xc0, 0})
	for {
		r := c.next()
		if r.kind() == 13 {
			return before
		}
		before = append(before, r)
	}
}

// ended waits for the broker to hang up.
func (c *raw) ended() {
	c.t.Helper()
	for {
		if _, err := c.read(patience); errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal("the connection stays open")
		} else if err != nil {
			return
		}
	}
}

// names is an Access whose names are the usernames, without passwords; "nobody" is
// not let in, "mute" may do nothing.
type names struct{}

func (names) Connect(c Client) (string, bool) { return c.Username, c.Username != "nobody" }
func (names) MayPublish(name, topic string) bool {
	return name != "mute" && !ReservedForHubs(topic)
}
func (names) MaySubscribe(name, filter string) bool {
	return name != "mute" && !strings.HasPrefix(filter, "secret/")
}
