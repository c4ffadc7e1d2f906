package speech

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const testKey = "sk-very-secret-key-0123456789"

// service serves the speech interface of OpenAI.
func service(t *testing.T, cfg HTTPConfig, serve http.HandlerFunc) Engine {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	cfg.URL = strings.Replace(cfg.URL, "SERVER", server.Listener.Addr().String(), 1)
	if cfg.URL == "" {
		cfg.URL = server.URL
	}
	e, err := HTTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// spoken is a WAV file of a second.
func spoken() []byte { return append(pcmFormat{24000, 2, 1}.wavHeader(), tone(24000, 1, 440)...) }

func TestHTTP(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  HTTPConfig
		r    Request
		path string
		want map[string]string
	}{
		{"defaults", HTTPConfig{}, Request{Text: `Say "hi"`}, "/v1/audio/speech",
			map[string]string{"model": "tts-1", "input": `Say "hi"`, "voice": "alloy", "response_format": "wav"}},
		{"all", HTTPConfig{URL: "http://SERVER/v1/", Model: "kokoro", Voice: "af_sky", Key: testKey}, Request{Text: "a"}, "/v1/audio/speech",
			map[string]string{"model": "kokoro", "input": "a", "voice": "af_sky", "response_format": "wav"}},
		{"below", HTTPConfig{URL: "http://SERVER/tts/v1/audio/speech?api=1"}, Request{Text: "a", Voice: "x(1)+y"}, "/tts/v1/audio/speech",
			map[string]string{"model": "tts-1", "input": "a", "voice": "x(1)+y", "response_format": "wav"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := service(t, c.cfg, func(w http.ResponseWriter, r *http.Request) {
				var got map[string]string
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				auth := ""
				if c.cfg.Key != "" {
					auth = "Bearer " + c.cfg.Key
				}
				if r.Method != http.MethodPost || r.URL.Path != c.path || r.Header.Get("Authorization") != auth ||
					r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
				}
				for k, v := range c.want {
					if got[k] != v {
						t.Errorf("%s is %q, want %q", k, got[k], v)
					}
				}
				w.Header().Set("Content-Type", "audio/wav")
				_, _ = w.Write(spoken())
			})
			s := newSpeech(t, Config{Engine: e})
			got := mustSay(t, s, c.r)
			if d := seconds(got); math.Abs(d-1) > 0.001 || loudness(got) < 0.2 {
				t.Errorf("%.4f s, as loud as %.3f", d, loudness(got))
			}
			if name := e.Name(); strings.Contains(name, "api=1") || strings.Contains(name, testKey) {
				t.Errorf("its name is %q", name)
			}
		})
	}
}

