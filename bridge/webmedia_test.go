package bridge

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
	audio "hkw/speaker/decode"
	"hkw/speaker/library"
)

// misbehaving are servers of web media, each wrong in a way of its own. They answer
// below one address; one that speaks bad HTTP takes the connection over.
func misbehaving(inner string) map[string]http.HandlerFunc {
	text := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		}
	}
	raw := func(talk func(net.Conn)) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			talk(c)
		}
	}
	says := func(s string) http.HandlerFunc {
		return raw(func(c net.Conn) { _, _ = io.WriteString(c, s) })
	}
	hang := func(r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
	}
	endless := func(contentType string, block []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			for r.Context().Err() == nil {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 32<<20))
	_ = z.Close()
	return map[string]http.HandlerFunc{
		"slow-header":       func(_ http.ResponseWriter, r *http.Request) { hang(r) },
		"slow-body":         func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); hang(r) },
		"stalls-in-header":  raw(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-"); time.Sleep(5 * time.Second) }),
		"endless-zeros":     endless("audio/mpeg", make([]byte, 1<<16)),
		"endless-text":      endless("text/plain", bytes.Repeat([]byte("la "), 1<<14)),
		"endless-playlist":  endless("audio/x-mpegurl", bytes.Repeat([]byte("# la\n"), 1<<12)),
		"endless-header":    raw(func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"); endlessHeader(c) }),
		"redirect-loop":     redirect("/redirect-loop"),
		"redirect-growing":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) },
		"redirect-inward":   redirect(inner),
		"redirect-to-file":  redirect("file:///etc/passwd"),
		"redirect-to-ftp":   redirect("ftp://example.com/a.mp3"),
		"redirect-nowhere":  status(http.StatusMovedPermanently),
		"redirect-nonsense": redirect("http://[::1"),
		"web-page":          text("text/html", "<!doctype html><html><body>Please log in</body></html>"),
		"page-as-audio":     text("audio/mpeg", "<html>Please log in</html>"),
		"json":              text("application/json", `{"error":"no"}`),
		"truncated":         text("audio/wav", "RIFF\x24\x00\x00\x00WAVEfmt "),
		"empty":             text("audio/mpeg", ""),
		"one-byte":          text("audio/flac", "f"),
		"noise":             text("audio/mpeg", strings.Repeat("\xa5\x5a\x3c\xff\x00", 20000)),
		"gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
		"gzip-undeclared":       text("audio/mpeg", bomb.String()),
		"not-found":             status(http.StatusNotFound),
		"forbidden":             status(http.StatusForbidden),
		"broken":                status(http.StatusInternalServerError),
		"no-content":            status(http.StatusNoContent),
		"closes":                raw(func(net.Conn) {}),
		"resets":                raw(func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }),
		"not-http":              says("220 smtp.example ESMTP\r\n"),
		"nonsense-status":       says("HTTP/1.1 9999 What\r\n\r\n"),
		"broken-chunks":         says("HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
		"short":                 says("HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 100000\r\n\r\nID3"),
		"two-lengths":           says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
		"icy-nonsense":          says("ICY 200 OK\r\nicy-metaint: -5\r\nContent-Type: audio/mpeg\r\n\r\n" + strings.Repeat("x", 5000)),
		"icy-huge":              says("ICY 200 OK\r\nicy-metaint: 99999999999999999999\r\n\r\n" + strings.Repeat("x", 5000)),
		"playlist-of-itself":    text("audio/x-mpegurl", "#EXTM3U\n/playlist-of-itself\n"),
		"playlist-of-files":     text("audio/x-mpegurl", "#EXTM3U\nfile:///etc/passwd\n"),
		"playlist-inward":       text("audio/x-scpls", "[playlist]\nFile1="+inner+"\n"),
		"playlist-of-playlists": text("audio/x-mpegurl", "/playlist-a\n"),
		"playlist-a":            text("audio/x-mpegurl", "/playlist-b\n"),
		"playlist-b":            text("audio/x-mpegurl", "/playlist-c\n"),
		"playlist-c":            text("audio/x-mpegurl", "/playlist-of-playlists\n"),
	}
}

func endlessHeader(c net.Conn) {
	line := []byte("X-Filler: " + strings.Repeat("la", 2000) + "\r\n")
	for {
		if _, err := c.Write(line); err != nil {
			return
		}
	}
}

// TestMisbehavingServers: whatever a server of web media does, the play ends in one
// named error, what played goes on, and the hub answers others meanwhile.
func TestMisbehavingServers(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a service of this machine was asked") }))
	defer inner.Close()
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("this system has one address of loopback only: %v", err)
	}
	servers := misbehaving(inner.URL)
	outer := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := servers[strings.TrimPrefix(r.URL.Path, "/")]; h != nil {
			h(w, r)
		} else if strings.HasPrefix(r.URL.Path, "/redirect-growing") {
			servers["redirect-growing"](w, r)
		}
	}))
	outer.Listener = ln
	outer.Start()
	defer func() {
		outer.CloseClientConnections()
		outer.Close()
	}()

	web := audio.Web{Reach: &audio.Reach{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}},
		HeaderTimeout: 300 * time.Millisecond, StallTimeout: 300 * time.Millisecond}
	lib, err := library.Open(t.Context(), library.Config{Web: web, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	h := newHouse(t, func(c *Config) {
		c.Media = lib
		c.Session.PrepareLimit = 2 * time.Second
	})
	music := h.must("play", `"media":"alarm"`, session.OutcomeStarted)
	results := h.listen("result/+")

	urls := map[string]string{"no-such-host": "http://host.invalid/a.mp3", "refused": "http://127.0.0.2:1/a.mp3", "no-tls": strings.Replace(outer.URL, "http:", "https:", 1) + "/closes",
		"inward": inner.URL + "/a.mp3", "inward-by-name": strings.Replace(inner.URL, "127.0.0.1", "localhost", 1)}
	for name := range servers {
		urls[name] = outer.URL + "/" + name
	}
	if len(urls) < 40 {
		t.Fatalf("%d servers", len(urls))
	}
	for name, url := range urls {
		h.publish("play", fmt.Sprintf(`{"id":%q,"media":%q,"on_busy":"announce"}`, name, url))
	}
	// Others are answered at once, while all of that hangs.
	asked := time.Now()
	h.must("volume", `"volume":20`, session.OutcomeDone)
	t.Logf("a volume was answered in %s", time.Since(asked))
	for answered := map[string]bool{}; len(answered) < len(urls); {
		m := until(t, results, fmt.Sprintf("%d plays are answered (%d are)", len(urls), len(answered)), func(busMessage) bool { return true })
		var r Result
		unmarshal(t, m, &r)
		if urls[r.ID] == "" {
			continue
		}
		answered[r.ID] = true
		if r.Outcome != session.OutcomeFailed || r.Error != session.MediaUnavailable || r.Message == "" {
			t.Errorf("%s: %s", r.ID, m.payload)
		}
		if strings.Contains(r.Message, "0x") || strings.Contains(r.Message, "panic") || len(r.Message) > 400 {
			t.Errorf("%s: message %q", r.ID, r.Message)
		}
	}
	var s Status
	status, _ := h.hub.Retained("status")
	unmarshal(t, busMessage{payload: status}, &s)
	if s.Playing == nil || s.Playing.ID != music.Playback {
		t.Errorf("after all that the hub plays %+v", s.Playing)
	}
}

func unmarshal(t testing.TB, m busMessage, into any) {
	t.Helper()
	if err := json.Unmarshal(m.payload, into); err != nil {
		t.Fatalf("%s: %v", m.payload, err)
	}
}
