package bridge

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// mended is what a mender makes of in, which arrives in pieces of n bytes.
func mended(in string, n int) string {
	var m mender
	var out []byte
	for rest := []byte(in); len(rest) > 0; {
		k := min(n, len(rest))
		out = m.mend(out, rest[:k])
		rest = rest[k:]
	}
	return string(m.giveUp(out))
}

func TestMender(t *testing.T) {
	const h = "Host: x\r\n"
	same := "\x00same"
	for _, c := range []struct{ in, want string }{
		{"GET /a HTTP/1.1\r\n" + h + "\r\n", same},
		{"GET /a b HTTP/1.1\r\n" + h + "\r\n", "GET /a%20b HTTP/1.1\r\n" + h + "\r\n"},
		{"GET /a  (b) c HTTP/1.0\n\n", "GET /a%20%20(b)%20c HTTP/1.0\n\n"},
		{"GET /?u=x HTTP/1.1 y HTTP/1.1\r\n\r\n", "GET /?u=x%20HTTP/1.1%20y HTTP/1.1\r\n\r\n"},
		{"GET /a HTTP/1.x HTTP/1.1\r\n\r\n", "GET /a%20HTTP/1.x HTTP/1.1\r\n\r\n"},
		{"GET /a b HTTP/1.1\r\nX: 1 2\r\n\r\nGET /c d HTTP/1.1\r\n\r\n", "GET /a%20b HTTP/1.1\r\nX: 1 2\r\n\r\nGET /c%20d HTTP/1.1\r\n\r\n"},
		// A body of a known length is passed by, and what follows it is a request again.
		{"POST /a HTTP/1.1\r\ncontent-length: 23\r\n\r\nGET /a b HTTP/1.1\r\n\r\n  GET /c d HTTP/1.1\r\n\r\n",
			"POST /a HTTP/1.1\r\ncontent-length: 23\r\n\r\nGET /a b HTTP/1.1\r\n\r\n  GET /c%20d HTTP/1.1\r\n\r\n"},
		{"POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET /c d HTTP/1.1\r\n\r\n", "POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET /c%20d HTTP/1.1\r\n\r\n"},
		// Where the end of a body is not announced, nothing is touched any more.
		{"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /c d HTTP/1.1\r\n\r\n", same},
		{"GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\n\r\nGET /c d HTTP/1.1\r\n\r\n", same},
		{"POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nGET /c d HTTP/1.1\r\n\r\n", same},
		{"POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\nGET /c d HTTP/1.1\r\n\r\n", same},
		{"POST /a HTTP/1.1\r\nX: 1\r\n folded\r\n\r\nGET /c d HTTP/1.1\r\n\r\n", same},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI *%20HTTP/2.0\r\n\r\nSM\r\n\r\n"}, // refused either way
		{"GET /a", same},
		{"GET /a b", "GET /a%20b"},
		{"GET /a H", same},
		{"GET /a HTTP/1", same},
		{"GET /a\r\nGET /c d HTTP/1.1\r\n\r\n", same},
		{"get /a b HTTP/1.1\r\n\r\n", same},
		{"\x16\x03\x01 hello there HTTP/1.1\r\n", same},
		{strings.Repeat("A", 100) + " /a b HTTP/1.1\r\n\r\n", same},
		{"", same},
	} {
		want := c.want
		if want == same {
			want = c.in
		}
		for _, n := range []int{1, 2, 3, 7, 4096} {
			if got := mended(c.in, n); got != want {
				t.Errorf("in pieces of %d: %q\n got %q\nwant %q", n, c.in, got, want)
			}
		}
	}
}

// A long address of spaces needs no memory.
func TestMenderKeepsLittle(t *testing.T) {
	var m mender
	m.mend(nil, []byte("GET /"))
	m.mend(nil, bytes.Repeat([]byte(" HTTP/1.1"), 10_000))
	m.mend(nil, []byte(" HTTP/1.1\r\nX: "+strings.Repeat("y", 100_000)))
	if cap(m.kept) > 2*maxHeadLine {
		t.Errorf("%d bytes are kept", cap(m.kept))
	}
}

