package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"hkw/bridge"
	"hkw/speaker/library"
	"hkw/speaker/speakertest"
)

// What `hkw` alone does: it serves, is healthy, and says goodbye.
func TestServe(t *testing.T) {
	b := serve(t, "--speaker", "attic=null")
	b.stderr.waitFor(t, `"message":"serving"`)
	resp, err := http.Get("http://" + b.app.httpAddr.String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var health bridge.Health
	if err := json.NewDecoder(resp.Body).Decode(&health); err != nil || resp.StatusCode != http.StatusOK || health.Version != "1.2.3" || len(health.Hubs) != 1 {
		t.Errorf("%d %+v %v", resp.StatusCode, health, err)
	}
	http.DefaultClient.CloseIdleConnections()
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d: %s", code, b.stderr.String())
	}
	if !strings.Contains(b.stderr.String(), "ended in good order") {
		t.Errorf("%s", b.stderr.String())
	}
}

// Not on a terminal the greeting is one log line that a machine can read.
func TestGreetingInLog(t *testing.T) {
	b := serve(t, "--speaker", "attic=null")
	b.stderr.waitFor(t, `"message":"serving"`)
	for line := range strings.Lines(b.stderr.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if entry["message"] != "serving" {
			continue
		}
		host, port, _ := net.SplitHostPort(b.app.mqttAddr.String())
		want := map[string]any{
			"hub": "home", "version": "1.2.3", "mqtt": b.app.mqttAddr.String(), "http": b.app.httpAddr.String(),
			"speakers": []any{"attic"}, "media": float64(len(library.Chimes())), "try": "mosquitto_pub -h " + host + " -p " + port + " -t hkw/home/play -m chime",
		}
		for key, value := range want {
			if !reflect.DeepEqual(entry[key], value) {
				t.Errorf("%s is %v, want %v", key, entry[key], value)
			}
		}
	}
	if b.stdout.String() != "" {
		t.Errorf("stdout: %s", b.stdout.String())
	}
}

// On a terminal it is a page.
func TestGreetingOnTerminal(t *testing.T) {
	b := serveWith(t, &program{env: emptyEnv(t), terminal: true}, "--hub", "house", "--speaker", "attic=null", "--media", t.TempDir())
	b.stdout.waitFor(t, "hkw 1.2.3", "MQTT      "+b.app.mqttAddr.String(), "Page      http://"+b.app.httpAddr.String()+"/\n", "Hub       house",
		"attic (null), volume 35", fmt.Sprintf("Media     %d pieces in %s, chimes included\n", len(library.Chimes()), b.app.cfg.media), "mosquitto_pub -h 127.0.0.1 -p ", "-t hkw/house/play -m chime",
		"hkw play chime --hub house --mqtt-listen "+b.app.mqttAddr.String())
}

// With no sound server, and nothing configured, it serves all the same and says
// that nothing is heard: in the log and on the bus.
func TestNoSoundServer(t *testing.T) {
	t.Setenv("PULSE_SERVER", "unix:"+filepath.Join(t.TempDir(), "nobody"))
	b := serve(t)
	b.stderr.waitFor(t, "NO SOUND", "hkw doctor", `"message":"serving"`)
	var status bridge.Status
	eventually(t, func() bool {
		s, err := readStatus(context.Background(), b.app.reached(), "home", patience)
		status = s
		return err == nil && len(s.Speakers) == 1
	}, func() string { return fmt.Sprintf("%+v", status) })
	if sp := status.Speakers[0]; sp.ID != "null" || !strings.Contains(sp.Warning, "nothing is heard") || !strings.Contains(sp.Warning, "hkw doctor") {
		t.Errorf("%+v", sp)
	}
}

