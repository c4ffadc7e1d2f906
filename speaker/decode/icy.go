package decode

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// icyConn lets net/http read the answer of a Shoutcast server, whose first line
// begins "ICY 200 OK" where HTTP has its version.
type icyConn struct {
	net.Conn
	asked bool
	rest  []byte
}

func (c *icyConn) Read(p []byte) (int, error) {
	if !c.asked && len(p) > 0 {
		c.asked = true
		var head [4]byte
		n, err := io.ReadFull(c.Conn, head[:])
		c.rest = append(c.rest, head[:n]...)
		if string(c.rest) == "ICY " {
			c.rest = []byte("HTTP/1.0 ")
		}
		if n == 0 {
			return 0, err
		}
	}
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// icyReader takes the metadata out of a radio stream: after every interval bytes
// of sound, one byte with the length of the metadata in units of 16, then those.
type icyReader struct {
	r        io.Reader
	interval int
	left     int // bytes of sound until the next metadata
	current  atomic.Pointer[string]
	buf      []byte
}

func newICY(r io.Reader, interval string) (*icyReader, error) {
	n, err := strconv.Atoi(strings.TrimSpace(interval))
	if err != nil || n < 1 || n > 1<<24 {
		return nil, errors.New("the server announced metadata at an interval that makes no sense")
	}
	return &icyReader{r: r, interval: n, left: n}, nil
}

func (i *icyReader) Read(p []byte) (int, error) {
	if i.left == 0 {
		if err := i.metadata(); err != nil {
			return 0, err
		}
		i.left = i.interval
	}
	n, err := i.r.Read(p[:min(len(p), i.left)])
	i.left -= n
	return n, err
}

// metadata reads one block of it. Most are empty: nothing has changed.
func (i *icyReader) metadata() error {
	var size [1]byte
	if _, err := io.ReadFull(i.r, size[:]); err != nil {
		return err
	}
	if size[0] == 0 {
		return nil
	}
	if i.buf == nil {
		i.buf = make([]byte, 255*16)
	}
	b := i.buf[:int(size[0])*16]
	if _, err := io.ReadFull(i.r, b); err != nil {
		return cut(err)
	}
	if t, ok := icyTitle(b); ok {
		i.current.Store(&t)
	}
	return nil
}

func (i *icyReader) title() string {
	if t := i.current.Load(); t != nil {
		return *t
	}
	return ""
}

// icyTitle picks the title out of metadata such as StreamTitle='a - b';StreamUrl=”;
func icyTitle(b []byte) (string, bool) {
	s := strings.TrimRight(string(b), "\x00")
	_, s, ok := strings.Cut(s, "StreamTitle='")
	if !ok {
		return "", false
	}
	// A title may hold quotes. It ends with one before a semicolon.
	if end := strings.Index(s, "';"); end >= 0 {
		s = s[:end]
	} else {
		s = strings.TrimSuffix(s, "'")
	}
	if !utf8.ValidString(s) {
		// Then it is Latin-1, as old stations send it.
		runes := make([]rune, 0, len(s))
		for _, c := range []byte(s) {
			runes = append(runes, rune(c))
		}
		s = string(runes)
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s), true
}
