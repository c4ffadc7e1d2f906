package broker

import (
	"bytes"
	"fmt"

	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
)

// versions are the two that are spoken.
var versions = []byte{4, 5}

// code is what a CONNACK says in either version.
type code struct{ v3, v5 byte }

func (c code) in(version byte) byte {
	if version == 5 {
		return c.v5
	}
	return c.v3
}

var (
	notAuthorized = code{5, 0x87}
	badLogin      = code{5, 0x86}
	badClientID   = code{2, 0x85}
)

// Wills are held to the rules of publishing, before their client is let in.
func TestWillsAreChecked(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), Access: names{}})
	addr := listen(t, b)
	for _, will := range []string{
		"$SYS/broker/version", "$sys/x", "$share/g/x", "$", "#", "a/+", "a/#", "hkw/home/status/availability", "hkw/home/status",
		"hkw/other/event/playback", "hkw/home/result/1", "hkw/home/reply", strings.Repeat("a/", 15) + "a", strings.Repeat("a", 513),
	} {
		for _, v := range versions {
			c := dialRaw(t, addr)
			got := c.hello(connect{version: v, id: "w", username: "a", willTopic: will, willPayload: "x"})
			if want := notAuthorized.in(v); got != want {
				t.Errorf("version %d, will on %.40q: CONNACK %#x, want %#x", v, will, got, want)
			}
			c.ended()
		}
	}
	for _, will := range []string{"hkw/home/play", "lamp/status", "hkw", "a"} {
		for _, v := range versions {
			c := dialRaw(t, addr).welcome(connect{version: v, id: "w", username: "a", willTopic: will, willPayload: "x"})
			c.send([]byte{0xe0, 0})
			c.ended()
		}
	}
	for _, v := range versions {
		c := dialRaw(t, addr)
		if got := c.hello(connect{version: v, id: "w", username: "mute", willTopic: "a", willPayload: "x"}); got != notAuthorized.in(v) {
			t.Errorf("version %d, will of one who may not publish: CONNACK %#x", v, got)
		}
	}
	if b.Clients() != 0 {
		t.Errorf("%d clients known", b.Clients())
	}
}

func TestConnectIsRefused(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), Access: names{}})
	addr := listen(t, b)
	for _, c := range []struct {
		name string
		connect
		want code
	}{
		{"a stranger", connect{id: "x", username: "nobody"}, badLogin},
		{"client id inline", connect{id: "inline", username: "a"}, badClientID},
		{"client id with a control character", connect{id: "a\x01", username: "a"}, badClientID},
		{"client id too long", connect{id: strings.Repeat("x", 200), username: "a"}, badClientID},
	} {
		for _, v := range versions {
			c.version = v
			r := dialRaw(t, addr)
			if got := r.hello(c.connect); got != c.want.in(v) {
				t.Errorf("%s, version %d: CONNACK %#x, want %#x", c.name, v, got, c.want.in(v))
			}
			r.ended()
		}
	}
	// A client without an id gets one of its own.
	for _, v := range versions {
		dialRaw(t, addr).welcome(connect{version: v, username: "a"}).pong()
	}
}

// A client id is its owner's, connected or away.
func TestClientIDsBelongToTheirOwner(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), Access: names{}})
	addr := listen(t, b)
	hub := dialHub(t, b, "home").welcome(connect{id: "hub"})
	other := dialHub(t, b, "other")
	if got := other.hello(connect{id: "hub"}); got != badClientID.v3 {
		t.Errorf("another hub takes the id of a hub: CONNACK %#x", got)
	}
	anna := dialRaw(t, addr).welcome(connect{id: "anna's", username: "anna", persistent: true}).subscribed(1, "post")
	for _, id := range []string{"hub", "anna's"} {
		for _, v := range versions {
			if got := dialRaw(t, addr).hello(connect{version: v, id: id, username: "bob"}); got != badClientID.in(v) {
				t.Errorf("version %d: bob takes %q: CONNACK %#x", v, id, got)
			}
		}
	}
	hub.pong()
	anna.pong()

	// Away: what waits for anna is not for bob.
	_ = anna.Close()
	eventually(t, "anna is away", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.conns) == 1 })
	hub.send(publish(4, "post", 1, 1, false, "for anna"))
	hub.expect(4)
	hub.pong() // the library acknowledges before it delivers
	if got := dialRaw(t, addr).hello(connect{id: "anna's", username: "bob", persistent: true}); got != badClientID.v3 {
		t.Fatalf("bob takes the session of anna: CONNACK %#x", got)
	}
	back := dialRaw(t, addr)
	back.send(connect{id: "anna's", username: "anna", persistent: true}.bytes())
	if r := back.expect(2); r.body[0] != 1 || r.body[1] != 0 {
		t.Fatalf("anna comes back: %v, want session present", r)
	}
	if r := back.expect(3); r.payload() != "for anna" {
		t.Fatalf("anna gets %v", r)
	}
}

