package broker

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// With a Receive Maximum of its own the library deadlocks on acknowledgements.
func TestReceiveMaximumDoesNotDeadlock(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			b := start(t, Config{Log: zerolog.Nop()})
			addr := listen(t, b)
			sub := dialRaw(t, addr).welcome(connect{version: 5, id: "sub", props: receiveMaximum(1)}).subscribed(qos, "a")
			const n, publishers = 300, 3
			for p := range publishers {
				pub := dialRaw(t, addr).welcome(connect{id: fmt.Sprint("pub", p)})
				go func() {
					for i := range n {
						_, _ = pub.Write(publish(4, "a", 1, uint16(i+1), false, fmt.Sprint(i)))
					}
				}()
			}
			for got := 0; got < n*publishers; {
				switch r := sub.next(); r.kind() {
				case 3:
					got++
					sub.send(ack(map[byte]byte{1: 0x40, 2: 0x50}[r.qos()], r.id()))
				case 6:
					sub.send(ack(0x70, r.id()))
				}
			}
		})
	}
}

// A subscriber that stops reading is cut off; publishers are held up by no more
// than the write deadline, once, and others get everything.
func TestSubscriberThatStopsReading(t *testing.T) {
	const deadline = 300 * time.Millisecond
	b := start(t, Config{Log: zerolog.Nop(), WriteDeadline: deadline})
	addr := listen(t, b)
	stuck := dialRaw(t, addr).welcome(connect{id: "stuck"}).subscribed(1, "a")
	_ = stuck.Conn.(*net.TCPConn).SetReadBuffer(4096)
	pub := dialRaw(t, addr).welcome(connect{id: "pub"})
	payload := strings.Repeat("x", 64<<10)
	var longest time.Duration
	for i := 1; b.Clients() == 2; i++ {
		if i > 2000 {
			t.Fatal("2000 messages of 64 KiB, and the subscriber is still there")
		}
		began := time.Now()
		pub.send(publish(4, "a", 1, uint16(i), false, payload))
		pub.expect(4)
		longest = max(longest, time.Since(began))
	}
	if longest > 5*deadline {
		t.Errorf("a publish waited %v", longest)
	}
	pub.pong()
}

// Whoever does not say CONNECT in time is cut off, dripping bytes or not.
func TestConnectDeadline(t *testing.T) {
	const deadline = 200 * time.Millisecond
	b := start(t, Config{Log: zerolog.Nop(), ConnectDeadline: deadline})
	addr := listen(t, b)
	began := time.Now()
	silent, drip, endless := dialRaw(t, addr), dialRaw(t, addr), dialRaw(t, addr)
	go func() {
		for _, c := range (connect{id: strings.Repeat("slow", 25)}).bytes() {
			if _, err := drip.Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(deadline / 10)
		}
	}()
	go func() {
		_, _ = endless.Write([]byte{0x10})
		for range 200 {
			if _, err := endless.Write([]byte{0x80}); err != nil {
				return
			}
			time.Sleep(deadline / 20)
		}
	}()
	silent.ended()
	drip.ended()
	endless.ended()
	if took := time.Since(began); took < deadline || took > 10*deadline {
		t.Errorf("ended after %v", took)
	}
	if b.Clients() != 0 {
		t.Error("a record stays")
	}
}

// Once connected nobody is cut off for silence whose keepalive is 0 or very long:
// one and a half of 65535 s does not fit the library's 16 bits.
func TestLongKeepalive(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), ConnectDeadline: 50 * time.Millisecond})
	addr := listen(t, b)
	keepalives := []uint16{0, 43691, 65535}
	var clients []*raw
	for _, seconds := range keepalives {
		clients = append(clients, dialRaw(t, addr).welcome(connect{id: fmt.Sprint(seconds), keepalive: seconds}))
	}
	until := time.Now().Add(1200 * time.Millisecond)
	for i, c := range clients {
		if r, err := c.read(max(time.Until(until), time.Millisecond)); err == nil || !isTimeout(err) {
			t.Errorf("keepalive %d: %v, %v", keepalives[i], r, err)
		}
		c.pong()
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// Close does not wait for those who never said CONNECT.
func TestCloseWithSilentSockets(t *testing.T) {
	b, err := New(Config{Log: zerolog.Nop(), ConnectDeadline: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	addr := listen(t, b)
	var silent []*raw
	for range 20 {
		silent = append(silent, dialRaw(t, addr))
	}
	eventually(t, "all accepted", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.conns) == len(silent)
	})
	closeInTime(t, b)
	for _, c := range silent {
		c.ended()
	}
}

// Clients above the cap are told so; sockets far above it are not even read.
func TestConnectionCap(t *testing.T) {
	const most = 10
	b := start(t, Config{Log: zerolog.Nop(), MaxClients: most, ConnectDeadline: time.Minute})
	addr := listen(t, b)
	var in []*raw
	for i := range most {
		in = append(in, dialRaw(t, addr).welcome(connect{id: fmt.Sprint(i)}))
	}
	if code := dialRaw(t, addr).hello(connect{id: "eleventh"}); code != 3 {
		t.Errorf("3.1.1: CONNACK %#x, want 3, server unavailable", code)
	}
	if code := dialRaw(t, addr).hello(connect{version: 5, id: "twelfth"}); code != 0x89 {
		t.Errorf("5: CONNACK %#x, want 0x89, server busy", code)
	}
	for range 50 {
		dialRaw(t, addr)
	}
	eventually(t, "the crowd is turned away", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.conns) <= most+most/10+8
	})
	_ = in[0].Close()
	eventually(t, "a place is free", func() bool { return b.Clients() == most-1 })
	in[1].pong()
}

