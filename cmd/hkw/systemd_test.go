package main

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// aHub is a hub as the supervisor sees it.
type aHub struct {
	id        string
	connected atomic.Bool
	hangs     atomic.Bool
}

func (h *aHub) ID() string      { return h.id }
func (h *aHub) Connected() bool { return h.connected.Load() }
func (h *aHub) Alive(ctx context.Context) error {
	if !h.hangs.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// supervision is a supervisor in a bubble, and what it tells.
type supervision struct {
	began time.Time
	mu    sync.Mutex
	told  []string // with the seconds since the start
	read  int      // of told
	stop  context.CancelFunc
	done  chan struct{}
}

func superviseFor(watchdog time.Duration, hubs ...*aHub) *supervision {
	v := &supervision{began: time.Now(), done: make(chan struct{})}
	s := &supervisor{watchdog: watchdog, log: zerolog.Nop(), notify: func(state string) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.told = append(v.told, time.Since(v.began).String()+" "+state)
		return nil
	}}
	for _, h := range hubs {
		s.hubs = append(s.hubs, h)
	}
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	go func() {
		defer close(v.done)
		_ = s.run(ctx)
	}()
	return v
}

// since lets time pass and returns what was told in it.
func (v *supervision) since(d time.Duration) []string {
	time.Sleep(d)
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	news := v.told[v.read:]
	v.read = len(v.told)
	return news
}

func TestSupervisor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &aHub{id: "a"}, &aHub{id: "b"}
		a.connected.Store(true)
		v := superviseFor(10*time.Second, a, b)
		expect := func(d time.Duration, want ...string) {
			t.Helper()
			if got := v.since(d); !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		// The broker of b is away: ready all the same, a moment later.
		expect(2900 * time.Millisecond)
		expect(600*time.Millisecond, "3s READY=1", "3s WATCHDOG=1", "3s STATUS=Serving a; no connection to the broker: b, trying on")
		expect(4 * time.Second)
		expect(time.Second, "8s WATCHDOG=1")
		b.connected.Store(true)
		expect(time.Second, "9s STATUS=Serving a, b")
		// b hangs: no more pings, though a answers and both have their broker.
		b.hangs.Store(true)
		expect(20*time.Second, "15.5s STATUS=Hub b hangs")
		b.hangs.Store(false)
		expect(4*time.Second, "33s WATCHDOG=1", "33s STATUS=Serving a, b")
		v.stop()
		expect(time.Millisecond, "33.5s STOPPING=1\nSTATUS=Ending")
		<-v.done
	})
}

// All on the bus: ready at once. Nobody watches: no pings.
func TestSupervisorAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &aHub{id: "a"}
		a.connected.Store(true)
		v := superviseFor(0, a)
		if got, want := v.since(time.Minute), []string{"0s READY=1", "0s STATUS=Serving a"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		a.connected.Store(false)
		if got, want := v.since(time.Minute), []string{"1m1s STATUS=No connection to the broker (a); trying on"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		v.stop()
		<-v.done
	})
}

// It ends before it was ready: systemd hears that it ends, never that it is ready.
func TestSupervisorEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := superviseFor(time.Second, &aHub{id: "a"})
		v.since(time.Second)
		v.stop()
		<-v.done
		if want := []string{"1s STOPPING=1\nSTATUS=Ending"}; !slices.Equal(v.told, want) {
			t.Errorf("told %q, want %q", v.told, want)
		}
	})
}

// The process itself, with a socket as systemd gives it: first with no broker at
// all, then until it is told to end.
func TestNotifySocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no systemd there")
	}
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	read := func() string {
		t.Helper()
		buffer := make([]byte, 4096)
		_ = socket.SetReadDeadline(time.Now().Add(patience))
		n, err := socket.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	var stderr text
	env := append(emptyEnv(t), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=400000")
	cmd := hkwProcess(t, env, &stderr, "--broker", "tcp://127.0.0.1:9", "--http-listen", "127.0.0.1:0", "--speaker", "a=null")
	for _, want := range []string{"STATUS=Starting", "READY=1", "WATCHDOG=1", "STATUS=No connection to the broker (home); trying on", "WATCHDOG=1", "WATCHDOG=1"} {
		if got := read(); got != want {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for got := ""; !strings.HasPrefix(got, "STOPPING=1\n"); {
		if got = read(); got != "WATCHDOG=1" && !strings.HasPrefix(got, "STOPPING=1\n") {
			t.Fatalf("told %q", got)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, stderr.String())
	}
	_ = socket.SetReadDeadline(time.Now())
	if n, err := socket.Read(make([]byte, 4096)); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		t.Errorf("told %d bytes more: %v", n, err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// A socket that nobody reads is full soon; who tells it something goes on all the same.
func TestNotifySocketIsFull(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no such sockets")
	}
	path := filepath.Join(t.TempDir(), "n")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for range 100_000 {
		if notify(path, "STATUS=Serving") != nil {
			return
		}
	}
	t.Error("it is never full")
}
