package bridge

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"hkw/session"
)

var arrival = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestDecodeAccepts(t *testing.T) {
	long := strings.Repeat("x", 4096)
	for _, c := range []struct {
		topic, payload string
		want           map[string]any
	}{
		{"play", "chime", map[string]any{"media": "chime"}},
		{"play", "  http://radio.example/live?a=1&b={2}\n", map[string]any{"media": "http://radio.example/live?a=1&b={2}"}},
		{"play", long, map[string]any{"media": long}},
		{"play", `{"media":"chime","priority":0,"volume":50,"duck":true,"on_busy":"queue","ttl":1.5}`,
			map[string]any{"media": "chime", "priority": 0, "volume": 50, "duck": true, "on_busy": "queue", "ttl": 1.5}},
		{"play", `{"PersistentID":9223372036854775807,"Priority":9999,"SessionID":"1000"}`,
			map[string]any{"media": "9223372036854775807", "priority": 9999, "session": "1000"}},
		{"play", `{"MediaUrl":"http://a/b","DeviceIDList":"one, two,,one"}`,
			map[string]any{"media": "http://a/b", "speakers": speakerList{ids: []string{"one", "two"}}}},
		{"play", `{"media":"a","speakers":["x","y"]}`, map[string]any{"media": "a", "speakers": speakerList{ids: []string{"x", "y"}}}},
		{"play", `{"media":"a","speakers":"all"}`, map[string]any{"media": "a", "speakers": speakerList{all: true}}},
		{"play", `{"media":"a","speakers":[]}`, map[string]any{"media": "a", "speakers": speakerList{ids: []string{}}}},
		{"play", `{"media":"a","priority":null,"id":"x"}`, map[string]any{"media": "a", "id": "x"}},
		{"play", `{"media":"a","priority":1e2}`, map[string]any{"media": "a", "priority": 100}},
		{"play", `{"media":"a","expires":"2026-01-02T03:04:06+01:00"}`,
			map[string]any{"media": "a", "expires": time.Date(2026, 1, 2, 3, 4, 6, 0, time.FixedZone("", 3600))}},
		{"play/doorbell", "", map[string]any{"media": "doorbell"}},
		{"play/doorbell", "pressed", map[string]any{"media": "doorbell"}},
		{"play/doorbell", `{"priority":200}`, map[string]any{"media": "doorbell", "priority": 200}},
		{"stop", "", map[string]any{}},
		{"stop", "ON", map[string]any{}},
		{"stop", `{"playback":"p-1"}`, map[string]any{"playback": "p-1"}},
		{"seek", "12.5", map[string]any{"position": 12.5}},
		{"volume", " 30 ", map[string]any{"volume": 30}},
		{"volume", "+30", map[string]any{"volume": 30}},
		{"speaker/kitchen/volume", "0", map[string]any{"speaker": "kitchen", "volume": 0}},
		{"speaker/kitchen/volume", `{"volume":7}`, map[string]any{"speaker": "kitchen", "volume": 7}},
		{"say", "Dinner\nis ready", map[string]any{"say": "Dinner\nis ready"}},
		{"session/open", "", map[string]any{}},
		{"session/close", `{"session":"1234"}`, map[string]any{"session": "1234"}},
		{"media", "beatles", map[string]any{"query": "beatles"}},
	} {
		cmd, why := decode(c.topic, []byte(c.payload), arrival)
		if why != nil {
			t.Errorf("%s %q: refused: %s", c.topic, clip(c.payload), why.message)
			continue
		}
		for _, v := range cmd.values {
			if at, ok := v.(time.Time); ok && !at.Equal(c.want["expires"].(time.Time)) {
				t.Errorf("%s %q: expires %s", c.topic, c.payload, at)
			}
		}
		delete(cmd.values, "expires")
		delete(c.want, "expires")
		if !reflect.DeepEqual(cmd.values, c.want) {
			t.Errorf("%s %q:\n got %#v\nwant %#v", c.topic, clip(c.payload), cmd.values, c.want)
		}
	}
}

