package bridge

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"hkw/session"
)

const examplePackage = "../examples/home-assistant/packages/hkw.yaml"

// housePackage is the package, with the entities of a hub called home beside its own.
type housePackage struct {
	t        *testing.T
	bench    *announcingBench
	entities map[string]map[string]any // by entity id; nil for those of the package
	actions  int
}

// haActions are the actions that the package may use, and the fields of their data
// that Home Assistant 2026.9 requires (true) or knows. Actions of entities need a target.
var haActions = map[string]haKeys{
	"notify.send_message":            {"message": true},
	"siren.turn_on":                  {"tone": false, "duration": false, "volume_level": false},
	"siren.turn_off":                 {},
	"input_boolean.turn_off":         {},
	"mqtt.publish":                   {"topic": true, "payload": false, "qos": false},
	"script.hkw_announce":            {"message": true},
	"persistent_notification.create": {"message": true, "title": false, "notification_id": false},
}

var targeted = []string{"notify", "siren", "input_boolean", "select", "number", "button", "text"}

// Every entity that the package names is there, everything that it publishes is a
// command, and its syntax is today's.
func TestHomeAssistantExample(t *testing.T) {
	text, err := os.ReadFile(examplePackage)
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Buttons  map[string]any `yaml:"input_button"`
		Booleans map[string]any `yaml:"input_boolean"`
		Scripts  map[string]struct {
			Alias, Icon, Mode string
			Fields            map[string]any
			Sequence          []map[string]any
		} `yaml:"script"`
		Automations []struct {
			ID, Alias, Mode               string
			Triggers, Conditions, Actions []map[string]any
		} `yaml:"automation"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true) // the old trigger:, condition:, action: lists are not known
	if err := dec.Decode(&p); err != nil {
		t.Fatal(err)
	}
	x := &housePackage{t: t, bench: newAnnouncingBench(t, "home", nil), entities: map[string]map[string]any{}}
	for _, e := range checkDiscovery(t, x.bench.announced()) {
		x.entities[e["default_entity_id"].(string)] = e
	}
	for name := range p.Buttons {
		x.entities["input_button."+name] = nil
	}
	for name := range p.Booleans {
		x.entities["input_boolean."+name] = nil
	}
	for name, s := range p.Scripts {
		x.entities["script."+name] = nil
		x.check("script "+name, s.Sequence)
	}
	seen := map[string]bool{}
	for _, a := range p.Automations {
		if a.ID == "" || a.Alias == "" || seen[a.ID] || len(a.Triggers) == 0 || len(a.Actions) == 0 {
			t.Errorf("automation %q lacks something, or is there twice", a.ID)
		}
		seen[a.ID] = true
		for _, trigger := range a.Triggers {
			if trigger["trigger"] != "state" {
				t.Errorf("%s: trigger %v", a.ID, trigger)
			}
			x.known(a.ID, trigger["entity_id"])
		}
		for _, c := range a.Conditions {
			if c["condition"] != "template" {
				t.Errorf("%s: condition %v", a.ID, c)
			}
		}
		x.check(a.ID, a.Actions)
	}
	if x.actions < 7 {
		t.Errorf("only %d actions were checked", x.actions)
	}
	// What templates read of the event is in its payload.
	for _, m := range regexp.MustCompile(`attributes\.(\w+)`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(eventPayload, `"`+m[1]+`":`) {
			t.Errorf("the event has no %q", m[1])
		}
	}
}

func (x *housePackage) known(where string, ids any) {
	x.t.Helper()
	list, ok := ids.([]any)
	if !ok {
		list = []any{ids}
	}
	for _, id := range list {
		if _, there := x.entities[fmt.Sprint(id)]; !there {
			x.t.Errorf("%s: there is no entity %v", where, id)
		}
	}
}

func (x *housePackage) check(where string, actions []map[string]any) {
	x.t.Helper()
	for _, a := range actions {
		x.actions++
		name, _ := a["action"].(string)
		keys, known := haActions[name]
		if !known {
			x.t.Errorf("%s: no action %q", where, name)
			continue
		}
		for k := range a {
			if k != "action" && k != "target" && k != "data" && k != "alias" {
				x.t.Errorf("%s: %s has %q", where, name, k)
			}
		}
		data, _ := a["data"].(map[string]any)
		if data == nil {
			data = map[string]any{}
		}
		checkKeys(x.t, where+": "+name, data, keys)
		domain, _, _ := strings.Cut(name, ".")
		if slices.Contains(targeted, domain) {
			target, _ := a["target"].(map[string]any)
			x.known(where, target["entity_id"])
			if id, _ := target["entity_id"].(string); !strings.HasPrefix(id, domain+".") {
				x.t.Errorf("%s: %s of %v", where, name, id)
			}
		}
		if name == "mqtt.publish" {
			x.publish(where, data)
		}
	}
}

// publish carries out what the package publishes.
func (x *housePackage) publish(where string, data map[string]any) {
	x.t.Helper()
	topic, ok := strings.CutPrefix(data["topic"].(string), "hkw/home/")
	payload, _ := data["payload"].(string)
	if !ok || strings.Contains(payload, "{{") {
		x.t.Errorf("%s: publishes %v", where, data)
		return
	}
	r := x.bench.result(x.bench.publish(topic, payload))
	if r.Outcome != session.OutcomeStarted || len(r.Notes) > 0 {
		x.t.Errorf("%s: %s %s: %+v", where, topic, payload, r)
	}
	x.bench.publish("stop", `{"priority":9999}`)
}
