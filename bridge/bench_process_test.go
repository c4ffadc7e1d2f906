package bridge

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"hkw/speaker/speakertest"
)

// processSpan is how long processes are watched in each iteration, idle and playing.
const processSpan = 2 * time.Second

// processRest is how long after a sound they count as idle: the hub lets go of its
// speakers after five seconds.
const processRest = 6 * time.Second

// BenchmarkProcess is what the players need while they do nothing and while each of
// them plays the same mp3: processor time, in percent of one core, and resident
// memory, in MiB. They are watched at the same time; that of the hub holds its
// broker, its HTTP server and its library too.
func BenchmarkProcess(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("processes are watched through /proc")
	}
	s := newStage(b, func(dir string) { mp3File(b, dir, "music.mp3", 30*time.Second) })
	idle, playing := map[string]float64{}, map[string]float64{} // seconds of processor time
	watch := func(spent map[string]float64) {
		before := map[string]float64{}
		for _, p := range s.players {
			before[p.name] = processorTime(b, p.pid)
		}
		s.ear.hear(processSpan)
		for _, p := range s.players {
			spent[p.name] += processorTime(b, p.pid) - before[p.name]
		}
	}
	s.play("music.mp3") // once before, so that everybody has all that playing needs
	s.ear.hear(time.Second)
	s.stop()
	rest := map[string]float64{}
	for _, p := range s.players {
		rest[p.name] = resident(b, p.pid)
	}
	span := 0.0
	for b.Loop() {
		s.ear.hear(processRest)
		watch(idle)
		s.play("music.mp3")
		s.ear.hear(time.Second)
		watch(playing)
		span += processSpan.Seconds()
		for _, p := range s.players {
			p.memory = max(p.memory, resident(b, p.pid))
		}
		s.stop()
	}
	b.ReportMetric(0, "ns/op")
	for _, p := range s.players {
		b.ReportMetric(100*idle[p.name]/span, p.name+"-idle-%")
		b.ReportMetric(100*playing[p.name]/span, p.name+"-playing-%")
		b.ReportMetric(p.memory, p.name+"-playing-MiB")
		b.ReportMetric(rest[p.name], p.name+"-idle-MiB")
	}
}

// play lets all play the same.
func (s *stage) play(file string) {
	for _, p := range s.players {
		p.play(file)
		if p.answered != nil {
			p.answered()
		}
	}
}

func (s *stage) stop() {
	for _, p := range s.players {
		p.stop()
	}
	s.ear.silence()
}

// mp3File is a piece of noise and tones, 192 kbit/s, as hard to decode as music.
func mp3File(b *testing.B, dir, name string, length time.Duration) {
	b.Helper()
	speakertest.Require(b, "lame")
	toneFile(b, dir, name+".wav", earA, length)
	wav := filepath.Join(dir, name+".wav")
	data, err := os.ReadFile(wav)
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := 44; i+3 < len(data); i += 4 {
		for c := range 2 {
			x := int16(uint16(data[i+2*c])|uint16(data[i+2*c+1])<<8)/4 + int16(2000*(2*random.Float64()-1)*math.Abs(math.Sin(float64(i)/1e5)))
			data[i+2*c], data[i+2*c+1] = byte(x), byte(uint16(x)>>8)
		}
	}
	if err := os.WriteFile(wav, data, 0o600); err != nil {
		b.Fatal(err)
	}
	if out, err := exec.Command("lame", "--quiet", "-b", "192", wav, filepath.Join(dir, name)).CombinedOutput(); err != nil {
		b.Fatalf("lame: %v\n%s", err, out)
	}
	if err := os.Remove(wav); err != nil {
		b.Fatal(err)
	}
}

// processorTime is how long a process has run, in seconds: fields 14 and 15 of
// proc(5)'s stat, in ticks of 10 ms.
func processorTime(b *testing.B, pid int) float64 {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name may hold anything
	fields := strings.Fields(rest)
	var ticks float64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return ticks / 100
}

// resident is the resident memory of a process, in MiB.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseFloat(strings.Fields(kib)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return n / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
