package bridge

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// A hub announces itself to Home Assistant by device-based MQTT discovery: one
// retained payload that lists an entity for each thing that somebody may want to
// touch or see. What the entities send and read are the topics of everyone else;
// homeassistant_entities.go makes them.

// HomeAssistant is how a hub announces itself.
type HomeAssistant struct {
	// Prefix is what the discovery topics begin with, in Home Assistant's own
	// settings "homeassistant". "" announces nothing, and takes back what an
	// earlier run has announced.
	Prefix string
	// MediaPlayer announces a media player too, for the community's integration
	// mqtt_media_player: Home Assistant itself has none for MQTT.
	MediaPlayer bool
	Version     string // of the program
	URL         string // of the page, as others reach it; "" if they don't
}

// announcedTopic remembers where the hub has announced itself, so that a later run
// which announces elsewhere, or not at all, can take that back.
const announcedTopic = "status/home_assistant"

// mediaPlayerWord follows the prefix there if a media player was announced too.
const mediaPlayerWord = "media_player"

// ValidDiscoveryPrefix tells whether discovery topics may begin with s: 1 to 100
// bytes of UTF-8, levels of a topic without wildcards, spaces and control characters,
// of which the first is not the hubs' own: an announcement would be a command there.
func ValidDiscoveryPrefix(s string) bool {
	levels := strings.Split(s, "/")
	return len(s) <= 100 && utf8.ValidString(s) && !strings.ContainsAny(s, "+#$ ") && !strings.ContainsFunc(s, unicode.IsControl) &&
		!slices.Contains(levels, "") && levels[0] != "hkw"
}

// birthTopic is where Home Assistant says that it has come, unless configured
// otherwise; so it does below the discovery prefix, if that was moved with it.
const birthTopic = "homeassistant/status"

// bornPayload is what it says there.
const bornPayload = "online"

// device is the name of the hub in discovery topics and unique ids.
func (h HomeAssistant) device(hub string) string { return "hkw_" + hub }

// uniqueID is that of the entity of a component.
func (h HomeAssistant) uniqueID(hub, key string) string { return h.device(hub) + "_" + key }

func (h HomeAssistant) deviceTopic(hub string) string {
	return h.Prefix + "/device/" + h.device(hub) + "/config"
}

// mediaPlayerTopic is not below the prefix: the integration looks nowhere else.
func (h HomeAssistant) mediaPlayerTopic(hub string) string {
	return "homeassistant/media_player/" + h.device(hub) + "/config"
}

// births are the topics of Home Assistant's birth message.
func (h HomeAssistant) births() []string {
	topics := []string{birthTopic}
	if t := h.Prefix + "/status"; t != birthTopic {
		topics = append(topics, t)
	}
	return topics
}

// The discovery payload of a device. Home Assistant refuses a payload with any
// other key on this level as a whole; within components it ignores what it does
// not know.
type haDiscovery struct {
	Device       haDevice                   `json:"device"`
	Origin       haOrigin                   `json:"origin"`
	Availability string                     `json:"availability_topic"`
	Components   map[string]json.RawMessage `json:"components"`
}

type haDevice struct {
	Identifiers  []string `json:"identifiers"`
	Name         string   `json:"name"`
	Manufacturer string   `json:"manufacturer"`
	Model        string   `json:"model"`
	Version      string   `json:"sw_version,omitempty"`
	URL          string   `json:"configuration_url,omitempty"`
}

type haOrigin struct {
	Name    string `json:"name"`
	Version string `json:"sw_version,omitempty"`
	URL     string `json:"support_url,omitempty"`
}