// Two owners who ask for one unused id in the same moment: one gets it.
func TestClientIDRace(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), Access: names{}})
	addr := listen(t, b)
	for round := range 20 {
		id := fmt.Sprint("id", round)
		var clients []*raw
		for range 8 {
			clients = append(clients, dialRaw(t, addr))
		}
		var wg sync.WaitGroup
		in := make([]bool, len(clients))
		for i, c := range clients {
			wg.Go(func() {
				_, _ = c.Write(connect{id: id, username: fmt.Sprint(i % 2), persistent: true}.bytes())
				r, err := c.read(patience)
				in[i] = err == nil && r.kind() == 2 && r.body[1] == 0
			})
		}
		wg.Wait()
		var owners [2]bool
		for i, ok := range in {
			owners[i%2] = owners[i%2] || ok
		}
		if owners[0] == owners[1] {
			t.Fatalf("round %d: let in %v, want one owner", round, owners)
		}
		for _, c := range clients {
			_ = c.Close()
		}
	}
}

// The newest connection of a client id is the one that counts: it is known, it
// hears, and the will of the one before it comes before it is welcomed.
func TestTakeover(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	addr := listen(t, b)
	witness := dialRaw(t, addr).welcome(connect{id: "witness"}).subscribed(0, "state")
	for i := range 100 {
		v := versions[i%2]
		c := dialRaw(t, addr).welcome(connect{version: v, id: "same", willTopic: "state", willPayload: fmt.Sprint("gone ", i)})
		c.send(publish(v, "state", 0, 0, false, fmt.Sprint("here ", i)))
		if i > 0 {
			if r := witness.expect(3); r.payload() != fmt.Sprint("gone ", i-1) {
				t.Fatalf("%d: %v", i, r)
			}
		}
		if r := witness.expect(3); r.payload() != fmt.Sprint("here ", i) {
			t.Fatalf("%d: %v", i, r)
		}
		c.subscribed(0, "to same")
		witness.send(publish(4, "to same", 0, 0, false, fmt.Sprint(i)))
		if r := c.expect(3); r.payload() != fmt.Sprint(i) {
			t.Fatalf("%d: %v", i, r)
		}
		if i == 99 {
			c.send([]byte{0xe0, 0})
			c.ended()
			break
		}
		c.send(bytes.Repeat([]byte{0xc0, 0}, 2000)) // busy while it is taken over
	}
	eventually(t, "none but the witness", func() bool { return b.Clients() == 1 })
}

// A client of MQTT 5 hears why it was cut off.
func TestTakeoverIsExplained(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	addr := listen(t, b)
	old := dialRaw(t, addr).welcome(connect{version: 5, id: "same"})
	dialRaw(t, addr).welcome(connect{version: 5, id: "same"})
	if r := old.expect(14); r.body[0] != 0x8e {
		t.Errorf("DISCONNECT %v, want 0x8e, session taken over", r)
	}
	old.ended()
}

