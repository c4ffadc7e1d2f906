package pulse

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jfreymuth/pulse/proto"
)

// answerLimit is how long the server may take for an answer, or to take what is
// written, before it counts as dead.
const answerLimit = 1500 * time.Millisecond

// conn is one connection to the server. It fails once, and then for good.
type conn struct {
	net    net.Conn
	client *proto.Client

	once   sync.Once
	failed chan struct{}
	err    error // readable once failed is closed

	// The protocol library sends every packet of samples to where the server
	// would put it anyway. seek lets the next one go to a place of our choice: its
	// header passes through Write, which is where that is changed.
	stream atomic.Uint32
	seek   atomic.Int64 // bytes from the stream's beginning, -1 for none
	header []byte       // of the packet that is being written
}

// dial connects to the first server that answers and introduces this program.
func (d *Driver) dial(ctx context.Context, events func(any)) (*conn, error) {
	where := addresses(d.server, os.Getenv, os.Getuid())
	if len(where) == 0 {
		return nil, errors.New("no sound server: neither PULSE_SERVER nor a runtime directory is known")
	}
	var errs error
	for _, a := range where {
		var dialer net.Dialer
		dialCtx, cancel := context.WithTimeout(ctx, answerLimit)
		nc, err := dialer.DialContext(dialCtx, a.network, a.addr)
		cancel()
		if err == nil {
			c := &conn{net: nc, client: &proto.Client{}, failed: make(chan struct{})}
			c.seek.Store(-1)
			if err = c.greet(ctx, events); err == nil {
				return c, nil
			}
			c.fail(err)
		}
		errs = errors.Join(errs, err)
	}
	return nil, fmt.Errorf("no sound server answers: %w", errs)
}

func (c *conn) greet(ctx context.Context, events func(any)) error {
	// Whoever gives up waiting for the greeting gives up the connection.
	defer context.AfterFunc(ctx, func() { c.fail(ctx.Err()) })()
	c.client.SetTimeout(answerLimit)
	c.client.Callback = events
	c.client.Open(c)
	var auth proto.AuthReply
	if err := c.ask(&proto.Auth{Version: c.client.Version(), Cookie: cookie(os.Getenv)}, &auth); err != nil {
		return fmt.Errorf("the sound server refuses us: %w", err)
	}
	c.client.SetVersion(auth.Version)
	return c.ask(&proto.SetClientName{Props: proto.PropList{
		"application.name":           proto.PropListString("hkw"),
		"application.id":             proto.PropListString("hkw"),
		"application.icon_name":      proto.PropListString("audio-speakers"),
		"application.process.binary": proto.PropListString("hkw"),
		"application.process.id":     proto.PropListString(strconv.Itoa(os.Getpid())),
	}}, &proto.SetClientNameReply{})
}

// Read and Write are what the protocol library sees of the connection.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.net.Read(p)
	if err != nil {
		c.fail(fmt.Errorf("the connection to the sound server broke: %w", err))
	}
	return n, err
}

const (
	headerSize   = 20 // of a packet: length, channel, offset in two halves, flags
	seekAbsolute = 1
)

func (c *conn) Write(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case len(c.header) == 0 && len(p) == headerSize:
		// Header and body come one after the other, under the library's lock; they leave together.
		c.header = append(c.header, p...)
		if at := c.seek.Load(); at >= 0 && binary.BigEndian.Uint32(p[4:]) == c.stream.Load() {
			binary.BigEndian.PutUint64(c.header[8:], uint64(at))
			binary.BigEndian.PutUint32(c.header[16:], seekAbsolute)
			c.seek.Store(-1)
		}
		return len(p), nil
	}
	err := c.net.SetWriteDeadline(time.Now().Add(answerLimit))
	if err == nil {
		packet := net.Buffers{c.header, p}
		_, err = packet.WriteTo(c.net)
		c.header = c.header[:0]
	}
	if err != nil {
		c.fail(fmt.Errorf("the sound server does not listen: %w", err))
		return 0, err
	}
	return len(p), nil
}

// send writes samples of a stream to its byte of the given number, or after the
// last if that is negative. One goroutine at a time may send.
func (c *conn) send(stream uint32, at int64, data []byte) error {
	c.stream.Store(stream)
	c.seek.Store(at)
	if err := c.client.Send(stream, data); err != nil {
		return err
	}
	return c.broken()
}

// ask sends a request and waits for its answer. The library breaks down on what
// it can't encode, a name of more than a kilobyte for one; that is no reason to fall with it.
func (c *conn) ask(req proto.RequestArgs, reply proto.Reply) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the request could not be made: %v", r)
		}
	}()
	if err := c.broken(); err != nil {
		return err
	}
	err = c.client.Request(req, reply)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the sound server did not answer within %v", answerLimit)
		c.fail(err)
	}
	return err
}

// broken is why the connection failed, nil if it did not.
func (c *conn) broken() error {
	select {
	case <-c.failed:
		return c.err
	default:
		return nil
	}
}

// fail ends the connection.
func (c *conn) fail(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.failed)
		_ = c.net.Close()
	})
}

var errClosed = errors.New("closed")

func (c *conn) close() { c.fail(errClosed) }
