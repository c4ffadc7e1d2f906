package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
	"hkw/speaker/speakertest"
	"hkw/speaker/speech"
)

// announcingBench is a bench whose hub announces itself.
type announcingBench struct {
	*bench
	name string
}

func newAnnouncingBench(t *testing.T, hub string, presets map[string]Preset, speakers ...speaker.SpeakerInfo) *announcingBench {
	t.Helper()
	media := catalogue{}
	for name, m := range testMedia {
		media[name] = m
	}
	for _, m := range library.Chimes() {
		media[m.ID] = m
	}
	b := newBench(t, func(c *Config) {
		c.Hub, c.Presets, c.Media, c.Speech = hub, presets, media, silence{}
		c.HomeAssistant = HomeAssistant{Prefix: "homeassistant", MediaPlayer: true, Version: "1.2.3", URL: "http://house.local:8080/"}
	})
	for _, s := range speakers {
		b.hub.mail.put(speaker.Report{Kind: speaker.ReportSpeaker, Speaker: s})
	}
	b.settle()
	b.hub.announce()
	return &announcingBench{b, hub}
}

func (b *announcingBench) announced() []byte {
	b.hub.out.mu.Lock()
	defer b.hub.out.mu.Unlock()
	return b.hub.out.outside["homeassistant/device/hkw_"+b.name+"/config"]
}

// rendering is one template to render: a command template with a value, or a value
// template with a payload.
type rendering struct {
	Template string  `json:"template"`
	Value    any     `json:"value"`
	Payload  *string `json:"payload"`
}

// render renders templates with Jinja, which is what Home Assistant renders them with.
func render(t *testing.T, jobs []rendering) []string {
	t.Helper()
	program := speakertest.Require(t, "python3")
	// The system's own Python is the one that Debian's packages are for.
	var lacks error
	for _, python := range []string{program, "/usr/bin/python3"} {
		if lacks = exec.Command(python, "-c", "import jinja2").Run(); lacks == nil {
			program = python
			break
		}
	}
	if lacks != nil {
		speakertest.Missing(t, "jinja2", lacks)
	}
	cmd := exec.Command(program, "testdata/homeassistant/render.py")
	cmd.Stdin = bytes.NewReader(marshal(jobs))
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var results []struct{ Text, Error string }
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(results))
	for i, r := range results {
		if r.Error != "" {
			payload := "no payload"
			if jobs[i].Payload != nil {
				payload = *jobs[i].Payload
			}
			t.Errorf("%s\nwith %v, %s\n%s", jobs[i].Template, jobs[i].Value, payload, r.Error)
		}
		texts[i] = r.Text
	}
	return texts
}

// What each entity sends is a command that the hub carries out.
func TestHomeAssistantCommands(t *testing.T) {
	b := newAnnouncingBench(t, "home", announcedHubs[0].presets, announcedHubs[0].speakers...)
	components := checkDiscovery(t, b.announced())
	// What a person may do with the entity, as Home Assistant hands it to the template
	// or sends it as it stands; see async_turn_on and the like in its source.
	values := map[string][]any{
		"notify": {"Dinner is ready", `{"looks": "like JSON"}`, `He said "no" \ and 'yes' <b> € 🔔`, "two\nlines"},
		"text":   {"song", "http://radio.example/live?a=1&b=\"2\""},
		"number": {0, 20, 50},
		"button": {"PRESS"},
		"siren":  {`{"state":"ON"}`, `{"state":"ON","tone":"alarm","duration":30,"volume_level":0.5}`, `{"state":"OFF"}`},
		"switch": {"on", "off"},
	}
	type sent struct{ key, topic, payload string }
	var all []sent
	var jobs []rendering
	var templated []sent
	for key, e := range components {
		topic, ok := e["command_topic"].(string)
		if !ok {
			continue
		}
		topic = strings.TrimPrefix(topic, "hkw/home/")
		platform := e["platform"].(string)
		vs := values[platform]
		if platform == "select" {
			vs = e["options"].([]any)
		}
		if press, ok := e["payload_press"]; ok {
			vs = []any{press}
		}
		if tones, ok := e["available_tones"].([]any); ok {
			for _, tone := range tones {
				vs = append(vs, string(marshal(map[string]any{"state": "ON", "tone": tone})))
			}
		}
		if len(vs) == 0 {
			t.Errorf("%s: nothing to send", key)
		}
		for _, v := range vs {
			if template, ok := e["command_template"].(string); ok {
				jobs = append(jobs, rendering{Template: template, Value: v})
				templated = append(templated, sent{key, topic, ""})
				continue
			}
			text, isText := v.(string)
			if !isText {
				text = string(marshal(v))
			}
			all = append(all, sent{key, topic, text})
		}
	}
	for i, text := range render(t, jobs) {
		templated[i].payload = text
	}
	for _, s := range append(all, templated...) {
		r := b.result(b.publish(s.topic, s.payload))
		// Nothing is paused here, and nothing answers a URL: everything else is done.
		if r.Outcome != session.OutcomeRejected && r.Outcome != session.OutcomeFailed || s.key == "resume" && r.Error == session.NothingToResume ||
			s.key == "play" && r.Error == MediaNotFound {
			if len(r.Notes) > 0 {
				t.Errorf("%s: %s %s: %v", s.key, s.topic, s.payload, r.Notes)
			}
		} else {
			t.Errorf("%s: %s %s: %s %s", s.key, s.topic, s.payload, r.Error, r.Message)
		}
		b.publish("stop", `{"priority":9999}`)
	}
}

