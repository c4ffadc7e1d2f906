package main

import (
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones by name where the machine has none, as in an image of the program alone

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"

	"hkw/session"
)

// The keys of quiet hours.
const (
	quietFrom     = "from"
	quietTo       = "to"
	quietDays     = "days"
	quietVolume   = "volume"
	quietPriority = "priority"
)

var quietKeys = []string{quietFrom, quietTo, quietDays, quietVolume, quietPriority}

// quietOff is the text of quiet hours that begin only when they are switched on.
const quietOff = "off"

// zoneLocal is the text of the time zone of the machine.
const zoneLocal = "local"

// quietText is what a source says about the quiet hours of a hub or a speaker.
type quietText struct {
	origin
	fields map[string][]sourced // by key; several texts only of days
}

// speakerQuiet is quietText of a speaker.
type speakerQuiet struct {
	name sourced
	quietText
}

// quiet reads quiet hours: FROM-TO, off, or a mapping.
func (f file) quiet(o origin, n *yaml.Node) (*quietText, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		return splitHours(sourced{n.Value, o})
	case yaml.MappingNode:
	default:
		return nil, usageError("%s must be FROM-TO such as 22:00-07:00, off, or a mapping of from, to, days, volume and priority", o.label)
	}
	fields, err := f.fields(n, "quiet hours", "quiet hours have", quietKeys, quietDays)
	return &quietText{o, fields}, err
}

// quietSpeakers reads a mapping of speakers to quiet hours.
func (f file) quietSpeakers(o origin, n *yaml.Node) ([]speakerQuiet, error) {
	if n.Kind != yaml.MappingNode {
		return nil, usageError("%s must be a mapping of speakers to quiet hours, as in bedroom: {from: \"21:00\", to: \"08:00\"}", o.label)
	}
	all := []speakerQuiet{}
	return all, f.mapping(n, "quiet_speakers", func(key, value *yaml.Node) error {
		q, err := f.quiet(f.origin(key, key.Value), value)
		if err == nil {
			all = append(all, speakerQuiet{sourced{key.Value, f.origin(key, setQuietSpeakers)}, *q})
		}
		return err
	})
}

// splitHours takes FROM-TO apart.
func splitHours(t sourced) (*quietText, error) {
	q := &quietText{t.origin, map[string][]sourced{}}
	if t.text == quietOff || t.text == "" {
		return q, nil
	}
	from, to, ok := strings.Cut(t.text, "-")
	if !ok {
		return nil, t.refuse("hours such as 22:00-07:00, or off", t.text)
	}
	for key, text := range map[string]string{quietFrom: from, quietTo: to} {
		if _, err := session.ParseClock(strings.TrimSpace(text)); err != nil {
			return nil, t.refuse("hours such as 22:00-07:00, or off", t.text)
		}
		q.fields[key] = []sourced{{strings.TrimSpace(text), t.origin}}
	}
	return q, nil
}

// parse checks quiet hours. What they leave open is as in byDefault.
func (q *quietText) parse(byDefault session.Quiet, zone *time.Location) (session.Quiet, error) {
	quiet := byDefault
	quiet.Hours = nil
	var err error
	number := func(key string, into *int, least, most int) {
		if t, ok := q.fields[key]; ok && err == nil {
			*into, err = t[0].integer(least, most)
		}
	}
	number(quietVolume, &quiet.Volume, 0, session.MaxVolume)
	number(quietPriority, &quiet.Priority, session.MinPriority, session.MaxPriority)
	from, begins := q.fields[quietFrom]
	to, ends := q.fields[quietTo]
	days, some := q.fields[quietDays]
	switch {
	case err != nil:
		return quiet, err
	case begins != ends:
		return quiet, usageError("%s: quiet hours need both from and to, such as \"22:00\" and \"07:00\"", q.label)
	case some && !begins:
		return quiet, usageError("%s: days of quiet hours need from and to, such as \"22:00\" and \"07:00\"", q.label)
	case !begins:
		return quiet, nil
	}
	h := &session.Hours{Zone: zone}
	for _, c := range []struct {
		text sourced
		into *int
	}{{from[0], &h.From}, {to[0], &h.To}} {
		if *c.into, err = session.ParseClock(c.text.text); err != nil {
			return quiet, c.text.refuse("a time of day from 00:00 to 23:59, such as 22:00", c.text.text)
		}
	}
	if some && len(days) == 0 {
		return quiet, usageError("%s: quiet hours without any day; leave days out for every day", q.label)
	}
	for _, t := range days {
		day, ok := session.ParseDay(t.text)
		if !ok {
			return quiet, t.refuse("mon, tue, wed, thu, fri, sat or sun", t.text)
		}
		if slices.Contains(h.Days, day) {
			return quiet, usageError("%s: %s is listed twice", t.label, session.DayName(day))
		}
		h.Days = append(h.Days, day)
	}
	quiet.Hours = h
	return quiet, nil
}

