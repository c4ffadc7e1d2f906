package decode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hkw/speaker"
	"hkw/speaker/speakertest"
)

// music is a file of something that is hard on an encoder: chords, clicks and noise that come and go.
func music(rate, channels, frames, depth int) []byte {
	rnd := rand.New(rand.NewPCG(5, 6))
	var pcm []byte
	for i := range frames {
		t := float64(i) / float64(rate)
		for c := range channels {
			v := 0.15*math.Sin(2*math.Pi*(220+30*float64(c))*t) + 0.1*math.Sin(2*math.Pi*(880+500*t)*t)
			v += 0.2 * (rnd.Float64() - 0.5) * math.Pow(math.Sin(2*math.Pi*1.5*t+float64(c)), 8)
			if i%(rate/5) < 20 {
				v += 0.4
			}
			n := int32(math.Round(v * float64(int(1)<<(depth-1)-1)))
			pcm = append(pcm, binary.LittleEndian.AppendUint32(nil, uint32(n))[:depth/8]...)
		}
	}
	return wavFile(wavFormat(wavPCM, channels, rate, depth), chunk("data", pcm))
}

// reference decodes a file with ffmpeg, at its own rate, to stereo.
func reference(t *testing.T, file string) []float32 {
	t.Helper()
	speakertest.Require(t, "ffmpeg")
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", file, "-f", "f32le", "-c:a", "pcm_f32le", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, len(out)/4)
	float32s(got, out)
	return got
}

// blocks decodes a file at its own rate and channels.
func blocks(t *testing.T, data []byte) (all []float32) {
	t.Helper()
	d, err := newDecoder(newInput(bytes.NewReader(data)), "")
	if err != nil {
		t.Fatal(err)
	}
	for {
		b, err := d.next()
		if err != nil {
			return all
		}
		all = append(all, b.samples...)
	}
}

// TestAgainstFFmpeg compares what is decoded here with what ffmpeg makes of it.
func TestAgainstFFmpeg(t *testing.T) {
	for _, c := range []struct {
		name           string
		rate, channels int
		depth          int
		file           string
		command        string
		db             float64 // the library's mp3 has 16 bits
	}{
		{"mp3 128", 44100, 2, 16, "x.mp3", "lame --quiet -b 128 IN OUT", 75},
		{"mp3 320", 44100, 2, 16, "x.mp3", "lame --quiet -b 320 IN OUT", 75},
		{"mp3 320 48", 48000, 2, 16, "x.mp3", "lame --quiet -b 320 IN OUT", 75},
		{"mp3 vbr", 44100, 2, 16, "x.mp3", "lame --quiet -V 2 IN OUT", 75},
		// Joint stereo in short blocks: the library leaves out the highest lines.
		{"mp3 abr", 32000, 2, 16, "x.mp3", "lame --quiet --abr 150 IN OUT", 60},
		{"mp3 mono", 44100, 1, 16, "x.mp3", "lame --quiet -b 64 IN OUT", 75},
		{"mp3 crc", 44100, 2, 16, "x.mp3", "lame --quiet -p -b 96 IN OUT", 50},
		// Not at 24 kHz, where ffmpeg and LAME disagree about the width of a band.
		{"mp3 mpeg 2", 16000, 2, 16, "x.mp3", "lame --quiet -b 64 IN OUT", 60},
		{"mp3 mpeg 2 padded", 22050, 1, 16, "x.mp3", "lame --quiet -b 32 IN OUT", 75},
		{"mp3 mpeg 2 padded, stereo", 22050, 2, 16, "x.mp3", "lame --quiet -b 64 IN OUT", 75},
		{"mp3 mpeg 2 vbr", 16000, 2, 16, "x.mp3", "lame --quiet -V 4 IN OUT", 75},
		{"mp3 no tag", 44100, 2, 16, "x.mp3", "lame --quiet -t -b 128 IN OUT", 75},
		{"flac", 44100, 2, 16, "x.flac", "flac -s -8 -o OUT IN", 200},
		{"flac 24", 96000, 2, 24, "x.flac", "flac -s -5 -o OUT IN", 200},
		{"flac 24 kHz", 24000, 1, 16, "x.flac", "flac -s -5 -o OUT IN", 200},
		{"flac 176 kHz", 176400, 2, 24, "x.flac", "flac -s -5 -o OUT IN", 200},
		{"flac odd rate", 12345, 1, 8, "x.flac", "flac -s -5 --lax -o OUT IN", 200},
		{"vorbis", 44100, 2, 16, "x.ogg", "oggenc -Q -q 5 -o OUT IN", 100},
		{"vorbis mono", 22050, 1, 16, "x.ogg", "oggenc -Q -q 0 -o OUT IN", 100},
		{"vorbis managed", 48000, 2, 16, "x.ogg", "oggenc -Q --managed -b 96 -o OUT IN", 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			data := encoded(t, music(c.rate, c.channels, c.rate*3/4, c.depth), c.file, strings.Fields(c.command)...)
			file := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			want := reference(t, file)
			got := blocks(t, data)
			if strings.HasSuffix(c.file, ".mp3") && c.channels == 1 {
				half := got[:0]
				for i := 0; i < len(got); i += 2 {
					half = append(half, got[i])
				}
				got = half
			}
			// ffmpeg before 7 keeps a little less or more at the ends of some files.
			if d := len(got) - len(want); d < -4096 || d > 4096 {
				t.Errorf("%d samples, ffmpeg has %d", len(got), len(want))
			}
			n := min(len(got), len(want))
			var signal, noise float64
			for i := range n {
				d := float64(got[i]) - float64(want[i])
				signal += float64(want[i]) * float64(want[i])
				noise += d * d
			}
			if db := 10 * math.Log10(signal/noise); db < c.db {
				t.Errorf("%.1f dB, want %.0f (%d and %d samples)", db, c.db, len(got), len(want))
			}
		})
	}
}

