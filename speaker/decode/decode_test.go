package decode

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"hkw/speaker"
)

// TestSamples decodes what other programs encoded: all of it, in time, and as it was.
func TestSamples(t *testing.T) {
	for _, s := range native() {
		t.Run(s.file, func(t *testing.T) {
			data := s.load(t)
			src := openBytes(t, data)
			got := readAll(t, src)
			info := src.Info()
			if info.Codec != s.codec || !info.Seekable {
				t.Errorf("info %+v", info)
			}
			want := (s.frames*speaker.SampleRate + s.rate - 1) / s.rate
			if s.snr > 0 {
				if len(got)/2 != want {
					t.Errorf("%d frames, want %d", len(got)/2, want)
				}
				if d := time.Duration(s.frames) * time.Second / time.Duration(s.rate); info.Duration != d {
					t.Errorf("duration %v, want %v", info.Duration, d)
				}
				if db := snr(got, 600, s.channels == 1); db < s.snr {
					t.Errorf("%.1f dB, want %.0f", db, s.snr)
				}
			} else if len(got)/2 < want {
				t.Errorf("%d frames, want at least %d", len(got)/2, want)
			}
			// A stream that cannot be sought holds the same sound.
			fwd, err := Open(context.Background(), forward{bytes.NewReader(data)}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = fwd.Close() }()
			if fwd.Info().Seekable || !errors.Is(fwd.SeekTo(0), speaker.ErrNotSeekable) {
				t.Error("a pipe can be sought")
			}
			if streamed := readAll(t, fwd); !equal(streamed, got) {
				t.Errorf("streamed it differs: %d frames of %d", len(streamed)/2, len(got)/2)
			}
		})
	}
}

func equal(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestSeek holds that a seek gives, bit for bit, what playing through gives.
func TestSeek(t *testing.T) {
	files := map[string][]byte{
		"wav 48":   toneWAV(48000, 2, 30000),
		"wav 44.1": toneWAV(44100, 1, 30000),
		"wav odd":  toneWAV(47999, 2, 30000),
		"wav 192":  toneWAV(192000, 2, 90000),
	}
	for _, s := range native() {
		files[s.file] = s.load(t)
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			src := openBytes(t, data)
			all := readAll(t, src)
			total := len(all) / 2
			rnd := rand.New(rand.NewPCG(1, 2))
			places := []int{0, 1, total - 1, total / 2, 0, 5000, 575, 576, 1151, 1152, 1153}
			for range 15 {
				places = append(places, rnd.IntN(total))
			}
			buf := make([]float32, 2*1500)
			for _, p := range places {
				if err := src.SeekTo(int64(p)); err != nil {
					t.Fatal(err)
				}
				n := 0
				for n < len(buf)/2 {
					k, err := src.Read(buf[2*n:])
					n += k
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if want := all[2*p : min(2*p+2*n, len(all))]; n < min(len(buf)/2, total-p) || !equal(buf[:2*n], want) {
					t.Fatalf("after a seek to %d of %d: %d frames, not those", p, total, n)
				}
			}
			// Beyond the end is the end, and from there one can go back.
			for _, p := range []int64{int64(total), int64(total) + 1, 1 << 40, 1 << 62} {
				if err := src.SeekTo(p); err != nil {
					t.Fatal(err)
				}
				if n, err := src.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
					t.Fatalf("at %d: %d frames, %v", p, n, err)
				}
			}
			if err := src.SeekTo(0); err != nil {
				t.Fatal(err)
			}
			if again := readAll(t, src); !equal(again, all) {
				t.Error("played again it differs")
			}
		})
	}
}

