package bridge

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hkw/session"
	"hkw/speaker/library"
)

// HKWHub was a hub whose programs outlived it. They speak one of three dialects of
// the same commands:
//
//	hkwhub_rest.go   GET /v1/<command> (local) and /api/v1/<command> (cloud)
//	hkwhub_bus.go    JSON on hkw/<hub>/command, answered on hkw/<hub>/reply
//	hkwhub_table.go  what each command is as a command of Routes
//	hkwhub_query.go  how old clients write a query
//
// A dialect translates, both ways, and decides nothing.

// dialect is one of the three.
type dialect struct {
	keys   []string // names of the parameter that holds the session's token; the first one is told
	native bool     // scalars of replies are JSON; else they are strings
}

var (
	dialectLocal = &dialect{keys: []string{"SessionID"}}
	dialectCloud = &dialect{keys: []string{"SessionToken"}}
	dialectOnBus = &dialect{keys: []string{"SessionToken", "SesssionToken"}, native: true} // a documented sample has the second
)

// dialectParam is a parameter of a command.
type dialectParam struct {
	name     string
	must     string // what its value must be
	optional bool
	check    func(string) (string, bool) // makes of a value what the translation uses
}

// Parameters.
var (
	paramPriority   = dialectParam{"Priority", fmt.Sprintf("an integer from %d to %d", session.MinPriority, session.MaxPriority), true, priorityParam}
	paramDevice     = dialectParam{"DeviceID", "a decimal number", false, decimalParam}
	paramDevices    = dialectParam{"DeviceIDList", "decimal numbers with commas between", false, decimalsParam}
	paramPersistent = dialectParam{"PersistentID", "a decimal number", false, decimalParam}
	paramURL        = dialectParam{"MediaUrl", fmt.Sprintf("an http or https URL of at most %d bytes", maxParam), false, urlParam}
	paramText       = dialectParam{"Text", fmt.Sprintf("text of at most %d bytes", maxParam), false, textParam}
	paramVolume     = dialectParam{"Volume", "an integer", false, volumeParam}
)

// maxParam bounds a MediaUrl and a Text, in bytes, as the routes do.
const maxParam = 4096

func decimalParam(s string) (string, bool) {
	s = strings.TrimSpace(s)
	return s, s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == ""
}

func decimalsParam(s string) (string, bool) {
	var ids []string
	for id := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(id) == "" {
			continue
		}
		id, ok := decimalParam(id)
		if !ok || len(ids) == maxSpeakers {
			return "", false
		}
		ids = append(ids, id)
	}
	return strings.Join(ids, ","), len(ids) > 0
}

func priorityParam(s string) (string, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	return strconv.Itoa(n), err == nil && n >= session.MinPriority && n <= session.MaxPriority
}

// volumeParam holds a volume within its range, however far beyond it is: clients
// go up and down in steps and don't look.
func volumeParam(s string) (string, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64) // out of range it gives the end of the range
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return "", false
	}
	return strconv.FormatInt(max(0, min(n, session.MaxVolume)), 10), true
}

func textParam(s string) (string, bool) {
	control := func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f }
	return s, utf8.ValidString(s) && len(s) <= maxParam && strings.IndexFunc(s, control) < 0
}

// dialectCall is one call of a command.
type dialectCall struct {
	hub     *Hub
	dialect *dialect
	name    string // of the command, as it was given
	command *dialectCommand
	token   string            // of the session, as it was given
	args    map[string]string // by parameter
}

// dialectOrder is a call as a command of Routes.
type dialectOrder struct {
	topic   string
	fields  object
	refused session.Code // what is answered all the same, once the session is known to live
}

// newCall checks a call, or returns the reply that refuses it.
func (h *Hub) newCall(d *dialect, name string, args map[string]string) (*dialectCall, *dialectReply) {
	c := &dialectCall{hub: h, dialect: d, name: name, command: findDialectCommand(name), args: map[string]string{}}
	for _, key := range d.keys {
		if c.token == "" {
			c.token = args[key]
		}
	}
	if c.command == nil {
		return c, c.refuse(http.StatusNotFound, string(UnknownCommand))
	}
	if c.token == "" && !c.command.opens {
		return c, c.refuse(http.StatusBadRequest, d.keys[0]+" is missing")
	}
	for _, p := range c.command.params {
		given, ok := args[p.name], false
		switch {
		case given != "":
			if c.args[p.name], ok = p.check(given); !ok {
				return c, c.refuse(http.StatusBadRequest, p.name+" must be "+p.must)
			}
		case !p.optional:
			return c, c.refuse(http.StatusBadRequest, p.name+" is missing")
		}
	}
	if !c.command.opens && (len(c.token) > 64 || strings.Trim(c.token, "0123456789") != "") {
		return c, c.denied(session.SessionNotFound) // nothing that was ever given out
	}
	return c, nil
}

// order translates the call.
func (c *dialectCall) order() (topic string, payload []byte, refused session.Code) {
	o := c.command.order(c)
	if o.refused != "" {
		o = dialectOrder{"session/get", object{}, o.refused} // a dead session is what has to be heard first
	}
	if !c.command.opens {
		o.fields["session"] = c.token
	}
	if p, given := c.args[paramPriority.name]; given {
		o.fields["priority"], _ = strconv.Atoi(p)
	}
	return o.topic, marshal(o.fields), o.refused
}

