package decode

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"hkw/speaker"
)

// TestPassthrough holds that every 16-bit sample reaches a sink as it was.
func TestPassthrough(t *testing.T) {
	pcm := make([]byte, 0, 1<<18)
	for i := range 1 << 16 {
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(i))
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(^i))
	}
	got := readAll(t, openBytes(t, wavFile(wavFormat(wavPCM, 2, 48000, 16), chunk("data", pcm))))
	if len(got) != 1<<17 {
		t.Fatalf("%d samples", len(got))
	}
	for i, v := range got {
		want := int16(i / 2)
		if i%2 == 1 {
			want = ^want
		}
		if v != float32(want)/32768 || int16(v*32768) != want {
			t.Fatalf("sample %d is %v, want %d/32768", i, v, want)
		}
	}
}

// TestWAVFormats reads the value -1/2 in every format.
func TestWAVFormats(t *testing.T) {
	le := binary.LittleEndian
	f64 := le.AppendUint64(nil, math.Float64bits(-0.5))
	f32 := le.AppendUint32(nil, math.Float32bits(-0.5))
	extensible := func(sub, channels, depth int, mask uint32) []byte {
		b := wavFormat(wavExtensible, channels, 48000, depth)[8:]
		b = le.AppendUint16(b, 22)
		b = le.AppendUint16(b, uint16(depth))
		b = le.AppendUint32(b, mask)
		b = le.AppendUint16(b, uint16(sub))
		return chunk("fmt ", append(b, "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"...))
	}
	for _, c := range []struct {
		name   string
		format []byte
		sample []byte
	}{
		{"8", wavFormat(wavPCM, 1, 48000, 8), []byte{64}},
		{"16", wavFormat(wavPCM, 1, 48000, 16), []byte{0, 0xC0}},
		{"24", wavFormat(wavPCM, 1, 48000, 24), []byte{0, 0, 0xC0}},
		{"32", wavFormat(wavPCM, 1, 48000, 32), []byte{0, 0, 0, 0xC0}},
		{"20 in 24", wavFormat(wavPCM, 1, 48000, 20), []byte{0, 0, 0xC0}},
		{"float 32", wavFormat(wavFloat, 1, 48000, 32), f32},
		{"float 64", wavFormat(wavFloat, 1, 48000, 64), f64},
		{"extensible 16", extensible(wavPCM, 1, 16, 4), []byte{0, 0xC0}},
		{"extensible 16, no mask", extensible(wavPCM, 1, 16, 0), []byte{0, 0xC0}},
		{"extensible float", extensible(wavFloat, 1, 32, 4), f32},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := readAll(t, openBytes(t, wavFile(c.format, chunk("data", bytes.Repeat(c.sample, 100)))))
			if len(got) != 200 {
				t.Fatalf("%d frames", len(got)/2)
			}
			for _, v := range got {
				if v != -0.5 {
					t.Fatalf("%v", v)
				}
			}
		})
	}
	t.Run("companded", func(t *testing.T) {
		for tag, bytes := range map[int][]byte{wavALaw: {0x55, 0xD5, 0x2A, 0xAA}, wavMuLaw: {0x7F, 0xFF, 0x00, 0x80}} {
			got := readAll(t, openBytes(t, wavFile(wavFormat(tag, 1, 48000, 8), chunk("data", bytes))))
			// The quietest of each sign, then the loudest.
			if math.Abs(float64(got[0])) > 0.001 || math.Abs(float64(got[2])) > 0.001 || got[4] > -0.95 || got[6] < 0.95 {
				t.Errorf("%d: %v", tag, got)
			}
		}
	})
	t.Run("no numbers", func(t *testing.T) {
		var pcm []byte
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e30, -1e30} {
			pcm = le.AppendUint32(pcm, math.Float32bits(float32(v)))
		}
		for _, v := range readAll(t, openBytes(t, wavFile(wavFormat(wavFloat, 1, 48000, 32), chunk("data", pcm)))) {
			if !(v >= -8 && v <= 8) {
				t.Errorf("%v", v)
			}
		}
	})
}

