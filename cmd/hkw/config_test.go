package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// load loads a configuration from a file's text, an environment and flags.
func load(t *testing.T, file string, env environment, args ...string) (*config, error) {
	t.Helper()
	if file != "" {
		dir := t.TempDir()
		path := filepath.Join(dir, configFolder, configName)
		write(t, path, file)
		env = append(environment{"XDG_CONFIG_HOME=" + dir}, env...)
	} else {
		env = append(environment{"XDG_CONFIG_HOME=" + t.TempDir()}, env...)
	}
	flags := pflag.NewFlagSet("hkw", pflag.ContinueOnError)
	addSettings(flags, true)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(env, flags)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPrecedence(t *testing.T) {
	const file = "hub: fromfile\nmqtt_listen: 127.0.0.1:1\nhttp-listen: 127.0.0.1:2\nsession_timeout: 90s\n"
	tests := []struct {
		name string
		file string
		env  environment
		args []string
		hub  string
		from string
	}{
		{"default", "", nil, nil, "home", "default"},
		{"file", file, nil, nil, "fromfile", "file "},
		{"environment over file", file, environment{"HKW_HUB=fromenv"}, nil, "fromenv", "environment HKW_HUB"},
		{"flag over environment", file, environment{"HKW_HUB=fromenv"}, []string{"--hub", "fromflag"}, "fromflag", "flag --hub"},
		{"the last flag", "", nil, []string{"--hub", "a", "--hub", "b"}, "b", "flag --hub"},
		{"an empty variable is none", file, environment{"HKW_HUB="}, nil, "fromfile", "file "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(t, tt.file, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if c.hub != tt.hub || c.hubs[0].name != tt.hub || !strings.HasPrefix(c.values[setHub].shown, tt.from) {
				t.Errorf("hub %q from %q, want %q from %q", c.hub, c.values[setHub].shown, tt.hub, tt.from)
			}
			if tt.file != "" && (c.mqtt != "127.0.0.1:1" || c.http != "127.0.0.1:2" || c.timeout != 90*time.Second) {
				t.Errorf("from the file came %s, %s, %s", c.mqtt, c.http, c.timeout)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	c, err := load(t, "", environment{"HOME=/home/x", "XDG_STATE_HOME=/state"})
	if err != nil {
		t.Fatal(err)
	}
	if c.hub != "home" || c.broker != "" || c.mqtt != "127.0.0.1:1883" || c.http != "127.0.0.1:8080" || c.timeout != time.Hour ||
		c.open || c.hubs[0].speakers != nil || c.data != filepath.Join("/state", "hkw") || c.brokerURL() != "tcp://127.0.0.1:1883" {
		t.Errorf("%+v", c)
	}
}

// Each wrong value names where it stands, what is allowed and what was given.
func TestRefusedConfiguration(t *testing.T) {
	tests := []struct {
		name string
		file string
		env  environment
		args []string
		want []string
	}{
		{"unknown key", "hub: a\nmqtt_lisen: x\n", nil, nil, []string{"config.yaml:2: ", `"mqtt_lisen"`, "did you mean mqtt_listen?"}},
		{"quite unknown key", "zzzzzzzzzzzzz: x\n", nil, nil, []string{"config.yaml:1: ", "known are hub, "}},
		{"config is no key of a file", "config: x\n", nil, nil, []string{"config.yaml:1: "}},
		{"key twice", "hub: a\nhub: b\n", nil, nil, []string{"config.yaml:2: hub", "twice"}},
		{"key twice, spelled differently", "mqtt-listen: a\nmqtt_listen: b\n", nil, nil, []string{"config.yaml:2: mqtt_listen", "twice"}},
		{"no mapping", "- a\n", nil, nil, []string{"config.yaml:1: "}},
		{"no YAML", "a: [\n", nil, nil, []string{"config.yaml"}},
		{"a tab", "quiet:\n\tfrom: x\n", nil, nil, []string{"config.yaml", "line 2", "tab"}},
		{"two documents", "hub: a\n---\nhub: b\n", nil, nil, []string{"second document"}},
		{"a list where one is meant", "hub: [a]\n", nil, nil, []string{"config.yaml:1: hub", "single"}},
		{"value in the file", "hub: a\nhttp_listen: nonsense\n", nil, nil, []string{"config.yaml:2: http_listen", "host:port", `"nonsense"`}},
		{"unknown variable", "", environment{"HKW_MQTT_LISEN=x"}, nil, []string{"HKW_MQTT_LISEN", "did you mean HKW_MQTT_LISTEN?"}},
		{"hubs is no variable", "", environment{"HKW_HUBS=x"}, nil, []string{"HKW_HUBS", "did you mean HKW_HUB?"}},
		{"variable", "", environment{"HKW_SESSION_TIMEOUT=soon"}, nil, []string{"HKW_SESSION_TIMEOUT", "90s", `"soon"`}},
		{"zero timeout", "", nil, []string{"--session-timeout", "0"}, []string{"--session-timeout", "above zero"}},
		{"hub", "", nil, []string{"--hub", "a/b"}, []string{"--hub", "letters", `"a/b"`}},
		{"address", "", nil, []string{"--mqtt-listen", "1883"}, []string{"--mqtt-listen", "host:port", `"1883"`}},
		{"port", "", nil, []string{"--mqtt-listen", "127.0.0.1:99999"}, []string{"--mqtt-listen", "host:port"}},
		{"broker", "", nil, []string{"--broker", "mosquitto:1883"}, []string{"--broker", "embedded", "tcp://host", `"mosquitto:1883"`}},
		{"broker's password is not shown", "", nil, []string{"--broker", "http://me:hunter2@host"}, []string{"--broker", "me:xxxxx@host"}},
		{"level", "", nil, []string{"--log-level", "loud"}, []string{"--log-level", "trace", `"loud"`}},
		{"open", "", environment{"HKW_OPEN=perhaps"}, nil, []string{"HKW_OPEN", "true or false"}},
		{"speaker", "", nil, []string{"--speaker", "kitchen"}, []string{"--speaker", "NAME=DRIVER[:ARGUMENT]", `"kitchen"`}},
		{"speaker's name", "", nil, []string{"--speaker", "a b=null"}, []string{"--speaker", "letters", `"a b"`}},
		{"no speaker is all", "", nil, []string{"--speaker", "all=null"}, []string{"--speaker", `"all"`}},
		{"driver", "", nil, []string{"--speaker", "a=alsa"}, []string{"--speaker", `"alsa"`, "pulse, wav, snapcast, null"}},
		{"argument missing", "", nil, []string{"--speaker", "a=wav"}, []string{"--speaker", "a file", "a=wav:"}},
		{"argument", "", nil, []string{"--speaker", "a=snapcast:host:x"}, []string{"--speaker", `"a"`, "the port of", "1 to 65535", `"x"`}},
		{"option", "", nil, []string{"--speaker", "a=snapcast:host?latency=9s"}, []string{"--speaker", "latency", "0s to 3s", `"9s"`}},
		{"argument too much", "", nil, []string{"--speaker", "a=null:x"}, []string{"--speaker", "no argument"}},
		{"speaker twice", "", nil, []string{"--speaker", "a=null", "--speaker", "a=null"}, []string{"--speaker", "twice"}},
		{"speaker in the file", "speakers:\n  a: null\n  b: nul\n", nil, nil, []string{"config.yaml:3: speakers", `"nul"`}},
		{"speaker's variable", "", environment{"HKW_SPEAKER=a=null,b"}, nil, []string{"HKW_SPEAKER", `"b"`}},
		{"file not there", "", nil, []string{"--config", "/nowhere.yaml"}, []string{"--config", "/nowhere.yaml"}},
		{"host with a port", "", nil, []string{"--http-hosts", "hub.local:80"}, []string{"--http-hosts", "without port", `"hub.local:80"`}},
		{"origin without a scheme", "http_origins: [http://a, b.example]\n", nil, nil, []string{"config.yaml:1: http_origins", "http://panel.example:8080", `"b.example"`}},
		{"token", "", nil, []string{"--http-token", "hunter2 hunter2"}, []string{"--http-token", "without spaces"}},
		{"token, one of several", "", environment{"HKW_HTTP_TOKEN=aaaaaaaaaaaaaaaa,"}, nil, []string{"HKW_HTTP_TOKEN", "empty"}},
		{"token that was hidden", "http_token: [(redacted)]\n", nil, nil, []string{"config.yaml:1: http_token", "hides"}},
		{"hash", "http_token_hashes: [hunter2]\n", nil, nil, []string{"config.yaml:1: http_token_hashes", "64 hexadecimal"}},
		{"hash too long", "", environment{"HKW_HTTP_TOKEN_HASHES=" + strings.Repeat("ab", 33)}, nil, []string{"HKW_HTTP_TOKEN_HASHES", "64 hexadecimal"}},
		{"hashes are no flag's", "", nil, []string{"--media-allow", "300.0.0.0/8"}, []string{"--media-allow", "192.168.7.0/24", `"300.0.0.0/8"`}},
		{"network by name", "media_allow: localhost\n", nil, nil, []string{"config.yaml:1: media_allow", `"localhost"`}},
		{"speech", "", nil, []string{"--speech", "festival"}, []string{"--speech", "auto, none, espeak[:PATH]", `"festival"`}},
		{"speech without a path", "", nil, []string{"--speech", "espeak:"}, []string{"--speech", "espeak[:PATH]"}},
		{"wyoming", "speech: wyoming:http://piper\n", nil, nil, []string{"config.yaml:1: speech", "tcp://host:port"}},
		{"speech by HTTP", "", nil, []string{"--speech", "http:ftp://me:hunter2@host"}, []string{"--speech", "http://host"}},
		{"key by HTTP", "", environment{"HKW_SPEECH_KEY=hunter2 \n"}, []string{"--speech", "http://host"}, []string{"--speech", "key"}},
		{"key is no flag", "", environment{"HKW_SPEECH_KEI=hunter2"}, nil, []string{"did you mean HKW_SPEECH_KEY?"}},
		{"voice", "", nil, []string{"--speech", "espeak", "--speech-voice", "../x"}, []string{"--speech-voice", `"../x"`}},
		{"chime", "", environment{"HKW_SPEECH_CHIME=westminstr"}, nil, []string{"HKW_SPEECH_CHIME", "did you mean westminster?"}},
		{"hub and hubs", "hub: a\nhubs: [{hub: b}]\n", nil, nil, []string{"config.yaml:1: hub", "hubs"}},
		{"speakers and hubs", "speakers: []\nhubs: [{hub: b}]\n", nil, nil, []string{"config.yaml:1: speakers", "each hub"}},
		{"hub listed twice", "hubs:\n- hub: a\n- hub: a\n", nil, nil, []string{"config.yaml:3: hub", "twice"}},
		{"hub without a name", "hubs:\n- speakers: {a: null}\n", nil, nil, []string{"config.yaml:2: hub"}},
		{"unknown key of a hub", "hubs:\n- hub: a\n  speaker_s: x\n", nil, nil, []string{"config.yaml:3: ", "did you mean speakers?"}},
		{"no such hub", "hubs:\n- hub: a\n- hub: b\n", nil, []string{"--hub", "c"}, []string{"--hub", "a, b", `"c"`}},
		{"whose speakers", "hubs:\n- hub: a\n- hub: b\n", nil, []string{"--speaker", "x=null"}, []string{"--speaker", "--hub"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.file, tt.env, tt.args...)
			if err == nil || codeOf(err) != exitUsage {
				t.Fatalf("got %v, code %d", err, codeOf(err))
			}
			for _, want := range tt.want {
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

func TestSeveralHubs(t *testing.T) {
	const file = "hubs:\n- hub: up\n  speakers: {bath: null, bed: 'wav:bed.wav'}\n- hub: down\n  speakers: [hall=null]\n- hub: garden\n"
	c, err := load(t, file, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range c.hubs {
		line := h.name
		for _, s := range h.speakers {
			line += " " + s.name + "=" + s.driver + ":" + s.argument
		}
		got = append(got, line)
	}
	if want := []string{"up bath=null: bed=wav:bed.wav", "down hall=null:", "garden"}; !reflect.DeepEqual(got, want) || c.hub != "up" {
		t.Errorf("hub %s of %q", c.hub, got)
	}
	if c.hubs[2].speakers != nil {
		t.Error("a hub without speakers finds its own")
	}
	// What stands in a file is meant from there.
	if got := c.hubs[0].speakers[1].target(c.env); got != filepath.Join(filepath.Dir(c.file), "bed.wav") {
		t.Errorf("target %s", got)
	}
	one, err := load(t, file, nil, "--hub", "down", "--speaker", "other=null")
	if err != nil {
		t.Fatal(err)
	}
	if len(one.hubs) != 1 || one.hubs[0].name != "down" || one.hubs[0].speakers[0].name != "other" {
		t.Errorf("%+v", one.hubs)
	}
}

func TestPaths(t *testing.T) {
	env := environment{"HOME=/home/x"}
	for in, want := range map[string]string{"": "", "~/music": "/home/x/music", "music": "/etc/hkw/music", "/srv": "/srv", "~": "/etc/hkw/~"} {
		if got := env.path(in, "/etc/hkw"); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	if got := env.path("music", ""); got != "music" {
		t.Errorf("from the command line: %q", got)
	}
}

func TestBrokerURL(t *testing.T) {
	tests := []struct {
		args             []string
		url, user, pass  string
		mqttWhenEmbedded string
	}{
		{[]string{"--broker", "tcp://host"}, "tcp://host:1883", "", "", ""},
		{[]string{"--broker", "tls://host"}, "tls://host:8883", "", "", ""},
		{[]string{"--broker", "wss://host/mqtt"}, "wss://host:443/mqtt", "", "", ""},
		{[]string{"--broker", "tcp://me:secret@host:1"}, "tcp://host:1", "me", "secret", ""},
		{[]string{"--broker", "tcp://me:secret@host:1", "--broker-user", "you"}, "tcp://host:1", "you", "secret", ""},
		{[]string{"--mqtt-listen", "0.0.0.0:7"}, "tcp://127.0.0.1:7", "", "", ""},
		{[]string{"--mqtt-listen", "[::]:7"}, "tcp://[::1]:7", "", "", ""},
		{[]string{"--mqtt-listen", ":7"}, "tcp://127.0.0.1:7", "", "", ""},
	}
	for _, tt := range tests {
		c, err := load(t, "", nil, tt.args...)
		if err != nil {
			t.Fatal(err)
		}
		if c.brokerURL() != tt.url || c.user != tt.user || c.pass != tt.pass {
			t.Errorf("%v: %s, %s, %s", tt.args, c.brokerURL(), c.user, c.pass)
		}
	}
}

// What `hkw config` prints is a file that gives the same configuration, secrets apart.
func TestShownConfiguration(t *testing.T) {
	c, err := load(t, "http_listen: 127.0.0.1:99\nbroker_password: hunter2\n", environment{"HKW_MEDIA=/srv/music"},
		"--broker", "tcp://me:hunter3@host", "--speaker", "a=null", "--open")
	if err != nil {
		t.Fatal(err)
	}
	text := c.yaml()
	for _, want := range []string{
		"hub: home # default", "http_listen: 127.0.0.1:99 # file " + c.file + ":1", "media: /srv/music # environment HKW_MEDIA",
		"open: true # flag --open", "- a=null", "broker_password: (redacted) # file", "tcp://me:redacted@host # flag --broker", "# configuration file: " + c.file,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text+c.json(), "hunter") {
		t.Errorf("shows a secret:\n%s", text)
	}
	again, err := load(t, text, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if again.http != c.http || again.open != c.open || again.hubs[0].speakers[0].name != "a" || again.media != c.media {
		t.Errorf("read again: %+v", again)
	}
}

func TestLists(t *testing.T) {
	for name, in := range map[string]struct {
		file string
		env  environment
		args []string
	}{
		"file":               {file: "http_hosts: [a, b]\n"},
		"file, one line":     {file: "http_hosts: a, b\n"},
		"environment":        {env: environment{"HKW_HTTP_HOSTS=a,b"}},
		"flag":               {args: []string{"--http-hosts", "a,b"}},
		"flags, file beaten": {file: "http_hosts: [c]\n", args: []string{"--http-hosts", "a", "--http-hosts", "b"}},
	} {
		c, err := load(t, in.file, in.env, in.args...)
		if err != nil || !reflect.DeepEqual(c.hosts, []string{"a", "b"}) {
			t.Errorf("%s: %q %v", name, c.hosts, err)
		}
		if again, err := load(t, c.yaml(), nil); err != nil || !reflect.DeepEqual(again.hosts, c.hosts) {
			t.Errorf("%s, shown and read again: %v", name, err)
		}
	}
}

func TestShownHubs(t *testing.T) {
	c, err := load(t, "hubs:\n- hub: a\n  speakers: [x=null]\n- hub: b\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := load(t, c.yaml(), nil)
	if err != nil || len(again.hubs) != 2 || again.hubs[0].speakers[0].name != "x" || again.hubs[1].speakers != nil {
		t.Errorf("%v from\n%s", err, c.yaml())
	}
}

// Every setting is complete, and no name means two.
func TestSettings(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings {
		if s.doc == "" || s.kind == "" || seen[s.key()] || seen[s.env()] {
			t.Errorf("%+v", s)
		}
		seen[s.key()], seen[s.env()] = true, true
		// Tokens by flag are for trying things out; the flag's text warns.
		if s.secret && !s.noFlag && s.name != setTokens {
			t.Errorf("%s: everyone can read a command line", s.name)
		}
	}
}
