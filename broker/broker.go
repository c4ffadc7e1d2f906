// Package broker is the embedded MQTT broker: mochi, hardened for a house.
//
// MQTT 3.1.1 and 5 over whatever listener it is given, over WebSocket, and in
// process for hubs. One malformed packet ends one connection; a client that does
// not read holds up nobody; nothing that is not allowed is carried out.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/rs/zerolog"
)

// ErrClosed is returned by a broker that was closed.
var ErrClosed = errors.New("broker is closed")

// Config of a broker. The zero value of each limit takes the default that its
// comment names.
type Config struct {
	Log zerolog.Logger
	// Access decides who may do what; nil is Open.
	Access Access
	// Origins are pages besides those of the broker's own host that may connect by
	// WebSocket, such as "https://panel.example".
	Origins []string

	MaxClients      int           // connected at once; 500
	MaxPacketSize   int           // bytes, in and out; 256 KiB
	MaxTopicBytes   int           // of topics and filters; 512
	MaxTopicLevels  int           // of topics and filters; 15
	MaxRetained     int           // retained messages of clients, those of hubs counted too; 10,000
	MaxPending      int           // messages that wait for one client; 1024
	MaxPublishRate  int           // messages a second of one client, hubs excepted; 5000. What comes faster is read later
	ConnectDeadline time.Duration // from the connection to its CONNECT; 3 s
	WriteDeadline   time.Duration // for a client to take a packet; 2 s
}

func (c *Config) setDefaults() {
	setDefault(&c.MaxClients, 500)
	setDefault(&c.MaxPacketSize, 256<<10)
	setDefault(&c.MaxTopicBytes, 512)
	setDefault(&c.MaxTopicLevels, 15)
	setDefault(&c.MaxRetained, 10_000)
	setDefault(&c.MaxPending, 1024)
	setDefault(&c.MaxPublishRate, 5000)
	setDefault(&c.ConnectDeadline, 3*time.Second)
	setDefault(&c.WriteDeadline, 2*time.Second)
	if c.Access == nil {
		c.Access = Open{}
	}
}

func setDefault[T comparable](v *T, byDefault T) {
	var zero T
	if *v == zero {
		*v = byDefault
	}
}

// Broker is an MQTT broker. Its methods may be called from any goroutine.
type Broker struct {
	cfg    Config
	log    zerolog.Logger
	server *mqtt.Server

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{}
	claims    map[string]*guardedConn // by client id
	done      chan struct{}           // closed by Close
	wg        sync.WaitGroup          // connections and accept loops
}

// New makes a broker that serves nobody yet.
func New(cfg Config) (*Broker, error) {
	cfg.setDefaults()
	b := &Broker{
		cfg: cfg, log: cfg.Log.With().Str("component", "broker").Logger(),
		listeners: map[net.Listener]struct{}{}, conns: map[net.Conn]struct{}{},
		claims: map[string]*guardedConn{}, done: make(chan struct{}),
	}
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClients = int64(cfg.MaxClients)
	caps.MaximumPacketSize = uint32(cfg.MaxPacketSize)
	caps.MaximumClientWritesPending = int32(cfg.MaxPending)
	caps.MaximumMessageExpiryInterval = 0 // retained messages stay; the library's own default deletes them after a day
	caps.MaximumInflight = maxInflight
	caps.ReceiveMaximum = 64
	caps.TopicAliasMaximum = 16
	caps.MaximumSessionExpiryInterval = 3600
	b.server = mqtt.New(&mqtt.Options{
		Capabilities:           caps,
		Logger:                 slog.New(&logHandler{log: b.log}),
		SysTopicResendInterval: 60,
	})
	if err := b.server.AddHook(&hook{broker: b}, nil); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	// Connections are established by us, not by listeners of the library, so that
	// each runs behind a recover, a deadline and a count.
	if err := b.server.Serve(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b, nil
}

// Serve accepts connections on ln, plain or TLS, until the broker is closed; it
// returns nil then. It does not give up when accepting fails for a while, as it
// does when file descriptors run out.
func (b *Broker) Serve(ln net.Listener) error {
	if !b.begin(func() { b.listeners[ln] = struct{}{} }) {
		_ = ln.Close()
		return ErrClosed
	}
	defer b.wg.Done()
	wait := acceptRetryMin
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			wait = acceptRetryMin
			go b.serveConn(tcpID, conn)
			continue
		case b.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		b.log.Warn().Err(err).Dur("again_in", wait).Msg("cannot accept a connection")
		select {
		case <-time.After(wait):
		case <-b.done:
			return nil
		}
		wait = min(2*wait, acceptRetryMax)
	}
}

