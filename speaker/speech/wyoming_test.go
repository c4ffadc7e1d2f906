package speech

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// wyomingServer serves one function for each connection; it gets what the client sent first.
func wyomingServer(t *testing.T, serve func(conn net.Conn, asked *event)) Engine {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				defer context.AfterFunc(ctx, func() { conn.Close() })()
				asked, err := newEventReader(conn).next()
				if err != nil {
					return // a client that has left
				}
				serve(conn, asked)
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); wg.Wait() })
	e, err := Wyoming("tcp://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sends writes an event as the servers of today do: the data behind the line.
func sends(w io.Writer, kind string, data any, payload []byte) {
	behind, _ := json.Marshal(data)
	fmt.Fprintf(w, `{"type": %q, "version": "1.7.1", "data_length": %d, "payload_length": %d}`+"\n", kind, len(behind), len(payload))
	w.Write(behind)
	w.Write(payload)
}

// tone is a sine of a second, as 16 bit samples.
func tone(rate, channels int, hz float64) (b []byte) {
	for i := range rate {
		v := int16(16384 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate)))
		for range channels {
			b = append(b, byte(v), byte(v>>8))
		}
	}
	return b
}

func format(rate, width, channels int) map[string]any {
	return map[string]any{"rate": rate, "width": width, "channels": channels, "timestamp": nil}
}

func TestWyoming(t *testing.T) {
	for _, c := range []struct {
		name                  string
		rate, channels, split int
		inline                bool
	}{
		{"piper", 22050, 1, 2048, false}, {"low quality", 16000, 1, 1000, false},
		{"48 kHz stereo", 48000, 2, 4096, false}, {"all at once", 24000, 1, 1 << 20, false}, {"data in the line", 22050, 1, 2048, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			orders := make(chan map[string]any, 1)
			e := wyomingServer(t, func(conn net.Conn, a *event) {
				var order map[string]any
				if a.Type != "synthesize" || a.decode(&order) != nil {
					t.Errorf("it was asked %+v", a)
				}
				orders <- order
				f := format(c.rate, 2, c.channels)
				send := sends
				if c.inline {
					send = func(w io.Writer, kind string, data any, payload []byte) {
						in, _ := json.Marshal(data)
						fmt.Fprintf(w, `{"type":%q,"data":%s,"payload_length":%d}`+"\n%s", kind, in, len(payload), payload)
					}
				}
				send(conn, "ping", map[string]string{"text": "x"}, []byte("ignored"))
				send(conn, "audio-start", f, nil)
				b := tone(c.rate, c.channels, 440)
				for len(b) > 0 {
					n := min(len(b), c.split)
					send(conn, "audio-chunk", f, b[:n])
					b = b[n:]
				}
				send(conn, "audio-stop", map[string]any{"timestamp": nil}, nil)
				io.Copy(io.Discard, conn)
			})
			s := newSpeech(t, Config{Engine: e})
			got := mustSay(t, s, Request{Text: `Say "hi"`, Voice: "en_US-lessac-medium"})
			if d := seconds(got); math.Abs(d-1) > 0.001 {
				t.Errorf("%.4f s, want 1", d)
			}
			if v, want := loudness(got), 0.5/math.Sqrt2; v < want*0.7 || v > want*1.01 {
				t.Errorf("as loud as %.3f, want %.3f", v, want)
			}
			asked := <-orders
			if asked["text"] != `Say "hi"` || fmt.Sprint(asked["voice"]) != "map[name:en_US-lessac-medium]" {
				t.Errorf("it was asked %v", asked)
			}
			mustSay(t, s, Request{Text: "hi"})
			if asked := <-orders; len(asked) != 1 {
				t.Errorf("without a voice it was asked %v", asked)
			}
		})
	}
}