// TestTruncated plays what is there of a file that was cut off.
func TestTruncated(t *testing.T) {
	for _, s := range append(native(), sample{file: "wav"}) {
		t.Run(s.file, func(t *testing.T) {
			var data []byte
			if s.file == "wav" {
				data = toneWAV(48000, 2, 14400)
			} else {
				data = s.load(t)
			}
			if s.file == "mono22.ogg" {
				t.Skip("it is one page")
			}
			whole := readAll(t, openBytes(t, data))
			got := readAll(t, openBytes(t, data[:len(data)*3/4]))
			if len(got) < len(whole)/3 || len(got) > len(whole)*9/10 {
				t.Errorf("%d frames of %d", len(got)/2, len(whole)/2)
			}
			if n := len(got) * 9 / 10 &^ 1; s.codec != "vorbis" && !equal(got[:n], whole[:n]) {
				t.Error("what is there differs")
			}
		})
	}
}

// TestDamaged changes bytes at random. Nothing may panic, hang or grow.
func TestDamaged(t *testing.T) {
	for _, s := range native() {
		t.Run(s.file, func(t *testing.T) {
			t.Parallel()
			data := s.load(t)
			rnd := rand.New(rand.NewPCG(3, 4))
			for range 15 {
				b := bytes.Clone(data)
				for range 1 + rnd.IntN(10) {
					b[rnd.IntN(len(b))] = byte(rnd.Uint32())
				}
				src, err := Open(context.Background(), bytes.NewReader(b), Options{FFmpeg: "-"})
				if err == nil {
					_, err = readRest(src, 48000*600)
					if e := src.SeekTo(1000); e == nil {
						_, _ = src.Read(make([]float32, 2000))
					}
					_ = src.Close()
				}
				if err != nil && !errors.Is(err, speaker.ErrMedia) {
					t.Fatalf("%v", err)
				}
			}
		})
	}
}