// What hubs say, only hubs say: everyone else's word is dropped, quietly, and the
// connection goes on.
func TestStrangersDoNotSpeakForHubs(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	addr := listen(t, b)
	witness := dialRaw(t, addr).welcome(connect{id: "witness"}).subscribed(2, "#", "$SYS/forged")
	forbidden := []string{
		"hkw/home/status", "hkw/home/status/volume", "hkw/any/event/playback", "hkw/home/result/1", "hkw/x/reply", "hkw//status",
		"$SYS/forged", "$sys/forged", "$share/g/a", "$share", "$other",
	}
	for _, v := range versions {
		for _, retain := range []bool{false, true} {
			c := dialRaw(t, addr).welcome(connect{version: v, id: "stranger"})
			for i, topic := range forbidden {
				id := uint16(i + 1)
				c.send(publish(v, topic, 0, 0, retain, "forged"))
				c.send(publish(v, topic, 1, id, retain, "forged"))
				r := c.expect(4)
				if refused := len(r.body) > 2 && r.body[2] == 0x87; refused != (v == 5) {
					t.Errorf("version %d, %q: PUBACK % x", v, topic, r.body)
				}
				c.send(publish(v, topic, 2, id, retain, "forged"))
				c.expect(5)
				c.send(ack(0x62, id))
				c.expect(7)
			}
			c.send(publish(v, "hkw/home/play", 0, 0, false, "end"))
			c.pong()
			if r := witness.expect(3); r.topic() != "hkw/home/play" {
				t.Fatalf("version %d: the witness got %v", v, r)
			}
		}
	}
	late := dialRaw(t, addr).welcome(connect{id: "late"}).subscribed(0, "#", "$SYS/forged")
	if got := late.pong(); len(got) != 0 {
		t.Errorf("retained: %v", got)
	}
}

// Topic aliases are no way round.
func TestAliasesAreChecked(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	addr := listen(t, b)
	witness := dialRaw(t, addr).welcome(connect{id: "witness"}).subscribed(0, "#")
	c := dialRaw(t, addr).welcome(connect{version: 5, id: "stranger"})
	for i, topic := range []string{"hkw/home/status", "$SYS/forged", deepTopic} {
		alias := topicAlias(uint16(i + 1))
		c.send(publish(5, topic, 0, 0, true, "forged", alias), publish(5, "", 0, 0, true, "forged", alias))
		c.send(publish(5, "", 1, 5, true, "forged", alias))
		if r := c.expect(4); len(r.body) < 3 || r.body[2] != 0x87 {
			t.Errorf("%.40q: PUBACK % x", topic, r.body)
		}
	}
	c.send(publish(5, "fine", 0, 0, false, "1", topicAlias(4)), publish(5, "", 0, 0, false, "2", topicAlias(4)))
	for _, want := range []string{"1", "2"} {
		if r := witness.expect(3); r.topic() != "fine" || r.payload() != want {
			t.Fatalf("got %v, want %s on fine", r, want)
		}
	}
}

// A hub speaks for itself, retained or not, and for no other hub.
func TestHubsSpeakForThemselves(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), Access: names{}})
	witness := dialRaw(t, listen(t, b)).welcome(connect{id: "witness", username: "anna"}).subscribed(0, "hkw/#")
	witness.pong() // what is retained comes after the SUBACK
	hub := dialHub(t, b, "a")
	if got := hub.hello(connect{id: "hub", willTopic: "hkw/b/status/availability", willPayload: "offline"}); got != notAuthorized.v3 {
		t.Errorf("a will for another hub: CONNACK %#x", got)
	}
	hub = dialHub(t, b, "a").welcome(connect{id: "hub", willTopic: "hkw/a/status/availability", willPayload: "offline", willRetain: true})
	hub.send(publish(4, "hkw/b/status", 1, 1, true, "forged"), publish(4, "hkw/ab/status", 1, 2, true, "forged"),
		publish(4, "$SYS/broker/version", 1, 3, true, "forged"), publish(4, "hkw/b/play", 0, 0, false, "play"), publish(4, "hkw/a/status", 1, 4, true, "mine"))
	for range 4 {
		hub.expect(4)
	}
	for _, want := range []string{"hkw/b/play", "hkw/a/status"} {
		if r := witness.expect(3); r.topic() != want {
			t.Fatalf("got %v, want %s", r, want)
		}
	}
	_ = hub.Close()
	if r := witness.expect(3); r.payload() != "offline" {
		t.Fatalf("got %v, want its will", r)
	}
}

