package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hkw/bridge"
	"hkw/session"
)

// told is a house's quiet hours in one line each.
func told(h hubConfig) string {
	one := func(q session.Quiet) string {
		s := showQuiet(q)
		line := fmt.Sprintf("%s-%s %v %d %d", s.From, s.To, s.Days, s.Volume, s.Priority)
		if q.Hours != nil {
			line += " " + q.Hours.Zone.String()
		}
		return line
	}
	lines := []string{one(h.quiet.quiet)}
	for _, id := range slices.Sorted(maps.Keys(h.quiet.speakers)) {
		lines = append(lines, id+" "+one(h.quiet.speakers[id]))
	}
	return strings.Join(lines, "; ")
}

func TestQuietSettings(t *testing.T) {
	const file = `
timezone: Europe/Berlin
quiet: {from: 22:00, to: "7:05", days: [mon, Friday], volume: 5}
quiet_priority: 300
quiet_speakers:
  bedroom: {from: "21:00", to: "08:00", volume: 0, priority: 250}
  attic: 20:00-06:00
  barn: {volume: 20}
`
	const speakers = "; attic 20:00-06:00 [] 10 300 Europe/Berlin; barn - [] 20 300; bedroom 21:00-08:00 [] 0 250 Europe/Berlin"
	for _, test := range []struct {
		name, file string
		env        environment
		args       []string
		want       string
	}{
		{"nothing", "", nil, nil, "- [] 10 200"},
		{"flags", "", nil, []string{"--quiet", "22:00-07:00", "--quiet-volume", "7", "--quiet-priority", "0", "--timezone", "UTC"}, "22:00-07:00 [] 7 0 UTC"},
		{"environment", "", environment{"HKW_QUIET=23:30-06:00", "HKW_QUIET_VOLUME=0", "HKW_TIMEZONE=America/New_York"}, nil, "23:30-06:00 [] 0 200 America/New_York"},
		{"without hours", "", nil, []string{"--quiet-volume", "0"}, "- [] 0 200"},
		{"local", "quiet: 0:00-0:00\n", nil, nil, "00:00-00:00 [] 10 200 Local"},
		{"file", file, nil, nil, "22:00-07:05 [mon fri] 5 300 Europe/Berlin" + speakers},
		{"a flag over the file", file, nil, []string{"--quiet-volume", "8"}, strings.Replace("22:00-07:05 [mon fri] 8 300 Europe/Berlin"+speakers, "[] 10 300", "[] 8 300", 1)},
		{"hours over the file", file, nil, []string{"--quiet", "1:00-2:00"}, "01:00-02:00 [] 10 300 Europe/Berlin" + speakers},
		{"off over the file", file, environment{"HKW_QUIET=off"}, nil, "- [] 10 300" + speakers},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := load(t, test.file, test.env, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			if got := told(c.hubs[0]); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			again, err := load(t, c.yaml(), nil)
			if err != nil {
				t.Fatalf("%v\n%s", err, c.yaml())
			}
			if got := told(again.hubs[0]); got != test.want {
				t.Errorf("shown and read again it is %s\n%s", got, c.yaml())
			}
		})
	}
}