// The first words sound while the last are not spoken yet.
func TestWyomingStreams(t *testing.T) {
	gone := make(chan struct{})
	e := wyomingServer(t, func(conn net.Conn, _ *event) {
		defer close(gone)
		sends(conn, "audio-start", format(22050, 2, 1), nil)
		sends(conn, "audio-chunk", format(22050, 2, 1), tone(22050, 1, 440))
		io.Copy(io.Discard, conn) // until the client leaves
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
		t.Error("the connection stays though nobody listens")
	}
}

func TestWyomingMisbehaves(t *testing.T) {
	start := func(conn io.Writer) { sends(conn, "audio-start", format(22050, 2, 1), nil) }
	chunk := func(conn io.Writer) { sends(conn, "audio-chunk", format(22050, 2, 1), make([]byte, 4000)) }
	raw := func(s string) func(net.Conn) { return func(conn net.Conn) { io.WriteString(conn, s) } }
	for _, c := range []struct {
		name  string
		serve func(conn net.Conn)
		words string
	}{
		{"hangs up", func(net.Conn) {}, "ended in the middle"},
		{"hangs up in the middle", func(conn net.Conn) { start(conn); chunk(conn) }, "ended in the middle"},
		{"hangs up in a payload", func(conn net.Conn) {
			start(conn)
			io.WriteString(conn, `{"type":"audio-chunk","data":{"rate":22050,"width":2,"channels":1},"payload_length":1000}`+"\nabc")
		}, "ended in the middle"},
		{"hangs up in data", raw(`{"type":"audio-start","data_length":1000}` + "\n{"), "ended in the middle"},
		{"hangs up in a line", raw(`{"type":"audio-start"`), "ended in the middle"},
		{"says nothing", func(conn net.Conn) { start(conn); sends(conn, "audio-stop", nil, nil) }, "said nothing"},
		{"only stops", func(conn net.Conn) { sends(conn, "audio-stop", nil, nil) }, "no data"},
		{"hangs", func(conn net.Conn) { start(conn); chunk(conn); io.Copy(io.Discard, conn) }, "no sound for"},
		{"chatters", func(conn net.Conn) {
			for {
				if _, err := io.WriteString(conn, `{"type":"ping"}`+"\n"); err != nil {
					return
				}
			}
		}, "no sound for"},
		{"an error", func(conn net.Conn) {
			sends(conn, "error", map[string]string{"text": "no such\nvoice", "code": "voice"}, nil)
		}, "it says: no such voice voice"},
		{"http", raw("HTTP/1.1 400 Bad Request\r\n\r\n"), "not the Wyoming protocol"},
		{"no type", raw("{}\n"), "not the Wyoming protocol"},
		{"an array", raw("[1]\n"), "not the Wyoming protocol"},
		{"deep", raw(`{"type":"x","data":` + strings.Repeat("[", 20000) + "\n"), "not the Wyoming protocol"},
		{"negative payload", raw(`{"type":"x","payload_length":-1}` + "\n"), "negative"},
		{"huge payload", raw(`{"type":"x","payload_length":9000000000000000000}` + "\n"), "too large"},
		{"more than 64 bits", raw(`{"type":"x","payload_length":1e30}` + "\n"), "not the Wyoming protocol"},
		{"huge data", raw(`{"type":"x","data_length":9000000000}` + "\n"), "too large"},
		{"endless line", func(conn net.Conn) {
			for {
				if _, err := conn.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
					return
				}
			}
		}, "too large"},
		{"bad data", raw(`{"type":"audio-start","data_length":3}` + "\nabc"), "not the Wyoming protocol"},
		{"no format", raw(`{"type":"audio-start"}` + "\n"), "0 Hz"},
		{"no channels", func(conn net.Conn) { sends(conn, "audio-start", format(22050, 2, 0), nil) }, "0 channels"},
		{"a thousand channels", func(conn net.Conn) { sends(conn, "audio-start", format(22050, 2, 1000), nil) }, "1000 channels"},
		{"a strange width", func(conn net.Conn) { sends(conn, "audio-start", format(22050, 1<<30, 1), nil) }, "bytes"},
		{"another format", func(conn net.Conn) {
			start(conn)
			sends(conn, "audio-chunk", format(16000, 2, 1), make([]byte, 4000))
		}, "changes its format"},
		{"half a sample", func(conn net.Conn) {
			start(conn)
			sends(conn, "audio-chunk", format(22050, 2, 1), make([]byte, 4001))
		}, "part of a sample"},
		{"endless speech", func(conn net.Conn) {
			start(conn)
			for {
				var b bytes.Buffer
				chunk(&b)
				if _, err := conn.Write(b.Bytes()); err != nil {
					return
				}
			}
		}, "would not stop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := wyomingServer(t, func(conn net.Conn, _ *event) { c.serve(conn) })
			s := newSpeech(t, Config{Engine: e, Stall: stallFor(c.words), Length: 5 * time.Second})
			_, err := say(t.Context(), s, Request{Text: "hello"})
			wantMedia(t, err, c.words, "wyoming 127.0.0.1:")
		})
	}
}