// TestWAVChunks reads files whose headers are odd, lie, or do not know.
func TestWAVChunks(t *testing.T) {
	format := wavFormat(wavPCM, 2, 48000, 16)
	pcm := bytes.Repeat([]byte{1, 2, 3, 4}, 1000)
	sized := func(size uint32) []byte {
		b := wavFile(format, chunk("data", pcm))
		binary.LittleEndian.PutUint32(b[4:], size)
		binary.LittleEndian.PutUint32(b[len(b)-len(pcm)-4:], size)
		return b
	}
	long := wavFile(chunk("ds64", binary.LittleEndian.AppendUint64(make([]byte, 8), 2000)), format, chunk("data", pcm))
	copy(long, "RF64")
	binary.LittleEndian.PutUint32(long[len(long)-len(pcm)-4:], math.MaxUint32)
	for _, c := range []struct {
		name   string
		data   []byte
		frames int // -1: an error
	}{
		{"plain", wavFile(format, chunk("data", pcm)), 1000},
		{"odd chunks before", wavFile(chunk("JUNK", make([]byte, 33)), format, chunk("LIST", []byte("INFOISFT\x05\x00\x00\x00hkw \x00\x00")), chunk("data", pcm)), 1000},
		{"chunks after", wavFile(format, chunk("data", pcm), chunk("LIST", make([]byte, 400))), 1000},
		{"size 0", sized(0), 1000},
		{"size -1", sized(math.MaxUint32), 1000},
		{"size too large", sized(1 << 31), 1000},
		{"size half", sized(2000), 500},
		{"64 bits", long, 500},
		{"half a frame at the end", append(wavFile(format, chunk("data", pcm)), 7), 1000},
		{"cut off", wavFile(format, chunk("data", pcm))[:44+2002], 500},
		{"no data", wavFile(format), -1},
		{"data first", wavFile(chunk("data", pcm), format), -1},
		{"short format", wavFile(chunk("fmt ", make([]byte, 8)), chunk("data", pcm)), -1},
		{"no channels", wavFile(wavFormat(wavPCM, 0, 48000, 16), chunk("data", pcm)), -1},
		{"many channels", wavFile(wavFormat(wavPCM, 9, 48000, 16), chunk("data", pcm)), -1},
		{"no rate", wavFile(wavFormat(wavPCM, 2, 0, 16), chunk("data", pcm)), -1},
		{"great rate", wavFile(wavFormat(wavPCM, 2, 1_000_000, 16), chunk("data", pcm)), -1},
		{"no bits", wavFile(wavFormat(wavPCM, 2, 48000, 0), chunk("data", pcm)), -1},
		{"unknown format", wavFile(wavFormat(0x161, 2, 48000, 16), chunk("data", pcm)), -1},
		{"empty", wavFile(format, chunk("data", nil)), 0},
		{"header alone", []byte("RIFF\x00\x00\x00\x00WAVE"), -1},
	} {
		for _, seekable := range []bool{true, false} {
			var r io.Reader = bytes.NewReader(c.data)
			if !seekable {
				r = forward{r}
			}
			src, err := Open(context.Background(), r, Options{FFmpeg: "-"})
			if err != nil {
				if c.frames >= 0 || !errors.Is(err, speaker.ErrMedia) {
					t.Errorf("%s: %v", c.name, err)
				}
				continue
			}
			got, err := readRest(src, 1<<20)
			want := c.frames
			if !seekable && strings.HasPrefix(c.name, "size ") && c.frames == 1000 || err != nil {
				want = c.frames
			}
			if len(got)/2 != want || err != nil {
				t.Errorf("%s, seekable %v: %d frames, %v", c.name, seekable, len(got)/2, err)
			}
			_ = src.Close()
		}
	}
}