// answer translates what became of it.
func (c *dialectCall) answer(r Result, refused session.Code) *dialectReply {
	switch {
	case r.Error == session.InvalidCommand: // the parameters were checked: it is what they say
		return c.refuse(http.StatusBadRequest, r.Message)
	case r.Error != "":
		return c.denied(r.Error)
	case refused != "":
		return c.denied(refused)
	case c.command.answer == nil:
		return c.reply(dialectObject{{"Result", true}})
	}
	fields, why := c.command.answer(c, r)
	if why != "" {
		return c.denied(why)
	}
	return c.reply(fields)
}

// denied is the reply to a call that the hub did not carry out. What it judged
// about its own state is no error of HTTP: old clients look at Result.
func (c *dialectCall) denied(code session.Code) *dialectReply {
	status := HTTPStatus(code)
	switch status {
	case http.StatusConflict, http.StatusBadGateway, http.StatusServiceUnavailable:
		status = http.StatusOK
	}
	return c.refuse(status, string(code))
}

func (c *dialectCall) refuse(status int, why string) *dialectReply {
	r := c.reply(dialectObject{{"Result", false}, {"Error", why}})
	r.status = status
	return r
}

// reply completes a reply with what the dialect adds.
func (c *dialectCall) reply(fields dialectObject) *dialectReply {
	switch c.dialect {
	case dialectCloud:
		fields = append(fields, dialectField{"ResponseOf", clip(c.name)})
	case dialectOnBus:
		fields = append(fields, dialectField{"ResponseOf", clip(c.name)}, dialectField{"HKWHubUUID", c.hub.ID()})
		if c.token != "" && (c.command == nil || !c.command.opens) {
			fields = append(fields, dialectField{"SessionToken", clip(c.token)})
		}
	}
	return &dialectReply{http.StatusOK, fields.encode(c.dialect.native)}
}

// dialectReply is a reply with the HTTP status that it has there.
type dialectReply struct {
	status int
	body   []byte
}

// dialectObject is a JSON object whose fields keep their order: programs compare
// replies as text.
type dialectObject []dialectField

// dialectField is a field of a reply. Its value is a string, an int, a bool, or what
// is native JSON in every dialect: a native or a list of objects.
type dialectField struct {
	name  string
	value any
}

// native is a value that is no string in any dialect.
type native struct{ value any }

func (o dialectObject) encode(scalars bool) []byte {
	b := []byte{'{'}
	for i, f := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, f.name), ':')
		b = appendValue(b, f.value, scalars)
	}
	return append(b, '}')
}

func appendValue(b []byte, value any, scalars bool) []byte {
	switch v := value.(type) {
	case native:
		return appendValue(b, v.value, true)
	case []dialectObject:
		b = append(b, '[')
		for i, o := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, o.encode(true)...)
		}
		return append(b, ']')
	case string:
		return appendText(b, v)
	}
	if text := fmt.Sprint(value); !scalars {
		return appendText(b, text)
	} else {
		return append(b, text...)
	}
}

// appendText appends a JSON string in which & and < stand for themselves.
func appendText(b []byte, s string) []byte {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always can be
	return append(b, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
}

// Status is the retained snapshot, decoded.
func (h *Hub) Status() Status {
	var s Status
	if payload, ok := h.out.get("status"); ok {
		_ = json.Unmarshal(payload, &s) // it is ours
	}
	return s
}

// elapsed is where a playback is now, in whole seconds.
func (p *Playback) elapsed(now time.Time) int {
	if p.Position == nil {
		return 0
	}
	at := *p.Position
	if p.State == session.PlayerStatePlaying && !p.Stalled && p.PositionAt != nil {
		at += max(0, now.Sub(*p.PositionAt).Seconds())
	}
	return int(math.Max(0, at))
}

// deviceID is a speaker's id as HKWHub's clients know it: 15 decimal digits, always
// the same, which a program may keep in a float64.
func deviceID(speaker string) string {
	const low, high = 100_000_000_000_000, 1_000_000_000_000_000
	return strconv.FormatUint(low+digest("speaker/"+speaker)%(high-low), 10)
}

// device finds a speaker by its DeviceID. For one that there is not, the DeviceID
// itself comes back, which is no speaker's id either.
func (h *Hub) device(id string) string {
	for _, s := range h.Status().Speakers {
		if deviceID(s.ID) == id {
			return s.ID
		}
	}
	return id
}

// persistentID is a media's id as HKWHub's clients know it: decimal, of 63 bits.
// Files have one; a chime's is made of its name.
func persistentID(m library.Media) string {
	if m.Kind == library.KindChime {
		return strconv.FormatUint(digest("chime/"+m.ID)>>1, 10)
	}
	return m.ID
}

// persistent finds media by its PersistentID.
func (h *Hub) persistent(id string) (media string, ok bool) {
	if m, err := h.cfg.Media.Resolve(id); err == nil && m.Kind == library.KindHub && m.ID == id {
		return id, true
	}
	all, _ := h.cfg.Media.List("", 0, 0)
	for _, m := range all {
		if m.Kind == library.KindChime && persistentID(m) == id {
			return m.ID, true
		}
	}
	return "", false
}

func digest(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:])
}
