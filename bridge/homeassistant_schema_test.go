package bridge

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hkw/speaker"
)

// What Home Assistant takes in a discovery payload. Written down in November 2026
// from home-assistant/core, homeassistant/components/mqtt: schemas.py, discovery.py
// and the file of each platform, as they were in September 2026 (release 2026.9;
// message_expiry_interval came with 2026.6, pull request 171143, default_entity_id
// took object_id's place in 2025.10), and from the pages integrations/mqtt and
// integrations/<platform>.mqtt of its documentation.
//
// On the level of the device any other key lets Home Assistant refuse the payload as
// a whole (DEVICE_DISCOVERY_SCHEMA); in components it would only ignore it.

// haKeys are the keys of an object: true for those that are required.
type haKeys map[string]bool

var haRoot = haKeys{"device": true, "origin": true, "components": true, "availability_topic": false}

var haDeviceKeys = haKeys{"identifiers": true, "connections": false, "manufacturer": false, "model": false, "model_id": false, "name": false,
	"hw_version": false, "serial_number": false, "sw_version": false, "via_device": false, "suggested_area": false, "configuration_url": false}

var haOriginKeys = haKeys{"name": true, "sw_version": false, "support_url": false}

// haCommon are MQTT_ENTITY_COMMON_SCHEMA and MQTT_BASE_SCHEMA; unique_id is required
// by check_unique_id.
var haCommon = haKeys{"platform": true, "unique_id": true, "name": false, "icon": false, "entity_category": false, "entity_picture": false,
	"enabled_by_default": false, "visible_by_default": false, "default_entity_id": false, "json_attributes_topic": false,
	"json_attributes_template": false, "message_expiry_interval": false, "availability_topic": false, "availability": false,
	"availability_mode": false, "qos": false, "encoding": false}

// haPlatforms are the keys that each platform adds. MQTT_RO_SCHEMA requires
// state_topic, MQTT_RW_SCHEMA command_topic.
var haPlatforms = map[string]haKeys{
	"notify": {"command_topic": true, "command_template": false, "retain": false},
	"siren": {"command_topic": true, "command_template": false, "command_off_template": false, "state_topic": false, "state_value_template": false,
		"available_tones": false, "payload_on": false, "payload_off": false, "state_on": false, "state_off": false, "support_duration": false,
		"support_volume_set": false, "optimistic": false, "retain": false},
	"text": {"command_topic": true, "command_template": false, "state_topic": false, "value_template": false, "min": false, "max": false,
		"mode": false, "pattern": false, "optimistic": false, "retain": false},
	"select": {"command_topic": true, "command_template": false, "state_topic": false, "value_template": false, "options": true,
		"optimistic": false, "retain": false},
	"number": {"command_topic": true, "command_template": false, "state_topic": false, "value_template": false, "min": false, "max": false,
		"step": false, "mode": false, "device_class": false, "unit_of_measurement": false, "payload_reset": false, "optimistic": false, "retain": false},
	"button": {"command_topic": true, "command_template": false, "device_class": false, "payload_press": false, "retain": false},
	"switch": {"command_topic": true, "command_template": false, "state_topic": false, "value_template": false, "payload_on": false,
		"payload_off": false, "state_on": false, "state_off": false, "device_class": false, "optimistic": false, "retain": false},
	"sensor": {"state_topic": true, "value_template": false, "device_class": false, "options": false, "expire_after": false, "force_update": false,
		"last_reset_value_template": false, "state_class": false, "suggested_display_precision": false, "unit_of_measurement": false},
	"binary_sensor": {"state_topic": true, "value_template": false, "device_class": false, "payload_on": false, "payload_off": false,
		"off_delay": false, "expire_after": false, "force_update": false},
	"event": {"state_topic": true, "value_template": false, "event_types": true, "device_class": false},
}

// haClasses are the device classes that are used here, of those that a platform knows.
var haClasses = map[string][]string{"sensor": {"enum"}, "binary_sensor": {"running", "connectivity"}}