// What each entity reads of what the hub publishes, at rest and in the middle of
// things, is a state that Home Assistant takes.
func TestHomeAssistantStates(t *testing.T) {
	b := newAnnouncingBench(t, "home", announcedHubs[0].presets, announcedHubs[0].speakers...)
	components := checkDiscovery(t, b.announced())
	said := map[string][]string{"status/title": {"", strings.Repeat("é", 300)}, "status/speaker/kitchen": {""}} // cleared, or long
	keep := func(ms []message) {
		for _, m := range ms {
			if !m.whole && len(m.payload) > 0 && !slices.Contains(said[m.topic], string(m.payload)) {
				said[m.topic] = append(said[m.topic], string(m.payload))
			}
		}
	}
	b.hub.publishStatus(time.Now())
	for topic, payload := range b.hub.out.all() {
		keep([]message{{topic: topic, payload: payload}})
	}
	for _, c := range [][2]string{{"play", "song"}, {"play/doorbell", ""}, {"stop", ""}, {"play", "dinner"}, {"stop", ""}, {"play", `{"media":"song","on_busy":"queue"}`},
		{"pause", ""}, {"resume", ""}, {"play", "nothing"}, {"siren", "ON"}, {"play", `{"media":"song","priority":1}`}, {"siren", "OFF"}, {"volume", "7"}, {"mute", "on"}, {"speaker/kitchen/mute", "on"}, {"quiet", "on"}, {"quiet", "off"}, {"mute", "off"},
		{"play", `{"media":"song","on_busy":"announce","ttl":0}`}, {"say", "hello"}, {"session/open", ""}, {"play", `http://nowhere.example`}} {
		keep(b.publish(c[0], c[1]))
	}
	for _, e := range session.EventKinds() {
		ev := Event{Event: e, Playback: Playback{ID: "p-1", Media: Media{Title: `"x"`}}}
		keep([]message{{topic: "event/playback", payload: marshal(ev)}})
	}
	var jobs []rendering
	var checks []func(string)
	for key, e := range components {
		reads := func(topic, template string, check func(string)) {
			topic = strings.TrimPrefix(topic, "hkw/home/")
			payloads := said[topic]
			if len(payloads) == 0 {
				t.Errorf("%s: nothing was said on %s", key, topic)
			}
			for _, p := range payloads {
				if template == "" {
					check(p)
					continue
				}
				jobs = append(jobs, rendering{Template: template, Payload: &p})
				checks = append(checks, check)
			}
		}
		state, _ := e["state_topic"].(string)
		template, _ := e["value_template"].(string)
		if state != "" {
			reads(state, template, func(text string) { checkState(t, key, e, text) })
		}
		if attributes, ok := e["json_attributes_topic"].(string); ok {
			template, _ := e["json_attributes_template"].(string)
			reads(attributes, template, func(text string) {
				var o map[string]any
				if err := json.Unmarshal([]byte(text), &o); err != nil {
					t.Errorf("%s: attributes %s: %v", key, text, err)
				}
			})
		}
	}
	for i, text := range render(t, jobs) {
		checks[i](text)
	}
}

// checkState holds a state against what the entity's platform takes.
func checkState(t *testing.T, key string, e map[string]any, text string) {
	t.Helper()
	in := func(list string) bool { return slices.Contains(e[list].([]any), any(text)) }
	ok := false
	switch e["platform"] {
	case "siren":
		ok = text == "ON" || text == "OFF"
	case "switch", "binary_sensor":
		ok = text == e["payload_on"] || text == e["payload_off"]
	case "select":
		ok = text == "None" || in("options")
	case "number":
		var n float64
		ok = text == "" || json.Unmarshal([]byte(text), &n) == nil && n >= e["min"].(float64) && n <= e["max"].(float64)
	case "event":
		var o map[string]any
		ok = json.Unmarshal([]byte(text), &o) == nil && slices.Contains(e["event_types"].([]any), o["event_type"])
	case "sensor":
		ok = len([]rune(text)) <= 255
		if e["options"] != nil {
			ok = in("options")
		}
		if e["suggested_display_precision"] != nil {
			var n float64
			ok = text == "None" || json.Unmarshal([]byte(text), &n) == nil
		}
	}
	if !ok {
		t.Errorf("%s: state %q", key, text)
	}
}

