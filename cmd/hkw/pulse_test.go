package main

import (
	"math"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"hkw/speaker/speakertest"
)

// soundServer starts a PulseAudio of the test's own. The process finds it by PULSE_SERVER.
func soundServer(t *testing.T, sinks ...string) *speakertest.PulseServer {
	t.Helper()
	server := speakertest.StartPulse(t, sinks...)
	t.Setenv("PULSE_SERVER", server.Server())
	t.Setenv("HOME", t.TempDir()) // where a client would look for a cookie
	return server
}

func stopProcess(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// What someone with a sound server gets from `hkw` alone: each sink is a speaker,
// and the chime is on what is recorded of it.
func TestPulse(t *testing.T) {
	const sink = "=module-null-sink rate=48000 channels=2 sink_properties=device.description="
	server := soundServer(t, "hall"+sink+"HALL", "kitchen"+sink+"KITCHEN")
	code, found := examine(t, emptyEnv(t), "--mqtt-listen", "127.0.0.1:1", "--http-listen", "127.0.0.1:0")
	if code != 0 || found["sound output"].Level != levelOK || !strings.Contains(found["sound output"].Found, "pulse:") {
		t.Errorf("doctor: %d %+v", code, found)
	}
	_, found = examine(t, emptyEnv(t), "--mqtt-listen", "127.0.0.1:1", "--http-listen", "127.0.0.1:0", "--speaker", "a=pulse:HALL")
	if f := found["speaker a"]; f.Level != levelWarning || !strings.Contains(f.Do, "pulse:hall (HALL), pulse:kitchen (KITCHEN)") {
		t.Errorf("doctor does not say which sinks there are: %+v", f)
	}
	b := serveWith(t, &program{env: emptyEnv(t), terminal: true})
	b.stdout.waitFor(t, "hall (pulse: HALL), volume 35", "kitchen (pulse: KITCHEN), volume 35")
	recording := server.Record(t, "hall")
	if code, _, stderr := b.client("play", "chime", "--speakers", "hall", "--volume", "50", "--wait"); code != 0 {
		t.Fatalf("%d %s", code, stderr)
	}
	heard := func() bool {
		return slices.ContainsFunc(recording.Frames(), func(s float32) bool { return math.Abs(float64(s)) > 0.05 })
	}
	eventually(t, heard, func() string { return "the recording is silent" })
}

// A sound server that comes later is found without a restart.
func TestPulseAppears(t *testing.T) {
	server := soundServer(t, "hall")
	server.Kill()
	b := serve(t)
	b.stderr.waitFor(t, "NO SOUND")
	server.Start(t)
	eventually(t, func() bool {
		_, out, _ := b.client("volume", "hall")
		return out == "volume of hall: 35\n"
	}, b.stderr.String)
	if code, _, stderr := b.client("play", "tick", "--speakers", "hall", "--wait"); code != 0 {
		t.Errorf("%d %s", code, stderr)
	}
}
