// Package speakertest is what a driver must pass to be one, and what tests need to hear: a
// sound server of their own, and recordings of what it played.
package speakertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hkw/speaker"
)

// PulseServer is a PulseAudio server of the test's own, without any hardware.
type PulseServer struct {
	Socket string // the path of its Unix socket

	dir     string
	sinks   []string
	command func() (*exec.Cmd, error) // runs it
	cmd     *exec.Cmd
	done    chan struct{}
}

// StartPulse starts a server with the given null sinks, 48 kHz stereo float each. A
// name may be followed by "=" and the arguments of another kind of sink, for
// example "left=module-remap-sink master=all …". It is gone when the test ends.
func StartPulse(t testing.TB, sinks ...string) *PulseServer {
	t.Helper()
	Require(t, "pulse", "pulseaudio", "parec", "pactl")
	// The path of a Unix socket has to be short.
	dir, err := os.MkdirTemp("", "hkw-pulse-")
	if err != nil {
		t.Fatal(err)
	}
	p := &PulseServer{Socket: filepath.Join(dir, "native"), dir: dir, sinks: sinks}
	p.command = p.pulseaudio
	t.Cleanup(func() {
		p.Kill()
		_ = os.RemoveAll(dir)
	})
	p.Start(t)
	return p
}

// Server is the server as PULSE_SERVER would name it.
func (p *PulseServer) Server() string { return "unix:" + p.Socket }

// Start starts the server, again if it was killed, and waits until it answers.
func (p *PulseServer) Start(t testing.TB) {
	t.Helper()
	_ = os.Remove(p.Socket)
	cmd, err := p.command()
	if err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() { _ = cmd.Wait(); close(done) }()
	Eventually(t, 10*time.Second, func() error {
		select {
		case <-done:
			t.Fatalf("the sound server ended:\n%s", log.String())
		default:
		}
		c, err := net.Dial("unix", p.Socket)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

// pulseaudio is PulseAudio with the sinks of the test.
func (p *PulseServer) pulseaudio() (*exec.Cmd, error) {
	var script strings.Builder
	for _, s := range p.sinks {
		name, module, other := strings.Cut(s, "=")
		if !other {
			module = "module-null-sink rate=48000 channels=2 format=float32le"
		}
		fmt.Fprintf(&script, "load-module %s sink_name=%s\n", module, name)
	}
	fmt.Fprintf(&script, "load-module module-native-protocol-unix auth-anonymous=1 socket=%s\n", p.Socket)
	config := filepath.Join(p.dir, "default.pa")
	if err := os.WriteFile(config, []byte(script.String()), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1",
		"--disallow-exit", "--realtime=no", "--high-priority=no", "--log-target=stderr", "--log-level=error", "-F", config)
	cmd.Env = append(os.Environ(), "HOME="+p.dir, "XDG_RUNTIME_DIR="+p.dir, "XDG_CONFIG_HOME="+p.dir,
		"PULSE_RUNTIME_PATH="+filepath.Join(p.dir, "run"), "PULSE_STATE_PATH="+filepath.Join(p.dir, "state"),
		"DBUS_SESSION_BUS_ADDRESS=disabled:", "DBUS_SYSTEM_BUS_ADDRESS=disabled:", "PULSE_SERVER=", "PULSE_COOKIE=")
	return cmd, nil
}

// Kill kills the server, without a chance to say goodbye, and waits for its end.
func (p *PulseServer) Kill() {
	switch {
	case p.cmd == nil || p.cmd.Process == nil:
	case p.cmd.Cancel != nil: // ends its whole group
		_ = p.cmd.Cancel()
	default:
		_ = p.cmd.Process.Kill()
	}
	p.wait()
}

func (p *PulseServer) wait() {
	if p.done != nil {
		<-p.done
	}
}

// Pactl runs pactl on the server and returns what it printed.
func (p *PulseServer) Pactl(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command("pactl", append([]string{"--server=" + p.Server()}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pactl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Recording is what a sink of the server plays, from when Record returned on.
type Recording struct {
	channels int
	cmd      *exec.Cmd
	done     chan struct{}

	mu    sync.Mutex
	bytes []byte
}

// Record records a stereo sink.
func (p *PulseServer) Record(t testing.TB, sink string) *Recording {
	t.Helper()
	return p.RecordChannels(t, sink, speaker.Channels)
}

// RecordChannels records a sink with so many channels.
func (p *PulseServer) RecordChannels(t testing.TB, sink string, channels int) *Recording {
	t.Helper()
	r := &Recording{channels: channels, done: make(chan struct{})}
	r.cmd = exec.Command("parec", "--server="+p.Server(), "--device="+sink+".monitor", "--raw",
		"--format=float32le", "--rate=48000", fmt.Sprintf("--channels=%d", channels), "--latency-msec=5", "--no-remix", "--no-remap")
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		buf := make([]byte, 1<<16)
		for {
			n, err := out.Read(buf)
			r.mu.Lock()
			r.bytes = append(r.bytes, buf[:n]...)
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { r.Stop() })
	Eventually(t, 10*time.Second, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.bytes) == 0 {
			return errors.New("the recording did not begin")
		}
		return nil
	})
	return r
}

// Frames are the samples recorded so far, interleaved.
func (r *Recording) Frames() []float32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.bytes) / (4 * r.channels) * r.channels
	s := make([]float32, n)
	for i := range s {
		s[i] = math.Float32frombits(binary.LittleEndian.Uint32(r.bytes[4*i:]))
	}
	return s
}

// Length is how many frames were recorded so far.
func (r *Recording) Length() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bytes) / (4 * r.channels)
}

// Stop ends the recording and returns it.
func (r *Recording) Stop() []float32 {
	_ = r.cmd.Process.Kill()
	<-r.done
	_ = r.cmd.Wait()
	return r.Frames()
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Eventually asks until the answer is no error, for as long as is allowed.
func Eventually(t testing.TB, within time.Duration, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still after %v: %v", within, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
