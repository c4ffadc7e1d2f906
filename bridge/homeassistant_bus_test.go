package bridge

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"hkw/session"
)

// homeAssistant plays Home Assistant's part on a bus: what it would hear below its prefix.
type homeAssistant struct {
	t      testing.TB
	client mqtt.Client
	heard  chan busMessage
}

func newHomeAssistant(t testing.TB, url string) *homeAssistant {
	t.Helper()
	ha := &homeAssistant{t: t, client: dial(t, url), heard: make(chan busMessage, 10000)}
	var once sync.Once
	tok := ha.client.Subscribe("homeassistant/#", 0, func(_ mqtt.Client, m mqtt.Message) {
		select {
		case ha.heard <- busMessage{m.Topic(), m.Payload(), m.Retained(), time.Now()}:
		default:
			once.Do(func() { t.Error("too much to hear") })
		}
	})
	if !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	return ha
}

// config waits for the next announcement of the hub, empty if it is taken back.
func (ha *homeAssistant) config(what string) busMessage {
	ha.t.Helper()
	return until(ha.t, ha.heard, what, func(m busMessage) bool { return m.topic == "homeassistant/device/hkw_home/config" })
}

func (ha *homeAssistant) publish(topic, payload string) {
	ha.t.Helper()
	if tok := ha.client.Publish(topic, 0, false, payload); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		ha.t.Fatal(tok.Error())
	}
}

func announcing(prefix string) furnish {
	return func(c *Config) {
		c.HomeAssistant = HomeAssistant{Prefix: prefix, Version: "1.2.3"}
		c.Speech = silence{}
		c.Presets = map[string]Preset{"dinner": {Media: "gong", OnBusy: session.Announce}}
	}
}

func TestHomeAssistantOnTheEmbeddedBroker(t *testing.T) {
	testHomeAssistant(t, newHouse(t, announcing("homeassistant")))
}

func TestHomeAssistantOnMosquitto(t *testing.T) {
	testHomeAssistant(t, newHouseOn(t, "tcp://"+startMosquitto(t).addr, announcing("homeassistant")))
}

// Home Assistant comes after the hub, finds it, restarts, and commands it as its
// entities do; each shows what came of it.
func testHomeAssistant(t *testing.T, h *house) {
	ha := newHomeAssistant(t, h.url)
	found := ha.config("the hub is found")
	for !strings.Contains(string(found.payload), `"speaker_kitchen"`) { // as it was before its speaker was there
		found = ha.config("the whole hub is found")
	}
	if !found.retained { // heard as it was said; who comes now finds it as well
		ha = newHomeAssistant(t, h.url)
		found = ha.config("the hub stands retained")
	}
	if !found.retained {
		t.Error("the announcement is not retained")
	}
	components := checkDiscovery(t, found.payload)
	ha.publish("homeassistant/status", "offline")
	ha.publish("homeassistant/status", "online")
	if again := ha.config("the hub announces itself again"); again.retained || string(again.payload) != string(found.payload) {
		t.Errorf("announced again: retained %v, %s", again.retained, again.payload)
	}

	for _, c := range []struct {
		key   string
		value any    // what a person gives
		shown string // below hkw/home/: where the entity sees it
		want  string // in the payload there
	}{
		{"volume", "17", "status/volume", "17"},
		{"speaker_kitchen_volume", "21", "status/speaker/kitchen", `"volume":21`},
		{"mute", "on", "status/mute", "on"},
		{"mute", "off", "status/mute", "off"},
		{"speaker_kitchen_mute", "on", "status/speaker/kitchen", `"muted":true`},
		{"speaker_kitchen_mute", "off", "status/speaker/kitchen", `"muted":false`},
		{"quiet", "on", "status/quiet", "on"},
		{"quiet", "off", "status/quiet", "off"},
		{"quiet_auto", "auto", "status", `"mode":"auto"`},
		{"siren", `{"state":"ON","tone":"dinner","duration":30,"volume_level":0.1}`, "status/siren", "ON"},
		{"siren", `{"state":"OFF"}`, "status/siren", "OFF"},
		{"chime", "gong", "event/playback", `"event":"started"`},
		{"stop", "PRESS", "status/player_state", "PlayerStateStopped"},
		{"preset", "dinner", "status", `"preset":"dinner"`},
		{"stop", "PRESS", "event/playback", `"event":"stopped"`},
		{"play", "westminster", "status/player_state", "PlayerStatePlaying"},
		{"pause", "PRESS", "status/player_state", "PlayerStatePaused"},
		{"resume", "PRESS", "status/player_state", "PlayerStatePlaying"},
		{"say", `It is "late"`, "event/playback", `It is \"late\"`},
		{"play", "no such thing", "status/result", `"error":"MediaNotFound"`},
	} {
		e := components[c.key]
		payload, _ := c.value.(string)
		if template, ok := e["command_template"].(string); ok {
			payload = render(t, []rendering{{Template: template, Value: c.value}})[0]
		}
		shown := h.listen(c.shown)
		ha.publish(e["command_topic"].(string), payload)
		until(t, shown, c.key+" "+payload+" shows on "+c.shown, func(m busMessage) bool { return strings.Contains(string(m.payload), c.want) })
		if tok := h.client.Unsubscribe("hkw/home/" + c.shown); !tok.WaitTimeout(10 * time.Second) {
			t.Fatal("no answer")
		}
	}
}

