package bridge

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"hkw/speaker"
	"hkw/speaker/speakertest"
)

// player is a program that plays, driven as its users would: one process that
// stays, and commands over a connection that stays.
type player struct {
	name     string
	pid      int
	play     func(file string) // a file of the folder; instead of what plays. Returns when the command is sent.
	stop     func()
	answered func() time.Time // when the result of the last play came; nil for who has none
	memory   float64          // the most that it was seen with, in MiB
}

// stage is a sound server with one null sink, its ear, and the players on it.
type stage struct {
	dir     string // of the media
	ear     *ear
	players []*player
}

const stageSink = "stage"

// newStage sets one up; prepare may put more media into its folder.
func newStage(b *testing.B, prepare ...func(dir string)) *stage {
	b.Helper()
	for _, program := range []string{"mpv", "mpd", "flac"} {
		speakertest.Require(b, program)
	}
	server := speakertest.StartPulse(b, stageSink)
	s := &stage{dir: b.TempDir(), ear: listenTo(b, server, stageSink)}
	for name, hz := range map[string]float64{"a": earA, "b": earB} {
		toneFile(b, s.dir, name+".wav", hz, 10*time.Second)
		wav := filepath.Join(s.dir, name+".wav")
		if out, err := exec.Command("flac", "--silent", "--force", "-o", filepath.Join(s.dir, name+".flac"), wav).CombinedOutput(); err != nil {
			b.Fatalf("flac: %v\n%s", err, out)
		}
		if err := os.Remove(wav); err != nil {
			b.Fatal(err)
		}
	}
	for _, f := range prepare {
		f(s.dir)
	}
	s.players = []*player{startHkw(b, server, s.dir), startMpv(b, server, s.dir), startMpd(b, server, s.dir)}
	return s
}

// BenchmarkStart is the time from a command to the first sample that is heard,
// out of silence.
func BenchmarkStart(b *testing.B) {
	s := newStage(b)
	took, results := s.times(), times(nil)
	s.rounds(b, func(p *player) {
		from, sent := s.ear.now(), time.Now()
		p.play("a.flac")
		first := s.ear.when(s.ear.onset(earA, from))
		took[p.name] = append(took[p.name], first.Sub(sent))
		if p.answered != nil {
			results = append(results, p.answered().Sub(first))
		}
	})
	s.report(b, took, "")
	reportResults(b, results)
}

// BenchmarkSwitch is the time from a command to the first sample of B while A plays,
// and the gap between the last sample of A and that one.
func BenchmarkSwitch(b *testing.B) {
	s := newStage(b)
	took, gaps, results := s.times(), s.times(), times(nil)
	s.rounds(b, func(p *player) {
		from := s.ear.now()
		p.play("a.flac")
		s.ear.onset(earA, from)
		// Not in step with anything that the player does every so often.
		s.ear.hear(300*time.Millisecond + rand.N(50*time.Millisecond))
		from, sent := s.ear.now(), time.Now()
		p.play("b.flac")
		onset := s.ear.onset(earB, from)
		first := s.ear.when(onset)
		took[p.name] = append(took[p.name], first.Sub(sent))
		last := s.ear.end(earA, from, onset+earSure)
		gaps[p.name] = append(gaps[p.name], speaker.FramesToDuration(int64(onset-last)))
		if p.answered != nil {
			results = append(results, p.answered().Sub(first))
		}
	})
	s.report(b, took, "")
	s.report(b, gaps, "-gap")
	reportResults(b, results)
}

// rounds gives every player its turn in each iteration, another one first each
// time; each begins and ends in silence.
func (s *stage) rounds(b *testing.B, turn func(*player)) {
	for _, p := range s.players { // warm: whatever is cached is, for all
		p.play("b.flac")
		s.ear.onset(earB, s.ear.now())
		p.stop()
		s.ear.silence()
	}
	first := 0
	for b.Loop() {
		for i := range s.players {
			p := s.players[(i+first)%len(s.players)]
			s.ear.hear(rand.N(50 * time.Millisecond))
			turn(p)
			p.stop()
			s.ear.silence()
		}
		first++
	}
	b.ReportMetric(0, "ns/op")
}

func (s *stage) times() map[string]times { return map[string]times{} }

func (s *stage) report(b *testing.B, took map[string]times, suffix string) {
	for _, p := range s.players {
		took[p.name].report(b, p.name+suffix, time.Millisecond)
	}
}

// reportResults gives out when the hub's results came, counted from the first
// sample: negative is before it.
func reportResults(b *testing.B, t times) {
	b.ReportMetric(t.at(0.5).Seconds()*1000, "hkw-result-p50-ms")
	b.ReportMetric(t.at(0.95).Seconds()*1000, "hkw-result-p95-ms")
	late := 0
	for _, d := range t {
		if d > 0 {
			late++
		}
	}
	b.ReportMetric(100*float64(late)/float64(len(t)), "hkw-result-late-%")
}

// start starts a program that the benchmark ends.
func start(b testing.TB, cmd *exec.Cmd) int {
	b.Helper()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		if b.Failed() {
			b.Logf("%s said:\n%s", cmd.Path, log.String())
		}
	})
	return cmd.Process.Pid
}

// environment is that of a player: a home of its own, and the benchmark's sound server.
func environment(home string, server *speakertest.PulseServer) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_RUNTIME_DIR=" + home, "PULSE_SERVER=" + server.Server()}
}

// buildHkw builds the program as it is delivered.
func buildHkw(b testing.TB) string {
	b.Helper()
	speakertest.Require(b, "go")
	program := filepath.Join(b.TempDir(), "hkw")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "hkw/cmd/hkw")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// freeAddress is an address of loopback on which nobody listens at the moment.
