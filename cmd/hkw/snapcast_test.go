package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"hkw/speaker/snapcast"
	"hkw/speaker/speakertest"
)

// What someone with a snapserver gets: its clients hear the chime, doctor looks whether it is
// there, and says what it needs if it is not.
func TestSnapserver(t *testing.T) {
	server := speakertest.StartSnapserver(t, 200)
	client := server.Listen(t, "kitchen")
	config := "house=snapcast:" + server.Source
	ports := []string{"--mqtt-listen", "127.0.0.1:1", "--http-listen", "127.0.0.1:0", "--speaker"}
	code, found := examine(t, emptyEnv(t), append(ports, config)...)
	if code != 0 || found["speaker house"].Level != levelOK {
		t.Errorf("doctor: %d %+v", code, found)
	}
	b := serve(t, "--speaker", config)
	eventually(t, func() bool {
		_, out, _ := b.client("volume", "house")
		return out == "volume of house: 35\n"
	}, b.stderr.String)
	if code, _, stderr := b.client("play", "chime", "--volume", "50", "--wait"); code != 0 {
		t.Fatalf("%d %s", code, stderr)
	}
	heard := func() bool {
		for _, x := range client.Samples(t) {
			if x > 0.05 {
				return true
			}
		}
		return false
	}
	eventually(t, heard, func() string { return "the client plays silence" })

	code, found = examine(t, emptyEnv(t), append(ports, "house=snapcast:127.0.0.1:1")...)
	f := found["speaker house"]
	if code == 0 || f.Level != levelWarning || !strings.Contains(f.Do, snapcast.Source) {
		t.Errorf("doctor without a snapserver: %d %+v", code, f)
	}
}

// The configuration that is handed out has the source that the driver asks for.
func TestSnapserverConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../deploy/snapserver.conf")
	if err != nil {
		t.Fatal(err)
	}
	parse := func(line string) *url.URL {
		_, uri, _ := strings.Cut(line, "=")
		u, err := url.Parse(strings.TrimSpace(uri))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	want, found := parse(snapcast.Source), 0
	if want.Port() != fmt.Sprint(snapcast.DefaultPort) {
		t.Errorf("the source %s is not at the default port", want)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "source") {
			continue
		}
		found++
		got := parse(line)
		for key := range want.Query() {
			if got.Query().Get(key) != want.Query().Get(key) {
				t.Errorf("%s: %s is not %s", line, key, want.Query().Get(key))
			}
		}
		if got.Scheme != want.Scheme || got.Host != want.Host {
			t.Errorf("%s is not at %s://%s", line, want.Scheme, want.Host)
		}
	}
	if found != 1 {
		t.Errorf("%d sources", found)
	}
}
