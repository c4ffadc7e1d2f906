package bridge

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"hkw/session"
)

// hostile are payloads that no client should send.
var hostile = []string{
	"", "{", "}", "{}", "[]", "null", "{\"media\":", `{"media":"song","media":"song"}`, `{"media":{"a":[1,2,{"b":null}]}}`,
	"\xff\xfe\xfd", "\xed\xa0\x80", "\x00", "a\x00b", `{"media":"\u0000"}`, `{"id":"#","media":"x"}`, `{"id":"../x","media":"x"}`,
	`{"priority":NaN,"media":"x"}`, `{"priority":1e999,"media":"x"}`, `{"priority":-1,"media":"x"}`, `{"volume":"50","media":"x"}`,
	`{"media":99999999999999999999999999}`, `{"ttl":-1e308,"media":"x"}`, `{"expires":"0000-00-00","media":"x"}`,
	`{"session":"` + strings.Repeat("9", 64) + `","media":"chime"}`,
	"../../../../etc/passwd", "file:///etc/passwd", "http://", "http://[::1", "http://\x7f/", "gopher://x/", strings.Repeat("☃", 1000),
	strings.Repeat("[", 10000), strings.Repeat(`{"a":`, 10000), strings.Repeat("x", MaxPayload+1),
}

// TestHostilePublishes: thousands of malformed messages, each answered once with a
// named error, and the hub plays on as if nothing had been.
func TestHostilePublishes(t *testing.T) {
	h := newHouse(t, unpaced)
	playing := h.must("play", `"media":"alarm","priority":9999`, session.OutcomeStarted)
	h.must("session/open", "", session.OutcomeDone)
	results := h.listen("result/+")
	topics := []string{"play", "say", "seek", "volume", "speaker/kitchen/volume", "speaker/none/volume", "session/close", "session/speakers",
		"play/nothing", "play/" + strings.Repeat("x", 300), "dance", "session/x", "speaker/a/b"}

	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const batch = 200 // fewer than the inbox holds, so that each is really decoded
	sent, answered := 0, 0
	for sent < 10000 {
		for range batch {
			h.client.Publish("hkw/home/"+topics[sent%len(topics)], 1, false, hostile[sent%len(hostile)])
			sent++
		}
		for answered < sent {
			m := until(t, results, fmt.Sprintf("%d of %d are answered", sent, sent), func(busMessage) bool { return true })
			var r Result
			if err := json.Unmarshal(m.payload, &r); err != nil {
				t.Fatalf("%s: %v", m.payload, err)
			}
			if r.Error == "" || r.Message == "" || r.Error == Internal || HTTPStatus(r.Error) < 400 {
				t.Fatalf("answered with %s", m.payload)
			}
			answered++
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	if r := h.must("ping", "", session.OutcomeDone); r.Instance == "" {
		t.Errorf("ping: %+v", r)
	}
	if r := h.must("stop", `"priority":9999`, session.OutcomeDone); r.Count == nil || *r.Count != 1 {
		t.Errorf("%s was not playing any more: %+v", playing.Playback, r)
	}
}

// TestManyPlays: a thousand plays that interrupt one another leave nothing behind.
func TestManyPlays(t *testing.T) {
	h := newHouse(t, unpaced)
	h.must("play", `"media":"chime"`, session.OutcomeStarted)
	h.must("stop", "", session.OutcomeDone)
	results := h.listen("result/+")
	baseline := settled(0)
	for i := range 1000 {
		id := fmt.Sprintf("many-%d", i)
		h.publish("play", `{"media":"alarm","id":"`+id+`"}`)
		m := until(t, results, id+" is answered", func(m busMessage) bool { return strings.HasSuffix(m.topic, id) })
		if !strings.Contains(string(m.payload), `"started"`) {
			t.Fatalf("%s", m.payload)
		}
	}
	h.must("stop", "", session.OutcomeDone)
	if after := settled(baseline); after > baseline+2 {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before\n%s", after, baseline, buf[:runtime.Stack(buf, true)])
	}
}

// settled is the number of goroutines once it is no more than want, or has had
// five seconds to become so.
func settled(want int) int {
	n := runtime.NumGoroutine()
	for limit := time.Now().Add(5 * time.Second); n > want && time.Now().Before(limit); n = runtime.NumGoroutine() {
		if want == 0 {
			time.Sleep(100 * time.Millisecond)
			return runtime.NumGoroutine()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return n
}
