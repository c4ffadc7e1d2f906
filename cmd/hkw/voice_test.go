package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hkw/speaker/speakertest"
	"hkw/speaker/speech"
)

// The real espeak-ng, heard on a real speaker: louder than silence, after a chime
// if one is configured, and kept for the next time.
func TestSay(t *testing.T) {
	speakertest.Require(t, espeakProgram)
	dir := t.TempDir()
	wav, data := filepath.Join(dir, "k.wav"), filepath.Join(dir, "data")
	b := serve(t, "--speaker", "k=wav:"+wav, "--data", data)
	code, stdout, stderr := b.client("say", "The", "washing", "machine", "is", "done", "--wait")
	if code != 0 || !like(stdout, "\"The washing machine is done\" plays (p-*)\nfinished *\n") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
	if code, _, stderr := b.client("say", "Guten Morgen", "--voice", "de", "--wait"); code != 0 {
		t.Errorf("%d %q", code, stderr)
	}
	if code, _, stderr := b.client("say", "hello", "--voice", "../x"); code != int(exitRejected) || !strings.Contains(stderr, "InvalidCommand") {
		t.Errorf("%d %q", code, stderr)
	}
	if code, _, stderr := b.client("say", "hello", "--voice", "xx-nobody"); code != int(exitFailed) || !strings.Contains(stderr, "voice does not exist") {
		t.Errorf("%d %q", code, stderr)
	}
	eventually(t, func() bool { return len(keptSpeech(t, data)) == 2 }, func() string { return strings.Join(keptSpeech(t, data), " ") })
	if code := b.stop(); code != 0 {
		t.Errorf("%d %s", code, b.stderr.String())
	}
	if v := loudest(t, wav); v < 0.02 {
		t.Errorf("it is as loud as %.4f", v)
	}
}

// keptSpeech lists what the cache below a data folder holds.
func keptSpeech(t *testing.T, data string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(data, speechCache))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// voiceService is an HTTP speech service that says everything as one tone, and
// keeps what it was asked.
func voiceService(t *testing.T) (url string, asked func() []string) {
	t.Helper()
	wav := toneWAV(0.3)
	got := make(chan string, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case got <- r.URL.Path + " " + r.Header.Get("Authorization") + " " + string(body):
		default:
		}
		w.Header().Set("Content-Type", "audio/wav")
		_, _ = w.Write(wav)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() (all []string) {
		for {
			select {
			case line := <-got:
				all = append(all, line)
			default:
				return all
			}
		}
	}
}

// toneWAV is a WAV file of so many seconds of a square wave, mono, 8 kHz.
func toneWAV(seconds float64) []byte {
	n := int(seconds * 8000)
	head := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data")
	size := 2 * n
	head[4], head[5] = byte(36+size), byte((36+size)>>8)
	out := append(head, byte(size), byte(size>>8), 0, 0)
	for i := range n {
		if i/10%2 == 0 {
			out = append(out, 0, 0x40)
		} else {
			out = append(out, 0, 0xc0)
		}
	}
	return out
}

// An HTTP service is told model, voice and key; the key is never shown. The chime
// sounds first.
func TestSayByHTTP(t *testing.T) {
	url, asked := voiceService(t)
	wav := filepath.Join(t.TempDir(), "k.wav")
	env := append(emptyEnv(t), "HKW_SPEECH_KEY=hunter2", "HKW_SPEECH_MODEL=kokoro")
	b := serveWith(t, &program{env: env}, "--speaker", "k=wav:"+wav, "--speech", "http:"+url, "--speech-voice", "nova", "--speech-chime", "Tick", "--log-level", "trace")
	if code, _, stderr := b.client("say", "good morning", "--wait"); code != 0 {
		t.Fatal(stderr)
	}
	lines := slices.DeleteFunc(asked(), func(line string) bool { return strings.HasPrefix(line, "/v1/models ") }) // whether it is there
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "/v1/audio/speech Bearer hunter2 {") {
		t.Fatalf("asked %q", lines)
	}
	for _, want := range []string{`"model":"kokoro"`, `"voice":"nova"`, `"input":"good morning"`} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("%s lacks %s", lines[0], want)
		}
	}
	_, shown, _ := command(t, env, "config")
	b.stop()
	if log := b.stderr.String(); strings.Contains(log, "hunter2") || strings.Contains(shown, "hunter2") {
		t.Errorf("the key is shown: %s%s", log, shown)
	}
	// A tick is short: 0.3 s of tone come after it, and nothing that is only one of the two.
	loud := 0
	for _, s := range samples(t, wav) {
		if s > 0.2 || s < -0.2 {
			loud++
		}
	}
	if loud < 48000/5 {
		t.Errorf("%d samples of the tone were heard", loud)
	}
}