// haEntity is one component of the device. One that has nothing but its platform
// removes the component.
type haEntity struct {
	Platform           string   `json:"platform"`
	UniqueID           string   `json:"unique_id,omitempty"`
	EntityID           string   `json:"default_entity_id,omitempty"`
	Name               string   `json:"name,omitempty"`
	Icon               string   `json:"icon,omitempty"`
	Category           string   `json:"entity_category,omitempty"`
	Class              string   `json:"device_class,omitempty"`
	CommandTopic       string   `json:"command_topic,omitempty"`
	CommandTemplate    string   `json:"command_template,omitempty"`
	Expiry             int      `json:"message_expiry_interval,omitempty"` // seconds
	StateTopic         string   `json:"state_topic,omitempty"`
	ValueTemplate      string   `json:"value_template,omitempty"`
	AttributesTopic    string   `json:"json_attributes_topic,omitempty"`
	AttributesTemplate string   `json:"json_attributes_template,omitempty"`
	Options            []string `json:"options,omitempty"`
	Tones              []string `json:"available_tones,omitempty"`
	EventTypes         []string `json:"event_types,omitempty"`
	Min                *int     `json:"min,omitempty"`
	Max                *int     `json:"max,omitempty"`
	Step               int      `json:"step,omitempty"`
	Mode               string   `json:"mode,omitempty"`
	Precision          *int     `json:"suggested_display_precision,omitempty"`
	PayloadOn          string   `json:"payload_on,omitempty"`
	PayloadOff         string   `json:"payload_off,omitempty"`
	PayloadPress       string   `json:"payload_press,omitempty"`
}

// announcer keeps what the hub has announced. The loop tells it what there is, the
// connection what the broker still has of earlier runs.
type announcer struct {
	cfg HomeAssistant
	hub string
	out *outbox

	mu       sync.Mutex
	entities map[string]json.RawMessage // nil until the loop has told
	leaving  map[string]leaving
	gone     map[string]string // components that were announced once: their platforms
	timer    *time.Timer
	greeting *time.Timer // until the announcement is made again
	closed   bool
}

// leaving is a component that is no longer there, and when it is taken back.
type leaving struct {
	component json.RawMessage
	until     time.Time
}

// takeBackAfter is how long what has vanished stays announced: Home Assistant
// forgets what somebody has made of an entity when it is taken back, and a sound
// server that restarts, or a hub, has all its speakers again soon.
const takeBackAfter = time.Minute

// Bounds of what waits for that, or has been taken back: an announcement must not
// grow without end, and what the broker has of earlier runs anybody may have put there.
const (
	maxLeaving     = 128
	maxLeavingSize = 1 << 10 // bytes of a component; a larger one is taken back at once
)

func newAnnouncer(cfg HomeAssistant, hub string, out *outbox) *announcer {
	a := &announcer{cfg: cfg, hub: hub, out: out, leaving: map[string]leaving{}, gone: map[string]string{}}
	if cfg.Prefix == "" {
		return a
	}
	said := cfg.Prefix
	if cfg.serves() {
		said += " " + mediaPlayerWord
		out.announce(cfg.mediaPlayerTopic(hub), marshal(mediaPlayerDiscovery(hub)))
	}
	out.retain(announcedTopic, []byte(said))
	return a
}

// set announces the hub with these entities. Those that it had before and has no
// more are taken back in a while.
func (a *announcer) set(entities map[string]haEntity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.entities
	a.entities = map[string]json.RawMessage{}
	for key, e := range entities {
		a.entities[key] = marshal(e)
		delete(a.leaving, key)
		delete(a.gone, key)
	}
	a.leave(before)
	a.write()
}

// leave begins to take back those of the components that are not there.
func (a *announcer) leave(components map[string]json.RawMessage) {
	for key, c := range components {
		switch _, there := a.entities[key]; {
		case there || len(a.leaving)+len(a.gone) >= maxLeaving:
		case len(c) > maxLeavingSize:
			a.takenBack(key, c)
		default:
			a.leaving[key] = leaving{c, time.Now().Add(takeBackAfter)}
		}
	}
	if len(a.leaving) > 0 && a.timer == nil && !a.closed {
		a.timer = time.AfterFunc(takeBackAfter, a.takeBack)
	}
}

// takeBack takes back what has been gone for long enough.
func (a *announcer) takeBack() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	var next time.Time
	for key, l := range a.leaving {
		if time.Now().Before(l.until) {
			if next.IsZero() || l.until.Before(next) {
				next = l.until
			}
			continue
		}
		delete(a.leaving, key)
		a.takenBack(key, l.component)
	}
	if a.timer = nil; !next.IsZero() {
		a.timer = time.AfterFunc(time.Until(next), a.takeBack)
	}
	a.write()
}

