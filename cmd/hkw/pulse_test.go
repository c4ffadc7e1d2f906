package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hkw/speaker/speakertest"
)

// soundServer starts a PulseAudio of the test's own with null sinks of these names.
// The process finds it by PULSE_SERVER.
func soundServer(t *testing.T, sinks ...string) *exec.Cmd {
	t.Helper()
	speakertest.Require(t, "pulse", "pulseaudio", "pactl", "parec")
	dir, err := os.MkdirTemp("", "hkw") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "native")
	t.Setenv("PULSE_SERVER", "unix:"+socket)
	t.Setenv("HOME", dir) // where its tools keep their cookie
	return startSoundServer(t, socket, sinks...)
}

func startSoundServer(t *testing.T, socket string, sinks ...string) *exec.Cmd {
	t.Helper()
	dir := filepath.Dir(socket)
	args := []string{"-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes",
		"-L", "module-native-protocol-unix auth-anonymous=1 socket=" + socket}
	for _, s := range sinks {
		args = append(args, "-L", "module-null-sink rate=48000 sink_name="+s+" sink_properties=device.description="+strings.ToUpper(s))
	}
	cmd := exec.Command("pulseaudio", args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "PULSE_RUNTIME_PATH="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopProcess(cmd) })
	eventually(t, func() bool {
		out, err := exec.Command("pactl", "list", "short", "sinks").Output()
		return err == nil && strings.Count(string(out), "module-null-sink") == len(sinks)
	}, func() string { return "pulseaudio does not answer" })
	return cmd
}

func stopProcess(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// What someone with a sound server gets from `hkw` alone: each sink is a speaker,
// and the chime is on what is recorded of it.
func TestPulse(t *testing.T) {
	soundServer(t, "hall", "kitchen")
	code, found := examine(t, emptyEnv(t), "--mqtt-listen", "127.0.0.1:1", "--http-listen", "127.0.0.1:0")
	if code != 0 || found["sound output"].Level != levelOK || !strings.Contains(found["sound output"].Found, "pulse:") {
		t.Errorf("doctor: %d %+v", code, found)
	}
	b := serveWith(t, &program{env: emptyEnv(t), terminal: true})
	b.stdout.waitFor(t, "hall (pulse: HALL), volume 35", "kitchen (pulse: KITCHEN), volume 35")
	var recorded text
	rec := exec.Command("parec", "-d", "hall.monitor", "--rate=48000", "--channels=2", "--format=s16le", "--latency-msec=20")
	rec.Stdout = &recorded
	if err := rec.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopProcess(rec) })
	eventually(t, func() bool { return recorded.String() != "" }, func() string { return "parec records nothing" })
	if code, _, stderr := b.client("play", "chime", "--speakers", "hall", "--volume", "50", "--wait"); code != 0 {
		t.Fatalf("%d %s", code, stderr)
	}
	heard := func() bool { return peak(decodePCM(t, []byte(recorded.String()), 1, 16)) > 0.05 }
	eventually(t, heard, func() string { return "the recording is silent" })
}

// A sound server that comes later is found without a restart.
func TestPulseAppears(t *testing.T) {
	server := soundServer(t, "hall")
	stopProcess(server)
	socket := strings.TrimPrefix(os.Getenv("PULSE_SERVER"), "unix:")
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	b := serve(t)
	b.stderr.waitFor(t, "NO SOUND")
	startSoundServer(t, socket, "hall")
	eventually(t, func() bool {
		_, out, _ := b.client("volume", "hall")
		return out == "volume of hall: 35\n"
	}, b.stderr.String)
	if code, _, stderr := b.client("play", "tick", "--speakers", "hall", "--wait"); code != 0 {
		t.Errorf("%d %s", code, stderr)
	}
}
