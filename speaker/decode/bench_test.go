package decode

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"hkw/speaker"
)

// BenchmarkDecode plays whole files. ×realtime is how many seconds of sound one second of work gives.
func BenchmarkDecode(b *testing.B) {
	const seconds = 10
	for _, c := range []struct {
		name    string
		rate    int
		file    string
		command string
	}{
		{"wav48", 48000, "x.wav", ""},
		{"wav44", 44100, "x.wav", ""},
		{"mp3-48", 48000, "x.mp3", "lame --quiet -b 192 IN OUT"},
		{"mp3-44", 44100, "x.mp3", "lame --quiet -b 192 IN OUT"},
		{"flac-48", 48000, "x.flac", "flac -s -5 -o OUT IN"},
		{"flac-44", 44100, "x.flac", "flac -s -5 -o OUT IN"},
		{"vorbis-48", 48000, "x.ogg", "oggenc -Q -q 5 -o OUT IN"},
		{"vorbis-44", 44100, "x.ogg", "oggenc -Q -q 5 -o OUT IN"},
		{"ffmpeg-aac-44", 44100, "x.m4a", "ffmpeg -v error -i IN -c:a aac -b:a 128k OUT"},
	} {
		b.Run(c.name, func(b *testing.B) {
			data := music(c.rate, 2, c.rate*seconds, 16)
			if c.command != "" {
				data = encoded(b, data, c.file, strings.Fields(c.command)...)
			}
			buf := make([]float32, 2*960)
			b.SetBytes(int64(4 * 2 * speaker.SampleRate * seconds))
			b.ReportAllocs()
			for b.Loop() {
				src, err := Open(context.Background(), bytes.NewReader(data), Options{})
				if err != nil {
					b.Fatal(err)
				}
				for {
					if _, err := src.Read(buf); errors.Is(err, io.EOF) {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
				_ = src.Close()
			}
			b.ReportMetric(seconds*float64(b.N)/b.Elapsed().Seconds(), "×realtime")
		})
	}
}

// BenchmarkOpen is the time from an open file to its first 20 ms of sound.
func BenchmarkOpen(b *testing.B) {
	for _, s := range native() {
		b.Run(s.file, func(b *testing.B) {
			data := s.load(b)
			buf := make([]float32, 2*960)
			for b.Loop() {
				src, err := Open(context.Background(), bytes.NewReader(data), Options{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := src.Read(buf); err != nil {
					b.Fatal(err)
				}
				_ = src.Close()
			}
		})
	}
}
