package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"hkw/broker"
)

// asProgram makes the test binary be hkw, for tests that need a process.
const asProgram = "TEST_AS_HKW"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// text is what a program prints, readable while it runs.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *text) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *text) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// waitFor waits until what is printed contains each of the texts.
func (s *text) waitFor(t *testing.T, wanted ...string) {
	t.Helper()
	eventually(t, func() bool {
		now := s.String()
		return !slices.ContainsFunc(wanted, func(w string) bool { return !strings.Contains(now, w) })
	}, func() string { return "waited for " + strings.Join(wanted, ", ") + " in:\n" + s.String() })
}

// patience bounds what should take a moment, on a machine that has much else to do.
const patience = 15 * time.Second

func eventually(t *testing.T, done func() bool, complain func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatal(complain())
		}
	}
}

// emptyEnv is the environment of someone who has configured nothing.
func emptyEnv(t *testing.T) environment {
	dir := t.TempDir()
	return environment{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
}

// background is a command that runs.
type background struct {
	t      *testing.T
	app    *app // of serve
	env    environment
	stdout text
	stderr text
	cancel context.CancelFunc
	done   chan struct{}
	code   int
}

// launch runs a command in the background until the test ends.
func launch(t *testing.T, p *program, args ...string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{t: t, env: p.env, cancel: cancel, done: make(chan struct{})}
	p.stdout, p.stderr = &b.stdout, &b.stderr
	p.version = "1.2.3"
	apps := make(chan *app, 1)
	p.serving = func(a *app) { apps <- a }
	go func() {
		defer close(b.done)
		b.code = p.run(ctx, args)
	}()
	t.Cleanup(func() { b.stop() })
	if args[0] == "serve" {
		select {
		case b.app = <-apps:
		case <-b.done:
		}
	}
	return b
}

// stop ends it and returns its exit code.
func (b *background) stop() int {
	b.t.Helper()
	b.cancel()
	return b.wait()
}

func (b *background) wait() int {
	b.t.Helper()
	select {
	case <-b.done:
	case <-time.After(patience):
		b.t.Fatalf("still running:\n%s", b.stderr.String())
	}
	return b.code
}

// serve runs `hkw serve` on free ports and returns when its hubs are on the bus.
func serve(t *testing.T, args ...string) *background {
	t.Helper()
	return serveWith(t, &program{env: emptyEnv(t)}, args...)
}

func serveWith(t *testing.T, p *program, args ...string) *background {
	t.Helper()
	b := launch(t, p, append([]string{"serve", "--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--mdns=false"}, args...)...)
	if b.app == nil {
		t.Fatalf("did not start: %s", b.stderr.String())
	}
	select {
	case <-b.app.started:
	case <-b.done:
		t.Fatalf("ended with %d: %s", b.code, b.stderr.String())
	}
	eventually(t, func() bool {
		for _, h := range b.app.hubs {
			if !h.Connected() {
				return false
			}
		}
		return true
	}, func() string { return "not on the bus:\n" + b.stderr.String() })
	return b
}

// permissive lets hubs of other processes in, as an ordinary broker of the house does.
type permissive struct{ broker.Open }

// MayPublish allows everything.
func (permissive) MayPublish(string, string) bool { return true }

// houseBroker runs a broker and returns its URL.
func houseBroker(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	runBroker(t, l, permissive{})
	return "tcp://" + l.Addr().String()
}

// runBroker serves a listener until the test ends.
func runBroker(t *testing.T, l net.Listener, access broker.Access) {
	t.Helper()
	b, err := broker.New(broker.Config{Log: zerolog.Nop(), Access: access})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Serve(l)
	}()
	t.Cleanup(func() {
		_ = b.Close()
		<-done
	})
}

// client runs a client command against what serve runs.
func (b *background) client(args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	return command(b.t, b.env, append(args, "--broker", b.app.reached().brokerURL())...)
}

// command runs a command to its end.
func command(t *testing.T, env environment, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	b := launch(t, &program{env: env}, args...)
	code = b.wait()
	return code, b.stdout.String(), b.stderr.String()
}
