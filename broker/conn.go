package broker

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// guardedConn gives each write a deadline, and ends the connection when one
// fails: the library would only log that, and the stream would be out of step.
type guardedConn struct {
	net.Conn
	writeDeadline time.Duration
	closing       sync.Once
	closeErr      error
	gone          chan struct{} // closed when the connection is
	ended         chan struct{} // closed when all is over

	mu       sync.Mutex
	client   *mqtt.Client // nil until it is let in
	who      identity
	handling byte   // type of the packet that is being handled
	receives uint16 // Receive Maximum of its CONNECT; 0 if it named none
	ack      uint16 // its packet id, under which the client waits for a SUBACK or UNSUBACK

	// Of the goroutine that reads.
	lead time.Duration // how far its publishes are ahead of their rate
	read time.Time     // when that was true
}

func newGuardedConn(raw net.Conn, writeDeadline time.Duration) *guardedConn {
	return &guardedConn{Conn: raw, writeDeadline: writeDeadline, gone: make(chan struct{}), ended: make(chan struct{})}
}

// slowDown lets a client that publishes faster than rate, messages a second, wait
// until it does not: one that floods would leave the others, the hubs first of all,
// no time. It may be a second ahead. Its socket fills up meanwhile; nothing is lost.
func (c *guardedConn) slowDown(rate int) {
	if who, _ := c.identity(); who.hub != "" {
		return
	}
	now := time.Now()
	c.lead = max(0, c.lead-now.Sub(c.read)) + time.Second/time.Duration(rate)
	c.read = now
	if c.lead > time.Second {
		select {
		case <-time.After(c.lead - time.Second):
		case <-c.gone:
		}
	}
}

// reading remembers what of the packet that is being handled matters later on.
func (c *guardedConn) reading(pk packets.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handling = pk.FixedHeader.Type
	c.ack = pk.PacketID
	if pk.FixedHeader.Type == packets.Connect {
		c.receives = pk.Properties.ReceiveMaximum
	}
}

// countsQoS2 tells whether the client holds the broker to a Receive Maximum.
func (c *guardedConn) countsQoS2() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.receives > 0
}

// subscribing tells whether what the client is sent now answers its SUBSCRIBE.
func (c *guardedConn) subscribing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handling == packets.Subscribe
}

func (c *guardedConn) ackID() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ack
}

// admit remembers whose connection it is.
func (c *guardedConn) admit(cl *mqtt.Client, who identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.client, c.who = cl, who
}

func (c *guardedConn) identity() (identity, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.who, c.client != nil
}

func (c *guardedConn) Write(p []byte) (int, error) {
	_ = c.SetWriteDeadline(time.Now().Add(c.writeDeadline))
	n, err := c.Conn.Write(p)
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

// SetDeadline is how the library sets the keepalive: it means reading. Each write
// has a deadline of its own.
func (c *guardedConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *guardedConn) Close() error {
	c.closing.Do(func() { c.closeErr = c.Conn.Close(); close(c.gone) })
	return c.closeErr
}

// WebSocket serves MQTT over WebSocket: subprotocol "mqtt", binary messages. A
// browser's page is let in from the broker's own host and from Config.Origins;
// clients that are no browsers send no Origin and are let in.
func (b *Broker) WebSocket() http.Handler {
	upgrader := websocket.Upgrader{
		HandshakeTimeout: b.cfg.ConnectDeadline,
		Subprotocols:     []string{"mqtt", "mqttv3.1"},
		CheckOrigin:      b.originAllowed,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // the upgrader has answered
		}
		b.serveConn(wsID, &wsConn{Conn: c.NetConn(), ws: c})
	})
}

func (b *Broker) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(b.cfg.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// wsConn is a WebSocket as a stream of bytes; packets need not keep to its
// messages, MQTT 5 section 6. A message is read as it comes, so its length needs no limit.
type wsConn struct {
	net.Conn
	ws      *websocket.Conn
	message io.Reader // what is left of the current one
}

var errTextMessage = errors.New("a WebSocket text message is not MQTT")

func (c *wsConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			kind, r, err := c.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errTextMessage
			}
			c.message = r
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) {
			c.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *wsConn) Write(p []byte) (int, error) {
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *wsConn) SetWriteDeadline(t time.Time) error { return c.ws.SetWriteDeadline(t) }
