package snapcast

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// fakeServer takes sound as a tcp source of snapserver does: one connection at a
// time, a chunk every 20 ms of its own clock; one that comes late lets its clock begin anew.
type fakeServer struct {
	listener net.Listener
	work     sync.WaitGroup

	mu      sync.Mutex
	conn    net.Conn
	conns   int
	resyncs int
	bytes   []byte
	asleep  bool // it accepts and reads nothing
	killed  bool
}

func newFakeServer(t *testing.T) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{listener: l}
	f.work.Go(f.serve)
	t.Cleanup(f.kill)
	return f
}

func (f *fakeServer) address() string { return f.listener.Addr().String() }

func (f *fakeServer) serve() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conn, f.conns = c, f.conns+1
		f.mu.Unlock()
		f.read(c)
		_ = c.Close()
	}
}

func (f *fakeServer) read(c net.Conn) {
	buf := make([]byte, int(chunk/time.Millisecond)*48*frameBytes)
	var next time.Time
	for {
		f.mu.Lock()
		asleep, killed := f.asleep, f.killed
		f.mu.Unlock()
		if killed {
			return
		}
		if !asleep {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
		}
		f.mu.Lock()
		if !asleep {
			f.bytes = append(f.bytes, buf...)
		}
		now := time.Now()
		if next = next.Add(chunk); next.Before(now) {
			f.resyncs++
			next = now.Add(chunk)
		}
		f.mu.Unlock()
		<-time.After(time.Until(next))
	}
}

// sleep lets the server read nothing, or go on.
func (f *fakeServer) sleep(asleep bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asleep = asleep
}

// kill ends the server and its connection.
func (f *fakeServer) kill() {
	_ = f.listener.Close()
	f.mu.Lock()
	f.killed = true
	if f.conn != nil {
		_ = f.conn.Close()
	}
	f.mu.Unlock()
	f.work.Wait()
}

// taken is how many frames were read, over how many connections.
func (f *fakeServer) taken() (frames, conns int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.bytes) / frameBytes, f.conns
}
