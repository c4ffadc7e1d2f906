package bridge

import (
	"cmp"
	"maps"
	"slices"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
)

// Bounds of what is announced. A payload must pass brokers that take no more than
// 256 KiB, and a list must stay one that a person looks through.
const (
	maxChoices       = 100 // presets, and tones, that are offered
	maxChoiceBytes   = 255 // of one; the longest state that Home Assistant keeps
	maxEntitySpeaker = 32  // speakers that get entities of their own
	maxEntityName    = 100 // bytes of the name that a speaker has there
)

// commandExpiry is how old, in seconds, a command of Home Assistant may get at the
// broker. It is heeded from Home Assistant 2026.6 on, over MQTT 5.
const commandExpiry = 10

// Templates are kept so simple that they say nothing that Home Assistant would warn
// of, whatever the payload lacks.
const (
	eventPayload = `{"event_type": {{ value_json.event | to_json }}, ` +
		`"title": {{ value_json.media.title | to_json }}, "kind": {{ value_json.media.kind | to_json }}, ` +
		`"priority": {{ value_json.priority }}, "playback": {{ value_json.playback | to_json }}, ` +
		`"id": {{ value_json.id | default('') | to_json }}, "reason": {{ value_json.reason | default('') | to_json }}, ` +
		`"error": {{ value_json.error | default('') | to_json }}}`
	holderPayload = `{"priority": {{ value_json.priority | to_json }}, ` +
		`"kind": {{ value_json.playing.media.kind | to_json if value_json.playing else 'null' }}, ` +
		`"playback": {{ value_json.playing.playback | to_json if value_json.playing else 'null' }}, ` +
		`"session": {{ value_json.playing.session_ref | to_json if value_json.playing else 'null' }}, ` +
		`"waiting": {{ value_json.queue | length }}, "paused": {{ value_json.paused | length }}}`
)

// entities are those of the hub as it is now, by the key of their component.
func (h *Hub) entities() map[string]haEntity {
	all := map[string]haEntity{}
	add := func(key, platform, name, icon string, e haEntity) {
		e.Platform, e.Name, e.Icon = platform, name, "mdi:"+icon
		e.UniqueID = h.cfg.HomeAssistant.uniqueID(h.cfg.Hub, key)
		if e.EntityID == "" {
			e.EntityID = key
		}
		e.EntityID = platform + "." + slug("hkw "+h.cfg.Hub+" "+e.EntityID)
		for _, topic := range []*string{&e.CommandTopic, &e.StateTopic, &e.AttributesTopic} {
			if *topic != "" {
				*topic = h.out.prefix + *topic
			}
		}
		if e.CommandTopic != "" {
			e.Expiry = commandExpiry
		}
		all[key] = e
	}
	h.addControls(add)
	h.addStates(add)
	speakers := slices.SortedFunc(maps.Values(h.speakers), func(a, b speaker.SpeakerInfo) int { return cmp.Compare(a.ID, b.ID) })
	for _, sp := range speakers[:min(len(speakers), maxEntitySpeaker)] {
		h.addSpeaker(add, sp.ID, shorten(cmp.Or(sp.Name, sp.ID), maxEntityName))
	}
	return all
}

type addEntity func(key, platform, name, icon string, e haEntity)

// addControls adds what can be touched.
func (h *Hub) addControls(add addEntity) {
	presets, chimes := h.choices()
	tones := slices.Clone(presets)
	for _, c := range chimes {
		if !slices.Contains(tones, c) {
			tones = append(tones, c)
		}
	}
	add("say", "notify", "Say", "bullhorn", haEntity{CommandTopic: "say", CommandTemplate: `{"say": {{ value | to_json }}}`})
	add("siren", "siren", "Siren", "alarm-light", haEntity{CommandTopic: "siren", StateTopic: "status/siren",
		Tones: tones})
	add("play", "text", "Play", "play-circle", haEntity{CommandTopic: "play", CommandTemplate: `{"media": {{ value | to_json }}}`,
		Min: of(1), Max: of(255), Mode: "text"})
	if len(presets) > 0 {
		add("preset", "select", "Preset", "playlist-music", haEntity{CommandTopic: "play", CommandTemplate: `{"media": {{ value | to_json }}}`,
			StateTopic: "status", ValueTemplate: "{{ value_json.playing.preset | default('None') if value_json.playing else 'None' }}", Options: presets})
	}
	if len(chimes) > 0 {
		add("chime", "select", "Chime", "bell-ring", haEntity{CommandTopic: "play",
			CommandTemplate: `{"media": {{ value | to_json }}, "on_busy": "announce"}`, StateTopic: "status",
			ValueTemplate: "{{ value_json.playing.media.id if value_json.playing and value_json.playing.media.kind == 'chime' else 'None' }}", Options: chimes})
	}
	add("volume", "number", "Volume", "volume-high", haEntity{CommandTopic: "volume", StateTopic: "status/volume",
		Min: of(0), Max: of(session.MaxVolume), Step: 1, Mode: "slider"})
	add("mute", "switch", "Mute", "volume-off", haEntity{CommandTopic: "mute", StateTopic: "status/mute", PayloadOn: "on", PayloadOff: "off"})
	add("quiet", "switch", "Quiet hours", "weather-night", haEntity{CommandTopic: "quiet", StateTopic: "status/quiet", PayloadOn: "on", PayloadOff: "off"})
	add("quiet_auto", "button", "Quiet hours by the clock", "clock-outline", haEntity{CommandTopic: "quiet", PayloadPress: "auto"})
	add("stop", "button", "Stop", "stop", haEntity{CommandTopic: "stop", PayloadPress: "PRESS"})
	add("pause", "button", "Pause", "pause", haEntity{CommandTopic: "pause", PayloadPress: "PRESS"})
	add("resume", "button", "Resume", "play", haEntity{CommandTopic: "resume", PayloadPress: "PRESS"})
}