// A speaker that goes takes its entities along, by the platform alone, unless it is
// back soon; so does what only an earlier run had, once.
func TestHomeAssistantTakesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bath := announcedHubs[0].speakers[1] // the bench has a kitchen of its own
		b := newAnnouncingBench(t, "home", nil, announcedHubs[0].speakers...)
		before := b.announced()
		tell := func(kind speaker.ReportKind) {
			b.hub.mail.put(speaker.Report{Kind: kind, Speaker: bath})
			b.settle()
		}
		volume := func(b *announcingBench) map[string]any {
			return checkDiscovery(t, b.announced())["speaker_bath-room_2_volume"]
		}
		tell(speaker.ReportSpeakerGone)
		time.Sleep(takeBackAfter - time.Second)
		tell(speaker.ReportSpeaker)
		time.Sleep(takeBackAfter)
		if !bytes.Equal(b.announced(), before) {
			t.Errorf("a speaker that was gone for a moment: %s", b.announced())
		}
		b.said()
		tell(speaker.ReportSpeakerGone)
		time.Sleep(takeBackAfter + time.Second)
		if e := volume(b); len(e) != 1 || e["platform"] != "number" {
			t.Errorf("gone for long: %v", e)
		}
		if !slices.ContainsFunc(b.said(), func(m message) bool { return m.whole && m.topic == "homeassistant/device/hkw_home/config" }) {
			t.Error("nothing was published")
		}
		tell(speaker.ReportSpeaker)
		if !bytes.Equal(b.announced(), before) {
			t.Errorf("back again: %s", b.announced())
		}

		later := newAnnouncingBench(t, "home", nil)
		later.hub.announcer.found(before)
		if e := volume(later); e["command_topic"] == nil {
			t.Errorf("what an earlier run had is not waited for: %v", e)
		}
		time.Sleep(takeBackAfter + time.Second)
		later.hub.announcer.found(before) // it connects again before its own words are there
		if e := volume(later); len(e) != 1 || e["platform"] != "number" {
			t.Errorf("what only an earlier run had: %v", e)
		}
		last := newAnnouncingBench(t, "home", nil)
		last.hub.announcer.found(later.announced())
		time.Sleep(takeBackAfter + time.Second)
		if e := volume(last); e != nil {
			t.Errorf("taken back twice: %v", e)
		}
		last.hub.announcer.found([]byte(`{"origin":{"name":"other"},"components":{"x":{"platform":"sensor","unique_id":"1"}}}`))
		time.Sleep(takeBackAfter + time.Second)
		if e := checkDiscovery(t, last.announced())["x"]; e != nil {
			t.Errorf("a stranger's component was taken: %v", e)
		}
	})
}

// Only topics of the hub's own name are cleared.
func TestHomeAssistantClearsItsOwnOnly(t *testing.T) {
	off := newAnnouncer(HomeAssistant{}, "home", newOutbox("hkw/home/", newFeed("b"), zerolog.Nop()))
	for said, want := range map[string]string{
		"homeassistant":    "homeassistant/device/hkw_home/config",
		"old media_player": "old/device/hkw_home/config homeassistant/media_player/hkw_home/config",
		"homeassistant/#":  "", "": "", " ": "", "+": "", "a//b": "", "homeassistant other": "homeassistant/device/hkw_home/config",
	} {
		if got := strings.Join(off.abandoned([]byte(said)), " "); got != want {
			t.Errorf("%q: clears %q", said, got)
		}
	}
	on := newAnnouncer(HomeAssistant{Prefix: "ha"}, "home", newOutbox("hkw/home/", newFeed("b"), zerolog.Nop()))
	on.set(map[string]haEntity{})
	if got := on.abandoned([]byte("homeassistant")); !slices.Equal(got, []string{"homeassistant/device/hkw_home/config"}) || len(on.abandoned([]byte("ha"))) > 0 {
		t.Errorf("moved: clears %q", got)
	}
}

// silence says everything without a sound that could be heard.
type silence struct{}

func (silence) State(context.Context) (string, error) { return "none", nil }
func (silence) Accepts(speech.Request) error          { return nil }
func (silence) Opener(speech.Request) speaker.Opener {
	m := library.Chimes()
	return m[len(m)-2]
}
