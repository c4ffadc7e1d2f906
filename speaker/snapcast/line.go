package snapcast

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"hkw/speaker"
)

const (
	// chunk is what the server reads at once unless configured otherwise. It gives the
	// first one after a connection the time at which that would have begun to arrive.
	chunk = 20 * time.Millisecond
	// lead is how far the sound is handed over before its time: a chunk that has to be
	// complete when the server wants it, and what this machine may come late without a gap.
	lead = 50 * time.Millisecond
	// slack is the latter. A server that waits longer goes on that much later from then on.
	slack = lead - chunk
	// lateLimit is how much sound is sent late, to be heard after a gap; what is later
	// is left out. The server would be behind by as much from then on.
	lateLimit = 500 * time.Millisecond

	tick       = 10 * time.Millisecond
	dialLimit  = 1500 * time.Millisecond
	writeLimit = 1500 * time.Millisecond // in which the server must take what is sent
	hurryLimit = 100 * time.Millisecond  // the same at the end
	// sendBuffer is how many bytes the kernel keeps for a server that does not read: little,
	// since all of it would be heard late.
	sendBuffer = 16 << 10
	// renewAfter is how old a connection gets before it is made anew in a silence. Two
	// machines' clocks differ, and what this one is too fast waits in the connection.
	renewAfter = time.Hour
	// drainTime is what the server needs to come to the end of an old connection. A new one
	// that is made before waits, and is late by as much for as long as it lasts.
	drainTime = lateLimit + lead

	frameBytes = 2 * speaker.Channels
)

// errStuck is that the server is there and takes nothing.
var errStuck = errors.New("the snapserver takes no sound: does another program feed this stream?")

// errTalks is that somebody else is there.
var errTalks = errors.New("who answers there is no tcp source of a snapserver; is the port right?")

// line is a connection over which exactly 48,000 frames go each second: what is
// played, or silence. Its goroutine tends it while nothing plays.
type line struct {
	address string
	failed  func(error) // called without mu
	stuck   func()      // the server does not read; called with mu
	conn    atomic.Pointer[net.TCPConn]
	hurried atomic.Bool
	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	work    sync.WaitGroup

	mu      sync.Mutex
	start   time.Time // frame 0 was due then
	sent    int64     // frames, those left out included
	playing bool      // what is sent comes from play
	starved bool      // the server has been without anything to read
	since   time.Time // of the connection, or of its end while there is none
	over    error     // why nothing is sent any more
	buf     []byte
}

// connect opens a line. Nothing is sent until tend.
func connect(ctx context.Context, address string, failed func(error), stuck func()) (*line, error) {
	l := &line{address: address, failed: failed, stuck: stuck}
	c, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.conn.Store(c)
	l.start = time.Now()
	l.since = l.start
	return l, nil
}

func (l *line) dial(ctx context.Context) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, fmt.Errorf("no snapserver takes sound: %w", err)
	}
	tcp := c.(*net.TCPConn) //nolint:errcheck,forcetypeassert // of network tcp it is one
	if err := tcp.SetWriteBuffer(sendBuffer); err != nil {
		_ = tcp.Close()
		return nil, fmt.Errorf("limit what waits for the snapserver: %w", err)
	}
	return tcp, nil
}

