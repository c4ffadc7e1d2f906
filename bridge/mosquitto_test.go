package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/speakertest"
	"hkw/speaker/wavfile"
)

// mosquitto is a foreign broker that the test starts and kills.
type mosquitto struct {
	t      testing.TB
	config string
	addr   string
	cmd    *exec.Cmd
}

func startMosquitto(t testing.TB) *mosquitto {
	t.Helper()
	program := speakertest.Require(t, "mosquitto")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	_ = ln.Close()
	m := &mosquitto{t: t, addr: addr.String(), config: filepath.Join(t.TempDir(), "mosquitto.conf")}
	conf := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n", addr.Port)
	if err := os.WriteFile(m.config, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start(program)
	t.Cleanup(m.kill)
	return m
}

func (m *mosquitto) start(program string) {
	m.t.Helper()
	m.cmd = exec.Command(program, "-c", m.config)
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	for limit := time.Now().Add(10 * time.Second); ; {
		c, err := net.DialTimeout("tcp", m.addr, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(limit) {
			m.t.Fatalf("mosquitto does not answer: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (m *mosquitto) kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
	m.cmd = nil
}

func (m *mosquitto) url() string { return "tcp://" + m.addr }

// wavSpeakers are two speakers that write to files in dir.
func wavSpeakers(t testing.TB, dir string) furnish {
	driver := wavfile.New()
	t.Cleanup(func() { _ = driver.Close() })
	return func(c *Config) {
		c.Media = files{dir}
		c.Speakers = []speaker.Setup{{ID: "kitchen", Driver: driver, Target: filepath.Join(dir, "kitchen-out.wav")},
			{ID: "hall", Driver: driver, Target: filepath.Join(dir, "hall-out.wav")}}
	}
}

// TestStoryOnMosquitto tells the story through a foreign broker, in real time.
func TestStoryOnMosquitto(t *testing.T) {
	m := startMosquitto(t)
	dir := t.TempDir()
	const timeout = 3 * time.Second
	h := newHouseOn(t, m.url(), wavSpeakers(t, dir), func(c *Config) { c.Session.Timeout = timeout })
	tellStory(t, h, dir, timeout)
}

// TestBrokerDies: while the broker is away the sound goes on; when it is back, the
// status is true again and the next command works. TestReconnects holds how soon.
func TestBrokerDies(t *testing.T) {
	program := speakertest.Require(t, "mosquitto")
	m := startMosquitto(t)
	dir := t.TempDir()
	toneFile(t, dir, "a.wav", toneA, 20*time.Second)
	h := newHouseOn(t, m.url(), wavSpeakers(t, dir))
	h.must("play", `"media":"a.wav"`, session.OutcomeStarted)
	file := filepath.Join(dir, "kitchen-out.wav")

	m.kill()
	before := len(heardOn(t, file))
	for limit := time.Now().Add(10 * time.Second); len(heardOn(t, file)) < before+2*speaker.SampleRate; {
		if time.Now().After(limit) {
			t.Fatal("the sound stopped when the broker died")
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.start(program)

	// A client of its own: the other one may still be waiting to reconnect.
	c := dial(t, m.url())
	heard := listen(t, c, "status", "status/availability")
	until(t, heard, "the hub is online again", func(m busMessage) bool {
		return strings.HasSuffix(m.topic, "availability") && string(m.payload) == Online
	})
	status := listen(t, dial(t, m.url()), "status")
	until(t, status, "the status says what plays", func(m busMessage) bool {
		var s Status
		return json.Unmarshal(m.payload, &s) == nil && s.Playing != nil && s.Playing.Media.Title == "a.wav"
	})
	h.client = c
	if r := h.must("stop", "", session.OutcomeDone); r.Count == nil || *r.Count != 1 {
		t.Errorf("stop: %+v", r)
	}
}

// TestSecondInstance: a hub that another live instance serves is refused; one that
// only seems to be online, because its power was cut, is taken over, and what it
// left behind is cleared.
func TestSecondInstance(t *testing.T) {
	m := startMosquitto(t)
	first := newHouseOn(t, m.url())
	second, err := New(Config{Hub: "home", Media: testMedia, Broker: BrokerConfig{URL: m.url()}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	err = second.Run(t.Context())
	if !errors.Is(err, ErrHubTaken) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("a second instance: %v", err)
	}
	stays := listen(t, dial(t, m.url()), availabilityTopic)
	until(t, stays, "the first one is online", func(m busMessage) bool { return string(m.payload) == Online })
	first.must("ping", "", session.OutcomeDone)

	// One that breaks off before it knows leaves its will; the living one mends that.
	c := dial(t, m.url())
	if tok := c.Publish("hkw/home/"+availabilityTopic, 1, true, Offline); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	until(t, stays, "it says offline", func(m busMessage) bool { return string(m.payload) == Offline })
	until(t, stays, "the first one says online again", func(m busMessage) bool { return string(m.payload) == Online })
}

func TestTakesOverTheDead(t *testing.T) {
	m := startMosquitto(t)
	c := dial(t, m.url())
	for topic, payload := range map[string]string{
		"status/availability": Online, "status": `{"boot":"dead"}`, "status/session/s-old": "{}", "status/title": "Gone", "status/speaker/attic": "{}",
		"play": "chime", // somebody retained a command
	} {
		if tok := c.Publish("hkw/home/"+topic, 1, true, payload); tok.Wait() && tok.Error() != nil {
			t.Fatal(tok.Error())
		}
	}
	results := listen(t, c, "result/+")
	h := newHouseOn(t, m.url())
	var r Result
	if err := json.Unmarshal(until(t, results, "the retained command is refused", func(m busMessage) bool {
		return strings.Contains(string(m.payload), string(RetainedCommand))
	}).payload, &r); err != nil || r.Outcome != session.OutcomeRejected {
		t.Errorf("a retained play: %+v", r)
	}
	left := map[string]string{}
	heard := listen(t, dial(t, m.url()), "status/#", "play")
	h.must("ping", "", session.OutcomeDone) // what is retained has come by then
	for len(heard) > 0 {
		msg := <-heard
		left[strings.TrimPrefix(msg.topic, "hkw/home/")] = string(msg.payload)
	}
	for _, gone := range []string{"status/session/s-old", "status/title", "status/speaker/attic"} {
		if p, ok := left[gone]; ok {
			t.Errorf("%s is still %q", gone, p)
		}
	}
	if left["status/availability"] != Online || left["status/player_state"] == "" {
		t.Errorf("retained: %v", left)
	}
}
