package broker

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hkw/speaker/speakertest"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/gorilla/websocket"
	"github.com/rs/zerolog"
)

// transport is a way into the broker.
type transport struct {
	name string
	url  string // for paho
	dial func() (net.Conn, error)
}

// transports opens every way into b.
func transports(t *testing.T, b *Broker) []transport {
	t.Helper()
	addr := listen(t, b)
	cert, pool := selfSigned(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.Serve(ln) }()
	tlsConfig := &tls.Config{RootCAs: pool}
	ws := serveWebSocket(t, b)
	return []transport{
		{"tcp", "tcp://" + addr, func() (net.Conn, error) { return net.Dial("tcp", addr) }},
		{"tls", "tls://" + ln.Addr().String(), func() (net.Conn, error) { return tls.Dial("tcp", ln.Addr().String(), tlsConfig) }},
		{"websocket", ws, func() (net.Conn, error) {
			c, _, err := (&websocket.Dialer{Subprotocols: []string{"mqtt"}}).Dial(ws, nil)
			if err != nil {
				return nil, err
			}
			return &wsConn{Conn: c.NetConn(), ws: c}, nil
		}},
		{"in process", "tcp://in.process", func() (net.Conn, error) { return b.Dial(context.Background()) }},
		{"hub", "tcp://in.process", func() (net.Conn, error) { return b.DialHub(context.Background(), "home") }},
	}
}

func serveWebSocket(t *testing.T, b *Broker) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/mqtt", b.WebSocket())
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http") + "/mqtt"
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hub"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// A message makes its way through every transport, version and QoS, payload and
// retain flag intact.
func TestRoundTrips(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	for _, tr := range transports(t, b) {
		for _, v := range versions {
			for qos := range byte(3) {
				t.Run(fmt.Sprintf("%s, version %d, QoS %d", tr.name, v, qos), func(t *testing.T) {
					conn, err := tr.dial()
					if err != nil {
						t.Fatal(err)
					}
					c := newRaw(t, conn).welcome(connect{version: v, id: "round", keepalive: 10}).subscribed(qos, "round/+")
					payload := strings.Repeat("ö", 50<<10)
					c.send(publish(v, "round/trip", qos, 1, true, payload))
					roundTrip(t, c, qos, payload, false)
					c.subscribed(0, "round/trip") // the retained one
					if r := c.expect(3); r.first&1 == 0 || r.payload() != payload {
						t.Errorf("retained: %#x, %d bytes", r.first, len(r.payload()))
					}
					c.send(publish(v, "round/trip", 0, 0, true, ""), []byte{0xe0, 0})
					c.ended()
				})
			}
		}
	}
	eventually(t, "all gone", func() bool { return b.Clients() == 0 })
}

// roundTrip acknowledges what comes until the message and all acknowledgements came.
func roundTrip(t *testing.T, c *raw, qos byte, payload string, retained bool) {
	t.Helper()
	sent, got := qos == 0, false
	finished := qos < 2
	for !sent || !got || !finished {
		switch r := c.next(); r.kind() {
		case 3:
			got = true
			if r.payload() != payload || r.qos() != qos || (r.first&1 == 1) != retained {
				t.Errorf("got %#x with %d bytes", r.first, len(r.payload()))
			}
			if qos > 0 {
				c.send(ack([]byte{0, 0x40, 0x50}[qos], r.id()))
			}
		case 4, 7:
			sent = true
		case 5:
			c.send(ack(0x62, r.id()))
		case 6:
			c.send(ack(0x70, r.id()))
			finished = true
		default:
			t.Fatalf("got %v", r)
		}
	}
}

// The client that hubs and most programs in Go use.
func TestPaho(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	for _, tr := range transports(t, b) {
		t.Run(tr.name, func(t *testing.T) {
			opts := mqtt.NewClientOptions().AddBroker(tr.url).SetClientID("paho " + tr.name).SetProtocolVersion(4).SetAutoReconnect(false)
			if tr.name != "websocket" { // there paho's own
				opts.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return tr.dial() })
			}
			client := mqtt.NewClient(opts)
			await(t, client.Connect())
			defer client.Disconnect(100)
			got := make(chan string, 100)
			await(t, client.Subscribe("echo/#", 2, func(_ mqtt.Client, m mqtt.Message) { got <- string(m.Payload()) }))
			for i := range 30 {
				await(t, client.Publish("echo/x", byte(i%3), false, fmt.Sprint(i)))
			}
			seen := map[string]bool{}
			for len(seen) < 30 {
				select {
				case p := <-got:
					seen[p] = true
				case <-time.After(patience):
					t.Fatalf("%d of 30 came", len(seen))
				}
			}
			if tr.name != "hub" { // denied, acknowledged, still connected
				await(t, client.Publish("hkw/home/status", 1, true, "forged"))
				await(t, client.Publish("$SYS/forged", 2, true, "forged"))
				await(t, client.Publish("echo/x", 1, false, "still there"))
				if !client.IsConnectionOpen() {
					t.Error("thrown off")
				}
			}
		})
	}
}