// Each of several hubs has the quiet hours of all, unless it has its own.
func TestQuietOfHubs(t *testing.T) {
	c, err := load(t, `
timezone: UTC
quiet: 22:00-07:00
quiet_speakers: {hall: {volume: 1}}
hubs:
- hub: up
  quiet: {from: "20:00", to: "06:00", priority: 500}
  quiet_speakers: {attic: {volume: 2}}
- hub: down
- hub: shop
  quiet: off
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := load(t, c.yaml(), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, c.yaml())
	}
	for i, want := range []string{"20:00-06:00 [] 10 500 UTC; attic - [] 2 200", "22:00-07:00 [] 10 200 UTC; hall - [] 1 200", "- [] 10 200; hall - [] 1 200"} {
		if got := told(c.hubs[i]); got != want {
			t.Errorf("%s: got %s, want %s", c.hubs[i].name, got, want)
		}
		if got := told(again.hubs[i]); got != want {
			t.Errorf("%s shown and read again: %s\n%s", c.hubs[i].name, got, c.yaml())
		}
	}
}

func TestRefusedQuiet(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"quiet: 22-7\n", `:1: quiet must be hours such as 22:00-07:00, or off, not "22-7"`},
		{"quiet: 22:00-24:00\n", `:1: quiet must be hours such as 22:00-07:00, or off`},
		{"quiet: [a]\n", ":1: quiet must be FROM-TO"},
		{"quiet:\n  from: \"22:00\"\n", ":1: quiet: quiet hours need both from and to"},
		{"quiet:\n  volume: 3\n  days: [mon]\n", ":1: quiet: days of quiet hours need from and to"},
		{"quiet:\n  from: \"25:00\"\n  to: 7:00\n", `:2: from must be a time of day from 00:00 to 23:59, such as 22:00, not "25:00"`},
		{"quiet:\n  from: 22:00\n  to: seven\n", `:3: to must be a time of day`},
		{"quiet:\n  from: 22:00\n  to: 7:00\n  days: [mon, funday]\n", `:4: days must be mon, tue, wed, thu, fri, sat or sun, not "funday"`},
		{"quiet:\n  from: 22:00\n  to: 7:00\n  days: [mon, monday]\n", `:4: days: mon is listed twice`},
		{"quiet:\n  from: 22:00\n  to: 7:00\n  days: []\n", `leave days out`},
		{"quiet:\n  volume: 51\n", `:2: volume must be an integer from 0 to 50, not "51"`},
		{"quiet:\n  priority: high\n", `:2: priority must be an integer from 0 to 9999, not "high"`},
		{"quiet:\n  volme: 5\n", `:2: quiet hours have no "volme"; did you mean volume?`},
		{"quiet:\n  volume: 5\n  volume: 6\n", `volume`},
		{"quiet:\n  volume: [5]\n", `:2: volume must be a single value`},
		{"quiet_volume: 51\n", `:1: quiet_volume must be an integer from 0 to 50, not "51"`},
		{"quiet_priority: -1\n", `:1: quiet_priority must be an integer from 0 to 9999, not "-1"`},
		{"timezone: Europe/Berlln\n", `:1: timezone must be local, UTC or a name such as Europe/Berlin, not "Europe/Berlln"`},
		{"timezone: ../../../etc/passwd\n", `:1: timezone must be local`},
		{"quiet_speakers: [a]\n", ":1: quiet_speakers must be a mapping"},
		{"quiet_speakers:\n  hall: {from: \"1:00\"}\n", ":2: hall: quiet hours need both"},
		{"quiet_speakers:\n  hall: 1-2\n", ":2: hall must be hours such as"},
		{"hubs:\n- hub: a\n  quiet: {volume: 60}\n", ":3: volume must be an integer from 0 to 50"},
		{"hubs:\n- hub: a\n  quiet_speakers: {hall: {volume: 60}}\n", ":3: volume must be an integer from 0 to 50"},
	} {
		_, err := load(t, test.file, nil)
		if err == nil || codeOf(err) != exitUsage || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "config.yaml") {
			t.Errorf("%q: %v, want %s", test.file, err, test.want)
		}
	}
	for flag, value := range map[string]string{"quiet": "night", "quiet-volume": "loud", "quiet-priority": "x", "timezone": "Mars/Olympus"} {
		if _, err := load(t, "", nil, "--"+flag, value); err == nil || !strings.HasPrefix(err.Error(), "--"+flag+" must be ") {
			t.Errorf("--%s %s: %v", flag, value, err)
		}
	}
}

// Mute and quiet hours on the command line, as watch tells of them, and after a
// restart.
func TestMuteAndQuietCommands(t *testing.T) {
	env := emptyEnv(t)
	write(t, filepath.Join(env.get("XDG_CONFIG_HOME"), configFolder, configName), `
speakers: {attic: null, kitchen: null}
quiet: {volume: 0}
quiet_speakers: {attic: {volume: 3, priority: 150}, cellar: {volume: 1}}
`)
	b := serveWith(t, &program{env: env})
	if log := b.stderr.String(); !strings.Contains(log, `"speaker":"cellar"`) {
		t.Errorf("no word of the speaker that there is not: %s", log)
	}
	w := launch(t, &program{env: b.env}, "watch", "--broker", b.app.reached().brokerURL())
	w.stdout.waitFor(t, "home is online")
	for _, test := range []struct {
		args           []string
		code           exitCode
		stdout, stderr string
	}{
		{[]string{"mute"}, exitOK, "mute: off\n", ""},
		{[]string{"mute", "on", "--below", "300"}, exitOK, "mute: on\n", ""},
		{[]string{"mute", "attic", "toggle"}, exitOK, "mute of attic: toggle\n", ""},
		{[]string{"mute"}, exitOK, "mute: on below priority 300; attic: on\n", ""},
		{[]string{"mute", "attic"}, exitOK, "mute of attic: on\n", ""},
		{[]string{"mute", "--json"}, exitOK, `{"muted":true,"speakers":{"attic":true,"kitchen":false}}` + "\n", ""},
		{[]string{"mute", "cellar"}, exitRejected, "", "hkw: the hub has no speaker \"cellar\"; it has attic, kitchen\n"},
		{[]string{"mute", "cellar", "on"}, exitRejected, "", "hkw: mute: rejected, SpeakerNotFound*\n"},
		{[]string{"mute", "attic", "loud"}, exitUsage, "", "hkw: mute must be one of on, off, toggle, not \"loud\" (see `hkw mute --help`)\n"},
		{[]string{"mute", "on", "--below", "10000"}, exitRejected, "", "hkw: mute: rejected, InvalidCommand: \"below\" must be an integer from 1 to 9999, not 10000\n"},
		{[]string{"quiet"}, exitOK, "quiet: off (at most 0 below priority 200); attic: off (at most 3 below priority 150)\n", ""},
		{[]string{"quiet", "kitchen"}, exitOK, "quiet of kitchen: as the hub\n", ""},
		{[]string{"quiet", "kitchen", "on"}, exitOK, "quiet of kitchen: on\n", ""},
		{[]string{"quiet", "kitchen"}, exitOK, "quiet of kitchen: on, switched (at most 10 below priority 200)\n", ""},
		{[]string{"quiet", "on"}, exitOK, "quiet: on\n", ""},
		{[]string{"quiet", "loud", "on", "off"}, exitUsage, "", "hkw: the command is hkw quiet *\n"},
		{[]string{"quiet", "kitchen", "toggle"}, exitUsage, "", "hkw: quiet must be one of on, off, auto, not \"toggle\"*\n"},
		{[]string{"play", "tick"}, exitRejected, "", "hkw: play: rejected, QuietHours: in quiet hours nothing of this priority*\n"},
	} {
		code, stdout, stderr := b.client(test.args...)
		if code != int(test.code) || !like(stdout, test.stdout) || !like(stderr, test.stderr) {
			t.Errorf("%v: %d\n%s%s", test.args, code, stdout, stderr)
		}
	}
	w.stdout.waitFor(t, "mute: on below priority 300\n", "mute of attic: on\n", "quiet hours of kitchen: on, switched (at most 10 below priority 200)\n",
		"quiet hours: on, switched (at most 0 below priority 200)\n", "play: rejected, QuietHours")
	w.stop()
	b.stop()

	b = serveWith(t, &program{env: env, terminal: true})
	b.stdout.waitFor(t, "mute of attic: on\n", "quiet hours of kitchen: on, switched", "Mute      on below priority 300\n", "Quiet     on, switched (at most 0 below priority 200)\n")
	if _, stdout, _ := b.client("mute"); stdout != "mute: on below priority 300; attic: on\n" {
		t.Errorf("after a restart: %s", stdout)
	}
}

func TestDescribeQuiet(t *testing.T) {
	now := time.Now()
	soon, later := now.Add(time.Hour), now.Add(30*time.Hour)
	for want, q := range map[string]bridge.QuietStatus{
		"on until " + soon.Local().Format("15:04") + " (22:00–07:00 fri sat, at most 10 below priority 200)": {
			Active: true, Mode: session.QuietAuto, From: "22:00", To: "07:00", Days: []string{"fri", "sat"}, Volume: 10, Priority: 200, Until: &soon},
		"off, switched until " + later.Local().Format("Mon 15:04") + " (22:00–07:00, at most 0 below priority 1)": {
			Mode: session.QuietOff, From: "22:00", To: "07:00", Priority: 1, Until: &later},
	} {
		if got := describeQuiet(q); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
