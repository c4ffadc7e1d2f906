package bridge

import (
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
)

// Lenient lets HTTP requests through whose address has spaces that nobody escaped:
// old HKWHub clients send a MediaUrl as it stands, and net/http refuses it before
// any handler could see it. A space between the method and the HTTP version becomes
// %20; nothing else of what arrives is touched.
func Lenient(l net.Listener) net.Listener { return lenientListener{l} }

type lenientListener struct{ net.Listener }

func (l lenientListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lenientConn{Conn: c}, nil
}

// lenientConn reads the requests of one connection. Like every reader of net/http
// it is read by one goroutine at a time.
type lenientConn struct {
	net.Conn
	mender mender
	out    []byte // mended and not yet read
	in     []byte
}

// Read reads what the client sent, mended.
func (c *lenientConn) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.mender.place == placeRaw || len(p) == 0 {
			return c.Conn.Read(p)
		}
		if c.in == nil {
			c.in = make([]byte, 4096)
		}
		n, err := c.Conn.Read(c.in)
		c.out = c.mender.mend(c.out, c.in[:n])
		if errors.Is(err, io.EOF) {
			c.out = c.mender.giveUp(c.out)
		}
		if err != nil && len(c.out) == 0 {
			return 0, err
		}
		// An error beside data comes again at the next read.
	}
	n := copy(p, c.out)
	if c.out = c.out[n:]; len(c.out) == 0 {
		c.out = nil // or its beginning would never be used again
	}
	return n, nil
}

// CloseWrite ends what is sent, so that net/http can tell a client why it does not
// read on.
func (c *lenientConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// place is where in a request a mender is.
type place int

const (
	placeMethod place = iota
	placeTarget       // between the method and the end of the first line
	placeHeader
	placeBody // of a length that was announced
	placeRaw  // nothing is touched any more
)

// Bounds of what a mender looks at.
const (
	maxMethod   = 32
	maxHeadLine = 64 // of a header line; the headers that matter here are shorter
)

// version is how a first line ends, the last digit left out.
const version = " HTTP/1."

// mender mends a stream of requests as it arrives, in pieces of any size. It keeps
// only what it cannot tell yet: from a space on what may still become the version.
type mender struct {
	place   place
	kept    []byte // in a target what may be the version; in a header the beginning of the line
	method  int    // length so far
	body    int64  // what is still to come of it
	sized   bool   // the header announced a length
	foreign bool   // what follows this header is not for a mender
}

// mend appends what becomes of in to out.
func (m *mender) mend(out, in []byte) []byte {
	for len(in) > 0 {
		switch m.place {
		case placeRaw:
			return append(out, in...)
		case placeBody:
			n := int(min(m.body, int64(len(in))))
			out, in = append(out, in[:n]...), in[n:]
			if m.body -= int64(n); m.body == 0 {
				m.next()
			}
			continue
		case placeTarget:
			out = m.target(out, in[0])
		case placeHeader:
			out = append(out, in[0])
			m.header(in[0])
		case placeMethod:
			out = append(out, in[0])
			m.method++
			switch {
			case in[0] == ' ' && m.method > 1:
				m.place = placeTarget
			case in[0] < 'A' || in[0] > 'Z' || m.method > maxMethod:
				m.place = placeRaw
			}
		}
		in = in[1:]
	}
	return out
}

// giveUp returns what is kept back when nothing more comes.
func (m *mender) giveUp(out []byte) []byte {
	if m.place == placeTarget {
		out = append(out, m.kept...)
		m.kept = m.kept[:0]
	}
	return out
}

// target takes one byte between the method and the end of the line.
func (m *mender) target(out []byte, b byte) []byte {
	switch {
	case b == ' ':
		out = m.notVersion(out)
		m.kept = append(m.kept, b)
	case len(m.kept) == 0 && b == '\n':
		m.place = placeRaw // no version: not a request that we know
		return append(out, b)
	case len(m.kept) == 0:
		return append(out, b)
	case m.mayBeVersion(b):
		if m.kept = append(m.kept, b); b == '\n' {
			out = append(out, m.kept...)
			m.kept = m.kept[:0]
			m.place = placeHeader
		}
	default:
		out = append(m.notVersion(out), b)
		if b == '\n' {
			m.place = placeRaw
		}
	}
	return out
}

// mayBeVersion tells whether kept and b could be the end of a first line.
func (m *mender) mayBeVersion(b byte) bool {
	switch n := len(m.kept); {
	case n < len(version):
		return b == version[n]
	case n == len(version):
		return '0' <= b && b <= '9'
	case n == len(version)+1:
		return b == '\r' || b == '\n'
	case n == len(version)+2:
		return b == '\n'
	}
	return false
}

// notVersion appends what is kept back, its space mended.
func (m *mender) notVersion(out []byte) []byte {
	if len(m.kept) > 0 {
		out = append(out, "%20"...)
		out = append(out, m.kept[1:]...)
		m.kept = m.kept[:0]
	}
	return out
}

// header takes one byte of the lines after the first.
func (m *mender) header(b byte) {
	if b != '\n' {
		if len(m.kept) < maxHeadLine {
			m.kept = append(m.kept, b)
		}
		return
	}
	line := strings.TrimSuffix(string(m.kept), "\r")
	m.kept = m.kept[:0]
	if line != "" {
		m.headerLine(line)
		return
	}
	switch {
	case m.foreign:
		m.place = placeRaw
	case m.body > 0:
		m.place = placeBody
	default:
		m.next()
	}
}

// headerLine looks for what says how the body ends. Whatever it cannot be sure
// of is foreign.
func (m *mender) headerLine(line string) {
	name, value, ok := strings.Cut(line, ":")
	switch {
	case !ok || strings.ContainsAny(name, " \t"): // continued, or malformed
		m.foreign = true
	case strings.EqualFold(name, "Transfer-Encoding"), strings.EqualFold(name, "Upgrade"):
		m.foreign = true
	case strings.EqualFold(name, "Content-Length"):
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 63)
		m.foreign = m.foreign || m.sized || err != nil || n < 0
		m.sized, m.body = true, n
	}
}

// next begins another request.
func (m *mender) next() { *m = mender{kept: m.kept[:0]} }