// tend begins to send silence, and to listen for the end of the connection.
func (l *line) tend() {
	l.listen(l.conn.Load())
	l.work.Go(func() {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			if err := l.fill(); err != nil {
				if l.ctx.Err() == nil {
					l.failed(err)
				}
				return
			}
			select {
			case <-l.ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

// listen notices that the server closes a connection. The source of a snapserver
// never says anything: who does is another program, or another port of the server.
func (l *line) listen(c *net.TCPConn) {
	l.work.Go(func() {
		var b [1]byte
		n, err := c.Read(b[:])
		if n > 0 {
			err = errTalks
		} else {
			err = fmt.Errorf("the snapserver closed the connection: %w", err)
		}
		l.mu.Lock()
		known := l.over != nil || l.conn.Load() != c
		l.mu.Unlock()
		if !known {
			l.failed(err)
		}
	})
}

// fill sends the silence that is due, if nothing plays.
func (l *line) fill() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.playing || l.over != nil {
		return nil
	}
	now := time.Now()
	switch connected := l.conn.Load() != nil; {
	case !connected && now.Sub(l.since) < drainTime:
		return nil
	case !connected:
		if err := l.redial(); err != nil {
			return err
		}
		now = l.start
	case l.starved, now.Sub(l.since) > renewAfter:
		_ = l.conn.Swap(nil).Close()
		l.since = now
		return nil
	}
	l.forgive(now)
	return l.silence(l.behind(now))
}

// redial makes the connection anew. What waited in the old one the server has read by then, or
// does so first: it takes one connection after the other.
func (l *line) redial() error {
	c, err := l.dial(l.ctx)
	if err != nil {
		l.over = err
		return err
	}
	l.conn.Store(c)
	l.listen(c)
	l.start, l.sent = time.Now(), 0
	l.since, l.starved = l.start, false
	return nil
}

// behind is how many frames are due.
func (l *line) behind(at time.Time) int64 {
	return speaker.DurationToFrames(at.Sub(l.start)+lead) - l.sent
}

// forgive leaves out the silence that the server has done without.
func (l *line) forgive(at time.Time) {
	if l.sent > 0 { // the server's time begins with the first frame
		l.sent += max(0, l.behind(at)-speaker.DurationToFrames(slack))
	}
}

// begin says that the next frame is handed over at a moment near now.
func (l *line) begin(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.playing = true
	if l.over != nil {
		return
	}
	if l.conn.Load() == nil && l.redial() != nil {
		return // play has the error to tell
	}
	l.forgive(at)
	// An error shows again when play writes.
	_ = l.silence(l.behind(at))
}

// play sends what is heard now.
func (l *line) play(samples []float32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over != nil {
		return l.over
	}
	behind := speaker.FramesToDuration(l.behind(time.Now()))
	l.starved = l.starved || behind > slack
	if behind > lateLimit {
		l.sent += int64(len(samples) / speaker.Channels)
		return nil
	}
	l.buf = speaker.AppendPCM16(l.buf[:0], samples)
	return l.write(l.buf)
}

// rest says that nothing plays any more.
func (l *line) rest() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.playing = false
	return nil
}

// silence sends so many frames of it.
func (l *line) silence(frames int64) error {
	if frames <= 0 {
		return nil
	}
	n := int(frames) * frameBytes
	if cap(l.buf) < n {
		l.buf = make([]byte, n)
	}
	clear(l.buf[:n])
	return l.write(l.buf[:n])
}

func (l *line) write(b []byte) error {
	limit := writeLimit
	if l.hurried.Load() {
		limit = hurryLimit
	}
	c := l.conn.Load()
	_ = c.SetWriteDeadline(time.Now().Add(limit))
	if _, err := c.Write(b); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) && l.ctx.Err() == nil {
			l.over = errStuck
			l.stuck()
			_ = c.SetLinger(0) // nor need the server wait for what did not get through
			return errStuck
		}
		return fmt.Errorf("send to the snapserver: %w", err)
	}
	l.sent += int64(len(b) / frameBytes)
	return nil
}

// hurry lets nothing wait for the server any longer.
func (l *line) hurry() {
	l.hurried.Store(true)
	l.cancel()
	if c := l.conn.Load(); c != nil {
		_ = c.SetWriteDeadline(time.Now().Add(hurryLimit))
	}
}

// close ends the connection and the goroutines, twice if need be.
func (l *line) close() {
	l.cancel()
	l.mu.Lock()
	l.over = net.ErrClosed
	if c := l.conn.Load(); c != nil {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.work.Wait()
}
