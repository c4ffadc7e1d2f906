package main

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"hkw/bridge"
	"hkw/session"
)

// The keys of a preset.
const (
	presetMedia    = "media"
	presetPriority = "priority"
	presetVolume   = "volume"
	presetOnBusy   = "on_busy"
	presetDuck     = "duck"
	presetSpeakers = "speakers"
)

var presetKeys = []string{presetMedia, presetPriority, presetVolume, presetOnBusy, presetDuck, presetSpeakers}

var busyModes = []string{string(session.Interrupt), string(session.Announce), string(session.Queue), string(session.Drop)}

// maxPresetMedia is how long the media of a play may be, in bytes.
const maxPresetMedia = 4096

// presetText is one preset of the file.
type presetText struct {
	name   sourced
	fields map[string][]sourced // by key; several texts only of speakers
}

// text is a field's only text.
func (p presetText) text(key string) (sourced, bool) {
	texts := p.fields[key]
	if len(texts) == 0 {
		return sourced{}, false
	}
	return texts[0], true
}

// presets reads a mapping of names to presets.
func (f file) presets(o origin, n *yaml.Node) ([]presetText, error) {
	if n.Kind != yaml.MappingNode {
		return nil, usageError("%s must be a mapping of names to media, priority, volume, on_busy, duck and speakers", o.label)
	}
	var presets []presetText
	return presets, f.mapping(n, setPresets, func(key, value *yaml.Node) error {
		p := presetText{name: sourced{key.Value, f.origin(key, setPresets)}}
		if value.Kind != yaml.MappingNode {
			return usageError("%s: the preset %q must be a mapping, as in %s: {media: chime}", f.at(key), key.Value, key.Value)
		}
		var err error
		p.fields, err = f.fields(value, "a preset", "a preset has", presetKeys, presetSpeakers)
		presets = append(presets, p)
		return err
	})
}

// parsePresets checks presets as plays are checked.
func parsePresets(texts []presetText) (map[string]bridge.Preset, error) {
	presets := map[string]bridge.Preset{}
	for _, t := range texts {
		if !bridge.ValidID(t.name.text) {
			return nil, usageError("%s: a preset's name must be 1 to 64 letters, digits, _ or -, not %q", t.name.label, t.name.text)
		}
		if _, twice := presets[t.name.text]; twice {
			return nil, usageError("%s: the preset %q is given twice", t.name.label, t.name.text)
		}
		p, err := t.parse()
		if err != nil {
			return nil, err
		}
		presets[t.name.text] = p
	}
	return presets, nil
}

func (p presetText) parse() (preset bridge.Preset, err error) {
	media, ok := p.text(presetMedia)
	if !ok {
		return preset, usageError("%s: the preset %q needs media", p.name.label, p.name.text)
	}
	if err := checkPlayable(media); err != nil {
		return preset, err
	}
	preset.Media = media.text
	if preset.Priority, err = p.integer(presetPriority, session.MinPriority, session.MaxPriority); err != nil {
		return preset, err
	}
	if preset.Volume, err = p.integer(presetVolume, 0, session.MaxVolume); err != nil {
		return preset, err
	}
	if mode, ok := p.text(presetOnBusy); ok {
		if !slices.Contains(busyModes, mode.text) {
			return preset, mode.refuse("one of "+strings.Join(busyModes, ", "), mode.text)
		}
		preset.OnBusy = session.OnBusy(mode.text)
	}
	if duck, ok := p.text(presetDuck); ok {
		if preset.Duck, err = strconv.ParseBool(duck.text); err != nil {
			return preset, duck.refuse("true or false", duck.text)
		}
	}
	list, ok := p.fields[presetSpeakers]
	if ok && len(list) == 0 {
		return preset, usageError("%s: the preset %q has no speakers; leave them out for those of the session, else all", p.name.label, p.name.text)
	}
	for _, s := range list {
		if !bridge.ValidID(s.text) || s.text == allSpeakers {
			return preset, s.refuse("names of speakers; without any it is heard on those of the session, else on all", s.text)
		}
		preset.Speakers = append(preset.Speakers, s.text)
	}
	return preset, nil
}

// checkPlayable looks at the media of a preset; whether there is such media only the hub can tell.
func checkPlayable(media sourced) error {
	switch text := strings.TrimSpace(media.text); {
	case text == "" || len(text) > maxPresetMedia:
		return usageError("%s must be a media id, title, path or http(s) URL of 1 to %d bytes", media.label, maxPresetMedia)
	case !strings.Contains(text, "://"):
		return nil
	default:
		u, err := url.Parse(strings.ReplaceAll(text, " ", "%20"))
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usageError("%s must be an http or https URL, if it is one at all", media.label) // not repeated, it may hold a password
		}
	}
	return nil
}

func (p presetText) integer(key string, least, most int) (*int, error) {
	t, ok := p.text(key)
	if !ok {
		return nil, nil
	}
	n, err := t.integer(least, most)
	if err != nil {
		return nil, err
	}
	return &n, nil
}

// shownPreset is a preset as it stands in a file.
type shownPreset struct {
	Media    string         `json:"media" yaml:"media"`
	Priority *int           `json:"priority,omitempty" yaml:"priority,omitempty"`
	Volume   *int           `json:"volume,omitempty" yaml:"volume,omitempty"`
	OnBusy   session.OnBusy `json:"on_busy,omitempty" yaml:"on_busy,omitempty"`
	Duck     bool           `json:"duck,omitempty" yaml:"duck,omitempty"`
	Speakers []string       `json:"speakers,omitempty" yaml:"speakers,omitempty"`
}

// showPresets are presets as they stand in a file, passwords and queries of their URLs redacted.
func showPresets(texts []presetText) map[string]shownPreset {
	presets, err := parsePresets(texts)
	if err != nil {
		return nil // they were parsed before, or there is no configuration to show
	}
	shown := map[string]shownPreset{}
	for name, p := range presets {
		s := shownPreset(p)
		if strings.Contains(s.Media, "://") {
			s.Media = redactURL(s.Media)
		}
		shown[name] = s
	}
	return shown
}

// warnOfStrangers says which presets name speakers that a hub with configured
// speakers does not have.
func (h hubConfig) warnOfStrangers(log zerolog.Logger) {
	for name, p := range h.presets {
		var strangers []string
		for _, id := range p.Speakers {
			if h.strange(id) {
				strangers = append(strangers, id)
			}
		}
		if strangers != nil {
			log.Warn().Str("hub", h.name).Str("preset", name).Strs("speakers", strangers).Msg("the preset names speakers that the hub does not have: it will not play")
		}
	}
}