// TestFFmpeg plays what only ffmpeg can read.
func TestFFmpeg(t *testing.T) {
	speakertest.Require(t, "ffmpeg")
	late := encoded(t, toneWAV(44100, 2, 44100), "x.m4a", "ffmpeg", "-v", "error", "-i", "IN", "-c:a", "alac", "OUT")
	fast := encoded(t, toneWAV(44100, 2, 44100), "x.m4a", "ffmpeg", "-v", "error", "-i", "IN", "-c:a", "alac", "-movflags", "+faststart", "OUT")
	if bytes.Index(late, []byte("moov")) < bytes.Index(late, []byte("mdat")) {
		t.Fatal("the index of the test file is not at its end")
	}
	for _, c := range []struct {
		name     string
		data     []byte
		codec    string
		frames   int
		db       float64
		pipeable bool
	}{
		{"aac", samples[8].load(t), "m4a", 14400, 0, false},
		{"opus", samples[9].load(t), "opus", 14400, 0, true},
		{"alac, index at the end", late, "m4a", 48000, 85, false},
		{"alac, index in front", fast, "m4a", 48000, 85, true},
		{"aiff", encoded(t, toneWAV(44100, 2, 44100), "x.aiff", "ffmpeg", "-v", "error", "-i", "IN", "OUT"), "aiff", 48000, 85, true},
		{"mpeg 2.5", encoded(t, toneWAV(11025, 1, 11025), "x.mp3", "ffmpeg", "-v", "error", "-i", "IN", "OUT"), "mpeg audio", 48000, 0, true},
		{"adpcm", encoded(t, toneWAV(44100, 2, 44100), "x.wav", "ffmpeg", "-v", "error", "-i", "IN", "-c:a", "adpcm_ms", "OUT"), "wav (format 0x0002, 4 bits)", 48000, 20, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, err := Open(context.Background(), bytes.NewReader(c.data), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = src.Close() }()
			got := readAll(t, src)
			if info := src.Info(); info.Codec != c.codec || !info.Seekable {
				t.Errorf("%+v", info)
			}
			if n := len(got) / 2; n < c.frames*97/100 || n > c.frames*115/100 {
				t.Errorf("%d frames, want about %d", n, c.frames)
			}
			if db := snr(got, 1000, false); db < c.db && c.db > 0 {
				t.Errorf("%.1f dB", db)
			}
			for _, p := range []int{len(got) / 4, 3, len(got) / 3} {
				if err := src.SeekTo(int64(p)); err != nil {
					t.Fatal(err)
				}
				if again := readAll(t, src); !equal(again, got[2*p:]) {
					t.Errorf("after a seek to %d it differs", p)
				}
			}
			if !c.pipeable {
				return
			}
			piped, err := Open(context.Background(), forward{bytes.NewReader(c.data)}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if n := len(readAll(t, piped)); n != len(got) {
				t.Errorf("%d frames from a pipe", n/2)
			}
			_ = piped.Close()
		})
	}
}

