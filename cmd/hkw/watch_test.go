package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"hkw/bridge"
	"hkw/speaker/library"
)

// What happens in the house stands on the terminal, one line each.
func TestWatch(t *testing.T) {
	b := serve(t, "--speaker", "attic=null")
	b.client("play", "before") // refused before anyone watched
	w := launch(t, &program{env: b.env}, "watch", "--broker", b.app.reached().brokerURL())
	w.stdout.waitFor(t, fmt.Sprintf("home: initialized, volume 35, %d pieces of media\n", len(library.Chimes())), "speaker attic (null), volume 35\n", "home is online\n")
	for _, args := range [][]string{
		{"play", "alarm", "--priority", "200", "--volume", "20"},
		{"play", "tick"},
		{"volume", "attic", "12"},
		{"stop", "--priority", "200"},
	} {
		b.client(args...)
	}
	w.stdout.waitFor(t, "stopped")
	b.stop()
	w.stdout.waitFor(t, "home is offline")
	w.stderr.waitFor(t, "watching the hub \"home\"", "was lost", "trying again")
	if code := w.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	want := []string{
		`started     "Alarm"  (priority 200; on attic; volume 20)`,
		`play: rejected, PriorityTooLow: * ("Alarm" plays at priority 200)`,
		`volume of attic: 12`,
		`stopped     "Alarm"  (*priority 200; stop)`,
		`home is offline`,
	}
	for line := range strings.Lines(w.stdout.String()) {
		if len(line) < 10 || line[2] != ':' || line[5] != ':' {
			t.Errorf("no time: %q", line)
		} else if len(want) > 0 && like(line[10:], want[0]+"\n") {
			want = want[1:]
		}
	}
	if strings.Contains(w.stdout.String(), "before") {
		t.Errorf("tells what was before:\n%s", w.stdout.String())
	}
	if len(want) > 0 {
		t.Errorf("%q is missing in\n%s", want, w.stdout.String())
	}
}

// With --json the payloads come as they are published, each on a line, and no token with them.
func TestWatchJSON(t *testing.T) {
	b := serve(t, "--speaker", "attic=null")
	w := launch(t, &program{env: b.env}, "watch", "--json", "--broker", b.app.reached().brokerURL())
	w.stdout.waitFor(t, `{"availability":"online"}`, `"hub":"home"`)
	_, opened, _ := b.client("session", "open", "--json")
	var session bridge.Result
	if err := json.Unmarshal([]byte(opened), &session); err != nil {
		t.Fatal(err)
	}
	b.client("play", "tick", "--wait")
	w.stdout.waitFor(t, `"event":"started"`, `"event":"finished"`, `"outcome":"started"`)
	if code := w.stop(); code != 0 || w.stderr.String() != "" {
		t.Errorf("%d %q", code, w.stderr.String())
	}
	kinds := map[string]int{}
	for line := range strings.Lines(w.stdout.String()) {
		var payload map[string]any
		if err := json.Unmarshal([]byte(line), &payload); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, key := range []string{"availability", "hub", "event", "outcome"} {
			if payload[key] != nil {
				kinds[key]++
			}
		}
	}
	if kinds["availability"] != 1 || kinds["hub"] < 2 || kinds["event"] != 2 || kinds["outcome"] != 2 {
		t.Errorf("%v in\n%s", kinds, w.stdout.String())
	}
	if strings.Contains(w.stdout.String(), session.Session) {
		t.Error("shows a token")
	}
}

// A watch waits for a hub that is not there yet, and finds it.
func TestWatchBeforeHub(t *testing.T) {
	url := houseBroker(t, "127.0.0.1:0")
	w := launch(t, &program{env: emptyEnv(t)}, "watch", "--broker", url)
	w.stderr.waitFor(t, "no hub \"home\" has been seen")
	serve(t, "--broker", url, "--speaker", "attic=null")
	w.stdout.waitFor(t, "home is online")
	if code, _, stderr := command(t, emptyEnv(t), "watch", "--broker", "tcp://127.0.0.1:1"); code != int(exitNoAnswer) || !strings.Contains(stderr, "connection refused") {
		t.Errorf("without a broker: %d %s", code, stderr)
	}
}
