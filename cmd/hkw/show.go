package main

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

const redacted = "(redacted)"

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Print the effective configuration and where each value comes from", Args: noArguments,
		Long: "Print the effective configuration as YAML and, as comments, where each value comes from. Secrets are redacted.\n" +
			"Files are looked for in $XDG_CONFIG_HOME/hkw (~/.config/hkw) and /etc/hkw; the first that exists is read.",
	}
	addSettings(cmd.Flags(), true)
	asJSON := cmd.Flags().Bool("json", false, "print it as JSON: each setting's value and source")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := p.config(cmd)
		if err != nil {
			return err
		}
		text := cfg.yaml()
		if *asJSON {
			text = cfg.json()
		}
		p.say("%s", strings.TrimRight(text, "\n"))
		return nil
	}
	return cmd
}

// shownValue is one setting as it is shown.
type shownValue struct {
	Name   string `json:"name"`
	Value  any    `json:"value"`
	Source string `json:"source"`
}

// shownHub is an entry of the list of hubs.
type shownHub struct {
	Hub      string   `json:"hub" yaml:"hub"`
	Speakers []string `json:"speakers,omitempty" yaml:"speakers,omitempty"`

	Presets map[string]shownPreset `json:"presets,omitempty" yaml:"presets,omitempty"`

	Quiet         *shownQuiet           `json:"quiet,omitempty" yaml:"quiet,omitempty"`
	QuietSpeakers map[string]shownQuiet `json:"quiet_speakers,omitempty" yaml:"quiet_speakers,omitempty"`
}

// shown are the settings as they stand in a file, secrets redacted.
func (c *config) shown() []shownValue {
	var out []shownValue
	for _, s := range settings {
		g := c.values[s.name]
		v := shownValue{Name: s.key(), Value: g.text(), Source: g.shown}
		switch {
		case len(c.values[setHubs].hubs) > 0 && g.shown == "default" && (s.name == setHub || s.name == setSpeakers):
			continue // they stand with each hub
		case s.kind == kindHubs:
			if len(g.hubs) == 0 {
				continue
			}
			hubs := []shownHub{}
			for _, h := range g.hubs {
				hubs = append(hubs, c.showHub(h))
			}
			v.Value = hubs
		case s.kind == kindQuiet:
			if g.quiet != nil || g.shown != "default" {
				v.Value = showQuiet(c.common.quiet)
			}
		case s.kind == kindQuiets:
			v.Value = showQuietSpeakers(c.common.speakers)
		case s.kind == kindNumber:
			v.Value, _ = strconv.Atoi(g.text())
		case s.kind == kindPresets:
			v.Value = showPresets(g.presets)
		case s.several() && s.secret:
			hidden := []string{}
			for range g.texts {
				hidden = append(hidden, redacted)
			}
			v.Value = hidden
		case s.several():
			v.Value = texts(g.texts)
		case s.kind == kindSpeech:
			v.Value = showSpeech(g.text())
		case s.kind == kindBool:
			v.Value, _ = strconv.ParseBool(g.text())
		case s.secret && g.text() != "":
			v.Value = redacted
		case s.kind == kindBroker && g.text() != embedded:
			v.Value = redactURL(g.text())
		case s.name == setConfig:
			v.Value = c.file
			if c.file != "" && g.shown == "default" {
				v.Source = "found"
			}
		}
		out = append(out, v)
	}
	return out
}

// showHub is an entry of the list of hubs; what holds for all stands above it.
func (c *config) showHub(h hubText) shownHub {
	s := shownHub{Hub: h.name.text, Speakers: texts(h.speakers), Presets: showPresets(h.presets)}
	q, err := c.quietOf(h)
	if err != nil {
		return s // it was parsed before, or there is no configuration to show
	}
	if h.quiet != nil {
		quiet := showQuiet(q.quiet)
		s.Quiet = &quiet
	}
	if h.quietSpeakers != nil {
		s.QuietSpeakers = showQuietSpeakers(q.speakers)
	}
	return s
}

func texts(list []sourced) []string {
	out := []string{}
	for _, t := range list {
		out = append(out, t.text)
	}
	return out
}

// redactURL hides the password and the query of a URL.
func redactURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return redacted
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "redacted")
	}
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	return u.String()
}

// yaml is the configuration as a file that would give it, but for secrets.
func (c *config) yaml() string {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, v := range c.shown() {
		key := &yaml.Node{Kind: yaml.ScalarNode, Value: v.Name}
		value := new(yaml.Node)
		if err := value.Encode(v.Value); err != nil {
			continue // texts, lists of texts and booleans always encode
		}
		if v.Name == setConfig { // not a key of a file
			root.HeadComment = "configuration file: " + orNone(c.file) + " (" + v.Source + ")"
			continue
		}
		if value.Kind == yaml.ScalarNode || len(value.Content) == 0 {
			value.LineComment = v.Source
		} else {
			key.LineComment = v.Source
		}
		root.Content = append(root.Content, key, value)
	}
	text, err := yaml.Marshal(root)
	if err != nil {
		return "# " + oneLine(err)
	}
	return string(text)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func (c *config) json() string {
	text, err := json.MarshalIndent(c.shown(), "", "  ")
	if err != nil {
		return "[]"
	}
	return string(text)
}