// Switched off, or moved, the hub takes back what an earlier run has announced.
func TestHomeAssistantIsTakenBack(t *testing.T) {
	broker := startMosquitto(t)
	url := "tcp://" + broker.addr
	first := newHouseOn(t, url, announcing("homeassistant"), func(c *Config) { c.HomeAssistant.MediaPlayer = true })
	ha := newHomeAssistant(t, url)
	ha.config("the hub is found")
	stranger := `{"origin":{"name":"hkw"},"device":{},"components":{}}`
	if tok := ha.client.Publish("homeassistant/device/hkw_attic/config", 1, true, stranger); !tok.WaitTimeout(10 * time.Second) {
		t.Fatal("no answer")
	}
	leave(t, first)

	second := newHouseOn(t, url, announcing("moved"))
	if m := ha.config("the old prefix is given up"); len(m.payload) != 0 {
		t.Errorf("announced there: %s", m.payload)
	}
	until(t, ha.heard, "the media player is given up", func(m busMessage) bool {
		return m.topic == "homeassistant/media_player/hkw_home/config" && len(m.payload) == 0
	})
	if got := retainedOn(t, ha, "moved/device/hkw_home/config"); len(got) == 0 {
		t.Error("nothing is announced below the new prefix")
	}
	leave(t, second)

	third := newHouseOn(t, url, announcing(""))
	third.must("ping", "", session.OutcomeDone)
	for _, topic := range []string{"moved/device/hkw_home/config", "hkw/home/status/home_assistant", "homeassistant/device/hkw_home/config"} {
		if got := retainedOn(t, ha, topic); len(got) != 0 {
			t.Errorf("%s still has %s", topic, got)
		}
	}
	if got := retainedOn(t, ha, "homeassistant/device/hkw_attic/config"); string(got) != stranger {
		t.Errorf("another hub's announcement is %q", got)
	}
}

// leave lets a hub go; its cleanup finds it gone.
func leave(t *testing.T, h *house) {
	t.Helper()
	h.leave()
	if err := <-h.left; err != nil {
		t.Error(err)
	}
	h.left <- nil
}

// retainedOn is what stands on a topic: what arrives before an echo that is sent after it.
func retainedOn(t *testing.T, ha *homeAssistant, topic string) (payload []byte) {
	t.Helper()
	got := make(chan mqtt.Message, 100)
	echo := "echo/" + randomText(8)
	c := dial(t, ha.url())
	hear := func(_ mqtt.Client, m mqtt.Message) { got <- m }
	if tok := c.SubscribeMultiple(map[string]byte{topic: 1, echo: 1}, hear); !tok.WaitTimeout(10 * time.Second) {
		t.Fatal("no answer")
	}
	c.Publish(echo, 1, false, "x")
	for {
		select {
		case m := <-got:
			if m.Topic() == echo {
				return payload
			}
			payload = m.Payload()
		case <-time.After(10 * time.Second):
			t.Fatal("no echo")
		}
	}
}

func (ha *homeAssistant) url() string {
	r := ha.client.OptionsReader()
	return r.Servers()[0].String()
}

// A broker that lets the hub neither announce itself nor hear Home Assistant costs
// it nothing else.
func TestHomeAssistantRefused(t *testing.T) {
	h := newHouse(t, announcing("$SYS/refused")) // no client may write there
	r := h.must("ping", "", session.OutcomeDone)
	var s Status
	m := until(t, h.listen("status"), "status", func(busMessage) bool { return true })
	if json.Unmarshal(m.payload, &s) != nil || s.Boot != r.Boot {
		t.Errorf("status %s", m.payload)
	}
	h.must("volume", `"volume":3`, session.OutcomeDone)
}