func freeAddress(b testing.TB) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// startHkw starts the hub with its own broker; its play is a QoS 1 publish over TCP.
func startHkw(b *testing.B, server *speakertest.PulseServer, dir string) *player {
	b.Helper()
	home, address := b.TempDir(), freeAddress(b)
	cmd := exec.Command(buildHkw(b), "--mqtt-listen", address, "--http-listen", freeAddress(b), "--media", dir,
		"--data", home, "--speaker", "stage=pulse:"+stageSink)
	cmd.Dir, cmd.Env = home, environment(home, server)
	p := &player{name: "hkw", pid: start(b, cmd)}

	speakertest.Eventually(b, 20*time.Second, func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	client := dial(b, "tcp://"+address)
	until(b, listen(b, client, "status"), "the speaker is there", func(m busMessage) bool {
		return strings.Contains(string(m.payload), `"available":true`)
	})
	client.Unsubscribe("hkw/home/status").Wait()
	heard := make(chan busMessage, 100)
	subscribe(b, client, 1, func(_ mqtt.Client, m mqtt.Message) {
		heard <- busMessage{topic: m.Topic(), payload: m.Payload(), at: time.Now()}
	}, "hkw/home/result/+")
	n := 0
	command := func(topic, fields string) {
		n++
		client.Publish("hkw/home/"+topic, 1, false, fmt.Sprintf(`{"id":"b%d"%s}`, n, fields))
	}
	p.answered = func() time.Time {
		m := until(b, heard, "the result of the play", func(m busMessage) bool {
			return strings.HasSuffix(m.topic, fmt.Sprintf("/b%d", n))
		})
		if !strings.Contains(string(m.payload), `"outcome":"started"`) {
			b.Fatalf("play: %s", m.payload)
		}
		return m.at
	}
	// The volume at which nothing is changed, as the others have it.
	command("volume", `,"volume":50`)
	until(b, heard, "the volume is set", func(m busMessage) bool { return strings.Contains(string(m.payload), `"done"`) })
	p.play = func(file string) { command("play", `,"media":"`+file+`"`) }
	p.stop = func() { command("stop", "") }
	return p
}

// startMpv starts mpv; its play is a loadfile over its socket.
func startMpv(b *testing.B, server *speakertest.PulseServer, dir string) *player {
	b.Helper()
	home := b.TempDir()
	socket := shortSocket(b)
	cmd := exec.Command("mpv", "--no-config", "--no-video", "--idle", "--ao=pulse", "--no-terminal", "--input-ipc-server="+socket)
	cmd.Dir, cmd.Env = home, environment(home, server)
	p := &player{name: "mpv", pid: start(b, cmd)}
	send := dialPlayer(b, socket, nil)
	p.play = func(file string) {
		send(fmt.Sprintf(`{"command":["loadfile",%q,"replace"]}`+"\n", filepath.Join(dir, file)))
	}
	p.stop = func() { send(`{"command":["stop"]}` + "\n") }
	return p
}

// startMpd starts the Music Player Daemon; its play is one list of commands.
func startMpd(b *testing.B, server *speakertest.PulseServer, dir string) *player {
	b.Helper()
	home := b.TempDir()
	socket := shortSocket(b)
	config := filepath.Join(home, "mpd.conf")
	text := fmt.Sprintf("music_directory %q\ndb_file %q\nbind_to_address %q\naudio_output {\n\ttype \"pulse\"\n\tname \"stage\"\n\tserver %q\n\tsink %q\n}\n",
		dir, filepath.Join(home, "db"), socket, server.Server(), stageSink)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("mpd", "--no-daemon", config)
	cmd.Dir, cmd.Env = home, environment(home, server)
	p := &player{name: "mpd", pid: start(b, cmd)}
	var answers lines
	send := dialPlayer(b, socket, &answers)
	send("update\n")
	files, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, file := range files {
		speakertest.Eventually(b, 10*time.Second, func() error {
			send("lsinfo " + file.Name() + "\n")
			if !answers.have("file: " + file.Name()) {
				return errors.New("mpd does not know " + file.Name())
			}
			return nil
		})
	}
	p.play = func(file string) {
		send("command_list_begin\nclear\nadd " + file + "\nplay\ncommand_list_end\n")
	}
	p.stop = func() { send("stop\n") }
	return p
}

// shortSocket is a path for a socket, which has to be short.
func shortSocket(b testing.TB) string {
	b.Helper()
	dir, err := os.MkdirTemp("", "hkw-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// dialPlayer connects to a player's socket, once it is there.
func dialPlayer(b testing.TB, socket string, answers *lines) (send func(string)) {
	b.Helper()
	var conn net.Conn
	speakertest.Eventually(b, 10*time.Second, func() (err error) {
		conn, err = net.Dial("unix", socket)
		return err
	})
	read := make(chan struct{})
	go func() {
		defer close(read)
		if answers == nil {
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		for sc := bufio.NewScanner(conn); sc.Scan(); {
			answers.add(sc.Text())
		}
	}()
	b.Cleanup(func() {
		_ = conn.Close()
		<-read
	})
	return func(text string) {
		if _, err := io.WriteString(conn, text); err != nil {
			b.Fatal(err)
		}
	}
}

// lines are what a player said.
type lines struct {
	mu   sync.Mutex
	said map[string]bool
}

func (l *lines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.said == nil {
		l.said = map[string]bool{}
	}
	l.said[line] = true
}

func (l *lines) have(line string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said[line]
}
