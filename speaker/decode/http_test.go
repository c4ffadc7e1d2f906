package decode

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hkw/speaker"
)

// serve answers each path with its handler.
func serve(t *testing.T, routes map[string]http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := routes[r.URL.Path]
		if h == nil {
			h = http.NotFound
		}
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func body(kind string, b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(b)
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

// fetch opens a URL and plays it to its end.
func fetch(url string, web Web) (frames int, info speaker.Info, err error) {
	src, err := OpenURL(context.Background(), url, web)
	if err != nil {
		return 0, info, err
	}
	all, err := readRest(src, 1<<22)
	return len(all) / 2, src.Info(), errors.Join(err, src.Close())
}

// TestURLs plays what servers send, or says why not.
func TestURLs(t *testing.T) {
	wav := toneWAV(48000, 2, 4800)
	mp3 := samples[0].load(t)
	hop := func(n int) http.HandlerFunc { return redirect(fmt.Sprintf("/hop%d", n)) }
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	routes := map[string]http.HandlerFunc{
		"/tone.wav":     body("audio/wav", wav),
		"/tone.mp3":     body("audio/mpeg", mp3),
		"/tone.flac":    body("application/octet-stream", samples[4].load(t)),
		"/tone.ogg":     body("application/ogg", samples[6].load(t)),
		"/liar.mp3":     body("audio/mpeg", wav),
		"/a b/tone.wav": body("", wav),
		"/hop1":         hop(2), "/hop2": hop(3), "/hop3": hop(4), "/hop4": hop(5), "/hop5": redirect("/tone.wav"),
		"/hop0":    hop(1),
		"/loop":    redirect("/loop"),
		"/inward":  redirect("file:///etc/passwd"),
		"/gopher":  redirect("gopher://x/1"),
		"/bare":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) },
		"/404":     http.NotFound,
		"/500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"/page":    body("audio/mpeg", []byte("<!DOCTYPE html><html>no</html>")),
		"/text":    body("text/plain", []byte("just words")),
		"/nothing": body("audio/mpeg", nil),
		"/gzip": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		},
		"/asked": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Icy-Metadata") != "1" || r.Header.Get("User-Agent") != "hkw/test" {
				http.Error(w, "wrong", http.StatusBadRequest)
				return
			}
			_, _ = w.Write(wav)
		},
		"/secret": func(w http.ResponseWriter, r *http.Request) {
			if user, pass, _ := r.BasicAuth(); user != "me" || pass != "hush" || r.URL.RawQuery != "key=hush&a=1" {
				http.Error(w, "wrong", http.StatusForbidden)
				return
			}
			_, _ = w.Write(wav)
		},
		"/cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(wav)))
			_, _ = w.Write(wav[:len(wav)/2])
			panic(http.ErrAbortHandler)
		},
		"/radio.m3u":   body("audio/x-mpegurl", []byte("#EXTM3U\r\n#EXTINF:-1,Radio\r\n\r\ntone.mp3\r\n")),
		"/plain.m3u":   body("text/plain", []byte("/404\n/tone.mp3\n")),
		"/radio.pls":   body("audio/x-scpls", []byte("[playlist]\nNumberOfEntries=2\nFile1=/404\nTitle1=x\nFile2=/tone.ogg\nLength2=-1\n")),
		"/nest1.m3u":   body("", []byte("#EXTM3U\nnest2.m3u\n")),
		"/nest2.m3u":   body("", []byte("#EXTM3U\nnest3.m3u\n")),
		"/nest3.m3u":   body("", []byte("#EXTM3U\ntone.wav\n")),
		"/nest0.m3u":   body("", []byte("#EXTM3U\nnest1.m3u\n")),
		"/circle.m3u":  body("", []byte("#EXTM3U\ncircle2.m3u\n")),
		"/circle2.m3u": body("", []byte("#EXTM3U\ncircle.m3u\n")),
		"/empty.m3u":   body("", []byte("#EXTM3U\n# nothing\n")),
		"/files.m3u":   body("", []byte("#EXTM3U\nfile:///etc/passwd\nC:\\x.mp3\n")),
		"/hls.m3u8":    body("application/vnd.apple.mpegurl", []byte("#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\na.ts\n")),
		"/big.m3u":     body("", append([]byte("#EXTM3U\n"), bytes.Repeat([]byte("# filler\n"), 10000)...)),
		"/many.m3u":    body("", []byte("#EXTM3U\n"+strings.Repeat("404\n404?x\n", 25))),
	}
	base := serve(t, routes)
	for _, c := range []struct {
		path, want string // codec, or part of the error
	}{
		{"/tone.wav", "wav"}, {"/tone.mp3", "mp3"}, {"/tone.flac", "flac"}, {"/tone.ogg", "vorbis"}, {"/liar.mp3", "wav"},
		{"/a b/tone.wav", "wav"}, {"/tone.wav#part", "wav"},
		{"/hop1", "wav"}, {"/hop0", "more than 5 redirects"}, {"/loop", "more than 5 redirects"},
		{"/inward", "only http and https"}, {"/gopher", "only http and https"}, {"/bare", "redirect to nowhere"},
		{"/404", "404 Not Found"}, {"/500", "500 Internal Server Error"},
		{"/page", "web page"}, {"/text", "text"}, {"/nothing", "no data"}, {"/gzip", "compressed"},
		{"/asked", "wav"}, {"/cut", "ended early"},
		{"/radio.m3u", "mp3"}, {"/plain.m3u", "mp3"}, {"/radio.pls", "vorbis"},
		{"/nest1.m3u", "wav"}, {"/nest0.m3u", "more than 3 deep"}, {"/circle.m3u", "circle"},
		{"/empty.m3u", "empty"}, {"/files.m3u", "only http and https"}, {"/hls.m3u8", "HLS"}, {"/big.m3u", "64 KiB"}, {"/many.m3u", "404"},
	} {
		frames, info, err := fetch(base+c.path, Web{UserAgent: "hkw/test"})
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), c.want) || !errors.Is(err, speaker.ErrMedia) {
				t.Errorf("%s: %v, want %q", c.path, err, c.want)
			}
		case info.Codec != c.want || info.Seekable || frames < 4000:
			t.Errorf("%s: %+v, %d frames, want %q", c.path, info, frames, c.want)
		}
	}
	// What is cut off is played as far as it came.
	if frames, _, err := fetch(base+"/cut", Web{}); frames < 2000 || err == nil {
		t.Errorf("of what was cut off %d frames were played, %v", frames, err)
	}
	authorized := strings.Replace(base, "http://", "http://me:hush@", 1)
	if _, _, err := fetch(authorized+"/secret?key=hush&a=1", Web{}); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/404?key=hush", "/page?key=hush", "/inward?key=hush", "/circle.m3u?hush"} {
		if _, _, err := fetch(authorized+path, Web{}); err == nil || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "me:") {
			t.Errorf("%v", err)
		}
	}
	for _, url := range []string{"", "x", "ftp://hush@x/", "http://", "http:///x", "https://%zz/hush", "http://a b/hush\x00", "file:///etc/hush", "http://[::1/hush"} {
		if _, _, err := fetch(url, Web{}); !errors.Is(err, speaker.ErrMedia) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", url, err)
		}
	}
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if _, _, err := fetch(s.URL+"/?hush", Web{}); err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "hush") {
		t.Errorf("dead server: %v", err)
	}
}

