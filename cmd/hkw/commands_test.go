package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"hkw/bridge"
	"hkw/session"
)

// The commands, in the order in which someone might use them: what each prints
// for a person, and its exit code. "*" stands for what differs from run to run.
func TestCommands(t *testing.T) {
	dir := t.TempDir()
	wav := filepath.Join(dir, "kitchen.wav")
	b := serve(t, "--speaker", "kitchen=wav:"+wav, "--speaker", "attic=null", "--media", dir, "--speech", "none")
	tests := []struct {
		args   []string
		code   exitCode
		stdout string
		stderr string
	}{
		{[]string{"volume"}, exitOK, "volume: 35 (attic 35, kitchen 35)\n", ""},
		{[]string{"volume", "50"}, exitOK, "volume: 50\n", ""},
		{[]string{"volume", "attic", "10"}, exitOK, "volume of attic: 10\n", ""},
		{[]string{"volume", "attic"}, exitOK, "volume of attic: 10\n", ""},
		{[]string{"volume", "--json"}, exitOK, `{"speakers":{"attic":10,"kitchen":50},"volume":30}` + "\n", ""},
		{[]string{"volume", "51"}, exitRejected, "", "hkw: volume: rejected, InvalidCommand: \"volume\" must be an integer from 0 to 50, not 51\n"},
		{[]string{"volume", "cellar"}, exitRejected, "", "hkw: the hub has no speaker \"cellar\"; it has attic, kitchen\n"},
		{[]string{"volume", "cellar", "5"}, exitRejected, "", "hkw: volume: rejected, SpeakerNotFound*\n"},
		{[]string{"volume", "attic", "loud"}, exitUsage, "", "hkw: the volume must be an integer from 0 to 50, not \"loud\" (see `hkw volume --help`)\n"},
		{[]string{"stop"}, exitOK, "stop: there was nothing to stop\n", ""},
		{[]string{"play", "tick", "--wait"}, exitOK, "\"tick\" plays (p-*)\nfinished    \"Tick\"  (*priority 100)\n", ""},
		{[]string{"play", "nothing"}, exitRejected, "", "hkw: play: rejected, MediaNotFound: the library has no \"nothing\"\n"},
		{[]string{"play"}, exitUsage, "", "hkw: the command is hkw play MEDIA* (see `hkw play --help`)\n"},
		{[]string{"play", "tick", "--priority", "high"}, exitUsage, "", "hkw: *\"high\"*--priority* (see `hkw play --help`)\n"},
		{[]string{"play", "tick", "--priority", "10000"}, exitRejected, "", "hkw: play: rejected, InvalidCommand: \"priority\" must be *\n"},
		{[]string{"play", "tick", "--on-busy", "never"}, exitRejected, "", "hkw: play: rejected, InvalidCommand: \"on_busy\" must be *\n"},
		{[]string{"play", "http://127.0.0.1:1/none"}, exitFailed, "", "hkw: play: failed, MediaUnavailable*\n"},
		{[]string{"say", "good", "morning"}, exitRejected, "", "hkw: say: rejected, MediaUnavailable: no speech engine*apt-get install espeak-ng*\n"},
		{[]string{"play", "alarm", "--priority", "300", "--speakers", "attic"}, exitOK, "\"alarm\" plays (p-*)\n", ""},
		{[]string{"play", "tick", "--priority", "200"}, exitRejected, "", "hkw: play: rejected, PriorityTooLow*(\"Alarm\" plays at priority 300)\n"},
		{[]string{"play", "tick", "--on-busy", "drop"}, exitRejected, "", "hkw: play: rejected, Busy*\n"},
		{[]string{"play", "tick", "--on-busy", "queue", "--ttl", "1m"}, exitOK, "\"tick\" waits its turn (p-*)\n", ""},
		{[]string{"pause", "--priority", "300"}, exitOK, "pause: *\n", ""},
		{[]string{"resume", "--priority", "300"}, exitOK, "resume: *\n", ""},
		{[]string{"seek", "0:01", "--priority", "300"}, exitOK, "plays on from 0:01\n", ""},
		{[]string{"seek", "x"}, exitUsage, "", "hkw: a position must be *\n"},
		{[]string{"stop", "--priority", "300"}, exitOK, "stop: 2 playbacks\n", ""},
		{[]string{"resume"}, exitRejected, "", "hkw: resume: rejected, NothingToResume*\n"},
		{[]string{"session", "close", "12345"}, exitRejected, "", "hkw: session/close: rejected, SessionNotFound*\n"},
		{[]string{"media", "west"}, exitOK, "ID           TITLE        ARTIST  ALBUM  LENGTH\nwestminster  Westminster                 0:0*\n1 of 1\n", ""},
		{[]string{"media", "no", "such"}, exitOK, "nothing found; `hkw media` without words lists all\n", ""},
		{[]string{"media", "--limit", "0"}, exitRejected, "", "hkw: media: rejected, InvalidCommand: \"limit\"*\n"},
	}
	for _, tt := range tests {
		code, stdout, stderr := b.client(tt.args...)
		if code != int(tt.code) || !like(stdout, tt.stdout) || !like(stderr, tt.stderr) {
			t.Errorf("%q: exit code %d, want %d\n stdout %q\n   want %q\n stderr %q\n   want %q", tt.args, code, tt.code, stdout, tt.stdout, stderr, tt.stderr)
		}
	}
	b.stop()
	if loudest(t, wav) < 0.01 {
		t.Error("nothing was heard in the kitchen")
	}
}