// house are the quiet hours of a hub and its speakers.
type house struct {
	quiet    session.Quiet
	speakers map[string]session.Quiet
}

// parseQuiet finds out the quiet hours that hold for every hub that has none of
// its own, and the time zone of all of them.
func (c *config) parseQuiet() error {
	zone := c.values[setZone]
	c.zone = time.Local
	if text := zone.text(); !strings.EqualFold(text, zoneLocal) {
		z, err := time.LoadLocation(text)
		if err != nil || text == "" {
			return zone.refuse("local, UTC or a name such as Europe/Berlin", text)
		}
		c.zone = z
	}
	byDefault := session.Quiet{}
	for _, n := range []struct {
		name string
		most int
		into *int
	}{{setQuietVolume, session.MaxVolume, &byDefault.Volume}, {setQuietPriority, session.MaxPriority, &byDefault.Priority}} {
		g := c.values[n.name]
		var err error
		if *n.into, err = (sourced{g.text(), g.origin}).integer(0, n.most); err != nil {
			return err
		}
	}
	g := c.values[setQuiet]
	q := g.quiet
	if q == nil {
		var err error
		if q, err = splitHours(sourced{g.text(), g.origin}); err != nil {
			return err
		}
	}
	// What stands in the file yields to a flag or the environment.
	for key, name := range map[string]string{quietVolume: setQuietVolume, quietPriority: setQuietPriority} {
		if c.values[name].base == "" && c.values[name].shown != "default" {
			delete(q.fields, key)
		}
	}
	var err error
	c.quietDefault = byDefault
	if c.common.quiet, err = q.parse(byDefault, c.zone); err != nil {
		return err
	}
	c.common.speakers, err = c.parseQuietSpeakers(c.values[setQuietSpeakers].quietSpeakers)
	return err
}

func (c *config) parseQuietSpeakers(texts []speakerQuiet) (map[string]session.Quiet, error) {
	speakers := map[string]session.Quiet{}
	for _, t := range texts {
		q, err := t.parse(c.quietDefault, c.zone)
		if err != nil {
			return nil, err
		}
		if _, twice := speakers[t.name.text]; twice {
			return nil, usageError("%s: the speaker %q is listed twice", t.name.label, t.name.text)
		}
		speakers[t.name.text] = q
	}
	return speakers, nil
}

// quietOf are the quiet hours of one of several hubs: its own, else those of all.
func (c *config) quietOf(h hubText) (house, error) {
	q := c.common
	var err error
	if h.quiet != nil {
		if q.quiet, err = h.quiet.parse(c.quietDefault, c.zone); err != nil {
			return q, err
		}
	}
	if h.quietSpeakers != nil {
		q.speakers, err = c.parseQuietSpeakers(h.quietSpeakers)
	}
	return q, err
}

// shownQuiet are quiet hours as they stand in a file.
type shownQuiet struct {
	From     string   `json:"from,omitempty" yaml:"from,omitempty"`
	To       string   `json:"to,omitempty" yaml:"to,omitempty"`
	Days     []string `json:"days,omitempty" yaml:"days,flow,omitempty"`
	Volume   int      `json:"volume" yaml:"volume"`
	Priority int      `json:"priority" yaml:"priority"`
}

func showQuiet(q session.Quiet) shownQuiet {
	s := shownQuiet{Volume: q.Volume, Priority: q.Priority}
	if q.Hours != nil {
		s.From, s.To = session.Clock(q.Hours.From), session.Clock(q.Hours.To)
		for _, day := range q.Hours.Days {
			s.Days = append(s.Days, session.DayName(day))
		}
	}
	return s
}

func showQuietSpeakers(speakers map[string]session.Quiet) map[string]shownQuiet {
	shown := map[string]shownQuiet{}
	for id, q := range speakers {
		shown[id] = showQuiet(q)
	}
	return shown
}

// warnOfQuietStrangers says which speakers have quiet hours that a hub with
// configured speakers does not have.
func (h hubConfig) warnOfQuietStrangers(log zerolog.Logger) {
	for id := range h.quiet.speakers {
		if h.strange(id) {
			log.Warn().Str("hub", h.name).Str("speaker", id).Msg("quiet_speakers names a speaker that the hub does not have")
		}
	}
}
