package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// Format tags of a WAVE file.
const (
	wavPCM        = 0x0001
	wavFloat      = 0x0003
	wavALaw       = 0x0006
	wavMuLaw      = 0x0007
	wavExtensible = 0xFFFE
)

// wavBlock is the number of frames decoded at once.
const wavBlock = 2048

// wav reads RIFF, RIFX-less, WAVE files: PCM of 8, 16, 24 and 32 bits, float of
// 32 and 64, A-law and µ-law. Sizes in headers are believed only as far as there is data.
type wav struct {
	in        *input
	rate      int
	positions []uint32
	sample    int // bytes of one sample of one channel
	frame     int // bytes of one frame
	convert   func(dst []float32, src []byte)
	start     int64 // of the data, in bytes
	length    int64 // of the data, in bytes; -1: until the end of the input
	pos       int64 // in the data
	raw       []byte
	out       []float32
}

// newWAV reads the header. in stands at the beginning.
func newWAV(in *input) (*wav, error) {
	var head [12]byte
	if err := in.full(head[:]); err != nil {
		return nil, errors.New("wav: no header")
	}
	switch id := string(head[:4]); id {
	case "RIFF", "RF64", "BW64":
	default:
		return nil, fmt.Errorf("wav: %q is not a RIFF file", id)
	}
	if string(head[8:]) != "WAVE" {
		return nil, fmt.Errorf("wav: a RIFF file of type %q", head[8:])
	}
	w := &wav{in: in}
	var long int64 = -1 // size of the data as a ds64 chunk tells it
	for {
		var h [8]byte
		if err := in.full(h[:]); err != nil {
			return nil, errors.New("wav: no data chunk")
		}
		size := int64(binary.LittleEndian.Uint32(h[4:]))
		switch string(h[:4]) {
		case "fmt ":
			if err := w.readFormat(size); err != nil {
				return nil, err
			}
		case "ds64":
			var b [16]byte
			if size < int64(len(b)) || in.full(b[:]) != nil {
				return nil, errors.New("wav: truncated ds64 chunk")
			}
			if n := binary.LittleEndian.Uint64(b[8:]); n < 1<<62 {
				long = int64(n)
			}
			if err := in.skip(size - int64(len(b)) + size&1); err != nil {
				return nil, err
			}
		case "data":
			if w.convert == nil {
				return nil, errors.New("wav: the data comes before the format")
			}
			w.start = in.pos
			w.length = size
			if size == math.MaxUint32 {
				w.length = long
			}
			if size == 0 || size >= math.MaxUint32-1024 && long < 0 {
				// What writes to a pipe cannot know the size.
				w.length = -1
			}
			if in.size >= 0 {
				rest := in.size - w.start
				if w.length < 0 || w.length > rest {
					w.length = rest
				}
				w.length -= w.length % int64(w.frame)
			}
			return w, nil
		default:
			if err := in.skip(size + size&1); err != nil {
				return nil, err
			}
		}
	}
}

