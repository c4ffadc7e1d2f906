package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func TestClose(t *testing.T) {
	b, err := New(Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(ln) }()
	c := dialRaw(t, ln.Addr().String()).welcome(connect{id: "c"})
	hub := dialHub(t, b, "home").welcome(connect{id: "hub"})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { closeInTime(t, b) })
	}
	wg.Wait()
	closeInTime(t, b)
	c.ended()
	hub.ended()
	if err := <-served; err != nil {
		t.Errorf("Serve returned %v", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("its port is still open")
	}

	late, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(late); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
	if err := late.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error("Serve after Close left the listener open")
	}
	if _, err := b.Dial(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Dial after Close: %v", err)
	}
	if _, err := b.DialHub(t.Context(), "home"); !errors.Is(err, ErrClosed) {
		t.Errorf("DialHub after Close: %v", err)
	}
}

// A listener that someone else closes ends its Serve alone.
func TestListenerClosedByOthers(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(ln) }()
	c := dialRaw(t, ln.Addr().String()).welcome(connect{id: "c"})
	_ = ln.Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
	c.pong()
}

func TestDialHonoursItsContext(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The broker's own figures can be read.
func TestSysIsReadable(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	c := dialRaw(t, listen(t, b)).welcome(connect{id: "c"}).subscribed(0, "$SYS/broker/#")
	seen := map[string]bool{}
	for _, r := range c.pong() {
		seen[r.topic()] = true
	}
	for len(seen) < 20 {
		seen[c.expect(3).topic()] = true
	}
	for _, want := range []string{"$SYS/broker/uptime", "$SYS/broker/clients/connected"} {
		if !seen[want] {
			t.Errorf("no %s among %v", want, seen)
		}
	}
}

// Retained messages stay, the library's own limit of a day notwithstanding.
func TestRetainedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range versions {
			c := dialHub(t, b, "home").welcome(connect{version: v, id: "hub"})
			c.send(publish(v, fmt.Sprint("hkw/home/status/", v), 1, 1, true, "kept"))
			c.expect(4)
			_ = c.Close()
			synctest.Wait()
		}
		for topic, pk := range b.server.Topics.Retained.GetAll() {
			pk.Created -= int64((49 * time.Hour).Seconds())
			b.server.Topics.Retained.Add(topic, pk)
		}
		time.Sleep(time.Minute) // the library looks once a second
		c := dialHub(t, b, "home").welcome(connect{id: "late"}).subscribed(0, "hkw/home/status/#")
		for range versions {
			if r := c.expect(3); r.payload() != "kept" {
				t.Errorf("got %v", r)
			}
		}
		_ = c.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An expiry that a publisher of MQTT 5 asks for is kept to, and passed on; one
// second late at most, as the library looks once a second.
func TestExplicitExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		pub := dialHub(t, b, "home").welcome(connect{version: 5, id: "pub"})
		pub.send(publish(5, "news", 1, 1, true, "short-lived", messageExpiry(10)))
		pub.expect(4)
		time.Sleep(4 * time.Second)
		early := dialHub(t, b, "other").welcome(connect{version: 5, id: "early"}).subscribed(0, "news")
		p, payload := early.expect(3).publishProps()
		if i := bytes.IndexByte(p, 2); string(payload) != "short-lived" || i != 0 || binary.BigEndian.Uint32(p[1:]) != 6 {
			t.Errorf("after 4 s: %q with properties % x, want 6 s left", payload, p)
		}
		time.Sleep(8 * time.Second)
		late := dialHub(t, b, "other").welcome(connect{version: 5, id: "late"}).subscribed(0, "news")
		if got := late.pong(); len(got) != 0 {
			t.Errorf("after 12 s: %v", got)
		}
		for _, c := range []*raw{pub, early, late} {
			_ = c.Close()
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A session that its client never comes back to leaves nothing behind.
func TestSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		three := dialHub(t, b, "home").welcome(connect{id: "three", persistent: true}).subscribed(1, "a")
		five := dialHub(t, b, "home").welcome(connect{version: 5, id: "five", persistent: true, props: sessionExpiry(1 << 30)}).subscribed(1, "a")
		_, _ = three.Close(), five.Close()
		time.Sleep(30 * time.Minute)
		if b.Clients() != 2 {
			t.Errorf("%d sessions after half an hour, want 2", b.Clients())
		}
		time.Sleep(31 * time.Minute)
		if n := len(b.server.Topics.Subscribers("a").Subscriptions); b.Clients() != 0 || n != 0 || b.server.Info.Subscriptions != 0 {
			t.Errorf("after an hour: %d sessions, %d subscribers", b.Clients(), n)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A will waits as long as its client asked, where its session outlives the connection.
func TestDelayedWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		witness := dialHub(t, b, "home").welcome(connect{id: "witness"}).subscribed(0, "will")
		witness.pong() // what is retained comes after the SUBACK
		will := connect{version: 5, id: "w", willTopic: "will", willPayload: "gone", willRetain: true, willProps: willDelay(5)}
		for name, c := range map[string]struct {
			connect
			after time.Duration
		}{
			"the session ends with the connection": {will, 0},
			"the session goes on":                  {func() connect { w := will; w.persistent, w.props = true, sessionExpiry(60); return w }(), 5 * time.Second},
		} {
			c.willPayload = name
			w := dialHub(t, b, "home").welcome(c.connect)
			began := time.Now()
			_ = w.Close()
			if r := witness.expect(3); r.payload() != name {
				t.Errorf("%s: got %v", name, r)
			}
			if took := time.Since(began); took < c.after || took > c.after+2*time.Second {
				t.Errorf("%s: its will came after %v", name, took)
			}
			synctest.Wait()
			if _, ok := b.server.Topics.Retained.Get("will"); !ok {
				t.Errorf("%s: its will was not retained", name)
			}
			b.server.Topics.Retained.Delete("will")
		}
		_ = witness.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// syncBuffer is a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// At info an ordinary day says nothing; at debug it speaks, but of no payloads.
func TestLog(t *testing.T) {
	for _, level := range []zerolog.Level{zerolog.InfoLevel, zerolog.DebugLevel} {
		t.Run(level.String(), func(t *testing.T) {
			var out syncBuffer
			b := start(t, Config{Log: zerolog.New(&out).Level(level)})
			addr := listen(t, b)
			c := dialRaw(t, addr).welcome(connect{id: "c", keepalive: 1, willTopic: "w", willPayload: "confidential"}).subscribed(1, "#")
			c.send(publish(4, "a", 1, 1, true, "confidential"))
			c.send(publish(4, "hkw/home/status", 1, 2, true, "confidential"))
			c.pong()
			five := dialRaw(t, addr).welcome(connect{version: 5, id: "five"})
			five.send([]byte{0xe0, 0})
			five.ended()
			five = dialRaw(t, addr).welcome(connect{version: 5, id: "five"})
			five.send(cat([]byte{0x32}, varint(3+2+1+12), str("a"), []byte{0, 0, 0}, []byte("confidential"))) // packet id 0
			five.ended()
			_ = c.Close()
			eventually(t, "all gone", func() bool { return b.Clients() == 0 })
			closeInTime(t, b)
			got := out.String()
			if level == zerolog.InfoLevel && got != "" {
				t.Errorf("at info:\n%s", got)
			}
			if level == zerolog.DebugLevel && (!strings.Contains(got, "connection ended") || !strings.Contains(got, `"component":"broker"`)) {
				t.Errorf("at debug:\n%s", got)
			}
			if strings.Contains(got, "confidential") || strings.Contains(got, "99 111 110 102 105") {
				t.Errorf("payloads in the log:\n%s", got)
			}
		})
	}
}
