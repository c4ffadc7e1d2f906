package decode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hkw/speaker"
	"hkw/speaker/speakertest"
)

var update = flag.Bool("update", false, "encode the files in testdata again, with lame, flac, oggenc and ffmpeg")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// The test tone: two pitches, so that channels cannot be mistaken.
const (
	toneLeft  = 1000.0 // Hz, at half of full scale
	toneRight = 1500.0 // Hz, at a quarter
)

// tone is the test tone's frame at a time in seconds.
func tone(t float64) (left, right float64) {
	return 0.5 * math.Sin(2*math.Pi*toneLeft*t), 0.25 * math.Sin(2*math.Pi*toneRight*t)
}

// toneWAV is a 16-bit file of the test tone.
func toneWAV(rate, channels, frames int) []byte {
	pcm := make([]byte, 0, 2*channels*frames)
	for i := range frames {
		l, r := tone(float64(i) / float64(rate))
		for _, v := range []float64{l, r}[:channels] {
			pcm = binary.LittleEndian.AppendUint16(pcm, uint16(int16(math.Round(v*32767))))
		}
	}
	return wavFile(wavFormat(wavPCM, channels, rate, 16), chunk("data", pcm))
}

func chunk(id string, body []byte) []byte {
	b := append([]byte(id), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(body)))
	if b = append(b, body...); len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func wavFormat(tag, channels, rate, depth int) []byte {
	var b []byte
	le := binary.LittleEndian
	b = le.AppendUint16(b, uint16(tag))
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, uint32(rate))
	b = le.AppendUint32(b, uint32(rate*channels*depth/8))
	b = le.AppendUint16(b, uint16(channels*depth/8))
	b = le.AppendUint16(b, uint16(depth))
	return chunk("fmt ", b)
}

func wavFile(chunks ...[]byte) []byte {
	body := append([]byte("WAVE"), bytes.Join(chunks, nil)...)
	b := append([]byte("RIFF"), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(body)))
	return append(b, body...)
}

// forward hides a reader's other methods: what it reads can not be sought.
type forward struct{ io.Reader }

// openBytes opens a file in memory, seekable.
func openBytes(t testing.TB, b []byte) speaker.Source {
	t.Helper()
	s, err := Open(context.Background(), bytes.NewReader(b), Options{FFmpeg: "-"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// readAll reads what is left of a source, in pieces of changing size.
func readAll(t testing.TB, s speaker.Source) []float32 {
	t.Helper()
	all, err := readRest(s, 1<<24)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var errTooLong = errors.New("it does not end")

// readRest reads up to so many frames.
func readRest(s speaker.Source, limit int) (all []float32, err error) {
	buf := make([]float32, 4099)
	for i := 0; ; i++ {
		n, err := s.Read(buf[:2+(i*997)%4096])
		all = append(all, buf[:2*n]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if len(all) > 2*limit {
			return all, errTooLong
		}
	}
}

// snr compares samples with the test tone at 48 kHz, in dB, leaving out edge frames at both ends.
func snr(samples []float32, edge int, mono bool) float64 {
	var signal, noise float64
	n := len(samples) / 2
	for i := edge; i < n-edge; i++ {
		l, r := tone(float64(i) / speaker.SampleRate)
		l, r = l*32767/32768, r*32767/32768
		if mono {
			r = l
		}
		dl, dr := float64(samples[2*i])-l, float64(samples[2*i+1])-r
		signal += l*l + r*r
		noise += dl*dl + dr*dr
	}
	return 10 * math.Log10(signal/noise)
}

// sample is a file in testdata, made from the test tone by an encoder of others.
type sample struct {
	file     string
	rate     int
	channels int
	frames   int // of the tone, at rate
	codec    string
	snr      float64 // at least, in dB
	encode   []string
}

// LAME turns what it encodes at a constant rate down by 0.95.
var samples = []sample{
	{"stereo44.mp3", 44100, 2, 13230, "mp3", 70, []string{"lame", "--quiet", "--scale", "1.0526316", "-b", "128", "IN", "OUT"}},
	{"vbr48.mp3", 48000, 2, 14400, "mp3", 25, []string{"lame", "--quiet", "-V", "5", "IN", "OUT"}},
	{"mono24.mp3", 24000, 1, 12000, "mp3", 70, []string{"lame", "--quiet", "--scale", "1.0526316", "-b", "80", "IN", "OUT"}},
	// No LAME header fits into these frames, some of which are padded.
	{"mono22.mp3", 22050, 1, 11025, "mp3", 0, []string{"lame", "--quiet", "--scale", "1.0526316", "-b", "32", "IN", "OUT"}},
	{"stereo44.flac", 44100, 2, 8820, "flac", 85, []string{"flac", "-s", "-f", "-8", "-b", "1152", "--no-padding", "-o", "OUT", "IN"}},
	{"mono24.flac", 24000, 1, 8000, "flac", 85, []string{"flac", "-s", "-f", "-5", "--no-seektable", "--no-padding", "-o", "OUT", "IN"}},
	{"stereo44.ogg", 44100, 2, 44100, "vorbis", 30, []string{"ffmpeg", "-v", "error", "-y", "-i", "IN", "-c:a", "libvorbis", "-q:a", "6", "-page_duration", "100000", "-bitexact", "OUT"}},
	{"mono22.ogg", 22050, 1, 33075, "vorbis", 25, []string{"oggenc", "-Q", "-s", "2", "-q", "5", "-o", "OUT", "IN"}},
	{"stereo44.m4a", 44100, 2, 13230, "m4a", 0, []string{"ffmpeg", "-v", "error", "-y", "-i", "IN", "-c:a", "aac", "-b:a", "96k", "-bitexact", "OUT"}},
	{"stereo48.opus", 48000, 2, 14400, "opus", 0, []string{"ffmpeg", "-v", "error", "-y", "-i", "IN", "-c:a", "libopus", "-b:a", "64k", "-bitexact", "OUT"}},
}

// native are the samples that need no ffmpeg.
func native() []sample { return samples[:8:8] }

func (s sample) load(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", s.file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// encoded is a WAV file encoded by a program, with IN and OUT standing for the files.
func encoded(t testing.TB, wav []byte, out string, command ...string) []byte {
	t.Helper()
	speakertest.Require(t, command[0])
	dir := t.TempDir()
	in := filepath.Join(dir, "in.wav")
	out = filepath.Join(dir, out)
	if err := os.WriteFile(in, wav, 0o600); err != nil {
		t.Fatal(err)
	}
	args := make([]string, len(command)-1)
	for i, a := range command[1:] {
		args[i] = strings.NewReplacer("IN", in, "OUT", out).Replace(a)
	}
	if msg, err := exec.Command(command[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command[0], err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTestdata makes the files of testdata with -update and holds them to their size.
func TestTestdata(t *testing.T) {
	for _, s := range samples {
		if *update {
			b := encoded(t, toneWAV(s.rate, s.channels, s.frames), s.file, s.encode...)
			if err := os.WriteFile(filepath.Join("testdata", s.file), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(s.load(t)); n > 20_000 {
			t.Errorf("%s has %d bytes", s.file, n)
		}
	}
}