// readFormat reads a fmt chunk of the given size.
func (w *wav) readFormat(size int64) error {
	var b [40]byte
	n := int(min(size, int64(len(b))))
	if n < 16 || w.in.full(b[:n]) != nil {
		return errors.New("wav: truncated format chunk")
	}
	le := binary.LittleEndian
	tag := int(le.Uint16(b[0:]))
	channels := int(le.Uint16(b[2:]))
	rate := le.Uint32(b[4:])
	depth := int(le.Uint16(b[14:]))
	var mask uint32
	if tag == wavExtensible {
		if n < 40 {
			return errors.New("wav: truncated extensible format")
		}
		mask = le.Uint32(b[20:])
		tag = int(le.Uint16(b[24:]))
	}
	if channels < 1 || channels > maxChannels {
		return fmt.Errorf("wav: %d channels", channels)
	}
	if rate < minRate || rate > maxRate {
		return fmt.Errorf("wav: sample rate of %d Hz", rate)
	}
	// Samples stand in whole bytes, whatever the number of bits that count.
	w.rate, w.sample = int(rate), (depth+7)/8
	switch {
	case tag == wavPCM && w.sample == 1:
		w.convert = pcm8
	case tag == wavPCM && w.sample == 2:
		w.convert = pcm16
	case tag == wavPCM && w.sample == 3:
		w.convert = pcm24
	case tag == wavPCM && w.sample == 4:
		w.convert = pcm32
	case tag == wavFloat && depth == 32:
		w.convert = float32s
	case tag == wavFloat && depth == 64:
		w.convert = float64s
	case tag == wavALaw && depth == 8:
		w.convert = alaw
	case tag == wavMuLaw && depth == 8:
		w.convert = mulaw
	default:
		return &foreignError{codec: fmt.Sprintf("wav (format %#04x, %d bits)", tag, depth), demuxer: "wav"}
	}
	w.frame = w.sample * channels
	w.positions = layouts[channels]
	if bits.OnesCount32(mask) == channels {
		w.positions = nil
		for ; mask != 0; mask &= mask - 1 {
			w.positions = append(w.positions, mask&-mask)
		}
	}
	w.raw = make([]byte, wavBlock*w.frame)
	w.out = make([]float32, wavBlock*channels)
	return w.in.skip(size - int64(n) + size&1)
}

func (w *wav) next() (block, error) {
	want := int64(len(w.raw))
	if w.length >= 0 {
		want = min(want, w.length-w.pos)
	}
	if want <= 0 {
		return block{}, io.EOF
	}
	n, err := io.ReadFull(w.in, w.raw[:want])
	w.pos += int64(n)
	n -= n % w.frame
	if n == 0 {
		if errors.Is(err, io.ErrUnexpectedEOF) || err == nil {
			err = io.EOF
		}
		return block{}, err
	}
	out := w.out[:n/w.sample]
	w.convert(out, w.raw[:n])
	return block{out, w.positions, w.rate}, nil
}

func (w *wav) seek(frame int64) error {
	w.pos = w.length
	if frame < w.length/int64(w.frame) {
		w.pos = frame * int64(w.frame)
	}
	return w.in.seek(w.start + w.pos)
}

func (w *wav) about() about {
	a := about{codec: "wav", rate: w.rate, seekable: w.in.seekable()}
	if w.length > 0 {
		a.frames = w.length / int64(w.frame)
	}
	return a
}

func (w *wav) close() error { return nil }

// The conversions. Integers are scaled by a power of two, so that each value of
// up to 24 bits is exact in a float32 and comes out of a sink as it went in.

func pcm8(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(int(src[i])-128) / 128
	}
}

func pcm16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(int16(binary.LittleEndian.Uint16(src[2*i:]))) / (1 << 15)
	}
}

func pcm24(dst []float32, src []byte) {
	for i := range dst {
		b := src[3*i : 3*i+3]
		dst[i] = float32(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)>>8) / (1 << 23)
	}
}

func pcm32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = float32(int32(binary.LittleEndian.Uint32(src[4*i:]))) / (1 << 31)
	}
}

func float32s(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = sane(float64(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))))
	}
}

func float64s(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = sane(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
}

// sane keeps what is no sound, NaN and the infinite, out of the mixer.
func sane(v float64) float32 {
	switch {
	case v != v:
		return 0
	case v > 8:
		return 8
	case v < -8:
		return -8
	}
	return float32(v)
}

// alaw and mulaw expand as ITU-T G.711 has it.

func alaw(dst []float32, src []byte) {
	for i := range dst {
		b := src[i] ^ 0x55
		v := int(b&0x0F)<<4 + 8
		if e := b >> 4 & 7; e > 0 {
			v = (v + 0x100) << (e - 1)
		}
		if b&0x80 == 0 {
			v = -v
		}
		dst[i] = float32(v) / (1 << 15)
	}
}

func mulaw(dst []float32, src []byte) {
	for i := range dst {
		b := ^src[i]
		v := (int(b&0x0F)<<3+0x84)<<(b>>4&7) - 0x84
		if b&0x80 != 0 {
			v = -v
		}
		dst[i] = float32(v) / (1 << 15)
	}
}