// like compares a text with one in which "*" stands for anything within a line.
func like(got, want string) bool {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), `\*`, ".*") + "$").MatchString(got)
}

func TestSessionCommands(t *testing.T) {
	b := serve(t, "--speaker", "hall=null", "--speaker", "attic=null")
	code, stdout, stderr := b.client("session", "open", "--priority", "120", "--speakers", "hall", "--json")
	var res bridge.Result
	if err := json.Unmarshal([]byte(stdout), &res); err != nil || code != 0 || res.Session == "" {
		t.Fatalf("%d %q %q", code, stdout, stderr)
	}
	for _, args := range [][]string{
		{"session", "speakers", res.Session, "--add", "attic"},
		{"session", "speakers", res.Session, "hall"},
		{"play", "alarm", "--session", res.Session},
		{"stop", "--session", res.Session},
		{"session", "close", res.Session},
	} {
		if code, _, stderr := b.client(args...); code != 0 {
			t.Errorf("%q: %d %s", args, code, stderr)
		}
	}
	if code, _, stderr := b.client("play", "tick", "--session", res.Session); code != int(exitRejected) || !strings.Contains(stderr, "SessionNotFound") {
		t.Errorf("%d %s", code, stderr)
	}
	if _, stdout, _ := b.client("session", "open"); !like(stdout, "* is the token of session s-*, which ends at * if it is not used\n") {
		t.Errorf("%q", stdout)
	}
}

// With --json stdout holds the hub's payload alone, refusals too.
func TestJSONResult(t *testing.T) {
	b := serve(t, "--speaker", "attic=null")
	tests := []struct {
		args    []string
		code    exitCode
		outcome session.Outcome
	}{
		{[]string{"play", "alarm"}, exitOK, session.OutcomeStarted},
		{[]string{"play", "tick", "--priority", "1"}, exitRejected, session.OutcomeRejected},
		{[]string{"stop"}, exitOK, session.OutcomeDone},
		{[]string{"play", "http://127.0.0.1:1/none"}, exitFailed, session.OutcomeFailed},
	}
	for _, tt := range tests {
		code, stdout, stderr := b.client(append(tt.args, "--json")...)
		var res bridge.Result
		if err := json.Unmarshal([]byte(stdout), &res); err != nil || code != int(tt.code) || res.Outcome != tt.outcome || res.Boot == "" || stderr != "" {
			t.Errorf("%q: %d %q %q %v", tt.args, code, stdout, stderr, err)
		}
	}
}

