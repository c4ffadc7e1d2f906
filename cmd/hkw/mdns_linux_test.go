package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hkw/speaker/speakertest"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// machine is a network namespace: a machine of its own on a LAN, as far as the
// network is concerned.
type machine struct {
	t   *testing.T
	pid string // of the process that keeps it there
}

func newMachine(t *testing.T) machine {
	t.Helper()
	keeper := exec.Command("sleep", "600")
	keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := keeper.Start(); err != nil {
		speakertest.Missing(t, "netns", err)
	}
	t.Cleanup(func() {
		_ = keeper.Process.Kill()
		_ = keeper.Wait()
	})
	return machine{t, strconv.Itoa(keeper.Process.Pid)}
}

// command is a command that runs on the machine.
func (m machine) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net", "--target", m.pid, "--"}, args...)...)
}

func (m machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.command(args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// hkw runs on the machine until the test ends it.
func (m machine) hkw(stderr *text, args ...string) *exec.Cmd {
	m.t.Helper()
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := m.command(append([]string{self, "serve", "--speaker", "a=null", "--open"}, args...)...)
	cmd.Env = append(emptyEnv(m.t), asProgram+"=1", "PATH="+os.Getenv("PATH"))
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// A hub on one machine is found by another, as Home Assistant would find it: by the
// addresses it listens on and no others. A second one of the same name takes
// another; when the first one ends, that is known at once.
func TestFoundOnTheLAN(t *testing.T) {
	speakertest.Require(t, "netns", "ip", "nsenter")
	const python = "/usr/bin/python3" // the one that Debian's packages are for
	speakertest.Require(t, "zeroconf", python)
	if out, err := exec.Command(python, "-c", "import zeroconf").CombinedOutput(); err != nil {
		speakertest.Missing(t, "zeroconf", fmt.Errorf("%w: %s", err, out))
	}
	a, b := newMachine(t), newMachine(t)
	a.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
	a.run("ip", "link", "set", "lan1", "netns", b.pid)
	for i, m := range []machine{a, b} {
		m.run("ip", "link", "set", "lo", "up")
		m.run("ip", "addr", "add", fmt.Sprintf("10.77.0.%d/24", i+1), "dev", fmt.Sprintf("lan%d", i))
		m.run("ip", "link", "set", fmt.Sprintf("lan%d", i), "up")
	}

	// Somebody on the other machine looks all the time.
	browser := b.command(python, "testdata/browse.py")
	ends, err := browser.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := browser.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	browser.Stderr = os.Stderr
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	type sighting struct {
		Event, Name, Host string
		Port              int
		Addresses         []string
		Text              map[string]string
	}
	sightings := make(chan sighting, 100)
	go func() {
		defer close(sightings)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var s sighting
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				t.Errorf("%s: %v", lines.Bytes(), err)
			}
			sightings <- s
		}
	}()
	defer func() {
		_ = ends.Close()
		_ = browser.Wait()
		for range sightings { // until it is closed
		}
	}()
	see := func(want ...sighting) {
		t.Helper()
		patience := time.After(patience)
		for len(want) > 0 {
			select {
			case got := <-sightings:
				i := slices.IndexFunc(want, func(w sighting) bool { return reflect.DeepEqual(got, w) })
				if i < 0 {
					t.Fatalf("saw %+v, want %+v", got, want)
				}
				want = slices.Delete(want, i, i+1)
			case <-patience:
				t.Fatalf("did not see %+v", want)
			}
		}
	}

	name := machineName()
	version := version()
	mqtt := sighting{Event: "added", Name: "hkw on " + name + "._mqtt._tcp.local.", Host: name + ".local.", Port: 1883,
		Addresses: []string{"10.77.0.1"}, Text: map[string]string{"hubs": "home", "version": version}}
	http := sighting{Event: "added", Name: "hkw on " + name + "._http._tcp.local.", Host: name + ".local.", Port: 8080,
		Addresses: []string{"10.77.0.1"}, Text: map[string]string{"hubs": "home", "version": version, "path": "/"}}
	var first, second text
	hub := a.hkw(&first, "--mqtt-listen", "0.0.0.0:1883", "--http-listen", "10.77.0.1:8080")
	see(mqtt, http)

	// It may be called by the name under which it was announced, and by no other.
	status := func(host string) string {
		const ask = `import sys, http.client as c
h = c.HTTPConnection("10.77.0.1", 8080)
h.request("GET", "/hkw/home/status/availability", headers={"Host": sys.argv[1]})
print(h.getresponse().status, end="")`
		return b.run(python, "-c", ask, host)
	}
	for host, want := range map[string]string{name + ".local:8080": "200", strings.ToUpper(name) + ".LOCAL.": "200", "10.77.0.1:8080": "200",
		name + "-2.local": "421", "local": "421", "evil.example": "421"} {
		if got := status(host); got != want {
			t.Errorf("called %s it answers %s, want %s", host, got, want)
		}
	}

	// Another one of the same name, on the other machine.
	b.hkw(&second, "--mqtt-listen", "127.0.0.1:1883", "--http-listen", "0.0.0.0:8080")
	other := http
	other.Name, other.Host, other.Addresses = "hkw on "+name+" (2)._http._tcp.local.", name+"-2.local.", []string{"10.77.0.2"}
	see(other)

	// And the first one leaves.
	if err := hub.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	see(sighting{Event: "removed", Name: mqtt.Name}, sighting{Event: "removed", Name: http.Name})
	if err := hub.Wait(); err != nil {
		t.Errorf("%v: %s", err, first.String())
	}
}

// inNamespace tells a copy of this test that it is on a machine of its own.
const inNamespace = "TEST_IN_NAMESPACE"

// An announcer that is told to end leaves no goroutine behind, whether it was still
// looking for names or had announced.
func TestAnnouncerLeavesNothing(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		speakertest.Require(t, "netns", "ip", "nsenter")
		m := newMachine(t)
		m.run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
		m.run("ip", "addr", "add", "10.77.0.1/24", "dev", "lan0")
		for _, name := range []string{"lo", "lan0", "lan1"} {
			m.run("ip", "link", "set", name, "up")
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		copied := m.command(self, "-test.run", "^"+t.Name()+"$", "-test.count=1")
		copied.Env = append(os.Environ(), inNamespace+"=1")
		if out, err := copied.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	for _, wait := range []string{"", "announced on the LAN"} {
		var log text
		a := &announcer{offer: offers(nil, tcp("[::]:8080"), []string{"home"}, "1")[0], machine: "attic", links: links, named: func(string) {}, log: zerolog.New(&log)}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.run(ctx) }()
		log.waitFor(t, wait)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t)
	}
}
