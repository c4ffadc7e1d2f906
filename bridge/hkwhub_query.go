package bridge

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// dialectQuery reads a query as HKWHub's clients write it. A MediaUrl that nobody
// escaped may hold parameters of its own: what follows it belongs to it, as far as
// known does not claim the name. Of a parameter that comes twice the first counts.
func dialectQuery(raw string, known func(name string) bool) map[string]string {
	values := map[string]string{}
	var name string
	for part := range strings.SplitSeq(raw, "&") {
		before, after, _ := strings.Cut(part, "=")
		if key := unescape(before); known(key) {
			name = key
			if _, twice := values[key]; twice {
				name = ""
				continue
			}
			values[key] = after
		} else if name == paramURL.name {
			values[name] += "&" + part
		}
	}
	for name, value := range values {
		if name == paramURL.name {
			values[name] = unescapeURL(value)
		} else {
			values[name] = unescape(value)
		}
	}
	return values
}

// knows tells which parameters a command has.
func (d *dialect) knows(command *dialectCommand) func(name string) bool {
	return func(name string) bool {
		return slices.Contains(d.keys, name) || command != nil &&
			slices.ContainsFunc(command.params, func(p dialectParam) bool { return p.name == name })
	}
}

// unescape decodes a value as a form does, and leaves one that nobody encoded.
func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// unescapeURL decodes a URL as far as somebody encoded it. One that swallowed
// parameters did not see an encoder; in one that begins like a URL, no form's
// encoder wrote a + for a space.
func unescapeURL(s string) string {
	switch {
	case strings.Contains(s, "&"):
		return s
	case strings.HasPrefix(s, "http://"), strings.HasPrefix(s, "https://"):
		if plain, err := url.PathUnescape(s); err == nil {
			return plain
		}
		return s
	}
	return unescape(s)
}

// urlParam makes a URL of what should be one: what may not stand in a URL, a space
// above all, is escaped.
func urlParam(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if !utf8.ValidString(s) {
		return "", false
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == 0x7f:
			return "", false
		case c == ' ' || c >= 0x80 || strings.IndexByte("\"<>\\^`{|}", c) >= 0, c == '%' && !escapes(s[i:]):
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	u, err := url.Parse(b.String())
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || b.Len() > maxParam {
		return "", false
	}
	return b.String(), true
}

// escapes tells whether s begins with an escaped byte.
func escapes(s string) bool {
	return len(s) >= 3 && strings.Trim(s[1:3], "0123456789abcdefABCDEF") == ""
}