// A hub is not sent back what it says about itself.
func TestHubsDoNotHearThemselves(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	hub := dialHub(t, b, "a").welcome(connect{id: "hub"}).subscribed(1, "hkw/a/#")
	hub.send(publish(4, "hkw/a/status", 0, 0, false, "x"), publish(4, "hkw/a/event/playback", 0, 0, false, "x"), publish(4, "hkw/a/result/1", 0, 0, false, "x"))
	got := hub.pong()
	for len(got) == 0 {
		got = append(got, hub.next())
	}
	if len(got) != 1 || got[0].topic() != "hkw/a/result/1" {
		t.Errorf("the hub was sent %v", got)
	}
}

// What Access does not allow is denied: filters at SUBSCRIBE, and each message that
// a wider filter would let through.
func TestAccessDenies(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), Access: names{}})
	addr := listen(t, b)
	for _, v := range versions {
		refused := code{0x80, 0x87}.in(v)
		suback := func(c *raw, filter string) byte {
			c.send(subscribe(v, 1, 0, filter))
			r := c.expect(9)
			return r.body[len(r.body)-1]
		}
		mute := dialRaw(t, addr).welcome(connect{version: v, id: "mute", username: "mute"})
		anna := dialRaw(t, addr).welcome(connect{version: v, id: "anna", username: "anna"}).subscribed(0, "#", "$share/g/+/x")
		for _, filter := range []string{"a", "#", "$SYS/#", "$share/g/a"} {
			if got := suback(mute, filter); got != refused {
				t.Errorf("version %d: one who may nothing subscribes to %s: %#x", v, filter, got)
			}
		}
		for _, filter := range []string{"secret/x", "secret/#", "$share/g/secret/#", "$SHARE/g/secret/x"} {
			if got := suback(anna, filter); got != refused {
				t.Errorf("version %d: anna subscribes to %s: %#x", v, filter, got)
			}
		}
		mute.send(publish(v, "a", 0, 0, true, "muted"))
		mute.pong()
		bob := dialRaw(t, addr).welcome(connect{version: v, id: "bob", username: "bob"})
		bob.send(publish(v, "secret/x", 0, 0, false, "hidden"), publish(v, "open", 0, 0, false, "seen"))
		bob.pong()
		if r := anna.expect(3); r.topic() != "open" {
			t.Errorf("version %d: anna got %v", v, r)
		}
	}
}

// Retained messages do not grow without bound: one beyond the limit is delivered and
// not kept, one that stands already is replaced or removed, and hubs are not held up.
func TestRetainedAreBounded(t *testing.T) {
	have := func(b *Broker, topic, payload string) bool {
		pk, ok := b.server.Topics.Retained.Get(topic)
		return ok && string(pk.Payload) == payload
	}
	roomy := start(t, Config{})
	c := dialRaw(t, listen(t, roomy)).welcome(connect{id: "one"})
	c.send(publish(4, "room", 0, 0, true, "x"))
	c.pong()
	if !have(roomy, "room", "x") {
		t.Error("nothing is retained")
	}
	b := start(t, Config{MaxRetained: 1}) // the broker's own below $SYS are more
	watcher := dialRaw(t, listen(t, b)).welcome(connect{id: "watcher"}).subscribed(0, "more")
	c = dialRaw(t, listen(t, b)).welcome(connect{id: "two"})
	c.send(publish(4, "more", 0, 0, true, "x"))
	c.pong()
	if have(b, "more", "x") {
		t.Error("one more is retained")
	}
	if got := watcher.expect(3); got.payload() != "x" {
		t.Errorf("it is delivered as %s", got)
	}
	hub := dialHub(t, b, "home").welcome(connect{version: 4, id: "hub"})
	hub.send(publish(4, "hkw/home/status", 0, 0, true, "s"))
	hub.pong()
	if !have(b, "hkw/home/status", "s") {
		t.Error("the hub's own is not retained")
	}
	hub.send(publish(4, "hkw/home/status", 0, 0, true, ""))
	hub.pong()
	if have(b, "hkw/home/status", "s") {
		t.Error("it is not removed")
	}
}