// addStates adds what can be looked at.
func (h *Hub) addStates(add addEntity) {
	var states []string
	for _, s := range slices.Sorted(maps.Values(playerStates)) {
		if !slices.Contains(states, s) {
			states = append(states, s)
		}
	}
	outcomes := []string{string(session.OutcomeStarted), string(session.OutcomeQueued), string(session.OutcomeDone),
		string(session.OutcomeRejected), string(session.OutcomeFailed)}
	codes := []string{"none"}
	for _, c := range Codes {
		codes = append(codes, string(c.Code))
	}
	var events []string
	for _, k := range session.EventKinds() {
		events = append(events, string(k))
	}
	add("player", "sensor", "Player", "speaker", haEntity{StateTopic: "status/player_state", Class: "enum", Options: states,
		ValueTemplate: "{{ {" + stateTable() + "}[value] }}"})
	add("title", "sensor", "Title", "music-note", haEntity{StateTopic: "status/title", ValueTemplate: "{{ value[:255] }}"})
	add("held_by", "sensor", "Held by", "account-music", haEntity{StateTopic: "status",
		ValueTemplate:   "{{ value_json.playing.media.title[:255] if value_json.playing else 'nobody' }}",
		AttributesTopic: "status", AttributesTemplate: holderPayload})
	add("priority", "sensor", "Priority", "priority-high", haEntity{StateTopic: "status", ValueTemplate: "{{ value_json.priority }}", Precision: of(0)})
	add("result", "sensor", "Last result", "clipboard-check", haEntity{StateTopic: "status/result", ValueTemplate: "{{ value_json.outcome }}",
		Class: "enum", Options: outcomes, AttributesTopic: "status/result", Category: "diagnostic"})
	add("error", "sensor", "Last error", "alert-circle", haEntity{StateTopic: "status/result", ValueTemplate: "{{ value_json.error | default('none') }}",
		Class: "enum", Options: codes, Category: "diagnostic"})
	add("playing", "binary_sensor", "Playing", "music", haEntity{StateTopic: "status/player_state", Class: "running",
		ValueTemplate: "{{ 'ON' if value == 'PlayerStatePlaying' else 'OFF' }}", PayloadOn: powerOn, PayloadOff: powerOff})
	add("playback", "event", "Playback", "playlist-play", haEntity{StateTopic: "event/playback", EventTypes: events, ValueTemplate: eventPayload})
}

// addSpeaker adds what one speaker has.
func (h *Hub) addSpeaker(add addEntity, id, name string) {
	status := "status/speaker/" + id
	add("speaker_"+id+"_volume", "number", name+" volume", "volume-high", haEntity{EntityID: id + "_volume",
		CommandTopic: "speaker/" + id + "/volume", StateTopic: status, ValueTemplate: "{{ value_json.volume if value_json is defined else '' }}",
		Min: of(0), Max: of(session.MaxVolume), Step: 1, Mode: "slider"})
	add("speaker_"+id+"_mute", "switch", name+" mute", "volume-off", haEntity{EntityID: id + "_mute", CommandTopic: "speaker/" + id + "/mute",
		StateTopic: status, ValueTemplate: "{{ 'on' if value_json is defined and value_json.muted else 'off' }}", PayloadOn: "on", PayloadOff: "off"})
	add("speaker_"+id, "binary_sensor", name, "speaker", haEntity{EntityID: id, StateTopic: status, Class: "connectivity",
		ValueTemplate: "{{ 'ON' if value_json is defined and value_json.available else 'OFF' }}", PayloadOn: powerOn, PayloadOff: powerOff, Category: "diagnostic"})
}

// choices are the presets and chimes that can be offered by name.
func (h *Hub) choices() (presets, chimes []string) {
	fits := func(name string) bool { return name != "" && len(name) <= maxChoiceBytes }
	for _, name := range slices.Sorted(maps.Keys(h.cfg.Presets)) {
		if fits(name) && len(presets) < maxChoices {
			presets = append(presets, name)
		}
	}
	for _, c := range library.Chimes() {
		if m, err := h.cfg.Media.Resolve(c.ID); err == nil && m.Kind == library.KindChime {
			chimes = append(chimes, c.ID)
		}
	}
	return presets, chimes
}

// stateTable is a Jinja table of playerStates.
func stateTable() string {
	var s string
	for _, state := range slices.Sorted(maps.Keys(playerStates)) {
		s += "'" + string(state) + "': '" + playerStates[state] + "', "
	}
	return s[:len(s)-2]
}

func of(n int) *int { return &n }