// TestFFmpegEnds holds that no child outlives its source, however that ends.
func TestFFmpegEnds(t *testing.T) {
	speakertest.Require(t, "ffmpeg")
	data := encoded(t, toneWAV(44100, 2, 441000), "x.aiff", "ffmpeg", "-v", "error", "-i", "IN", "OUT")
	for _, how := range []string{"close", "context", "seek"} {
		t.Run(how, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			src, err := Open(ctx, bytes.NewReader(data), Options{})
			if err != nil {
				t.Fatal(err)
			}
			child := src.(*source).dec.(*ffmpegStream).child
			if _, err := src.Read(make([]float32, 1000)); err != nil {
				t.Fatal(err)
			}
			switch how {
			case "context":
				cancel()
			case "seek":
				if err := src.SeekTo(0); err != nil {
					t.Fatal(err)
				}
			}
			_ = src.Close()
			if child.cmd.ProcessState == nil {
				t.Error("the child was not waited for")
			}
		})
	}
}

// TestFFmpegCannotOpen holds that a file has no way to another file.
func TestFFmpegCannotOpen(t *testing.T) {
	speakertest.Require(t, "ffmpeg")
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.wav")
	if err := os.WriteFile(secret, toneWAV(48000, 2, 48000), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"concat": "ffconcat version 1.0\nfile " + secret + "\n",
		"hls":    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + secret + "\n#EXT-X-ENDLIST\n",
		"aac":    "ADIF\n#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + secret + "\n",
		"mov":    "\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + strings.Repeat("\x00\x00\x00\x08free", 10) + secret,
	} {
		for _, hint := range []string{"", "x.aac", "x.mp3"} {
			src, err := Open(context.Background(), strings.NewReader(data), Options{Hint: hint})
			if err == nil {
				got, _ := readRest(src, 1<<20)
				_ = src.Close()
				if len(got) > 0 {
					t.Errorf("%s as %q gave %d frames", name, hint, len(got)/2)
				}
			} else if !errors.Is(err, speaker.ErrMedia) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %q", name, err)
			}
		}
	}
}

// TestNoFFmpeg holds that without it the error names the format and the cure.
func TestNoFFmpeg(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for _, s := range samples[8:] {
		_, err := Open(context.Background(), bytes.NewReader(s.load(t)), Options{})
		if !errors.Is(err, ErrNoFFmpeg) || !errors.Is(err, speaker.ErrMedia) || !strings.Contains(err.Error(), s.codec) || !strings.Contains(err.Error(), "install") {
			t.Errorf("%s: %v", s.file, err)
		}
	}
}

// TestFFmpegHangs holds that a child that does nothing ends with its source.
func TestFFmpegHangs(t *testing.T) {
	speakertest.Require(t, "sleep")
	dir := t.TempDir()
	fake := filepath.Join(dir, "ffmpeg")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\n: >\""+dir+"/up\"\nsleep 100 &\nwait\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error)
	go func() {
		_, err := Open(ctx, bytes.NewReader(samples[8].load(t)), Options{FFmpeg: fake})
		done <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "up")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the child did not start")
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestLong seeks in files long enough for bisection, against their own playing through.
func TestLong(t *testing.T) {
	wav := music(32000, 2, 32000*12, 16)
	for _, c := range []struct{ file, command string }{
		{"x.mp3", "lame --quiet -V 6 IN OUT"},
		{"x.mp3", "lame --quiet -b 40 IN OUT"},
		{"x.flac", "flac -s -3 -o OUT IN"},
		{"x.ogg", "oggenc -Q -q 10 -o OUT IN"},
	} {
		t.Run(c.command, func(t *testing.T) {
			data := encoded(t, wav, c.file, strings.Fields(c.command)...)
			all := blocks(t, data)
			d, err := newDecoder(newInput(bytes.NewReader(data)), "")
			if err != nil {
				t.Fatal(err)
			}
			if n := d.about().frames; n != int64(len(all)/2) {
				t.Errorf("says %d frames, has %d", n, len(all)/2)
			}
			rnd := rand.New(rand.NewPCG(7, 8))
			for range 10 {
				p := rnd.IntN(len(all)/2 - 2500)
				if err := d.seek(int64(p)); err != nil {
					t.Fatal(err)
				}
				var got []float32
				for len(got) < 4000 {
					b, err := d.next()
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, b.samples...)
				}
				if !equal(got[:4000], all[2*p:2*p+4000]) {
					t.Fatal("after a seek to " + strconv.Itoa(p) + " it differs")
				}
			}
		})
	}
}