// TestDownmix holds what goes where, and that nothing gets louder than full scale.
func TestDownmix(t *testing.T) {
	const s = sideGain
	for _, c := range []struct {
		positions   []uint32
		left, right []float64 // before it is turned down
	}{
		{layouts[3], []float64{1, 0, s}, []float64{0, 1, s}},
		{layouts[4], []float64{1, 0, s, 0}, []float64{0, 1, 0, s}},
		{layouts[6], []float64{1, 0, s, 0, s, 0}, []float64{0, 1, s, 0, 0, s}},
		{layouts[7], []float64{1, 0, s, 0, 0.5, s, 0}, []float64{0, 1, s, 0, 0.5, 0, s}},
		{layouts[8], []float64{1, 0, s, 0, s, 0, s, 0}, []float64{0, 1, s, 0, 0, s, 0, s}},
		{vorbisLayouts[6], []float64{1, s, 0, s, 0, 0}, []float64{0, s, 1, 0, s, 0}},
	} {
		var sum float64
		for _, g := range c.left {
			sum += g
		}
		d := newDownmix(c.positions)
		for i := range c.positions {
			if math.Abs(float64(d.left[i])-c.left[i]/sum) > 1e-6 || math.Abs(float64(d.right[i])-c.right[i]/sum) > 1e-6 {
				t.Errorf("%d channels, channel %d: %v %v", len(c.positions), i, d.left[i], d.right[i])
			}
		}
	}
	for channels := 1; channels <= maxChannels; channels++ {
		pcm := bytes.Repeat([]byte{0x00, 0x80}, channels*100)
		for _, v := range readAll(t, openBytes(t, wavFile(wavFormat(wavPCM, channels, 48000, 16), chunk("data", pcm)))) {
			if v < -1.000001 || v > -0.9 {
				t.Fatalf("%d channels at full scale give %v", channels, v)
			}
		}
	}
}

// TestNoGrowth holds that headers that promise the world get a small room.
func TestNoGrowth(t *testing.T) {
	flac := append([]byte("fLaC\x80\x00\x00\x22\xff\xff\xff\xff\x00\x00\x00\xff\xff\xff\x0b\xb8\x0f\xff\xff\xff\xff\xff"), make([]byte, 16)...)
	for range 50 {
		flac = append(flac, "\xff\xf8\x79\x78\x00\xff\xfe"...)
		flac = append(flac, crc8(flac[len(flac)-7:]))
		flac = append(flac, make([]byte, 20)...)
	}
	books := append([]byte("\x05vorbis\xff"), bytes.Repeat([]byte("BCV\x00\x04\x00\x80\x00\x20"), 255)...)
	vorbis := append(oggTestPage(2, 0, 1, []byte("\x01vorbis\x00\x00\x00\x00\x02\x80\xbb\x00\x00"+strings.Repeat("\x00", 12)+"\xb8\x01")),
		append(oggTestPage(0, 0, 1, []byte("\x03vorbis\xff\xff\xff\xff\xff\xff\xff\xff")), oggTestPage(0, 0, 1, books)...)...)
	for name, data := range map[string][]byte{
		"wav":    wavFile(wavFormat(wavPCM, 8, 48000, 32), []byte("data\xfe\xff\xff\x7f"), make([]byte, 64)),
		"list":   wavFile([]byte("LIST\xff\xff\xff\x7f")),
		"id3":    append([]byte("ID3\x04\x00\x00\x0f\x7f\x7f\x7f"), make([]byte, 500)...),
		"flac":   flac,
		"vorbis": vorbis,
		"m4a":    []byte("\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  \x7f\xff\xff\xffmoov"),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		src, err := Open(context.Background(), bytes.NewReader(data), Options{FFmpeg: "-"})
		if err == nil {
			_, _ = src.Read(make([]float32, 1000))
			_ = src.Close()
		}
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
			t.Errorf("%s of %d bytes took %d KiB (%v)", name, len(data), grown>>10, err)
		}
	}
}

// oggTestPage is one page with whole packets.
func oggTestPage(flags byte, granule int64, serial uint32, packets ...[]byte) []byte {
	b := append([]byte("OggS\x00"), flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(granule))
	b = binary.LittleEndian.AppendUint32(b, serial)
	b = append(b, make([]byte, 8)...)
	var lacing, body []byte
	for _, p := range packets {
		for n := len(p); ; n -= 255 {
			lacing = append(lacing, byte(min(n, 255)))
			if n < 255 {
				break
			}
		}
		body = append(body, p...)
	}
	b = append(append(append(b, byte(len(lacing))), lacing...), body...)
	binary.LittleEndian.PutUint32(b[22:], newOggReader(newInput(strings.NewReader(""))).sum(0, b))
	return b
}
