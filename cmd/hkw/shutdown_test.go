package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// A process ends in good order on a signal, and says so on the bus first.
func TestSignal(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			url := houseBroker(t, "127.0.0.1:0")
			var stderr text
			cmd := hkwProcess(t, emptyEnv(t), &stderr, "--broker", url, "--http-listen", "127.0.0.1:0", "--speaker", "a=null")
			watch := launch(t, &program{env: emptyEnv(t)}, "watch", "--broker", url)
			watch.stdout.waitFor(t, "home is online")
			began := time.Now()
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil || time.Since(began) > 5*time.Second {
				t.Errorf("%v after %s: %s", err, time.Since(began), stderr.String())
			}
			watch.stdout.waitFor(t, "home is offline")
			if code := watch.stop(); code != 0 {
				t.Errorf("watch ended with %d", code)
			}
		})
	}
}

// A second signal does not wait for a broker that has stopped answering.
func TestSecondSignal(t *testing.T) {
	url, stall := stallable(t, houseBroker(t, "127.0.0.1:0"))
	var stderr text
	cmd := hkwProcess(t, emptyEnv(t), &stderr, "--broker", url, "--http-listen", "127.0.0.1:0", "--speaker", "a=null")
	stderr.waitFor(t, `"message":"serving"`)
	stall()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	stderr.waitFor(t, `"message":"ending"`)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	eventually(t, func() bool {
		_ = cmd.Process.Signal(os.Interrupt) // someone who presses ctrl-c again and again
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}, stderr.String)
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Errorf("%s: %s", cmd.ProcessState, stderr.String())
	}
}

// hkwProcess runs hkw as a process of its own.
func hkwProcess(t *testing.T, env environment, stderr *text, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = slices.Concat(env, []string{asProgram + "=1"})
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopProcess(cmd) })
	return cmd
}

// stallable puts a proxy before a broker, and a function after which nothing passes any more.
func stallable(t *testing.T, url string) (string, func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stall := context.WithCancel(context.Background())
	over := make(chan struct{})
	var work sync.WaitGroup
	t.Cleanup(func() { l.Close(); stall(); close(over); work.Wait() })
	pass := func(to, from net.Conn) {
		defer from.Close()
		buf := make([]byte, 4096)
		for {
			n, err := from.Read(buf)
			if ctx.Err() != nil {
				<-over
			}
			if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
				to.Close()
				return
			}
		}
	}
	work.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", strings.TrimPrefix(url, "tcp://"))
			if err != nil {
				near.Close()
				continue
			}
			work.Go(func() { pass(far, near) })
			work.Go(func() { pass(near, far) })
		}
	})
	return "tcp://" + l.Addr().String(), stall
}

// Whoever listens to the stream of events does not hold the end up, and whoever
// waits for a result gets one.
func TestEndWithRequests(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0") // never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	b := serve(t, "--speaker", "a=null", "--log-level", "debug", "--media-allow", "127.0.0.1")
	url := "http://" + b.app.httpAddr.String() + "/hkw/home"
	events, err := http.Get(url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Post(url+"/play", "text/plain", strings.NewReader("http://"+mute.Addr().String()+"/stream"))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(string(body), err)
	}()
	eventually(t, func() bool {
		s, err := readStatus(context.Background(), b.app.reached(), "home", patience)
		return err == nil && len(s.Queue) == 1
	}, func() string { return "the play does not prepare" })
	began := time.Now()
	if code := b.stop(); code != 0 || time.Since(began) > drainTime {
		t.Errorf("exit code %d after %s", code, time.Since(began))
	}
	if got := <-answer; !strings.Contains(got, `"outcome"`) {
		t.Errorf("the play was answered with %q", got)
	}
	if _, err := io.Copy(io.Discard, events.Body); err != nil {
		t.Errorf("the stream was cut off: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// The last opened is closed first; one that fails or hangs does not keep the
// others from it, and is named.
func TestLifecycle(t *testing.T) {
	var closed []string
	life := &lifecycle{log: zerolog.Nop(), limit: 20 * time.Millisecond}
	release := make(chan struct{})
	defer close(release)
	failure := errors.New("broken")
	life.opened("first", func() error { closed = append(closed, "first"); return nil })
	life.opened("hanging", func() error { <-release; return nil })
	life.opened("failing", func() error { closed = append(closed, "failing"); return failure })
	life.opened("last", func() error { closed = append(closed, "last"); return nil })
	err := life.close()
	if want := []string{"last", "failing", "first"}; !reflect.DeepEqual(closed, want) {
		t.Errorf("closed %v, want %v", closed, want)
	}
	if !errors.Is(err, failure) || !strings.Contains(err.Error(), "close failing") || !strings.Contains(err.Error(), "close hanging: still not closed") {
		t.Errorf("%v", err)
	}
	if life.close() != nil {
		t.Error("closed twice")
	}
}

// A part that ends by itself ends the program, and the others are closed.
func TestPartFails(t *testing.T) {
	b := serve(t, "--speaker", "a=null", "--log-level", "debug")
	b.stderr.waitFor(t, `"message":"serving"`)
	if err := b.app.server.Close(); err != nil {
		t.Fatal(err)
	}
	if code := b.wait(); code != int(exitRuntime) || !strings.Contains(b.stderr.String(), "HTTP") {
		t.Errorf("%d %s", code, b.stderr.String())
	}
	var order []string
	for line := range strings.Lines(b.stderr.String()) {
		var entry struct{ Message, Part string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "closed" {
			order = append(order, entry.Part)
		}
	}
	want := []string{"HTTP", "news of the media", "hub home", "outputs of hub home", "speech", "HTTP replies", "library", "broker", "MQTT listener", "HTTP listener"}
	if !reflect.DeepEqual(order, want) {
		t.Errorf("closed %v, want %v", order, want)
	}
}