func TestSpeechSetting(t *testing.T) {
	speakertest.Require(t, espeakProgram)
	tests := []struct {
		file, engine, shown string
	}{
		{"", "espeak-ng", "speech: auto # default"},
		{"speech: none\n", "", "speech: none"},
		{"speech: espeak\n", "espeak-ng", "speech: espeak"},
		{"speech: espeak:bin/espeak\n", "espeak-ng DIR/bin/espeak", "speech: espeak:bin/espeak"},
		{"speech: espeak:my-espeak\n", "espeak-ng my-espeak", "speech: espeak:my-espeak"},
		{"speech: wyoming:tcp://piper:10200\n", "wyoming piper:10200", "speech: wyoming:tcp://piper:10200"},
		{"speech: http:https://me:hunter2@voice.example/v1?key=hunter3\nspeech_model: m\n", "http https://voice.example/v1/audio/speech m alloy", "speech: http:https://me:redacted@voice.example/v1?redacted"},
		{"speech: http://voice.example:8880/v1\n", "http http://voice.example:8880/v1/audio/speech tts-1 alloy", "speech: http://voice.example:8880"},
	}
	for _, tt := range tests {
		c, err := load(t, tt.file, nil)
		if err != nil {
			t.Errorf("%q: %v", tt.file, err)
			continue
		}
		name := ""
		if c.speech.engine != nil {
			name = c.speech.engine.Name()
		}
		if want := strings.ReplaceAll(tt.engine, "DIR", filepath.Dir(c.file)); name != want {
			t.Errorf("%q is %q, want %q", tt.file, name, want)
		}
		if text := c.yaml(); !strings.Contains(text, tt.shown) || strings.Contains(text, "hunter") {
			t.Errorf("%q lacks %q:\n%s", tt.file, tt.shown, text)
		}
	}
	// Where there is no engine, a text is refused at once and said what to install.
	t.Setenv("PATH", t.TempDir())
	c, err := load(t, "", nil)
	if err != nil || c.speech.engine != nil || !c.speech.auto {
		t.Errorf("%+v %v", c.speech, err)
	}
	b := serve(t, "--speaker", "a=null")
	if code, _, stderr := b.client("say", "hello"); code != int(exitRejected) || !strings.Contains(stderr, speech.ErrNoEngine.Error()) {
		t.Errorf("%d %s", code, stderr)
	}
}

func TestDoctorOfSpeech(t *testing.T) {
	speakertest.Require(t, espeakProgram)
	url, _ := voiceService(t)
	base := []string{"--mqtt-listen", "127.0.0.1:1", "--http-listen", "127.0.0.1:0", "--speaker", "a=null"}
	for where, want := range map[string]finding{
		"auto":                      {"speech", levelOK, "espeak-ng", ""},
		"none":                      {"speech", levelNote, "none", ""},
		"espeak:/nowhere/espeak":    {"speech", levelWarning, "apt-get install espeak-ng", "--speech"},
		"wyoming:tcp://127.0.0.1:1": {"speech", levelWarning, "cannot be reached", "--speech"},
		"http:" + url:               {"speech", levelOK, "http " + url, ""},
	} {
		_, found := examine(t, emptyEnv(t), append(base, "--speech", where)...)
		if got := found["speech"]; got.Level != want.Level || !strings.Contains(got.Found, want.Found) || !strings.Contains(got.Do, want.Do) {
			t.Errorf("%s: %+v, want %+v", where, got, want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, found := examine(t, emptyEnv(t), base...); found["speech"].Level != levelNote || !strings.Contains(found["speech"].Do, "espeak-ng") {
		t.Errorf("%+v", found["speech"])
	}
}

func TestMediaAllow(t *testing.T) {
	c, err := load(t, "", environment{"HKW_MEDIA_ALLOW=127.0.0.1, 192.168.7.9/24,fd00::/8,::ffff:10.0.0.1,127.0.0.1/32"})
	if err != nil {
		t.Fatal(err)
	}
	var want []netip.Prefix
	for _, text := range []string{"127.0.0.1/32", "192.168.7.0/24", "fd00::/8", "10.0.0.1/32"} {
		want = append(want, netip.MustParsePrefix(text))
	}
	if !reflect.DeepEqual(c.reach, want) {
		t.Errorf("%v", c.reach)
	}
}

// What plays from this machine: on the bus what names it, over HTTP nothing, for
// a page may have asked; with --media-allow both.
func TestWebReach(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wav := toneWAV(0.1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/wav")
		_, _ = w.Write(wav)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Shutdown(context.Background()); <-done })
	url := "http://" + l.Addr().String() + "/a.wav"
	for _, tt := range []struct {
		args []string
		want int
	}{
		{nil, http.StatusBadGateway},
		{[]string{"--media-allow", "127.0.0.0/8"}, http.StatusOK},
	} {
		b := serve(t, append(tt.args, "--speaker", "a=null")...)
		if code, _, stderr := b.client("play", url, "--wait"); code != 0 {
			t.Errorf("on the bus with %q: %d %s", tt.args, code, stderr)
		}
		resp, err := http.Post("http://"+b.app.httpAddr.String()+"/hkw/home/play", "text/plain", strings.NewReader(url))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		if resp.StatusCode != tt.want {
			t.Errorf("over HTTP with %q: %d %s", tt.args, resp.StatusCode, body)
		}
	}
}

// New media are counted in the hub's status without anybody asking.
func TestMediaChanged(t *testing.T) {
	dir := t.TempDir()
	b := serve(t, "--speaker", "a=null", "--media", dir)
	count := func() int {
		s, err := readStatus(context.Background(), b.app.reached(), "home", patience)
		if err != nil {
			t.Fatal(err)
		}
		return s.Media
	}
	before := count()
	if err := os.WriteFile(filepath.Join(dir, "new.wav"), toneWAV(0.1), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return count() == before+1 }, b.stderr.String)
}