// Sessions of absent clients are bounded as well.
func TestSessionCap(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), MaxClients: 2})
	addr := listen(t, b)
	for i := range 2 * sessionsPerClient {
		c := dialRaw(t, addr).welcome(connect{id: fmt.Sprint(i), persistent: true})
		c.send([]byte{0xe0, 0})
		c.ended()
	}
	if code := dialRaw(t, addr).hello(connect{id: "one more", persistent: true}); code != 3 {
		t.Errorf("CONNACK %#x, want 3", code)
	}
	dialRaw(t, addr).welcome(connect{id: "0", persistent: true})
}

// brokenListener fails to accept, again and again, then works.
type brokenListener struct {
	net.Listener
	left atomic.Int32
}

func (l *brokenListener) Accept() (net.Conn, error) {
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broken := &brokenListener{Listener: ln}
	broken.left.Store(5)
	served := make(chan error, 1)
	go func() { served <- b.Serve(broken) }()
	dialRaw(t, ln.Addr().String()).welcome(connect{id: "late"}).pong()
	closeInTime(t, b)
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// refusingListener never accepts.
type refusingListener struct{}

func (refusingListener) Accept() (net.Conn, error) { return nil, syscall.EMFILE }
func (refusingListener) Close() error              { return nil }
func (refusingListener) Addr() net.Addr            { return pipeAddr{} }

// Close interrupts the pause after a failed accept.
func TestCloseWhileAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- b.Serve(refusingListener{}) }()
		time.Sleep(time.Minute + time.Millisecond)
		began := time.Now()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil || time.Since(began) > 0 {
			t.Errorf("Serve returned %v after %v", err, time.Since(began))
		}
	})
}

// MQTT 3.1.1 knows no Receive Maximum: many unfinished publishes of QoS 2 are no offence.
func TestManyUnfinishedQoS2(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	c := dialRaw(t, listen(t, b)).welcome(connect{id: "eager"})
	const n = 300
	for i := range n {
		c.send(publish(4, "a", 2, uint16(i+1), false, "x"))
	}
	for range n {
		c.expect(5)
	}
	for i := range n {
		c.send(ack(0x62, uint16(i+1)))
	}
	for range n {
		c.expect(7)
	}
	c.pong()
}

// A client that publishes without end is read at its rate, and closing does not
// wait for that; another is served as if nothing were. Hubs have no rate.
func TestFloodIsReadSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Log: zerolog.Nop(), MaxPublishRate: 100})
		if err != nil {
			t.Fatal(err)
		}
		dial := func(id string) *raw {
			conn, err := b.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return newRaw(t, conn).welcome(connect{id: id})
		}
		flooder, other := dial("flooder"), dial("other")
		hub := dialHub(t, b, "home").welcome(connect{id: "hub"}).subscribed(0, "hkw/home/+")
		began := time.Now()
		passes := func(c *raw, n int, after time.Duration) {
			t.Helper()
			for range n {
				c.send(publish(4, "hkw/home/play", 0, 0, false, "x"))
			}
			c.pong()
			if took := time.Since(began); took != after {
				t.Errorf("%d messages took %v, want %v", n, took, after)
			}
		}
		passes(flooder, 100, 0)
		passes(other, 1, 0)
		passes(hub, 1000, 0)
		passes(flooder, 250, 2500*time.Millisecond)
		for range 1000 {
			flooder.send(publish(4, "hkw/home/play", 0, 0, false, "x"))
		}
		began = time.Now()
		passes(other, 1, 0)
		for _, c := range []*raw{other, hub} {
			_ = c.Close()
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("closing took %v", took)
		}
		_ = flooder.Close()
	})
}
