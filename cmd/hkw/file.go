package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file reads one YAML file; its errors name file and line.
type file struct {
	path string
	base string
}

// parseFile reads the configuration file.
func parseFile(path string, data []byte) (map[string]given, error) {
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f := file{path, base}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil && bytes.ContainsRune(data, '\t') {
		return nil, usageError("%s: %w; is it a tab? YAML is indented by spaces", path, err)
	} else if err != nil {
		return nil, usageError("%s: %w", path, err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, usageError("%s: there is a second document in the file", path)
	}
	found := map[string]given{}
	if len(doc.Content) == 0 {
		return found, nil
	}
	return found, f.mapping(doc.Content[0], "the configuration", func(key, value *yaml.Node) error {
		s, ok := settingByKey(key.Value)
		if !ok {
			return usageError("%s: there is no %q; %s", f.at(key), key.Value, nearest(key.Value, knownKeys()))
		}
		o := f.origin(key, key.Value)
		if _, twice := found[s.name]; twice {
			return usageError("%s is given twice", o.label)
		}
		if value.Tag == "!!null" && value.Value == "" {
			return nil // a key without a value: as if it were not there
		}
		g, err := f.value(s, o, value)
		found[s.name] = g
		return err
	})
}

func (f file) at(n *yaml.Node) string { return fmt.Sprintf("%s:%d", f.path, n.Line) }

func (f file) origin(n *yaml.Node, name string) origin {
	return origin{label: f.at(n) + ": " + name, shown: "file " + f.at(n), base: f.base}
}

// mapping goes through the keys of a mapping.
func (f file) mapping(n *yaml.Node, name string, each func(key, value *yaml.Node) error) error {
	n = follow(n)
	if n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return usageError("%s: %s must be a mapping, key: value", f.at(n), name)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if err := each(n.Content[i], follow(n.Content[i+1])); err != nil {
			return err
		}
	}
	return nil
}

// fields reads a mapping of known keys to single values; the value of listed is a
// list. owner is who has them, with its verb.
func (f file) fields(n *yaml.Node, name, owner string, known []string, listed string) (map[string][]sourced, error) {
	fields := map[string][]sourced{}
	return fields, f.mapping(n, name, func(key, value *yaml.Node) (err error) {
		o := f.origin(key, key.Value)
		field := fileKey(key.Value)
		switch {
		case !slices.Contains(known, field):
			return usageError("%s: %s no %q; %s", f.at(key), owner, key.Value, nearest(key.Value, known))
		case fields[field] != nil:
			return usageError("%s is given twice", o.label)
		case field == listed:
			fields[field], err = f.list(o, value)
		case value.Kind != yaml.ScalarNode:
			return usageError("%s must be a single value", o.label)
		default:
			fields[field] = []sourced{{value.Value, o}}
		}
		return err
	})
}

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func (f file) value(s setting, o origin, n *yaml.Node) (given, error) {
	g := given{origin: o}
	var err error
	switch s.kind {
	case kindSpeakers:
		g.texts, err = f.speakers(o, n)
	case kindList:
		g.texts, err = f.list(o, n)
	case kindHubs:
		g.hubs, err = f.hubs(o, n)
	case kindQuiet:
		g.quiet, err = f.quiet(o, n)
	case kindQuiets:
		g.quietSpeakers, err = f.quietSpeakers(o, n)
	case kindPresets:
		g.presets, err = f.presets(o, n)
	default:
		if n.Kind != yaml.ScalarNode {
			return g, usageError("%s must be a single %s", o.label, s.kind)
		}
		g.texts = []sourced{{n.Value, o}}
	}
	return g, err
}

// list reads a list of values, or one value, or several separated by commas.
func (f file) list(o origin, n *yaml.Node) ([]sourced, error) {
	if n.Kind == yaml.ScalarNode {
		return split(n.Value, o), nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, usageError("%s must be a list", o.label)
	}
	texts := []sourced{}
	for _, item := range n.Content {
		item = follow(item)
		if item.Kind != yaml.ScalarNode {
			return nil, usageError("%s must be a list of single values", o.label)
		}
		texts = append(texts, sourced{item.Value, o})
	}
	return texts, nil
}

// speakers reads a list of NAME=DRIVER[:ARGUMENT], or a mapping of names to
// DRIVER[:ARGUMENT].
func (f file) speakers(o origin, n *yaml.Node) ([]sourced, error) {
	texts := []sourced{}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			item = follow(item)
			if item.Kind != yaml.ScalarNode {
				return nil, usageError("%s: a speaker must be NAME=DRIVER[:ARGUMENT]", f.at(item))
			}
			texts = append(texts, sourced{item.Value, f.origin(item, "speakers")})
		}
		return texts, nil
	case yaml.MappingNode:
		return texts, f.mapping(n, "speakers", func(key, value *yaml.Node) error {
			o := f.origin(key, "speakers")
			if value.Kind != yaml.ScalarNode {
				return usageError("%s must be DRIVER[:ARGUMENT]", o.label)
			}
			texts = append(texts, sourced{key.Value + "=" + value.Value, o})
			return nil
		})
	}
	return nil, usageError("%s must be a list of NAME=DRIVER[:ARGUMENT], or a mapping of names to DRIVER[:ARGUMENT]", o.label)
}

// hubKeys are what an entry of the list of hubs may have.
var hubKeys = []string{setHub, settingByName(setSpeakers).key(), setPresets, setQuiet, fileKey(setQuietSpeakers)}

// hubs reads the list of hubs.
func (f file) hubs(o origin, n *yaml.Node) ([]hubText, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, usageError("%s must be a list of hubs, each with "+strings.Join(hubKeys, ", "), o.label)
	}
	var hubs []hubText
	for _, item := range n.Content {
		h := hubText{name: sourced{origin: f.origin(item, setHub)}}
		seen := map[string]bool{}
		err := f.mapping(item, "a hub", func(key, value *yaml.Node) (err error) {
			s, ok := settingByKey(key.Value)
			o := f.origin(key, key.Value)
			if seen[s.name] && ok {
				return usageError("%s is given twice", o.label)
			}
			seen[s.name] = true
			switch {
			case ok && s.name == setHub && value.Kind == yaml.ScalarNode:
				h.name = sourced{value.Value, o}
			case ok && s.name == setSpeakers:
				h.speakers, err = f.speakers(o, value)
			case ok && s.name == setPresets:
				h.presets, err = f.presets(o, value)
			case ok && s.name == setQuiet:
				h.quiet, err = f.quiet(o, value)
			case ok && s.name == setQuietSpeakers:
				h.quietSpeakers, err = f.quietSpeakers(o, value)
			default:
				return usageError("%s: a hub has no %q; %s", f.at(key), key.Value, nearest(key.Value, hubKeys))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		hubs = append(hubs, h)
	}
	return hubs, nil
}
