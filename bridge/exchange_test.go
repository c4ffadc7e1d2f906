package bridge

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"hkw/session"
)

// volatile are fields that differ from run to run and that the exchanges of
// topics.md leave out.
var volatile = []string{"boot", "seq", "at", "position", "position_at"}

// TestExchanges carries out each exchange of topics.md against a real hub, over
// MQTT, and holds what comes back against what stands there.
func TestExchanges(t *testing.T) {
	doc, err := os.ReadFile(topicsFile)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```exchange\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) < 5 {
		t.Fatalf("topics.md has %d exchanges", len(blocks))
	}
	for i, b := range blocks {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			house := newHouse(t, func(c *Config) { c.Session.Quiet = &session.Quiet{Volume: 0, Priority: 200} })
			heard := house.listen("result/+", "event/playback")
			for _, line := range strings.Split(strings.TrimSpace(b[1]), "\n") {
				arrow, rest, _ := strings.Cut(line, " ")
				topic, payload, _ := strings.Cut(rest, " ")
				switch arrow {
				case "#":
				case "→":
					house.publish(strings.TrimPrefix(topic, "hkw/home/"), payload)
				case "←":
					expect(t, heard, topic, payload)
				default:
					t.Fatalf("line %q", line)
				}
			}
		})
	}
}

// expect waits for a message on topic that is like want; others that come
// meanwhile are passed over, as a client would that waits for its own.
func expect(t *testing.T, heard <-chan busMessage, topic, want string) {
	t.Helper()
	var w map[string]any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	var passed []string
	for {
		select {
		case m := <-heard:
			if ok, _ := path.Match(topic, m.topic); !ok {
				passed = append(passed, fmt.Sprintf("%s %s", m.topic, m.payload))
				continue
			}
			var g map[string]any
			if err := json.Unmarshal(m.payload, &g); err != nil {
				t.Fatalf("%s: %v", m.payload, err)
			}
			for _, v := range volatile {
				delete(g, v)
			}
			if like(g, w) {
				return
			}
			passed = append(passed, fmt.Sprintf("%s %s", m.topic, m.payload))
		case <-time.After(20 * time.Second):
			t.Fatalf("nothing like\n  %s %s\namong\n  %s", topic, want, strings.Join(passed, "\n  "))
		}
	}
}

// like tells whether got has everything that want has; a "*" in a string of want
// stands for anything.
func like(got, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for k, v := range w {
			if !like(g[k], v) {
				return false
			}
		}
		return true
	case string:
		if w == "*" {
			return got != nil
		}
		if s, ok := got.(string); ok {
			m, _ := path.Match(w, s)
			return m
		}
		return false
	}
	return reflect.DeepEqual(got, want)
}