func await(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatal("no answer")
	}
	if token.Error() != nil {
		t.Fatal(token.Error())
	}
}

// Pages of other hosts may not connect; the broker's own, listed ones, and programs may.
func TestWebSocketOrigins(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), Origins: []string{"https://panel.example"}})
	ws := serveWebSocket(t, b)
	host := strings.TrimSuffix(strings.TrimPrefix(ws, "ws://"), "/mqtt")
	for origin, want := range map[string]bool{
		"": true, "http://" + host: true, "https://panel.example": true,
		"http://panel.example": false, "https://evil.example": false, "https://panel.example.evil.example": false, "null": false,
		"http://" + host + ".evil.example": false, "::": false,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		c, res, err := (&websocket.Dialer{Subprotocols: []string{"mqtt"}}).Dial(ws, header)
		if (err == nil) != want {
			t.Errorf("origin %q: %v, want let in %v", origin, err, want)
		}
		if err != nil {
			if res == nil || res.StatusCode != http.StatusForbidden {
				t.Errorf("origin %q: %v, want 403", origin, res)
			}
			continue
		}
		if c.Subprotocol() != "mqtt" {
			t.Errorf("subprotocol %q", c.Subprotocol())
		}
		_ = c.Close()
	}
}

// Packets need not keep to messages: many in one, one in many, empty ones between.
func TestWebSocketFraming(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), MaxPacketSize: 4 << 10})
	ws := serveWebSocket(t, b)
	c, _, err := (&websocket.Dialer{Subprotocols: []string{"mqtt"}}).Dial(ws, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	conn := newRaw(t, &wsConn{Conn: c.NetConn(), ws: c})
	for _, octet := range (connect{id: "split"}).bytes() {
		conn.send([]byte{octet})
		_ = c.WriteMessage(websocket.BinaryMessage, nil)
	}
	conn.expect(2)
	_ = c.WriteMessage(websocket.BinaryMessage, bytes.Repeat([]byte{0xc0, 0}, 10<<10)) // longer than the longest packet
	for range 10 << 10 {
		conn.expect(13)
	}
	_ = c.WriteMessage(websocket.TextMessage, []byte{0xc0, 0})
	conn.ended()
	eventually(t, "gone", func() bool { return b.Clients() == 0 })
}

// The command-line clients that everyone has.
func TestMosquittoClients(t *testing.T) {
	speakertest.Require(t, "mosquitto", "mosquitto_pub", "mosquitto_sub")
	b := start(t, Config{Log: zerolog.Nop()})
	host, port, err := net.SplitHostPort(listen(t, b))
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	for _, version := range []string{"5", "mqttv311"} {
		for _, qos := range []string{"0", "1", "2"} {
			t.Run(version+" QoS "+qos, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				common := []string{"-h", host, "-p", port, "-V", version, "-q", qos, "-t", "m/" + version + qos}
				var got, complaints bytes.Buffer
				sub := exec.CommandContext(ctx, "mosquitto_sub", append(common, "-C", fmt.Sprint(n))...)
				sub.Stdout, sub.Stderr = &got, &complaints
				if err := sub.Start(); err != nil {
					t.Fatal(err)
				}
				eventually(t, "subscribed", func() bool { return len(b.server.Topics.Subscribers("m/"+version+qos).Subscriptions) == 1 })
				var lines, want strings.Builder
				for i := range n {
					fmt.Fprintf(&lines, "message %d\n", i)
				}
				want.WriteString(lines.String())
				pub := exec.CommandContext(ctx, "mosquitto_pub", append(common, "-l")...)
				pub.Stdin = strings.NewReader(lines.String())
				if out, err := pub.CombinedOutput(); err != nil || len(out) > 0 {
					t.Errorf("mosquitto_pub: %v, %s", err, out)
				}
				if err := sub.Wait(); err != nil || complaints.Len() > 0 {
					t.Errorf("mosquitto_sub: %v, %s", err, complaints.String())
				}
				if got.String() != want.String() {
					t.Errorf("got %d lines of %d", strings.Count(got.String(), "\n"), n)
				}
			})
		}
	}
	// A denied publish is no reason for a client to hang or to be thrown off.
	for _, version := range []string{"5", "mqttv311"} {
		for _, qos := range []string{"0", "1", "2"} {
			for _, topic := range []string{"hkw/home/status", "$SYS/forged"} {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				out, err := exec.CommandContext(ctx, "mosquitto_pub", "-h", host, "-p", port, "-V", version, "-q", qos, "-t", topic, "-r", "-m", "x").CombinedOutput()
				if err != nil {
					t.Errorf("%s, QoS %s, %s: %v, %s", version, qos, topic, err, out)
				}
				cancel()
			}
		}
	}
}
