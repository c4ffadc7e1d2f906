package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"hkw/session"
)

// MaxPayload is the largest payload of a command, in bytes.
const MaxPayload = 64 << 10

// maxNotes bounds what a result says about fields that were ignored.
const maxNotes = 8

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ValidID tells whether s may stand in a topic as the id of a hub, a speaker or a command.
func ValidID(s string) bool { return idPattern.MatchString(s) }

// refusal is why a command is not carried out.
type refusal struct {
	code    session.Code
	message string
}

func invalid(format string, args ...any) *refusal {
	return &refusal{session.InvalidCommand, fmt.Sprintf(format, args...)}
}

// command is a decoded message.
type command struct {
	route   *Route
	name    string // of the command, also when there is no route
	topic   string // below hkw/<hub>/
	at      time.Time
	id      string // "" until the hub makes one
	key     string // the core's name for it; ids may come twice
	fromBus bool   // it did not come over HTTP
	preset  string // whose name stood for the media
	owners  bool   // the media is what a preset names, as the owner wrote it
	values  map[string]any
	notes   []string // fields that were ignored
}

// speakerList is the value of a field of KindSpeakers.
type speakerList struct {
	all bool
	ids []string
}

func (c *command) text(field string) string { s, _ := c.values[field].(string); return s }
func (c *command) flag(field string) bool   { b, _ := c.values[field].(bool); return b }

func (c *command) integer(field string) *int {
	if n, ok := c.values[field].(int); ok {
		return &n
	}
	return nil
}

func (c *command) integerOr(field string, otherwise int) int {
	if n, ok := c.values[field].(int); ok {
		return n
	}
	return otherwise
}

func (c *command) seconds(field string) (time.Duration, bool) {
	s, ok := c.values[field].(float64)
	return time.Duration(s * float64(time.Second)), ok
}

func (c *command) speakers(field string) (ids []string, all bool) {
	l, _ := c.values[field].(speakerList)
	return l.ids, l.all
}

// decode reads a message on topic (below hkw/<hub>/). The command that it returns
// carries what could be read, its id above all, also when it is refused.
func decode(topic string, payload []byte, at time.Time) (*command, *refusal) {
	c := &command{name: topic, topic: topic, at: at, values: map[string]any{}}
	route, wild := findRoute(topic)
	c.route = route
	if route != nil {
		c.name = route.Command
	}
	if len(payload) > MaxPayload {
		return c, invalid("the payload has %d bytes; at most %d are allowed", len(payload), MaxPayload)
	}
	if !utf8.Valid(payload) {
		return c, invalid("the payload is not valid UTF-8")
	}
	body := bytes.TrimSpace(payload)
	isJSON := len(body) > 0 && body[0] == '{'
	if isJSON {
		if r := c.decodeObject(body); r != nil {
			return c, r
		}
	}
	if route == nil {
		return c, &refusal{UnknownCommand, fmt.Sprintf("there is no command %q; the commands are %s", clip(topic), strings.Join(commandTopics(), ", "))}
	}
	if !isJSON {
		if r := c.decodeBare(string(body)); r != nil {
			return c, r
		}
	}
	if route.Wild != "" {
		if r := c.decodeWild(wild); r != nil {
			return c, r
		}
	}
	for _, f := range route.Fields {
		if _, has := c.values[f.Name]; f.Required && !has {
			return c, invalid("%q is missing: %s", f.Name, f.allowed())
		}
	}
	return c, nil
}

func commandTopics() []string {
	var topics []string
	for _, r := range Routes {
		topics = append(topics, r.Topic)
	}
	return topics
}

func (c *command) decodeBare(body string) *refusal {
	if body == "" {
		if c.route.Empty {
			return nil
		}
		return invalid("the payload is empty: %s", c.route.expects())
	}
	if c.route.Bare == "" {
		if c.route.Empty {
			return nil // a button may send whatever it has
		}
		return invalid("the payload must be a JSON object, not %q", clip(body))
	}
	f := c.route.field(c.route.Bare)
	v, r := f.parse(body, false)
	if r != nil {
		return r
	}
	c.values[f.Name] = v
	return nil
}

func (c *command) decodeWild(wild string) *refusal {
	f := Field{Name: c.route.Wild, Kind: KindText, Min: 1, Max: 256}
	v, r := f.parse(wild, true)
	if r != nil {
		return r
	}
	c.values[f.Name] = v
	return nil
}

// decodeObject reads a JSON object strictly: each field once, of its type, in its
// range. Fields that the route does not know are noted and ignored.
func (c *command) decodeObject(body []byte) *refusal {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if _, err := dec.Token(); err != nil {
		return invalid("the payload is not valid JSON: %v", err)
	}
	given := map[string]string{} // field name → the spelling that was used
	seen := map[string]bool{}
	var first *refusal
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return invalid("the payload is not valid JSON: %v", err)
		}
		key, _ := tok.(string)
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return invalid("the payload is not valid JSON: %v", jsonError(err))
		}
		if seen[key] {
			first = orElse(first, invalid("%q is given twice", clip(key)))
			continue
		}
		seen[key] = true
		f, known := c.field(key)
		switch {
		case !known:
			c.note(key)
			continue
		case string(raw) == "null":
			continue // as if it were not there
		case given[f.Name] != "":
			first = orElse(first, invalid("%q and %q are the same field", given[f.Name], key))
			continue
		}
		given[f.Name] = key
		v, r := f.decode(raw)
		if r != nil {
			first = orElse(first, r)
			continue
		}
		if f.Name == "id" {
			c.id = v.(string)
		}
		c.values[f.Name] = v
	}
	if _, err := dec.Token(); err != nil {
		return invalid("the payload is not valid JSON: %v", jsonError(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalid("there is something after the JSON object")
	}
	return first
}

func orElse(first, second *refusal) *refusal {
	if first != nil {
		return first
	}
	return second
}

func jsonError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// field finds a field of the command by a name or alias. A command without a
// route still has an id to be answered under.
func (c *command) field(key string) (Field, bool) {
	if c.route == nil {
		return fieldID, key == fieldID.Name
	}
	for _, f := range c.route.Fields {
		if f.Name == key || slices.Contains(f.Aliases, key) {
			return f, true
		}
	}
	return Field{}, false
}

func (c *command) note(key string) {
	if c.route == nil || len(c.notes) >= maxNotes {
		return
	}
	note := fmt.Sprintf("unknown field %q ignored", clip(key))
	for _, f := range c.route.Fields {
		if strings.EqualFold(f.Name, key) || (len(key) > 2 && strings.HasPrefix(f.Name, strings.ToLower(key))) {
			note += fmt.Sprintf("; did you mean %q?", f.Name)
			break
		}
	}
	c.notes = append(c.notes, note)
}

func (r *Route) field(name string) Field {
	for _, f := range r.Fields {
		if f.Name == name {
			return f
		}
	}
	return Field{Name: name, Kind: KindText}
}

// expects says what a payload of the route must be.
func (r *Route) expects() string {
	if r.Bare == "" {
		return "a JSON object"
	}
	f := r.field(r.Bare)
	return fmt.Sprintf("a JSON object, or %s as bare text (%s)", f.Name, f.allowed())
}

// clip shortens what a message quotes.
func clip(s string) string { return shorten(s, 64) }

// shorten cuts s to at most so many bytes, and an ellipsis, between characters.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
