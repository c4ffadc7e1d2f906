package decode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"hkw/speaker"
)

// fuzz feeds a decoder with what begins like its format. Whatever comes, it must
// end, without a panic, within what so many bytes can hold, and say what was wrong.
func fuzz(f *testing.F, prefix string, perByte int, prepare ...func([]byte)) {
	f.Fuzz(func(t *testing.T, data []byte, seekable bool) {
		if len(data) > 64<<10 {
			return
		}
		data = append([]byte(prefix), data...)
		for _, p := range prepare {
			p(data)
		}
		var r io.Reader = bytes.NewReader(data)
		if !seekable {
			r = forward{r}
		}
		src, err := Open(context.Background(), r, Options{Name: "it", FFmpeg: "-"})
		if err != nil {
			named(t, err)
			return
		}
		limit := (len(data) + 100) * perByte
		info := src.Info()
		got, err := readRest(src, limit)
		if errors.Is(err, errTooLong) {
			t.Fatalf("%d bytes gave more than %d frames", len(data), limit)
		}
		named(t, err)
		for _, v := range got {
			if !(v >= -64 && v <= 64) {
				t.Fatalf("a sample of %v", v)
			}
		}
		if info.Duration < 0 || info.Codec == "" || info.Seekable && !seekable {
			t.Fatalf("%+v", info)
		}
		if info.Seekable && err == nil && len(got) > 0 {
			// Whatever the data, a seek is no worse than playing.
			if err := src.SeekTo(int64(len(got) / 4)); err == nil {
				_, err = readRest(src, limit)
				named(t, err)
			} else {
				named(t, err)
			}
		}
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// named fails for errors that do not say what they are about.
func named(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if !errors.Is(err, speaker.ErrMedia) || !strings.Contains(err.Error(), "it: ") || len(err.Error()) > 500 {
		t.Fatalf("%q", err)
	}
	if errors.Is(err, errTooLong) {
		t.Fatal(err)
	}
}

// seed adds the samples of a codec, whole and in parts.
func seed(f *testing.F, codec string) {
	for _, s := range native() {
		if s.codec == codec {
			b := s.load(f)
			f.Add(b[4:], true)
			f.Add(b[4:], false)
			f.Add(b[4:len(b)/2], true)
		}
	}
}

// At 4 kHz each frame becomes 12; the smallest encodings of many frames are counted for each format.

func FuzzWAV(f *testing.F) {
	for _, channels := range []int{1, 2, 6} {
		for _, rate := range []int{8000, 48000, 47999} {
			for _, depth := range []int{8, 16, 24, 32} {
				b := wavFile(chunk("LIST", []byte("INFO")), wavFormat(wavPCM, channels, rate, depth), chunk("data", make([]byte, 240)))
				f.Add(b[4:], true)
				f.Add(b[4:], false)
			}
		}
	}
	f.Add(wavFile(wavFormat(wavFloat, 1, 44100, 64), chunk("data", make([]byte, 240)))[4:], true)
	fuzz(f, "RIFF", 12)
}

func FuzzMP3(f *testing.F) {
	seed(f, "mp3")
	fuzz(f, "\xff\xfb\x90\x64", 12*1152/24)
}

func FuzzFLAC(f *testing.F) {
	seed(f, "flac")
	fuzz(f, "fLaC", 12*65536/10)
}

func FuzzVorbis(f *testing.F) {
	seed(f, "vorbis")
	fuzz(f, "OggS", 12*8192, reseal)
}

// reseal makes the checksums of all pages right, so that what is in them is looked at.
func reseal(b []byte) {
	r := newOggReader(newInput(strings.NewReader("")))
	for {
		i := bytes.Index(b, []byte("OggS"))
		if i < 0 || len(b) < i+27 {
			return
		}
		b = b[i:]
		n := 27 + int(b[26])
		for _, l := range b[27:min(n, len(b))] {
			n += int(l)
		}
		n = min(n, len(b))
		clear(b[22:26])
		binary.LittleEndian.PutUint32(b[22:], r.sum(0, b[:n]))
		b = b[4:]
	}
}

// FuzzVorbisSetup feeds setup headers past the checksums of pages, to the check that stands before the library.
func FuzzVorbisSetup(f *testing.F) {
	for _, s := range native() {
		if s.codec == "vorbis" {
			b := s.load(f)
			if i := bytes.Index(b, []byte("\x05vorbis")); i > 0 {
				f.Add(b[i+7:min(len(b), i+6000)], b[len(b)-200:])
			}
		}
	}
	f.Fuzz(func(t *testing.T, setup, packet []byte) {
		if len(setup) > 16<<10 || len(packet) > 1000 {
			return
		}
		id := []byte("\x01vorbis\x00\x00\x00\x00\x02\x80\xbb\x00\x00" + strings.Repeat("\x00", 12) + "\x86\x01")
		header := append([]byte("\x05vorbis"), setup...)
		var file []byte
		file = append(file, oggTestPage(oggFirstPage, 0, 1, id)...)
		file = append(file, oggTestPage(0, 0, 1, []byte("\x03vorbis"))...)
		file = append(file, oggTestPage(0, 0, 1, header)...)
		for i := range 4 {
			file = append(file, oggTestPage(0, int64(i)*256, 1, packet)...)
		}
		src, err := Open(context.Background(), bytes.NewReader(file), Options{Name: "it", FFmpeg: "-"})
		if err != nil {
			named(t, err)
			return
		}
		_, err = readRest(src, 1<<20)
		named(t, err)
		_ = src.Close()
	})
}

func FuzzPlaylist(f *testing.F) {
	f.Add("#EXTM3U\nhttp://x/\n")
	f.Add("[playlist]\nFile1=x\n")
	f.Fuzz(func(t *testing.T, s string) {
		entries, err := parsePlaylist(s)
		if err == nil && len(entries) > len(s) {
			t.Fatal(len(entries))
		}
		isPlaylist("", "x.m3u", []byte(s))
		icyTitle([]byte(s))
	})
}