// TestSlowServers holds the two limits on waiting.
func TestSlowServers(t *testing.T) {
	wav := toneWAV(48000, 2, 48000)
	release := make(chan struct{})
	base := serve(t, map[string]http.HandlerFunc{
		"/header": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		},
		"/stall": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(wav[:50_000])
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
		},
		"/trickle": func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < 20_000; i += 1000 {
				_, _ = w.Write(wav[i : i+1000])
				w.(http.Flusher).Flush()
				time.Sleep(10 * time.Millisecond) // a slow server is what this is about
			}
		},
	})
	defer close(release)
	web := Web{HeaderTimeout: 150 * time.Millisecond, StallTimeout: 150 * time.Millisecond}
	if _, _, err := fetch(base+"/header", web); !errors.Is(err, errSlowHeader) || !errors.Is(err, speaker.ErrMedia) {
		t.Errorf("header: %v", err)
	}
	web.HeaderTimeout = 5 * time.Second
	if frames, _, err := fetch(base+"/stall", web); !errors.Is(err, errStalled) || frames < 10_000 {
		t.Errorf("stall: %d frames, %v", frames, err)
	}
	web.StallTimeout = 5 * time.Second
	if frames, _, err := fetch(base+"/trickle", web); err != nil || frames < 4900 {
		t.Errorf("trickle: %d frames, %v", frames, err)
	}
	// The end of the context is the end, whatever the server does.
	for _, path := range []string{"/header", "/stall"} {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		src, err := OpenURL(ctx, base+path, Web{})
		if err == nil {
			_, err = readRest(src, 1<<22)
			_ = src.Close()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", path, err)
		}
		cancel()
	}
}