// What serve refuses, it refuses in one line that names the setting, with a code.
func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "x")
	const free = "127.0.0.1:0"
	tests := []struct {
		name string
		args []string
		code exitCode
		want []string
	}{
		{"MQTT port in use", []string{"--mqtt-listen", taken.Addr().String(), "--http-listen", free}, exitInUse, []string{"mqtt-listen", taken.Addr().String(), "in use"}},
		{"HTTP port in use", []string{"--mqtt-listen", free, "--http-listen", taken.Addr().String()}, exitInUse, []string{"http-listen", taken.Addr().String(), "in use"}},
		{"address of another machine", []string{"--mqtt-listen", "192.0.2.1:1883", "--open", "--http-listen", free}, exitUsage, []string{"mqtt-listen", "cannot listen on 192.0.2.1:1883"}},
		{"beyond loopback", []string{"--mqtt-listen", "0.0.0.0:0", "--http-listen", free}, exitUsage, []string{"mqtt-listen", "beyond this machine", "--open"}},
		{"beyond loopback, any host", []string{"--mqtt-listen", ":0", "--http-listen", free}, exitUsage, []string{"mqtt-listen", "--open"}},
		{"HTTP beyond loopback", []string{"--mqtt-listen", free, "--http-listen", "[::]:0"}, exitUsage, []string{"http-listen", "--open"}},
		{"no such host", []string{"--mqtt-listen", "nowhere.invalid:0", "--http-listen", free}, exitUsage, []string{"mqtt-listen", "nowhere.invalid"}},
		{"media folder missing", []string{"--media", "/nowhere", "--mqtt-listen", free, "--http-listen", free}, exitUsage, []string{"--media", "/nowhere", "folder"}},
		{"media folder is a file", []string{"--media", file, "--mqtt-listen", free, "--http-listen", free}, exitUsage, []string{"--media", file, "folder"}},
		{"authority missing", []string{"--broker", "tls://127.0.0.1:1", "--broker-ca", "/nowhere.pem", "--http-listen", free}, exitUsage, []string{"--broker-ca", "/nowhere.pem"}},
		{"authority is none", []string{"--broker", "tls://127.0.0.1:1", "--broker-ca", file, "--http-listen", free}, exitUsage, []string{"--broker-ca", "no certificate"}},
		{"unknown driver", []string{"--speaker", "a=alsa"}, exitUsage, []string{"--speaker", "alsa", "wav, snapcast, null"}},
		{"unknown flag", []string{"--lisen", "x"}, exitUsage, []string{"--lisen"}},
		{"arguments", []string{"now"}, exitUsage, []string{`"now"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := command(t, emptyEnv(t), append([]string{"serve", "--log-level", "error"}, tt.args...)...)
			if code != int(tt.code) || stdout != "" {
				t.Errorf("exit code %d, want %d; printed %q", code, tt.code, stdout)
			}
			if strings.Count(stderr, "\n") != 1 {
				t.Errorf("not one line: %q", stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q lacks %q", stderr, want)
				}
			}
		})
	}
	t.Run("unreadable media folder", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root may read everything")
		}
		dir := filepath.Join(t.TempDir(), "closed")
		if err := os.Mkdir(dir, 0); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := command(t, emptyEnv(t), "serve", "--media", dir, "--mqtt-listen", free, "--http-listen", free); code != int(exitUsage) || !strings.Contains(stderr, "--media") {
			t.Errorf("%d %s", code, stderr)
		}
	})
}

func TestOpen(t *testing.T) {
	b := serve(t, "--speaker", "a=null", "--mqtt-listen", "0.0.0.0:0", "--open")
	b.stderr.waitFor(t, "without credentials")
	if code, _, stderr := b.client("stop"); code != 0 {
		t.Errorf("%d %s", code, stderr)
	}
}

// A hub that another live instance serves is refused, and the refusal says where that runs.
func TestHubTaken(t *testing.T) {
	url := houseBroker(t, "127.0.0.1:0")
	first := serve(t, "--speaker", "a=null", "--broker", url)
	args := []string{"serve", "--broker", url, "--http-listen", "127.0.0.1:0", "--speaker", "a=null", "--log-level", "error"}
	code, _, stderr := command(t, emptyEnv(t), args...)
	if code != int(exitTaken) || !strings.Contains(stderr, "--hub") || !strings.Contains(stderr, fmt.Sprintf("process %d", os.Getpid())) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%d %q", code, stderr)
	}
	if code, _, stderr := first.client("stop"); code != 0 {
		t.Errorf("the first one does not answer any more: %d %s", code, stderr)
	}
	// Another hub beside it is welcome, and is known to be gone when it is.
	second := launch(t, &program{env: emptyEnv(t)}, append(args, "--hub", "other")...)
	eventually(t, func() bool { code, _, _ := first.client("stop", "--hub", "other"); return code == 0 }, second.stderr.String)
	if code := second.stop(); code != 0 {
		t.Errorf("%d %s", code, second.stderr.String())
	}
	began := time.Now()
	code, _, stderr = first.client("stop", "--hub", "other")
	if code != int(exitNoAnswer) || !strings.Contains(stderr, "offline") || time.Since(began) > 5*time.Second {
		t.Errorf("%d %q after %s", code, stderr, time.Since(began))
	}
}

// Who names a hub that is not there is told at once, and told which ones are.
func TestNoHub(t *testing.T) {
	b := serve(t, "--speaker", "a=null")
	began := time.Now()
	code, _, stderr := b.client("stop", "--hub", "never")
	if code != int(exitNoAnswer) || !strings.Contains(stderr, `no hub "never"`) || !strings.Contains(stderr, "home") || time.Since(began) > 5*time.Second {
		t.Errorf("%d %q after %s", code, stderr, time.Since(began))
	}
}

// Several hubs of a file run in one process, each with its own speakers.
func TestServeSeveralHubs(t *testing.T) {
	env := emptyEnv(t)
	write(t, filepath.Join(env.get("XDG_CONFIG_HOME"), configFolder, configName), "hubs:\n- hub: up\n  speakers: {bed: null}\n- hub: down\n  speakers: {hall: null, porch: null}\n")
	b := serveWith(t, &program{env: env, terminal: true})
	b.stdout.waitFor(t, "hkw/up/#", "hkw/down/#", "hall (null)", "porch (null)")
	for hub, want := range map[string]string{"up": "(bed 35)", "down": "(hall 35, porch 35)"} {
		if code, out, stderr := b.client("volume", "--hub", hub); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %d %s %s", hub, code, out, stderr)
		}
	}
	if code, out, _ := b.client("volume"); code != 0 || !strings.Contains(out, "bed") {
		t.Errorf("without --hub the first one is meant: %s", out)
	}
}

// An external broker that is not there yet is waited for.
func TestBrokerAbsentAtStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	b := launch(t, &program{env: emptyEnv(t)}, "serve", "--broker", "tcp://"+address, "--http-listen", "127.0.0.1:0", "--speaker", "a=null")
	b.stderr.waitFor(t, "no connection to the broker")
	resp, err := http.Get("http://" + b.app.httpAddr.String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("healthy without a broker: %d", resp.StatusCode)
	}
	url := houseBroker(t, address)
	eventually(t, func() bool { code, _, _ := command(t, emptyEnv(t), "stop", "--broker", url); return code == 0 }, b.stderr.String)
}

// A real Mosquitto is as good.
func TestMosquitto(t *testing.T) {
	speakertest.Require(t, "mosquitto", "mosquitto", "mosquitto_pub")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	mosquitto := exec.Command("mosquitto", "-p", port)
	if err := mosquitto.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mosquitto.Process.Kill(); _ = mosquitto.Wait() }()
	url := "tcp://127.0.0.1:" + port
	wav := filepath.Join(t.TempDir(), "k.wav")
	b := launch(t, &program{env: emptyEnv(t)}, "serve", "--broker", url, "--http-listen", "127.0.0.1:0", "--speaker", "k=wav:"+wav)
	b.stderr.waitFor(t, `"message":"serving"`)
	if out, err := exec.Command("mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-t", "hkw/home/play", "-m", "tick").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, func() bool { return loudest(t, wav) > 0.01 }, func() string { return "nothing was heard:\n" + b.stderr.String() })
	if code, _, stderr := command(t, emptyEnv(t), "play", "tick", "--wait", "--broker", url); code != 0 {
		t.Errorf("%d %s", code, stderr)
	}
}

// A folder with very many files does not delay the start.
func TestHugeMediaFolder(t *testing.T) {
	dir := t.TempDir()
	for i := range 2000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.mp3", i)), []byte("ID3"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	b := serve(t, "--speaker", "a=null", "--media", dir)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("took %s", took)
	}
	if code, _, stderr := b.client("play", "tick", "--wait"); code != 0 {
		t.Errorf("%d %s", code, stderr)
	}
}

// A data folder that cannot be written is a warning.
func TestDataFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "x")
	b := serve(t, "--speaker", "a=null", "--data", filepath.Join(file, "below"))
	b.stderr.waitFor(t, "will not survive a restart")

	dir := filepath.Join(t.TempDir(), "new", "folder")
	b = serve(t, "--speaker", "a=null", "--data", dir)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("made before it is needed: %v", err)
	}
	if code, _, stderr := b.client("volume", "a", "12"); code != 0 {
		t.Fatal(stderr)
	}
	b.stop()
	b = serve(t, "--speaker", "a=null", "--data", dir)
	b.stderr.waitFor(t, `"message":"serving"`)
	if _, out, _ := b.client("volume", "a"); out != "volume of a: 12\n" {
		t.Errorf("%q after a restart", out)
	}
}