// play --wait ends when the sound does, and tells by its code whether that was by itself.
func TestWait(t *testing.T) {
	b := serve(t, "--speaker", "attic=null")
	waiting := launch(t, &program{env: b.env}, "play", "alarm", "--wait", "--json", "--broker", b.app.reached().brokerURL())
	waiting.stdout.waitFor(t, `"event":"started"`)
	if code, _, stderr := b.client("stop"); code != 0 {
		t.Fatal(stderr)
	}
	if code := waiting.wait(); code != int(exitFailed) || waiting.stderr.String() != "" {
		t.Errorf("%d %s", code, waiting.stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(waiting.stdout.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"outcome":"started"`) || !strings.Contains(lines[2], `"event":"stopped"`) {
		t.Errorf("%q", lines)
	}
	// A hub that leaves meanwhile ends the waiting.
	waiting = launch(t, &program{env: b.env}, "play", "alarm", "--wait", "--broker", b.app.reached().brokerURL())
	waiting.stdout.waitFor(t, "plays (p-")
	b.stop()
	if code := waiting.wait(); code == int(exitOK) {
		t.Errorf("%d %s", code, waiting.stdout.String())
	}
}

func TestNoBroker(t *testing.T) {
	began := time.Now()
	code, stdout, stderr := command(t, emptyEnv(t), "stop", "--mqtt-listen", "127.0.0.1:1")
	if code != int(exitNoAnswer) || stdout != "" || stderr != "hkw: cannot reach the broker at tcp://127.0.0.1:1: connection refused; is `hkw serve` running?\n" || time.Since(began) > 5*time.Second {
		t.Errorf("%d %q after %s", code, stderr, time.Since(began))
	}
}

// A hub that says that it is there and answers nothing is not waited for for ever.
func TestNoAnswer(t *testing.T) {
	url := houseBroker(t, "127.0.0.1:0")
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetProtocolVersion(4))
	if token := c.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	defer c.Disconnect(100)
	c.Publish("hkw/home/status/availability", 1, true, bridge.Online).Wait()
	code, _, stderr := command(t, emptyEnv(t), "stop", "--broker", url, "--timeout", "300ms")
	if code != int(exitNoAnswer) || !strings.Contains(stderr, "no answer from the hub \"home\"") || !strings.Contains(stderr, "300ms") {
		t.Errorf("%d %q", code, stderr)
	}
}

// MQTT over WebSocket is served beside HTTP.
func TestWebSocket(t *testing.T) {
	b := serve(t, "--speaker", "attic=null")
	code, stdout, stderr := command(t, emptyEnv(t), "play", "tick", "--wait", "--broker", "ws://"+b.app.httpAddr.String()+"/mqtt")
	if code != 0 {
		t.Errorf("%d %s %s", code, stdout, stderr)
	}
}

func TestUsage(t *testing.T) {
	if _, stdout, _ := command(t, emptyEnv(t), "help", "play"); !strings.Contains(stdout, "  -h, --help     ") || strings.Contains(stdout, "default 0s") {
		t.Errorf("switches of play are not plain:\n%s", stdout)
	}
	code, stdout, _ := command(t, emptyEnv(t), "help")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, c := range exitCodes {
		if !strings.Contains(stdout, fmt.Sprintf("  %d  %s\n", c.code, c.meaning)) {
			t.Errorf("help lacks exit code %d:\n%s", c.code, stdout)
		}
	}
	for _, s := range settings {
		if !s.noFlag && (!strings.Contains(stdout, "--"+s.name+" ") || !strings.Contains(stdout, s.env())) {
			t.Errorf("help lacks --%s or %s", s.name, s.env())
		}
	}
	if _, stdout, _ := command(t, emptyEnv(t), "version"); stdout != "hkw 1.2.3\n" {
		t.Errorf("%q", stdout)
	}
	for args, want := range map[string]string{
		"plai":                "did you mean play?",
		"play x --sesion y":   "--sesion",
		"watch now":           `"now"`,
		"session shut":        "known are open, close, speakers",
		"play x --media /srv": "--media", // only serve has it
	} {
		if code, _, stderr := command(t, emptyEnv(t), strings.Fields(args)...); code != int(exitUsage) || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d %q", args, code, stderr)
		}
	}
}

func TestPosition(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "90": 90 * time.Second, "1.5": 1500 * time.Millisecond, "1:30": 90 * time.Second, "1:02:03": 3723 * time.Second, "1m30s": 90 * time.Second,
	} {
		if got, err := parsePosition(text); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1:60", "1:2:3:4", "NaN", "Inf", "1e99", ":", "-1s"} {
		if got, err := parsePosition(text); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}
