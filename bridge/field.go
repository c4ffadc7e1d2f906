package bridge

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"hkw/session"
)

// allowed says what a value of the field must be.
func (f Field) allowed() string {
	switch f.Kind {
	case KindInt:
		return fmt.Sprintf("an integer from %d to %d", f.Min, f.Max)
	case KindSeconds:
		return fmt.Sprintf("seconds from %d to %d", f.Min, f.Max)
	case KindBool:
		return "true or false"
	case KindTime:
		return "a time as in RFC 3339, such as 2026-01-31T08:00:00Z"
	case KindMedia:
		return "a URL, id, name, path or title"
	case KindSpeakers:
		return `an array of speaker ids, or "all"`
	case KindMode:
		return "one of interrupt, announce, queue, drop"
	case KindPower:
		return "ON or OFF"
	case KindSwitch:
		return "on, off, toggle, true or false"
	case KindQuiet:
		return "one of on, off, auto"
	case KindFraction:
		return fmt.Sprintf("a number from %d to %d", f.Min, f.Max)
	default:
		if f.isID() {
			return fmt.Sprintf("%d to %d letters, digits, _ or -", f.Min, f.Max)
		}
		return fmt.Sprintf("a string of %d to %d bytes", f.Min, f.Max)
	}
}

// isID tells whether the field's value may stand in a topic.
func (f Field) isID() bool { return f.Name == fieldID.Name || f.Name == fieldPlayback.Name }

func (f Field) refuse(got string) *refusal {
	return invalid("%q must be %s, not %s", f.Name, f.allowed(), clip(got))
}

// decode reads a JSON value.
func (f Field) decode(raw json.RawMessage) (any, *refusal) {
	if len(raw) == 0 {
		return nil, f.refuse("nothing")
	}
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, f.refuse(string(raw))
		}
		return f.parse(s, true)
	case 't', 'f':
		switch f.Kind {
		case KindBool:
			return raw[0] == 't', nil
		case KindSwitch:
			return onOff(raw[0] == 't'), nil
		}
	case '[':
		if f.Kind == KindSpeakers {
			var ids []string
			if err := json.Unmarshal(raw, &ids); err != nil {
				return nil, f.refuse(string(raw))
			}
			return f.speakerIDs(ids)
		}
	case '{':
	default: // a number
		switch f.Kind {
		case KindInt, KindSeconds, KindFraction:
			return f.number(string(raw))
		case KindMedia: // an id of the library: 63 bits, never through a float64
			if _, err := strconv.ParseUint(string(raw), 10, 63); err == nil {
				return string(raw), nil
			}
		}
	}
	return nil, f.refuse(string(raw))
}

// parse reads text: a JSON string (quoted), or a bare payload, where numbers are text too.
func (f Field) parse(s string, quoted bool) (any, *refusal) {
	got := strconv.Quote(s)
	switch f.Kind {
	case KindInt, KindSeconds, KindFraction:
		if quoted {
			return nil, f.refuse(got)
		}
		return f.number(s)
	case KindBool:
		return nil, f.refuse(got)
	case KindTime:
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return nil, f.refuse(got)
		}
		return t, nil
	case KindMode:
		mode := session.OnBusy(s)
		switch mode {
		case session.Interrupt, session.Announce, session.Queue, session.Drop:
			return s, nil
		}
		return nil, f.refuse(got)
	case KindPower:
		if power := strings.ToUpper(s); power == powerOn || power == powerOff {
			return power, nil
		}
		return nil, f.refuse(got)
	case KindSwitch, KindQuiet:
		return f.position(s)
	case KindSpeakers:
		if s == "all" {
			return speakerList{all: true}, nil
		}
		return f.speakerIDs(strings.Split(s, ","))
	}
	if len(s) < f.Min || len(s) > f.Max {
		return nil, f.refuse(got)
	}
	if f.isID() && !ValidID(s) {
		return nil, f.refuse(got)
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f }); i >= 0 {
		return nil, invalid("%q must not hold control characters", f.Name)
	}
	return s, nil
}

// position reads the position of a switch. Programs write it in capitals too, and
// where there is no JSON, true and false.
func (f Field) position(s string) (any, *refusal) {
	switch low := strings.ToLower(s); {
	case low == "on", low == "off", low == "toggle" && f.Kind == KindSwitch, low == "auto" && f.Kind == KindQuiet:
		return low, nil
	case (low == "true" || low == "false") && f.Kind == KindSwitch:
		return onOff(low == "true"), nil
	}
	return nil, f.refuse(strconv.Quote(s))
}

func (f Field) number(s string) (any, *refusal) {
	// JSON has no other spellings; ParseFloat alone would take NaN, Inf and hex.
	if strings.Trim(s, "0123456789+-.eE") != "" {
		return nil, f.refuse(strconv.Quote(s))
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || x < float64(f.Min) || x > float64(f.Max) {
		return nil, f.refuse(s)
	}
	if f.Kind != KindInt {
		return x, nil
	}
	if x != math.Trunc(x) {
		return nil, f.refuse(s)
	}
	return int(x), nil
}

// maxSpeakers bounds a speaker list; a house has fewer.
const maxSpeakers = 256

func (f Field) speakerIDs(ids []string) (any, *refusal) {
	if len(ids) > maxSpeakers {
		return nil, invalid("%q names %d speakers; at most %d are allowed", f.Name, len(ids), maxSpeakers)
	}
	list := speakerList{ids: []string{}}
	for _, id := range ids {
		id = strings.TrimSpace(id)
		if id == "" {
			continue
		}
		if !ValidID(id) {
			return nil, f.refuse(strconv.Quote(id))
		}
		if !slices.Contains(list.ids, id) {
			list.ids = append(list.ids, id)
		}
	}
	return list, nil
}
