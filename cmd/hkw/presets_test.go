package main

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hkw/bridge"
	"hkw/session"
)

const presetsFile = `
presets:
  bell: {media: doorbell, priority: 150, volume: 40, on_busy: announce, duck: true, speakers: [hall, attic]}
  radio:
    media: http://me:hunter2@radio.example/live?key=hunter3
    speakers: hall, attic
    on-busy: queue
`

func TestPresets(t *testing.T) {
	c, err := load(t, presetsFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	priority, volume := 150, 40
	want := map[string]bridge.Preset{
		"bell":  {Media: "doorbell", Priority: &priority, Volume: &volume, OnBusy: session.Announce, Duck: true, Speakers: []string{"hall", "attic"}},
		"radio": {Media: "http://me:hunter2@radio.example/live?key=hunter3", OnBusy: session.Queue, Speakers: []string{"hall", "attic"}},
	}
	if !reflect.DeepEqual(c.hubs[0].presets, want) {
		t.Errorf("%+v", c.hubs[0].presets)
	}
	if text := c.yaml() + c.json(); strings.Contains(text, "hunter") || !strings.Contains(text, "presets: # file "+c.file+":2") {
		t.Errorf("shown as\n%s", text)
	}
	again, err := load(t, c.yaml(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.hubs[0].presets["bell"], want["bell"]) || again.hubs[0].presets["radio"].OnBusy != session.Queue {
		t.Errorf("shown and read again: %+v", again.hubs[0].presets)
	}
}

// A hub of several has the presets of all and its own, which win.
func TestPresetsOfHubs(t *testing.T) {
	c, err := load(t, `
presets: {bell: {media: doorbell}, wake: {media: alarm}}
hubs:
- hub: up
  presets: {bell: {media: tick}}
- hub: down
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]string{{"bell": "tick", "wake": "alarm"}, {"bell": "doorbell", "wake": "alarm"}} {
		got := map[string]string{}
		for name, p := range c.hubs[i].presets {
			got[name] = p.Media
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s has %v, want %v", c.hubs[i].name, got, want)
		}
	}
	again, err := load(t, c.yaml(), nil)
	if err != nil || !reflect.DeepEqual(again.hubs[0].presets, c.hubs[0].presets) || !reflect.DeepEqual(again.hubs[1].presets, c.hubs[1].presets) {
		t.Errorf("%v from\n%s", err, c.yaml())
	}
}

func TestRefusedPresets(t *testing.T) {
	tests := []struct {
		name string
		file string
		want []string
	}{
		{"a list", "presets: [bell]\n", []string{":1: presets", "mapping"}},
		{"not a mapping", "presets:\n  bell: chime\n", []string{":2: ", `"bell"`, "bell: {media: chime}"}},
		{"name", "presets:\n  my bell: {media: chime}\n", []string{":2: presets", `"my bell"`, "1 to 64"}},
		{"name too long", "presets:\n  " + strings.Repeat("x", 65) + ": {media: chime}\n", []string{":2: presets", "1 to 64"}},
		{"twice", "presets:\n  a: {media: chime}\n  b: {media: chime}\n  a: {media: tick}\n", []string{":4: presets", "twice"}},
		{"nothing to play", "presets:\n  a:\n    volume: 3\n", []string{":2: presets", "needs media"}},
		{"empty media", "presets:\n  a: {media: ' '}\n", []string{":2: media"}},
		{"scheme", "presets:\n  a:\n    media: ftp://me:hunter2@host/x\n", []string{":3: media", "http or https"}},
		{"unknown key", "presets:\n  a:\n    media: chime\n    priorty: 3\n", []string{":4: ", `"priorty"`, "did you mean priority?"}},
		{"key twice", "presets:\n  a:\n    media: chime\n    on_busy: drop\n    on-busy: drop\n", []string{":5: on-busy", "twice"}},
		{"priority", "presets:\n  a:\n    media: chime\n    priority: 10000\n", []string{":4: priority", "0 to 9999", `"10000"`}},
		{"priority of letters", "presets:\n  a: {media: chime, priority: high}\n", []string{":2: priority", `"high"`}},
		{"volume", "presets:\n  a:\n    media: chime\n    volume: 51\n", []string{":4: volume", "0 to 50", `"51"`}},
		{"on_busy", "presets:\n  a:\n    media: chime\n    on_busy: shout\n", []string{":4: on_busy", "interrupt, announce, queue, drop", `"shout"`}},
		{"duck", "presets:\n  a: {media: chime, duck: perhaps}\n", []string{":2: duck", "true or false"}},
		{"speakers", "presets:\n  a: {media: chime, speakers: [a b]}\n", []string{":2: speakers", `"a b"`}},
		{"all speakers", "presets:\n  a: {media: chime, speakers: all}\n", []string{":2: speakers", `"all"`}},
		{"no speakers", "presets:\n  a: {media: chime, speakers: []}\n", []string{":2: presets", "has no speakers"}},
		{"a list for one", "presets:\n  a: {media: [chime]}\n", []string{":2: media", "single"}},
		{"in a hub", "hubs:\n- hub: a\n  presets:\n    b: {media: chime, volume: -1}\n", []string{":4: volume", "0 to 50"}},
		{"in a hub, misspelled", "hubs:\n- hub: a\n  preset: {}\n", []string{":3: ", "did you mean presets?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.file, nil)
			if err == nil || codeOf(err) != exitUsage {
				t.Fatalf("got %v, code %d", err, codeOf(err))
			}
			for _, want := range append(tt.want, "config.yaml:") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q shows a password", err)
			}
		})
	}
}

// A preset of the file is played by its name, on the speakers and with the
// priority that it has.
func TestPlayPreset(t *testing.T) {
	env, dir := emptyEnv(t), t.TempDir()
	write(t, filepath.Join(env.get("XDG_CONFIG_HOME"), configFolder, configName),
		"speakers: {hall: 'wav:"+dir+"/hall.wav', attic: 'wav:"+dir+"/attic.wav'}\n"+
			"presets:\n  wake: {media: alarm, priority: 300, speakers: [hall]}\n  lost: {media: alarm, speakers: [cellar]}\n")
	b := serveWith(t, &program{env: env})
	if log := b.stderr.String(); !strings.Contains(log, `"preset":"lost","speakers":["cellar"]`) {
		t.Errorf("no word of the preset that cannot be played: %s", log)
	}
	if code, _, stderr := b.client("play", "wake"); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := b.client("play", "tick", "--priority", "299"); code != int(exitRejected) || !strings.Contains(stderr, "priority 300") {
		t.Errorf("%d %s", code, stderr)
	}
	eventually(t, func() bool { return loudest(t, dir+"/hall.wav") > 0.01 }, func() string { return "nothing was heard in the hall" })
	if code, _, stderr := b.client("stop", "--priority", "300"); code != 0 {
		t.Error(stderr)
	}
	resp, err := http.Post("http://"+b.app.httpAddr.String()+"/hkw/home/play/wake", "text/plain", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("over HTTP: %d", resp.StatusCode)
	}
	b.stop()
	if got := loudest(t, dir+"/attic.wav"); got != 0 {
		t.Errorf("%f was heard in the attic", got)
	}
	if _, err := os.Stat(dir + "/hall.wav"); err != nil {
		t.Error(err)
	}
}
