package speakertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hkw/speaker/child"
)

// pipewireSession starts PipeWire with its session manager, and then, as the
// process that counts, its server for clients of PulseAudio.
const pipewireSession = `
pipewire &
while ! [ -S "$XDG_RUNTIME_DIR/pipewire-0" ]; do sleep 0.05; done
wireplumber &
exec pipewire-pulse
`

// StartPipeWire starts a PipeWire of the test's own, without any hardware, that
// serves clients of PulseAudio. It has the given null sinks, as those of
// StartPulse. It is gone when the test ends.
func StartPipeWire(t testing.TB, sinks ...string) *PulseServer {
	t.Helper()
	Require(t, "pipewire", "pipewire", "pipewire-pulse", "wireplumber", "dbus-run-session", "parec", "pactl")
	// The path of a Unix socket has to be short.
	dir, err := os.MkdirTemp("", "hkw-pipewire-")
	if err != nil {
		t.Fatal(err)
	}
	p := &PulseServer{Socket: filepath.Join(dir, "pulse", "native"), dir: dir, sinks: sinks}
	p.command = func() (*exec.Cmd, error) {
		env := []string{"PATH", "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_STATE_HOME=" + dir, "XDG_CACHE_HOME=" + dir}
		return child.Command(context.Background(), env, "dbus-run-session", "--", "sh", "-c", pipewireSession), nil
	}
	t.Cleanup(func() {
		p.Kill()
		_ = os.RemoveAll(dir)
	})
	p.Start(t)
	for _, s := range sinks {
		p.Pactl(t, "load-module", "module-null-sink", "sink_name="+s, "rate=48000", "channels=2", "format=float32le")
	}
	Eventually(t, 10*time.Second, func() error {
		for _, s := range sinks {
			if !strings.Contains(p.Pactl(t, "list", "short", "sinks"), s) {
				return os.ErrNotExist
			}
		}
		return nil
	})
	return p
}