// takenBack notes that a component is announced as gone from now on.
func (a *announcer) takenBack(key string, component json.RawMessage) {
	var e haEntity
	_ = json.Unmarshal(component, &e) // it was one before
	a.gone[key] = e.Platform
}

// close ends what would be taken back later.
func (a *announcer) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, t := range []*time.Timer{a.timer, a.greeting} {
		if t != nil {
			t.Stop()
		}
	}
}

// bornPause is how often at most the announcement is made again: it is long, and
// whoever may publish can say that Home Assistant has come.
const bornPause = time.Second

// born announces everything once more: Home Assistant says that it has come.
func (a *announcer) born() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.greeting != nil || a.closed {
		return
	}
	a.greeting = time.AfterFunc(bornPause, func() {
		a.mu.Lock()
		a.greeting = nil
		a.mu.Unlock()
		a.out.announceAgain()
	})
}

// found tells what an earlier run has announced on the hub's own topic. Where that
// is not there in a while, it is taken back, once.
func (a *announcer) found(payload []byte) {
	var old haDiscovery
	if json.Unmarshal(payload, &old) != nil || old.Origin.Name != originName {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, c := range old.Components {
		var e haEntity
		_, leaves := a.leaving[key]
		if json.Unmarshal(c, &e) != nil || !a.made(key, e) || leaves || a.gone[key] != "" {
			delete(old.Components, key) // it is taken back already, or about to be
		}
	}
	a.leave(old.Components)
	a.write()
}

// maxKey is how many bytes the key of a component has at most: there is a speaker's
// id in it.
const maxKey = 100

// made tells whether a component looks like one that a run of this hub has made.
func (a *announcer) made(key string, e haEntity) bool {
	return e.UniqueID == a.cfg.uniqueID(a.hub, key) && len(key) <= maxKey &&
		e.Platform != "" && len(e.Platform) <= 32 && strings.Trim(e.Platform, "abcdefghijklmnopqrstuvwxyz_") == ""
}

func (a *announcer) write() {
	if a.entities == nil {
		return
	}
	d := haDiscovery{
		Device: haDevice{Identifiers: []string{a.cfg.device(a.hub)}, Name: "hkw " + a.hub, Manufacturer: originName,
			Model: "Sound hub", Version: a.cfg.Version, URL: a.cfg.URL},
		Origin:       haOrigin{Name: originName, Version: a.cfg.Version},
		Availability: a.out.prefix + availabilityTopic,
		Components:   map[string]json.RawMessage{},
	}
	if a.cfg.URL != "" {
		d.Origin.URL = strings.TrimSuffix(a.cfg.URL, "/") + "/docs"
	}
	for key, platform := range a.gone {
		d.Components[key] = marshal(haEntity{Platform: platform})
	}
	for key, l := range a.leaving {
		d.Components[key] = l.component
	}
	maps.Copy(d.Components, a.entities)
	a.out.announce(a.cfg.deviceTopic(a.hub), marshal(d))
}

// originName names the program in what it announces, so that it knows its own.
const originName = "hkw"

// abandoned are the topics on which an earlier run has announced this hub and which
// this one does not use; said is what that run has left on announcedTopic.
func (a *announcer) abandoned(said []byte) (topics []string) {
	prefix, also, _ := strings.Cut(string(said), " ")
	if !ValidDiscoveryPrefix(prefix) {
		return nil
	}
	old := HomeAssistant{Prefix: prefix}
	topics = append(topics, old.deviceTopic(a.hub))
	if also == mediaPlayerWord {
		topics = append(topics, old.mediaPlayerTopic(a.hub))
	}
	return slices.DeleteFunc(topics, a.out.announces)
}

// announce tells Home Assistant what the hub has now.
func (h *Hub) announce() {
	if h.cfg.HomeAssistant.Prefix == "" {
		return
	}
	h.announcer.set(h.entities())
}

// slug is text as it may stand in an entity id.
func slug(s string) string {
	words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return strings.Join(words, "_")
}
