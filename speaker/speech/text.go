package speech

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of a request, in bytes.
const (
	MaxText  = 4096
	MaxVoice = 128
)

// clean checks a request and takes out of its text what nobody can say. White
// space of every kind becomes one space, so that what sounds alike is one entry
// of the cache.
func clean(r Request) (Request, error) {
	switch {
	case r.Text == "":
		return r, fmt.Errorf("the text is empty: %w", ErrRequest)
	case len(r.Text) > MaxText:
		return r, fmt.Errorf("the text has %d bytes, more than %d: %w", len(r.Text), MaxText, ErrRequest)
	case !utf8.ValidString(r.Text):
		return r, fmt.Errorf("the text is not UTF-8: %w", ErrRequest)
	case len(r.Voice) > MaxVoice:
		return r, fmt.Errorf("the name of the voice has %d bytes, more than %d: %w", len(r.Voice), MaxVoice, ErrRequest)
	case !utf8.ValidString(r.Voice) || strings.ContainsFunc(r.Voice, func(c rune) bool { return !unicode.IsPrint(c) }):
		return r, fmt.Errorf("the name of the voice has characters that cannot be printed: %w", ErrRequest)
	}
	text := strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case unicode.IsControl(c):
			return -1
		}
		return c
	}, r.Text)
	if r.Text = strings.Join(strings.Fields(text), " "); r.Text == "" {
		return r, fmt.Errorf("the text holds nothing but white space: %w", ErrRequest)
	}
	return r, nil
}

// printable makes what an engine says of itself fit for an error: one line, without control characters, not long.
func printable(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case !unicode.IsPrint(c) || c == utf8.RuneError:
			return -1
		}
		return c
	}, s)), " ")
	const most = 200
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