const (
	acceptRetryMin = 5 * time.Millisecond
	acceptRetryMax = time.Second
)

// Listener ids, by which the library and the access rules know where a client came from.
const (
	tcpID       = "tcp"
	wsID        = "ws"
	inProcessID = "in process"
	hubPrefix   = "hub:"
)

// Dial connects an ordinary client in this process.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) { return b.dial(ctx, inProcessID) }

// DialHub connects a hub in this process. What comes this way is the hub
// of that id and alone may publish below hkw/<hub>/status, event, result and reply.
func (b *Broker) DialHub(ctx context.Context, hub string) (net.Conn, error) {
	return b.dial(ctx, hubPrefix+hub)
}

func (b *Broker) dial(ctx context.Context, listener string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.isClosed() {
		return nil, ErrClosed
	}
	near, far := pipe()
	go b.serveConn(listener, far)
	return near, nil
}

// serveConn lives as long as one connection.
func (b *Broker) serveConn(listener string, raw net.Conn) {
	conn := newGuardedConn(raw, b.cfg.WriteDeadline)
	admitted := b.begin(func() { b.conns[conn] = struct{}{} })
	if !admitted {
		_ = raw.Close()
		return
	}
	defer b.wg.Done()
	defer b.release(conn)
	defer func() {
		_ = conn.Close()
		b.mu.Lock()
		delete(b.conns, conn)
		b.mu.Unlock()
	}()
	if b.crowded() {
		b.log.Warn().Str("remote", remote(raw)).Msg("too many connections; one refused")
		return
	}
	defer func() {
		if p := recover(); p != nil {
			b.log.Warn().Str("remote", remote(raw)).Interface("panic", p).Msg("a malformed packet ended a connection")
			b.log.Debug().Bytes("stack", debug.Stack()).Msg("where")
			b.forget(conn)
		}
	}()
	_ = conn.SetReadDeadline(time.Now().Add(b.cfg.ConnectDeadline)) // the keepalive takes over at CONNECT
	err := b.server.EstablishConnection(listener, conn)
	if err != nil {
		b.log.Debug().Err(err).Str("remote", remote(raw)).Msg("connection ended")
	}
	if cl := conn.client; cl != nil && endsWithConnection(cl) {
		b.forget(conn) // it may have gone while it was being welcomed
	}
}

// endsWithConnection tells whether nothing of a client's session outlives its connection.
func endsWithConnection(cl *mqtt.Client) bool {
	if cl.Properties.ProtocolVersion < 5 {
		return cl.Properties.Clean
	}
	return cl.Properties.Props.SessionExpiryInterval == 0
}

// begin counts something that Close waits for, unless the broker is closed.
func (b *Broker) begin(add func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	add()
	b.wg.Add(1)
	return true
}

// crowded leaves some room above MaxClients, so that clients beyond it are told
// so by the library instead of being cut off.
func (b *Broker) crowded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns) > b.cfg.MaxClients+b.cfg.MaxClients/10+8
}

// forget removes the client of a connection whose handling broke off, which the
// library leaves behind, and publishes its will.
func (b *Broker) forget(conn *guardedConn) {
	cl := conn.client
	if cl == nil {
		return
	}
	if existing, ok := b.server.Clients.Get(cl.ID); !ok || existing != cl {
		return // it ended as it should, or another has taken its id over
	}
	b.server.UnsubscribeClient(cl)
	cl.ClearInflights()
	b.server.Clients.Delete(cl.ID)
	b.publishWill(cl)
}

// Close ends every connection and waits for all that the broker began. It may be
// called more than once.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		b.wg.Wait()
		return nil
	}
	b.closed = true
	close(b.done)
	var errs []error
	for ln := range b.listeners {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for conn := range b.conns {
		_ = conn.Close()
	}
	b.mu.Unlock()
	b.wg.Wait()
	errs = append(errs, b.server.Close())
	return errors.Join(errs...)
}

func (b *Broker) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// Clients is how many clients the broker knows, sessions of absent ones included.
func (b *Broker) Clients() int { return b.server.Clients.Len() }

func remote(c net.Conn) string {
	if a := c.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}