// What cannot be told yet is not lost when a read ends in a deadline.
func TestLenientReadsOn(t *testing.T) {
	c := &lenientConn{Conn: &hesitant{rest: "GET /a HTTP/1.1 b HTTP/1.1\r\n\r\nGET /c d HT"}}
	var got []byte
	buf := make([]byte, 5)
	deadlines := 0
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			deadlines++
		} else if err != nil {
			break
		}
	}
	if want := "GET /a%20HTTP/1.1%20b HTTP/1.1\r\n\r\nGET /c%20d HT"; string(got) != want || deadlines == 0 {
		t.Errorf("got %q after %d deadlines, want %q", got, deadlines, want)
	}
}

// One connection to a real server: bodies arrive as they were sent, and it is kept
// for the next request.
func TestLenientServer(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s|%s|%s", r.Method, r.URL.RawQuery, body)
	}))
	server.Listener = Lenient(server.Listener)
	server.Start()
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	const body = "GET /?a b HTTP/1.1\r\n\r\n"
	for _, r := range []struct{ request, want string }{
		{"GET /?u=a b (c) HTTP/1.1\r\nHost: x\r\n\r\n", "GET|u=a%20b%20(c)|"},
		{"POST /?1 HTTP/1.1\r\nHost: x\r\nContent-Length: 22\r\n\r\n" + body, "POST|1|" + body},
		{"GET /?2 3 HTTP/1.1\r\nHost: x\r\n\r\n", "GET|2%203|"},
		{"POST /?4 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n" + body + "\r\n0\r\n\r\n", "POST|4|" + body},
		{"GET /?5 HTTP/1.1\r\nHost: x\r\n\r\n", "GET|5|"},
	} {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		for _, piece := range []string{r.request[:9], r.request[9:]} {
			if _, err := io.WriteString(c, piece); err != nil {
				t.Fatal(err)
			}
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%q: %v", r.request, err)
		}
		got, _ := io.ReadAll(res.Body)
		if string(got) != r.want {
			t.Errorf("%q: %q, want %q", r.request, got, r.want)
		}
	}
}

// hesitant is a connection on which a byte comes after each deadline.
type hesitant struct {
	net.Conn
	rest string
	late bool
}

func (c *hesitant) Read(p []byte) (int, error) {
	if c.late = !c.late; c.late {
		return 0, os.ErrDeadlineExceeded
	}
	if c.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, c.rest[:1])
	c.rest = c.rest[n:]
	return n, nil
}

func FuzzMender(f *testing.F) {
	f.Add("GET /a b HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n", 3)
	f.Add("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\na bGET /c d HTTP/1.1\r\n\r\n", 1)
	f.Add("GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\x82 \x00", 2)
	f.Fuzz(func(t *testing.T, in string, n int) {
		n = 1 + (n&0xff)%64
		whole, pieces := mended(in, len(in)+1), mended(in, n)
		if whole != pieces {
			t.Fatalf("%q: at once %q, in pieces of %d %q", in, whole, n, pieces)
		}
		// Nothing but spaces is touched, and those become %20 or stay.
		rest := whole
		for i := range len(in) {
			next, ok := strings.CutPrefix(rest, in[i:i+1])
			if !ok && in[i] == ' ' {
				next, ok = strings.CutPrefix(rest, "%20")
			}
			if !ok {
				t.Fatalf("%q became %q", in, whole)
			}
			rest = next
		}
		if rest != "" {
			t.Fatalf("%q became %q", in, whole)
		}
		// What a mender made needs no mending, where it is a whole request.
		if head, _, ok := strings.Cut(whole, "\r\n"); ok && strings.HasSuffix(head, " HTTP/1.1") && strings.Count(head, " ") == 2 && !strings.HasPrefix(head, " ") {
			if again := mended(whole, 4096); again != whole {
				t.Fatalf("%q became %q and then %q", in, whole, again)
			}
		}
	})
}