// The first words sound while the last are not spoken yet.
func TestHTTPStreams(t *testing.T) {
	gone := make(chan struct{})
	e := service(t, HTTPConfig{}, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(spoken())
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	s := newSpeech(t, Config{Engine: e})
	src, err := s.Opener(Request{Text: "hello"}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := src.Read(make([]float32, 2000)); n == 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	_ = src.Close()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the request goes on though nobody listens")
	}
}

func TestHTTPMisbehaves(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed: %v", r.Header)
	}))
	t.Cleanup(elsewhere.Close)
	answers := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); _, _ = io.WriteString(w, body) }
	}
	hijack := func(f func(conn net.Conn)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				defer conn.Close()
				f(conn)
			}
		}
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 10<<20))
	_ = z.Close()
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
		words []string
	}{
		{"key refused", answers(401, `{"error":{"message":"Incorrect API key provided: sk-very-****6789"}}`), []string{"401 Unauthorized", "is the key right"}},
		{"forbidden", answers(403, "no"), []string{"403 Forbidden"}},
		{"unknown", answers(404, `{"detail":"Not Found"}`), []string{"404 Not Found: Not Found"}},
		{"bad voice", answers(400, `{"error":{"message":"no voice\n'x'","type":"invalid"}}`), []string{"400 Bad Request: no voice 'x'"}},
		{"text", answers(500, "model \x1b[1mnot loaded"), []string{"500 Internal Server Error: model [1mnot loaded"}},
		{"string", answers(503, `{"error":"busy"}`), []string{"503", ": busy"}},
		{"something else", answers(422, `{"detail":[{"loc":["body"]}]}`), []string{"422 Unprocessable Entity"}},
		{"page", answers(502, "<html><body>nginx</body></html>"), []string{"502 Bad Gateway"}},
		{"limited", answers(429, strings.Repeat("too much ", 100000)), []string{"429", "too much", "…"}},
		{"empty status", answers(204, ""), []string{"204"}},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, []string{"307", "not followed"}},
		{"redirect of old", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, []string{"302", "not followed"}},
		{"echoes the key", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, "I got "+r.Header.Get("Authorization"))
		}, []string{"500", "Bearer ***"}},
		{"nothing", answers(200, ""), []string{"no data"}},
		{"json", answers(200, `{"audio":"AAAA"}`), []string{"it is text"}},
		{"garbage", answers(200, strings.Repeat("\x01\x02\x03", 10000)), []string{"unknown audio format"}},
		{"a bomb", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("it asks for %q", r.Header.Get("Accept-Encoding"))
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, []string{"unknown audio format"}},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(spoken())
		}, []string{"ended in the middle"}},
		{"cut off in chunks", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(spoken())
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, []string{"ended in the middle"}},
		{"no http", hijack(func(conn net.Conn) { _, _ = io.WriteString(conn, "hello\r\n\r\n") }), []string{"does not answer"}},
		{"hangs up", hijack(func(net.Conn) {}), []string{"does not answer"}},
		{"endless header", hijack(func(conn net.Conn) {
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				_, err = io.WriteString(conn, "X: "+strings.Repeat("x", 1000)+"\r\n")
			}
		}), []string{"does not answer"}},
		{"mute", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, []string{"never began"}},
		{"stalls", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = w.Write(spoken())
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, []string{"no sound for"}},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(spoken())
			for err == nil {
				_, err = w.Write(make([]byte, 1<<16))
			}
		}, []string{"would not stop"}},
		{"endless before the sound", func(w http.ResponseWriter, _ *http.Request) {
			_, err := io.WriteString(w, "RIFF\xff\xff\xff\xffWAVEjunk\xff\xff\xff\xff")
			for err == nil {
				_, err = w.Write(make([]byte, 1<<16))
			}
		}, []string{"more than 256 MiB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := service(t, HTTPConfig{URL: "http://me:pass-word@SERVER/v1?token=in-the-query", Key: testKey}, c.serve)
			s := newSpeech(t, Config{Engine: e, Stall: stallFor(c.words[0]), Length: 5 * time.Second})
			_, err := say(t.Context(), s, Request{Text: "hello"})
			wantMedia(t, err, c.words...)
			for _, secret := range []string{testKey, "very", "pass-word", "in-the-query"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q is in %v", secret, err)
				}
			}
		})
	}
}

func TestHTTPCheck(t *testing.T) {
	for _, c := range []struct {
		status int
		words  string
	}{{200, ""}, {404, ""}, {405, ""}, {401, "is the key right"}, {500, "500"}, {301, "not followed"}} {
		e := service(t, HTTPConfig{Key: testKey}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/v1/models" || r.Header.Get("Authorization") != "Bearer "+testKey {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
		})
		err := e.Check(t.Context())
		if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%d: %v, want %q", c.status, err, c.words)
		}
	}
	e, err := HTTP(HTTPConfig{URL: "http://" + strings.TrimPrefix(unreachable(t).Name(), "wyoming ")})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestHTTPConfig(t *testing.T) {
	for _, c := range []HTTPConfig{
		{}, {URL: "piper:8000"}, {URL: "ftp://host"}, {URL: "http://"}, {URL: "http://ho st"}, {URL: "://secret"},
		{URL: "http://host", Key: "a\nb"}, {URL: "http://host", Key: "secret\n"},
	} {
		if e, err := HTTP(c); err == nil {
			t.Errorf("%+v is %s", c, e.Name())
		} else if strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	}
}
