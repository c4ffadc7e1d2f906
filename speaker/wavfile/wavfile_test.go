package wavfile

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hkw/speaker"
	"hkw/speaker/speakertest"
)

func TestConformance(t *testing.T) {
	speakertest.Run(t, func(t *testing.T) speakertest.Fixture {
		dir := t.TempDir()
		return speakertest.Fixture{
			Driver: New(), Target: filepath.Join(dir, "a.wav"), Missing: filepath.Join(dir, "no", "such", "folder.wav"),
		}
	})
}

func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	if _, err := New().Open(t.Context(), "/dev/full"); err == nil {
		t.Error("a file on a full disk is no error")
	}
	// It fills up while it is played to.
	w, err := newWriter(filepath.Join(t.TempDir(), "a.wav"), maxData)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.file.Close()
	s := w.sink()
	defer s.Close()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.file = full
	s.Start(func(dst []float32, _ time.Time) { clear(dst) })
	if err := s.Run(time.Now()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Failed():
	case <-time.After(5 * time.Second):
		t.Fatal("the disk is full and the sink goes on")
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("the reason is %v", err)
	}
}

// pcm reads a file as any reader would: it believes the header.
func pcm(t *testing.T, path string) []int16 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	if len(b) < headerBytes || string(b[:4]) != "RIFF" || string(b[8:16]) != "WAVEfmt " || string(b[36:40]) != "data" {
		t.Fatalf("%s has no valid header: % x", path, b[:min(len(b), headerBytes)])
	}
	for _, f := range []struct {
		name      string
		got, want uint32
	}{
		{"size of the format", le.Uint32(b[16:]), 16},
		{"kind of samples", uint32(le.Uint16(b[20:])), 1},
		{"channels", uint32(le.Uint16(b[22:])), 2},
		{"rate", le.Uint32(b[24:]), 48000},
		{"bytes per second", le.Uint32(b[28:]), 192000},
		{"bytes per frame", uint32(le.Uint16(b[32:])), 4},
		{"bits", uint32(le.Uint16(b[34:])), 16},
		{"size of the whole", le.Uint32(b[4:]), le.Uint32(b[40:]) + 36},
	} {
		if f.got != f.want {
			t.Errorf("%s: the %s is %d, want %d", path, f.name, f.got, f.want)
		}
	}
	n := int(le.Uint32(b[40:]))
	if n > len(b)-headerBytes {
		t.Fatalf("%s promises %d bytes and holds %d", path, n, len(b)-headerBytes)
	}
	s := make([]int16, n/2)
	for i := range s {
		s[i] = int16(le.Uint16(b[headerBytes+2*i:]))
	}
	return s
}

func TestHeaderIsAlwaysValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.wav")
		s, err := New().Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(pcm(t, path)); n != 0 {
			t.Errorf("an unplayed file holds %d samples", n)
		}
		n := int16(0)
		s.Start(func(dst []float32, _ time.Time) {
			for i := range dst {
				dst[i] = float32(n) / 32768
				n++
			}
		})
		start := time.Now()
		if err := s.Run(start); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			time.Sleep(33 * time.Millisecond)
			synctest.Wait()
			got := pcm(t, path)
			due := int(speaker.DurationToFrames(time.Since(start)-refresh-20*time.Millisecond)) * 2
			if len(got) < due {
				t.Fatalf("after %v the file holds %d samples, want at least %d", time.Since(start), len(got), due)
			}
			for i := range got {
				if got[i] != int16(i) {
					t.Fatalf("sample %d is %d", i, got[i])
				}
			}
		}
		if err := s.Idle(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		rest := len(pcm(t, path))
		if want := int(speaker.DurationToFrames(time.Since(start)-100*time.Millisecond)) * 2; rest < want {
			t.Errorf("at rest the file holds %d samples, want %d", rest, want)
		}
		time.Sleep(time.Hour)
		if n := len(pcm(t, path)); n != rest {
			t.Errorf("at rest the file grew from %d to %d samples", rest, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNextFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d := New()
		d.maxData = 100_000 * frameBytes
		s, err := d.Open(t.Context(), filepath.Join(dir, "a.wav"))
		if err != nil {
			t.Fatal(err)
		}
		s.Start(func(dst []float32, _ time.Time) {
			for i := range dst {
				dst[i] = 0.5
			}
		})
		if err := s.Run(time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]int{"a.wav": 200_000, "a-2.wav": 200_000, "a-3.wav": 80_000} {
			if n := len(pcm(t, filepath.Join(dir, name))); n > want || n < want-2000 {
				t.Errorf("%s holds %d samples, want %d", name, n, want)
			}
		}
	})
}

// steps is a source of 16 bit samples.
type steps struct{ at, frames int64 }

func (s steps) Open(context.Context) (speaker.Source, error) { return &s, nil }
func (s *steps) Read(dst []float32) (int, error) {
	n := min(int64(len(dst)/2), s.frames-s.at)
	if n == 0 {
		return 0, io.EOF
	}
	for i := range n {
		dst[2*i], dst[2*i+1] = float32(step(s.at+i))/32768, -float32(step(s.at+i))/32768
	}
	s.at += n
	return int(n), nil
}
func (s *steps) SeekTo(int64) error { return speaker.ErrNotSeekable }
func (s *steps) Info() speaker.Info { return speaker.Info{Codec: "steps"} }
func (s *steps) Title() string      { return "" }
func (s *steps) Close() error       { return nil }

func step(frame int64) int16 { return int16(frame%30000) + 1 }

// In real time: what is played is in both files, each sample as it was, at the same place.
func TestTwoFiles(t *testing.T) {
	dir := t.TempDir()
	d := New()
	reports := make(chan speaker.Report, 100)
	cfg := speaker.Config{Report: func(r speaker.Report) { reports <- r }, Log: zerolog.Nop()}
	var outs []speaker.Output
	for _, id := range []string{"kitchen", "hall"} {
		cfg.Speakers = append(cfg.Speakers, speaker.Setup{ID: id, Driver: d, Target: filepath.Join(dir, id+".wav")})
		outs = append(outs, speaker.Output{Speaker: id, Volume: speaker.MaxVolume})
	}
	e := speaker.NewEngine(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = e.Run(ctx) }()
	const frames = 24000
	e.Do([]speaker.Order{{Verb: speaker.Prepare, Playback: "a", Opener: steps{frames: frames}}})
	for r := range reports {
		if r.Kind == speaker.ReportPrepared {
			e.Do([]speaker.Order{{Verb: speaker.Start, Playback: "a", Outputs: outs}})
		}
		if r.Kind == speaker.ReportEnded {
			break
		}
	}
	cancel()
	<-done
	var begins []int
	for _, id := range []string{"kitchen", "hall"} {
		s := pcm(t, filepath.Join(dir, id+".wav"))
		i := 0
		for i < len(s) && s[i] == 0 {
			i += 2
		}
		begins = append(begins, i/2)
		for k := range frames {
			if j := i + 2*k; j+1 >= len(s) || s[j] != step(int64(k)) || s[j+1] != -step(int64(k)) {
				t.Fatalf("%s: frame %d of %d is wrong", id, k, frames)
			}
		}
	}
	if begins[0] != begins[1] {
		t.Errorf("the sound begins at frame %d of one file and %d of the other", begins[0], begins[1])
	}
	if begins[0] > speaker.SampleRate/10 {
		t.Errorf("%d frames of silence come first", begins[0])
	}
}