func TestWyomingCheck(t *testing.T) {
	info := func(data any) func(net.Conn, *event) {
		return func(conn net.Conn, asked *event) {
			if asked.Type != "describe" {
				t.Errorf("it was asked %q", asked.Type)
			}
			sends(conn, "info", data, nil)
		}
	}
	yes, no := true, false
	for _, c := range []struct {
		name  string
		e     Engine
		words string
	}{
		{"piper", wyomingServer(t, info(map[string]any{
			"asr": []any{}, "tts": []wyomingProgram{{"piper", &yes, json.RawMessage(`[{"name":"en"}]`)}},
		})), ""},
		{"not said", wyomingServer(t, info(map[string]any{"tts": []any{map[string]any{"name": "x", "future": 1}}})), ""},
		{"not installed", wyomingServer(t, info(map[string]any{"tts": []wyomingProgram{{"piper", &no, nil}}})), "does not speak"},
		{"whisper", wyomingServer(t, info(map[string]any{"asr": []any{map[string]any{"name": "whisper"}}})), "does not speak"},
		{"hangs up", wyomingServer(t, func(net.Conn, *event) {}), "not a working Wyoming server"},
		{"no server", unreachable(t), "is it running"},
	} {
		err := c.e.Check(t.Context())
		if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.words)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	mute := wyomingServer(t, func(conn net.Conn, _ *event) { io.Copy(io.Discard, conn) })
	if err := mute.Check(ctx); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("mute: %v", err)
	}
}

// unreachable is the address of a server that is gone.
func unreachable(t *testing.T) Engine {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e, err := Wyoming(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestWyomingUnreachable(t *testing.T) {
	s := newSpeech(t, Config{Engine: unreachable(t)})
	_, err := say(t.Context(), s, Request{Text: "hello"})
	wantMedia(t, err, "cannot be reached", "refused")
}

func TestWyomingAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"tcp://piper:10200": "wyoming piper:10200", "piper:1": "wyoming piper:1", "piper": "wyoming piper:10200", "tcp://piper/": "wyoming piper:10200",
		"::1": "wyoming [::1]:10200", "[::1]": "wyoming [::1]:10200", "tcp://[::1]:7": "wyoming [::1]:7",
		"": "", "tcp://": "", ":10200": "", "unix:///x": "", "http://piper": "", "a:b:c": "", "a/b": "", "user@host:1": "", "host:": "",
	} {
		e, err := Wyoming(in)
		if want == "" && err == nil || want != "" && (err != nil || e.Name() != want) {
			t.Errorf("%q: %v, %v, want %q", in, e, err, want)
		}
	}
}

// FuzzWyoming reads what a server could send: whatever it is, it ends, in an end
// or an error, and is never more than was sent.
func FuzzWyoming(f *testing.F) {
	var b bytes.Buffer
	sends(&b, "audio-start", format(22050, 2, 1), nil)
	sends(&b, "audio-chunk", format(22050, 2, 1), make([]byte, 100))
	sends(&b, "audio-stop", nil, nil)
	f.Add(b.Bytes())
	f.Add([]byte(`{"type":"audio-chunk","data":{"rate":8000,"width":4,"channels":2},"payload_length":16}` + "\n0123456789abcdef"))
	f.Add([]byte(`{"type":"error","data":{"text":"no"},"data_length":2}` + "\n{}"))
	f.Add([]byte(`{"type":"info","data_length":20,"payload_length":5}` + "\n" + `{"tts":[{"name":1}]}12345`))
	f.Fuzz(func(t *testing.T, in []byte) {
		w := newWyomingAudio(bufio.NewReaderSize(bytes.NewReader(in), 16))
		out, err := io.ReadAll(w)
		if len(out) > len(in)+wavHead {
			t.Errorf("%d bytes of %d", len(out), len(in))
		}
		if err == nil && !w.ended {
			t.Error("it ended without audio-stop")
		}
		if len(out) >= wavHead && w.format.check() != nil {
			t.Errorf("sound of the format %+v", w.format)
		}
		if err == nil && len(out) > 0 && int64(len(out)-wavHead)%(w.format.Width*w.format.Channels) != 0 {
			t.Error("a part of a sample")
		}
		events := newEventReader(bytes.NewReader(in))
		for {
			e, err := events.next()
			if err != nil {
				break
			}
			var info wyomingInfo
			_ = e.decode(&info)
		}
	})
}