// Each hostile or careless payload gets one named error.
func TestDecodeRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000)
	for _, c := range []struct {
		topic, payload string
		code           session.Code
		says           string // in the message
	}{
		{"play", "", session.InvalidCommand, "empty"},
		{"play", " \n\t", session.InvalidCommand, "empty"},
		{"play", "{", session.InvalidCommand, "JSON"},
		{"play", "{}", session.InvalidCommand, `"media" is missing`},
		{"play", `{"media":"a"`, session.InvalidCommand, "JSON"},
		{"play", `{"media":"a"} x`, session.InvalidCommand, "after the JSON object"},
		{"play", `{"media":"a"}{"media":"b"}`, session.InvalidCommand, "after the JSON object"},
		{"play", `{"media":"a","media":"b"}`, session.InvalidCommand, `"media" is given twice`},
		{"play", `{"media":"a","PersistentID":"b"}`, session.InvalidCommand, "the same field"},
		{"play", `{"media":1.5}`, session.InvalidCommand, `"media"`},
		{"play", `{"media":-1}`, session.InvalidCommand, `"media"`},
		{"play", `{"media":9223372036854775808}`, session.InvalidCommand, `"media"`},
		{"play", `{"media":{"a":1}}`, session.InvalidCommand, `"media"`},
		{"play", `{"media":["a"]}`, session.InvalidCommand, `"media"`},
		{"play", `{"media":""}`, session.InvalidCommand, `"media"`},
		{"play", `{"media":"a\u0000b"}`, session.InvalidCommand, "control characters"},
		{"play", "a\x00b", session.InvalidCommand, "control characters"},
		{"play", "\xff\xfe", session.InvalidCommand, "UTF-8"},
		{"play", "{\"media\":\"\xc3\x28\"}", session.InvalidCommand, "UTF-8"},
		{"play", "\xed\xa0\x80", session.InvalidCommand, "UTF-8"},
		{"play", strings.Repeat("x", 4097), session.InvalidCommand, `"media"`},
		{"play", strings.Repeat("x", MaxPayload+1), session.InvalidCommand, "65537 bytes"},
		{"play", `{"media":"a","priority":"200"}`, session.InvalidCommand, `"priority" must be an integer from 0 to 9999`},
		{"play", `{"media":"a","priority":-1}`, session.InvalidCommand, "0 to 9999"},
		{"play", `{"media":"a","priority":10000}`, session.InvalidCommand, "0 to 9999"},
		{"play", `{"media":"a","priority":1.5}`, session.InvalidCommand, "0 to 9999"},
		{"play", `{"media":"a","priority":1e999}`, session.InvalidCommand, "0 to 9999"},
		{"play", `{"media":"a","priority":true}`, session.InvalidCommand, "0 to 9999"},
		{"play", `{"media":"a","priority":NaN}`, session.InvalidCommand, "JSON"},
		{"play", `{"media":"a","volume":51}`, session.InvalidCommand, "0 to 50"},
		{"play", `{"media":"a","duck":"yes"}`, session.InvalidCommand, "true or false"},
		{"play", `{"media":"a","on_busy":"shout"}`, session.InvalidCommand, "interrupt, announce, queue, drop"},
		{"play", `{"media":"a","ttl":-0.1}`, session.InvalidCommand, `"ttl"`},
		{"play", `{"media":"a","expires":"tomorrow"}`, session.InvalidCommand, "RFC 3339"},
		{"play", `{"media":"a","speakers":["a/b"]}`, session.InvalidCommand, `"speakers"`},
		{"play", `{"media":"a","speakers":[1]}`, session.InvalidCommand, `"speakers"`},
		{"play", `{"media":"a","id":"#"}`, session.InvalidCommand, `"id"`},
		{"play", `{"media":"a","id":"a/b"}`, session.InvalidCommand, `"id"`},
		{"play", `{"media":"a","id":""}`, session.InvalidCommand, `"id"`},
		{"play", `{"media":"a","id":7}`, session.InvalidCommand, `"id"`},
		{"play", `{"media":"a","id":"` + strings.Repeat("x", 65) + `"}`, session.InvalidCommand, `"id"`},
		{"play", deep, session.InvalidCommand, ""},
		{"stop", "{x", session.InvalidCommand, "JSON"},
		{"pause", "{", session.InvalidCommand, "JSON"},
		{"play/doorbell", "{", session.InvalidCommand, "JSON"},
		{"volume", "", session.InvalidCommand, "empty"},
		{"volume", "loud", session.InvalidCommand, "0 to 50"},
		{"volume", "51", session.InvalidCommand, "0 to 50"},
		{"volume", "-1", session.InvalidCommand, "0 to 50"},
		{"volume", "NaN", session.InvalidCommand, "0 to 50"},
		{"volume", "Inf", session.InvalidCommand, "0 to 50"},
		{"volume", "0x10", session.InvalidCommand, "0 to 50"},
		{"volume", "1_0", session.InvalidCommand, "0 to 50"},
		{"volume", `{"volume":99999999999999999999}`, session.InvalidCommand, "0 to 50"},
		{"seek", "1e400", session.InvalidCommand, `"position"`},
		{"seek", "-1", session.InvalidCommand, `"position"`},
		{"session/close", "", session.InvalidCommand, "JSON object"},
		{"session/close", "1234", session.InvalidCommand, "JSON object"},
		{"session/close", "{}", session.InvalidCommand, `"session" is missing`},
		{"dance", "", UnknownCommand, `"dance"`},
		{"session/steal", "{}", UnknownCommand, "session/open"},
		{"speaker/kitchen/colour", "red", UnknownCommand, "colour"},
	} {
		cmd, why := decode(c.topic, []byte(c.payload), arrival)
		if why == nil {
			t.Errorf("%s %q: accepted as %v", c.topic, clip(c.payload), cmd.values)
			continue
		}
		if why.code != c.code || !strings.Contains(why.message, c.says) {
			t.Errorf("%s %q: %s %q, want %s … %q", c.topic, clip(c.payload), why.code, why.message, c.code, c.says)
		}
		if len(why.message) > 600 {
			t.Errorf("%s: a message of %d bytes", c.topic, len(why.message))
		}
	}
}