// TestDialSeam holds that every connection is made by DialContext: for what a playlist names, too.
func TestDialSeam(t *testing.T) {
	inner := serve(t, map[string]http.HandlerFunc{"/tone.wav": body("", toneWAV(48000, 2, 4800))})
	outer := serve(t, map[string]http.HandlerFunc{"/list.m3u": body("", []byte("#EXTM3U\n"+inner+"/tone.wav\n"))})
	var dialed atomic.Int32
	web := Web{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	if _, _, err := fetch(outer+"/list.m3u", web); err != nil || dialed.Load() != 2 {
		t.Errorf("%d connections, %v", dialed.Load(), err)
	}
}

// TestICY plays a Shoutcast stream: its own status line, and titles between the sound.
func TestICY(t *testing.T) {
	mp3 := samples[0].load(t)
	const interval = 1000
	var stream []byte
	titles := []string{"StreamTitle='It's \xe9t\xe9';StreamUrl='';", "", "StreamTitle='B - \u00fc';", ""}
	for i := 0; len(mp3) > 0; i++ {
		n := min(interval, len(mp3))
		stream = append(stream, mp3[:n]...)
		if mp3 = mp3[n:]; n < interval {
			break
		}
		meta := titles[i%len(titles)]
		size := (len(meta) + 15) / 16
		stream = append(append(append(stream, byte(size)), meta...), make([]byte, size*16-len(meta))...)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			req, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil && req.Header.Get("Icy-MetaData") == "1" {
				status := "ICY 200 OK"
				if req.URL.Path == "/full" {
					status = "ICY 401 Service Unavailable"
				}
				_, _ = fmt.Fprintf(c, "%s\r\nicy-notice1:<BR>Shout<BR>\r\nicy-name:Radio\r\ncontent-type:audio/mpeg\r\nicy-metaint:%d\r\n\r\n", status, interval)
				_, _ = c.Write(stream)
			}
			_ = c.Close()
		}
	}()
	src, err := OpenURL(context.Background(), "http://"+l.Addr().String()+"/", Web{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	seen := map[string]bool{src.Title(): true}
	buf := make([]float32, 512)
	var all []float32
	for {
		n, err := src.Read(buf)
		all = append(all, buf[:2*n]...)
		seen[src.Title()] = true
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := readAll(t, openBytes(t, samples[0].load(t))); !equal(all, want) {
		t.Errorf("%d frames, not the %d without metadata", len(all)/2, len(want)/2)
	}
	// The buffer is larger than this stream, so the latest title is all that is sure to be seen.
	if !seen["B - ü"] {
		t.Errorf("titles %v", seen)
	}
	if _, _, err := fetch("http://"+l.Addr().String()+"/full", Web{}); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("%v", err)
	}
	for meta, want := range map[string]string{
		"StreamTitle='A - B';StreamUrl='http://x';": "A - B",
		"StreamTitle='It's ok';":                    "It's ok",
		"StreamTitle='It\xe9';":                     "Ité",
		"StreamTitle='cut":                          "cut",
		"StreamTitle='';":                           "",
		"StreamTitle='a\x00\nb';\x00\x00":           "a  b",
	} {
		if got, ok := icyTitle([]byte(meta)); !ok || got != want {
			t.Errorf("%q: %q, want %q", meta, got, want)
		}
	}
	for _, interval := range []string{"0", "-1", "x", "99999999999"} {
		if _, err := newICY(nil, interval); err == nil {
			t.Errorf("an interval of %s", interval)
		}
	}
}

// TestChainTitles tells the title of each link of a station's stream, from its comments.
func TestChainTitles(t *testing.T) {
	link := func(artist, title string) []byte {
		field := func(s string) []byte { return append([]byte{byte(len(s)), 0, 0, 0}, s...) }
		comment := append([]byte("\x03vorbis"), field("vendor")...)
		comment = append(append(append(comment, 2, 0, 0, 0), field("ARTIST="+artist)...), field("title="+title)...)
		comment = append(comment, 1)
		in := newInput(bytes.NewReader(samples[6].load(t)))
		r := newOggReader(in)
		id, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		serial := id.serial + uint32(len(title))
		out := oggTestPage(oggFirstPage, 0, serial, id.body)
		p, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		setup := p.body[bytes.Index(p.body, []byte("\x05vorbis")):]
		out = append(out, oggTestPage(0, 0, serial, comment, setup)...)
		audio := samples[6].load(t)[in.pos:]
		for n := 0; ; {
			i := bytes.Index(audio[n:], []byte("OggS"))
			if i < 0 {
				break
			}
			binary.LittleEndian.PutUint32(audio[n+i+14:], serial)
			n += i + 4
		}
		reseal(audio)
		return append(out, audio...)
	}
	src, err := Open(context.Background(), forward{bytes.NewReader(append(link("A", "One"), link("B", "Other")...))}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	if got := src.Title(); got != "A - One" {
		t.Errorf("%q", got)
	}
	if n := len(readAll(t, src)) / 2; n != 2*48000 {
		t.Errorf("%d frames", n)
	}
	if got := src.Title(); got != "B - Other" {
		t.Errorf("%q", got)
	}
	for _, p := range [][]byte{nil, []byte("\x03vorbis"), []byte("\x03vorbis\xff\xff\xff\xff"), []byte("\x03vorbis\x00\x00\x00\x00\xff\xff\xff\xff\x09\x00\x00\x00title")} {
		if got := vorbisTitle(p); got != "" {
			t.Errorf("%q", got)
		}
	}
}

// TestChain plays a station that begins a new Ogg stream with each title, at another rate.
func TestChain(t *testing.T) {
	a, b := samples[6].load(t), samples[7].load(t)
	chain := bytes.Join([][]byte{a, b, a}, nil)
	for name, r := range map[string]io.Reader{"piped": forward{bytes.NewReader(chain)}, "file": bytes.NewReader(chain)} {
		src, err := Open(context.Background(), r, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, src)
		if want := 2*48000 + 72000; len(got)/2 != want || src.Info().Seekable {
			t.Errorf("%s: %d frames, want %d; %+v", name, len(got)/2, want, src.Info())
		}
		_ = src.Close()
	}
}