// haEntityID is VALID_ENTITY_ID of homeassistant/core.py, without its look-arounds:
// no double underscore, none at an end.
var haEntityID = regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*\.[a-z0-9]+(_[a-z0-9]+)*$`)

// checkDiscovery holds a payload against the tables.
func checkDiscovery(t *testing.T, payload []byte) map[string]map[string]any {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(payload, &root); err != nil {
		t.Fatal(err)
	}
	if len(payload) > 192<<10 {
		t.Errorf("%d bytes are too many for some brokers", len(payload))
	}
	checkKeys(t, "the device", root, haRoot)
	checkKeys(t, "device", root["device"], haDeviceKeys)
	checkKeys(t, "origin", root["origin"], haOriginKeys)
	components := map[string]map[string]any{}
	ids, entities := map[any]string{}, map[any]string{}
	for key, c := range root["components"].(map[string]any) {
		e := c.(map[string]any)
		components[key] = e
		platform, _ := e["platform"].(string)
		keys := maps.Clone(haCommon)
		maps.Copy(keys, haPlatforms[platform])
		if haPlatforms[platform] == nil {
			t.Errorf("%s: no platform %q", key, platform)
			continue
		}
		if len(e) == 1 { // taken back
			continue
		}
		checkKeys(t, key, e, keys)
		checkValues(t, key, platform, e)
		for what, seen := range map[string]map[any]string{"unique_id": ids, "default_entity_id": entities} {
			if other := seen[e[what]]; other != "" {
				t.Errorf("%s and %s have the same %s", key, other, what)
			}
			seen[e[what]] = key
		}
	}
	return components
}

func checkKeys(t *testing.T, what string, object any, keys haKeys) {
	t.Helper()
	o, ok := object.(map[string]any)
	if !ok {
		t.Errorf("%s is no object: %v", what, object)
		return
	}
	for key, value := range o {
		if _, known := keys[key]; !known {
			t.Errorf("%s: unknown key %q", what, key)
		}
		if value == nil || value == "" {
			t.Errorf("%s: %q is empty", what, key)
		}
	}
	for key, required := range keys {
		if _, has := o[key]; required && !has {
			t.Errorf("%s: %q is missing", what, key)
		}
	}
}

// checkValues checks what the schemas say beyond the keys.
func checkValues(t *testing.T, key, platform string, e map[string]any) {
	t.Helper()
	bad := func(format string, args ...any) { t.Errorf("%s: %s", key, fmt.Sprintf(format, args...)) }
	for k, v := range e {
		switch {
		case strings.HasSuffix(k, "_topic"), strings.HasSuffix(k, "_template"), k == "name", k == "unique_id":
			if _, ok := v.(string); !ok {
				bad("%q is no text", k)
			}
		case k == "icon":
			if s, _ := v.(string); !regexp.MustCompile(`^mdi:[a-z][a-z0-9-]+$`).MatchString(s) {
				bad("icon %v", v)
			}
		case k == "entity_category":
			if v != "diagnostic" && (v != "config" || e["command_topic"] == nil) {
				bad("entity_category %v", v)
			}
		case k == "device_class":
			if !slices.Contains(haClasses[platform], v.(string)) {
				bad("device_class %v", v)
			}
		case k == "options", k == "available_tones", k == "event_types":
			list, _ := v.([]any)
			seen := map[any]bool{}
			for _, o := range list {
				if s, ok := o.(string); !ok || s == "" || len(s) > maxChoiceBytes || seen[o] || strings.EqualFold(s, "none") && platform == "select" {
					bad("%s has %v", k, o)
				}
				seen[o] = true
			}
			if len(list) == 0 {
				bad("%s is empty", k)
			}
		case k == "message_expiry_interval":
			if n, ok := v.(float64); !ok || n < 1 || e["command_topic"] == nil {
				bad("message_expiry_interval %v", v)
			}
		}
	}
	if id, _ := e["default_entity_id"].(string); !haEntityID.MatchString(id) || !strings.HasPrefix(id, platform+".") {
		bad("default_entity_id %q", id)
	}
	if e["command_topic"] != nil && e["message_expiry_interval"] == nil {
		bad("its commands do not expire")
	}
	switch platform {
	case "number", "text": // valid_text_size_configuration, validate_config
		low, high := e["min"].(float64), e["max"].(float64)
		if low >= high || platform == "text" && high > 255 {
			bad("min %v max %v", low, high)
		}
		if modes := map[string][]string{"number": {"auto", "box", "slider"}, "text": {"text", "password"}}[platform]; !slices.Contains(modes, e["mode"].(string)) {
			bad("mode %v", e["mode"])
		}
	case "sensor": // validate_sensor_state_and_device_class_config
		if (e["options"] != nil) != (e["device_class"] == "enum") {
			bad("options are for enum sensors, and enum sensors have options")
		}
	}
}

// Everything that a hub may announce is what Home Assistant takes, and each topic
// in it is one that the hub serves.
func TestHomeAssistantPayload(t *testing.T) {
	for _, c := range announcedHubs {
		b := newAnnouncingBench(t, c.hub, c.presets, c.speakers...)
		components := checkDiscovery(t, b.announced())
		prefix := "hkw/" + c.hub + "/"
		for key, e := range components {
			for k, v := range e {
				if !strings.HasSuffix(k, "_topic") {
					continue
				}
				topic, own := strings.CutPrefix(v.(string), prefix)
				if !own {
					t.Errorf("%s: %s is not the hub's: %v", key, k, v)
				}
				if k == "command_topic" {
					if route, _ := findRoute(topic); route == nil {
						t.Errorf("%s: there is no command %q", key, topic)
					}
				} else if topic != "event/playback" && !retainedTopic(topic) {
					t.Errorf("%s: nothing is retained on %q", key, topic)
				}
			}
		}
		var player map[string]any
		if err := json.Unmarshal(b.hub.out.outside["homeassistant/media_player/hkw_"+c.hub+"/config"], &player); err != nil {
			t.Fatal(err)
		}
		for k, v := range player {
			topic, _ := v.(string)
			topic = strings.TrimPrefix(topic, prefix)
			if strings.HasPrefix(k, "command_") && strings.HasSuffix(k, "_topic") && !served(topic) || strings.HasPrefix(k, "state_") && !retainedTopic(topic) {
				t.Errorf("media player: %s %v", k, v)
			}
		}
		for _, platform := range []string{"notify", "siren", "text", "select", "number", "button", "switch", "sensor", "binary_sensor", "event"} {
			if !slices.ContainsFunc(slices.Collect(maps.Values(components)), func(e map[string]any) bool { return e["platform"] == platform }) {
				t.Errorf("hub %s has no %s", c.hub, platform)
			}
		}
	}
}

// served tells whether there is a command on a topic.
func served(topic string) bool {
	route, _ := findRoute(topic)
	return route != nil
}

func retainedTopic(topic string) bool {
	return slices.ContainsFunc(Retained, func(r RetainedTopic) bool {
		return regexp.MustCompile("^" + regexp.MustCompile(`<\w+>`).ReplaceAllString(r.Topic, `[A-Za-z0-9_-]+`) + "$").MatchString(topic)
	})
}

// announcedHubs are hubs of all kinds.
var announcedHubs = []struct {
	hub      string
	presets  map[string]Preset
	speakers []speaker.SpeakerInfo
}{
	{"home", map[string]Preset{"dinner": {Media: "ding"}, "alarm": {Media: "alert", Priority: of(500)}, `a "quoted" \ name`: {Media: "song"}},
		[]speaker.SpeakerInfo{{ID: "kitchen", Name: "Kitchen", Driver: "null", Available: true}, {ID: "bath-room_2", Driver: "null"}}},
	{"Attic--_-", nil, nil},
	{"-", manyPresets(1000), manySpeakers(200)},
}

func manyPresets(n int) map[string]Preset {
	all := map[string]Preset{strings.Repeat("x", 300): {Media: "song"}, strings.Repeat("é", 127): {Media: "song"}}
	for i := range n {
		all[fmt.Sprintf("preset %d %s", i, strings.Repeat("~", 200))] = Preset{Media: "song"}
	}
	return all
}

func manySpeakers(n int) (all []speaker.SpeakerInfo) {
	for i := range n {
		all = append(all, speaker.SpeakerInfo{ID: fmt.Sprintf("s%d-%s", i, strings.Repeat("y", 50)), Name: strings.Repeat("N", 100), Driver: "null"})
	}
	return all
}

// topics.md names each entity that a hub may have, and no other.
func TestHomeAssistantEntitiesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile(topicsFile)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "\n## Home Assistant\n")
	section, _, _ = strings.Cut(section, "\n## ")
	named := map[string]bool{}
	for _, row := range strings.Split(section, "\n") {
		cells := strings.Split(row, "|")
		if len(cells) != 4 || !strings.Contains(cells[1], ".hkw_<hub>_") {
			continue
		}
		platform, _, _ := strings.Cut(strings.Trim(cells[1], " `"), ".")
		for _, m := range regexp.MustCompile("`(?:[a-z_]+\\.hkw_<hub>|…)_([a-z_<>]+)`").FindAllStringSubmatch(cells[1], -1) {
			named[platform+"."+m[1]] = true
		}
	}
	b := newAnnouncingBench(t, "home", map[string]Preset{"x": {Media: "song"}})
	for _, e := range checkDiscovery(t, b.announced()) {
		id := strings.Replace(e["default_entity_id"].(string), "hkw_home_", "", 1)
		id = strings.Replace(id, "kitchen", "<speaker>", 1)
		if !named[id] {
			t.Errorf("topics.md does not name %s", id)
		}
		delete(named, id)
	}
	for id := range named {
		t.Errorf("topics.md names %s, which is not there", id)
	}
}