// A refused command is answered under its own id wherever that can be read.
func TestDecodeKeepsID(t *testing.T) {
	for _, c := range []struct{ topic, payload string }{
		{"play", `{"id":"x1","media":7.5}`},
		{"play", `{"media":7.5,"id":"x1"}`},
		{"play", `{"id":"x1"}`},
		{"dance", `{"id":"x1"}`},
		{"play", `{"id":"x1","media":"a"} trailing`},
	} {
		if cmd, why := decode(c.topic, []byte(c.payload), arrival); why == nil || cmd.id != "x1" {
			t.Errorf("%s %s: id %q, refusal %v", c.topic, c.payload, cmd.id, why)
		}
	}
}

func TestDecodeNotes(t *testing.T) {
	cmd, why := decode("play", []byte(`{"media":"a","prio":5,"Volume ":3,"nested":{"deep":[1,{}]}}`), arrival)
	if why != nil {
		t.Fatal(why.message)
	}
	want := []string{`unknown field "prio" ignored; did you mean "priority"?`, `unknown field "Volume " ignored`, `unknown field "nested" ignored`}
	if !reflect.DeepEqual(cmd.notes, want) {
		t.Errorf("notes %q", cmd.notes)
	}
}

// Each route is found by its own topic, and by no more than one filter.
func TestFiltersCoverRoutes(t *testing.T) {
	for _, r := range Routes {
		topic := strings.Replace(r.Topic, "+", "x", 1)
		if got, _ := findRoute(topic); got == nil || got.Topic != r.Topic {
			t.Errorf("%s finds %v", topic, got)
		}
		matched := 0
		for _, f := range Filters {
			if filterMatches(f, topic) {
				matched++
			}
		}
		if matched != 1 {
			t.Errorf("%s is matched by %d filters: it would be handled that many times", topic, matched)
		}
	}
}

// filterMatches is MQTT's matching without "#", MQTT 3.1.1 section 4.7.1.
func filterMatches(filter, topic string) bool {
	f, l := strings.Split(filter, "/"), strings.Split(topic, "/")
	if len(f) != len(l) {
		return false
	}
	for i := range f {
		if f[i] != "+" && f[i] != l[i] {
			return false
		}
	}
	return true
}

// FuzzDecode: whatever arrives, decode answers with a command or one refusal,
// and what it accepts is within the field's bounds.
func FuzzDecode(f *testing.F) {
	for _, r := range Routes {
		f.Add(strings.Replace(r.Topic, "+", "x", 1), []byte(`{"id":"a","media":"b","priority":1,"volume":2,"ttl":3,"speakers":["a"]}`))
		f.Add(strings.Replace(r.Topic, "+", "x", 1), []byte("12"))
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		cmd, why := decode(topic, payload, arrival)
		if cmd == nil {
			t.Fatal("no command")
		}
		if cmd.id != "" && !ValidID(cmd.id) {
			t.Fatalf("id %q", cmd.id)
		}
		if why != nil {
			if why.message == "" || HTTPStatus(why.code) < 400 {
				t.Fatalf("refused with %+v", why)
			}
			if !json.Valid(marshal(Result{Message: why.message, Notes: cmd.notes})) {
				t.Fatal("the refusal does not fit a payload")
			}
			return
		}
		for _, field := range cmd.route.Fields {
			n := cmd.integer(field.Name)
			if field.Kind == KindInt && n != nil && (*n < field.Min || *n > field.Max) {
				t.Fatalf("%s = %d", field.Name, *n)
			}
		}
	})
}
