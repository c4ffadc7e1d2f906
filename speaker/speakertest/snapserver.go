package speakertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Snapserver is a snapserver of the test's own: one stream, named hkw, without a
// buffer to speak of.
type Snapserver struct {
	Source  string // the address where it takes sound
	Control string // the address of its JSON-RPC

	clients string // the port for snapclient
	dir     string
	cmd     *exec.Cmd
	done    chan struct{}
	log     logBuffer
}

// StartSnapserver starts a server with a buffer of so many milliseconds, at least
// 100. It is gone when the test ends.
func StartSnapserver(t testing.TB, buffer int) *Snapserver {
	t.Helper()
	Require(t, "snapserver", "snapserver")
	s := &Snapserver{Source: freeAddress(t), Control: freeAddress(t), dir: t.TempDir()}
	_, s.clients, _ = net.SplitHostPort(freeAddress(t))
	_, control, _ := net.SplitHostPort(s.Control)
	config := fmt.Sprintf(`[http]
enabled = false
[tcp]
bind_to_address = 127.0.0.1
port = %s
[stream]
bind_to_address = 127.0.0.1
port = %s
source = tcp://%s?name=hkw&sampleformat=48000:16:2&mode=server
codec = pcm
buffer = %d
`, control, s.clients, s.Source, buffer)
	if err := os.WriteFile(s.config(), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.Start(t)
	return s
}

func (s *Snapserver) config() string { return filepath.Join(s.dir, "snapserver.conf") }

// Start starts the server, again if it was killed, and waits until it answers.
func (s *Snapserver) Start(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command("snapserver", "--config="+s.config(), "--server.datadir="+s.dir, "--logging.filter=*:debug")
	s.cmd.Env = append(os.Environ(), "HOME="+s.dir, "DBUS_SYSTEM_BUS_ADDRESS=disabled:")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	s.done = done
	cmd := s.cmd
	go func() { _ = cmd.Wait(); close(done) }()
	Eventually(t, 10*time.Second, func() error {
		select {
		case <-done:
			t.Fatalf("snapserver ended:\n%s", s.log.String())
		default:
		}
		c, err := net.Dial("tcp", s.Control)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

// Kill kills the server, without a chance to say goodbye, and waits for its end.
func (s *Snapserver) Kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
	}
	if s.done != nil {
		<-s.done
	}
}

// Log is what the servers said so far.
func (s *Snapserver) Log() string { return s.log.String() }

// Snapclient is a client that plays to a file.
type Snapclient struct{ path string }

// Listen starts a client of a name, and waits until it takes what the server sends.
// It ends with the test, and survives the server.
func (s *Snapserver) Listen(t testing.TB, name string) *Snapclient {
	t.Helper()
	Require(t, "snapclient", "snapclient")
	c := &Snapclient{path: filepath.Join(t.TempDir(), name+".raw")}
	s.client(t, "--hostID="+name, "--player=file:filename="+c.path)
	Eventually(t, 10*time.Second, func() error {
		if len(c.Samples(t)) == 0 {
			return errors.New("the client plays nothing")
		}
		return nil
	})
	return c
}

// ListenOn starts a client of a name that plays on a sink of a sound server.
func (s *Snapserver) ListenOn(t *testing.T, name string, p *PulseServer, sink string) {
	t.Helper()
	Require(t, "snapclient", "snapclient")
	t.Setenv("PULSE_SERVER", p.Server())
	s.client(t, "--hostID="+name, "--player=pulse", "--soundcard="+sink)
	Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(p.Pactl(t, "list", "sink-inputs"), "Snapcast") {
			return errors.New("the client does not play")
		}
		return nil
	})
}

// client runs a client until the test ends.
func (s *Snapserver) client(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command("snapclient", append(args, "--host=127.0.0.1", "--port="+s.clients, "--logsink=null")...)
	cmd.Env = append(os.Environ(), "HOME="+s.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// Samples are those of the left channel that were played so far, as -1 to 1.
func (c *Snapclient) Samples(t testing.TB) []float32 {
	t.Helper()
	b, err := os.ReadFile(c.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	left := make([]float32, len(b)/4)
	for i := range left {
		left[i] = float32(int16(binary.LittleEndian.Uint16(b[4*i:]))) / 32768
	}
	return left
}

// freeAddress is one of the loopback where nobody listens now.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