// TestDetect finds out by bytes what names hide.
func TestDetect(t *testing.T) {
	id3 := append([]byte("ID3\x04\x00\x00\x00\x00\x02\x00"), make([]byte, 256)...)
	mp3 := samples[0].load(t)
	for _, c := range []struct {
		name string
		data []byte
		hint string
		want string // codec, or a part of the error
	}{
		{"mp3 named wav", mp3, "x.wav", "mp3"},
		{"mp3 after two tags", bytes.Join([][]byte{id3, id3, mp3}, nil), "", "mp3"},
		{"mp3 after garbage", append(bytes.Repeat([]byte{0xFF, 0xFB, 7}, 1000), mp3...), "", "mp3"},
		{"mp3 after much garbage, by its name", append(make([]byte, 50_000), mp3...), "song.mp3", "mp3"},
		{"flac after a tag", append(bytes.Clone(id3), samples[4].load(t)...), "audio/mpeg", "flac"},
		{"vorbis as opus", samples[6].load(t), "x.opus", "vorbis"},
		{"nothing", nil, "", "no data"},
		{"a tag alone", id3, "x.mp3", "no data"},
		{"text", []byte("hello, this is no sound at all\n"), "x.mp3", "text"},
		{"zeros", make([]byte, 5000), "", ErrUnknownFormat.Error()},
		{"zeros named mp3", make([]byte, 2<<20), "x.mp3", "no more frames"},
		{"m4a", samples[8].load(t), "", "m4a needs ffmpeg"},
		{"opus", samples[9].load(t), "", "opus needs ffmpeg"},
		{"avi", []byte("RIFF\x00\x00\x00\x00AVI LIST"), "", ErrUnknownFormat.Error()},
		{"tags without end", []byte("ID3\x04\x00\x00\x7f\x7f\x7f\x7f"), "", "tags"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			src, err := Open(context.Background(), bytes.NewReader(c.data), Options{Name: "thing", Hint: c.hint, FFmpeg: "-"})
			if err != nil {
				if !errors.Is(err, speaker.ErrMedia) || !strings.Contains(err.Error(), "thing") {
					t.Errorf("error %q", err)
				}
				got = err.Error()
			} else {
				got = src.Info().Codec
				readAll(t, src)
				_ = src.Close()
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// faulty is a decoder that breaks in a chosen way.
type faulty struct{ fault func() error }

func (f faulty) next() (block, error) {
	if err := f.fault(); err != nil {
		return block{}, err
	}
	return block{make([]float32, 200), layouts[2], 48000}, nil
}
func (f faulty) seek(int64) error { return f.fault() }
func (f faulty) about() about     { return about{codec: "faulty", rate: 48000, seekable: true} }
func (f faulty) close() error     { return nil }

// TestPanic holds that a decoder that panics is an error of its own playback, for good.
func TestPanic(t *testing.T) {
	var index []int
	src, err := newSource(context.Background(), faulty{func() error { return errors.New(string(rune(index[3]))) }}, "x", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	if err := src.SeekTo(7); !errors.Is(err, errPanic) || !errors.Is(err, speaker.ErrMedia) {
		t.Errorf("seek: %v", err)
	}
	for range 3 {
		n, err := src.Read(make([]float32, 100))
		if n != 0 || !errors.Is(err, errPanic) || !errors.Is(err, speaker.ErrMedia) {
			t.Errorf("read: %d, %v", n, err)
		}
		if !strings.Contains(err.Error(), "decode_test.go") {
			t.Errorf("%q does not tell where", err)
		}
	}
}

// TestContext holds that a source is dead when its context is done, and that a read that hangs is woken.
func TestContext(t *testing.T) {
	t.Run("between reads", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		src, err := Open(ctx, bytes.NewReader(toneWAV(48000, 2, 5000)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if n, err := src.Read(make([]float32, 100)); n != 0 || !errors.Is(err, context.Canceled) || !errors.Is(err, speaker.ErrMedia) {
			t.Errorf("%d, %v", n, err)
		}
		if err := src.SeekTo(0); !errors.Is(err, context.Canceled) {
			t.Errorf("seek: %v", err)
		}
		_ = src.Close()
	})
	for _, when := range []string{"opening", "reading"} {
		t.Run("while "+when, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = w.Close() }()
			ctx, cancel := context.WithCancelCause(context.Background())
			gone := errors.New("gone home")
			if when == "reading" {
				if _, err := w.Write(toneWAV(48000, 2, 5000)[:40_000/2]); err != nil {
					t.Fatal(err)
				}
			}
			stop := time.AfterFunc(50*time.Millisecond, func() { cancel(gone) })
			defer stop.Stop()
			src, err := Open(ctx, r, Options{})
			if err == nil {
				_, err = readRest(src, 1<<20)
				_ = src.Close()
			}
			if !errors.Is(err, gone) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("closed", func(t *testing.T) {
		src := openBytes(t, toneWAV(48000, 2, 5000))
		if err := errors.Join(src.Close(), src.Close()); err != nil {
			t.Error(err)
		}
		if _, err := src.Read(make([]float32, 10)); !errors.Is(err, speaker.ErrMedia) {
			t.Errorf("%v", err)
		}
		if err := src.SeekTo(0); err == nil {
			t.Error("a closed source can be sought")
		}
	})
}

// TestRateChange plays a stream whose parts have different rates, without losing frames.
func TestRateChange(t *testing.T) {
	parts := []int{48000, 44100, 24000, 48000, 44100}
	i := -1
	d := &scripted{next_: func() (block, error) {
		if i++; i == len(parts) {
			return block{}, io.EOF
		}
		b := block{make([]float32, 2*parts[i]/10), layouts[2], parts[i]}
		for k := range b.samples {
			b.samples[k] = 0.5
		}
		return b, nil
	}}
	src, err := newSource(context.Background(), d, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	if got := readAll(t, src); len(got)/2 != 4800*len(parts) {
		t.Errorf("%d frames", len(got)/2)
	}
}

type scripted struct{ next_ func() (block, error) }

func (s *scripted) next() (block, error) { return s.next_() }
func (s *scripted) seek(int64) error     { return nil }
func (s *scripted) about() about         { return about{rate: 48000} }
func (s *scripted) close() error         { return nil }
