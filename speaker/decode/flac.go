package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/mewkiz/flac/frame"
)

// flacMaxBad is how many frames in a row may fail to decode.
const flacMaxBad = 100

// flacInfo is the STREAMINFO block (RFC 9639, 8.2).
type flacInfo struct {
	maxBlock int
	rate     int
	channels int
	depth    int   // bits per sample
	frames   int64 // 0 unknown
}

// flacStream decodes FLAC. The library decodes frames; metadata, finding frames
// and seeking, by bisection and without need of a seek table, are done here.
type flacStream struct {
	in     *input
	info   flacInfo
	data   int64 // where the first frame begins
	reader flacReader
	from   int64 // samples before this one are dropped
	bad    int
	out    []float32
}

func newFLAC(in *input) (*flacStream, error) {
	info, err := readFLACInfo(in)
	if err != nil {
		return nil, err
	}
	f := &flacStream{in: in, info: info, data: in.pos}
	f.reader.in = in
	for i := range f.reader.table {
		c := uint16(i) << 8
		for range 8 {
			c = c<<1 ^ c>>15*0x8005
		}
		f.reader.table[i] = c
	}
	return f, nil
}

// readFLACInfo reads all metadata and stops before the first frame.
func readFLACInfo(in *input) (info flacInfo, err error) {
	var b [38]byte
	if in.full(b[:4]) != nil || string(b[:4]) != "fLaC" {
		return info, errors.New("flac: no header")
	}
	for last, n := false, 0; !last; n++ {
		if err := in.full(b[:4]); err != nil {
			return info, errors.New("flac: truncated header")
		}
		last = b[0]&0x80 != 0
		kind, size := b[0]&0x7F, int64(b[1])<<16|int64(b[2])<<8|int64(b[3])
		if kind == 127 || (kind == 0) != (n == 0) || n > 1000 {
			return info, errors.New("flac: damaged header")
		}
		if kind != 0 {
			if err := in.skip(size); err != nil {
				return info, err
			}
			continue
		}
		if size != 34 || in.full(b[:34]) != nil {
			return info, errors.New("flac: truncated header")
		}
		packed := binary.BigEndian.Uint64(b[10:])
		info = flacInfo{
			maxBlock: int(binary.BigEndian.Uint16(b[2:])),
			rate:     int(packed >> 44),
			channels: int(packed>>41&7) + 1,
			depth:    int(packed>>36&31) + 1,
			frames:   int64(packed & (1<<36 - 1)),
		}
	}
	if info.rate < minRate || info.rate > maxRate {
		return info, fmt.Errorf("flac: sample rate of %d Hz", info.rate)
	}
	if flacDepthCode(info.depth) == 0 {
		return info, &foreignError{codec: fmt.Sprintf("flac of %d bits", info.depth), demuxer: "flac"}
	}
	return info, nil
}

// flacDepthCode is how a frame header names a number of bits per sample, 0 if it can't.
func flacDepthCode(depth int) byte {
	switch depth {
	case 8:
		return 1
	case 12:
		return 2
	case 16:
		return 4
	case 20:
		return 5
	case 24:
		return 6
	}
	return 0
}

func (f *flacStream) about() about {
	return about{codec: "flac", rate: f.info.rate, frames: f.info.frames, seekable: f.in.seekable()}
}

func (f *flacStream) close() error { return nil }

// flacHeader is what a frame's header tells (RFC 9639, 9.1).
type flacHeader struct {
	length   int   // of the header in bytes, with its CRC
	first    int64 // number of its first sample
	samples  int
	channels int
	rateCode byte
	depth    byte // its code
}

// parseHeader reads the frame header at the beginning of b.
func (f *flacStream) parseHeader(b []byte) (h flacHeader, ok bool) {
	if len(b) < 6 || b[0] != 0xFF || b[1]&0xFE != 0xF8 || b[3]&1 != 0 {
		return h, false
	}
	sizeCode, rateCode, channels, depth := b[2]>>4, b[2]&15, b[3]>>4, b[3]>>1&7
	if sizeCode == 0 || rateCode == 15 || channels > 10 || depth == 3 {
		return h, false
	}
	h.rateCode, h.depth = rateCode, depth
	if h.channels = int(channels) + 1; channels >= 8 {
		h.channels = 2
	}
	number, n := codedNumber(b[4:])
	if n == 0 {
		return h, false
	}
	at := 4 + n
	if len(b) < at+5 {
		b = append(append(make([]byte, 0, at+5), b...), 0, 0, 0, 0, 0)[:at+5]
	}
	switch {
	case sizeCode == 1:
		h.samples = 192
	case sizeCode < 6:
		h.samples = 576 << (sizeCode - 2)
	case sizeCode == 6:
		h.samples = int(b[at]) + 1
		at++
	case sizeCode == 7:
		h.samples = int(b[at])<<8 + int(b[at+1]) + 1
		at += 2
	default:
		h.samples = 256 << (sizeCode - 8)
	}
	switch rateCode {
	case 12:
		at++
	case 13, 14:
		at += 2
	}
	h.length = at + 1
	if crc8(b[:at]) != b[at] || h.channels != f.info.channels || h.samples > 65535 {
		return h, false
	}
	if depth != 0 && depth != flacDepthCode(f.info.depth) {
		return h, false
	}
	h.first = number
	if b[1]&1 == 0 {
		h.first = number * int64(max(f.info.maxBlock, 1))
	}
	return h, true
}

// codedNumber reads the frame or sample number (9.1.5) and returns its length, 0 if it is none.
func codedNumber(b []byte) (v int64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	c := b[0]
	if c < 0x80 {
		return int64(c), 1
	}
	for n = 1; n < 8 && c<<n&0x80 != 0; n++ {
	}
	if n < 2 || n > 7 || len(b) < n {
		return 0, 0
	}
	v = int64(c & (0x7F >> n))
	for _, c := range b[1:n] {
		if c&0xC0 != 0x80 {
			return 0, 0
		}
		v = v<<6 | int64(c&0x3F)
	}
	return v, n
}

// crc8 has the polynomial x^8 + x^2 + x + 1.
func crc8(b []byte) (c byte) {
	for _, v := range b {
		c ^= v
		for range 8 {
			c = c<<1 ^ c>>7*7
		}
	}
	return c
}

// find stops before the next frame header.
func (f *flacStream) find() (flacHeader, error) {
	for {
		b, err := f.in.peek(16)
		if err != nil {
			return flacHeader{}, err
		}
		if len(b) < 6 {
			return flacHeader{}, io.EOF
		}
		if h, ok := f.parseHeader(b); ok {
			return h, nil
		}
		if b, err = f.in.peek(1024); err != nil {
			return flacHeader{}, err
		}
		n := 1
		for n < len(b) && b[n] != 0xFF {
			n++
		}
		if err := f.in.skip(int64(n)); err != nil {
			return flacHeader{}, err
		}
	}
}

// frame decodes the next frame that is whole.
func (f *flacStream) frame() (flacHeader, *frame.Frame, error) {
	for {
		h, err := f.find()
		if err != nil {
			return h, nil, err
		}
		at := f.in.pos
		fr, err := f.reader.frame(f.info, h)
		if err == nil {
			f.bad = 0
			return h, fr, nil
		}
		if b, _ := f.in.peek(1); len(b) == 0 && errors.Is(err, io.ErrUnexpectedEOF) {
			return h, nil, io.EOF // cut off within the last frame
		}
		if f.bad++; f.bad > flacMaxBad {
			return h, nil, fmt.Errorf("flac: %w", err)
		}
		if f.in.seekable() {
			if err := f.in.seek(at + 1); err != nil {
				return h, nil, err
			}
		}
	}
}

func (f *flacStream) next() (block, error) {
	h, fr, err := f.frame()
	if err != nil {
		return block{}, err
	}
	n := len(fr.Subframes[0].Samples)
	skip := 0
	if h.first < f.from {
		if skip = int(min(f.from-h.first, int64(n))); skip == n {
			return block{}, nil
		}
	} else {
		f.from = 0 // found: a number that is wrong later does no harm
	}
	ch := f.info.channels
	if need := (n - skip) * ch; cap(f.out) < need {
		f.out = make([]float32, need)
	} else {
		f.out = f.out[:need]
	}
	scale := 1 / float32(int64(1)<<(f.info.depth-1))
	for c, sub := range fr.Subframes {
		for i, v := range sub.Samples[skip:] {
			f.out[i*ch+c] = min(max(float32(v)*scale, -1), 1) // a prediction that is wrong knows no bounds
		}
	}
	return block{f.out, layouts[ch], f.info.rate}, nil
}

func (f *flacStream) seek(sample int64) error {
	if f.info.frames > 0 && sample >= f.info.frames {
		return f.in.seek(f.in.size)
	}
	low, high := f.data, f.in.size
	for high-low > 64<<10 {
		mid := low + (high-low)/2
		if err := f.in.seek(mid); err != nil {
			return err
		}
		f.bad = 0
		h, _, err := f.frame()
		switch {
		case err == nil && h.first <= sample:
			low = mid
		case err == nil || errors.Is(err, io.EOF) || f.bad > 0:
			high = mid
		default:
			return err
		}
	}
	f.bad, f.from = 0, sample
	return f.in.seek(low)
}

// flacReader gives the library one frame.
//
// The library writes to the process's log for some sample rates, and cannot
// look into STREAMINFO for the depth. So headers that would lead it there are
// replaced; its checksum is then wrong, and the frame's own is checked here.
type flacReader struct {
	in    *input
	head  []byte // replaced header, not read yet
	patch bool
	crc   uint16
	left  int // what the frame may still have
	table [256]uint16
	buf   [16]byte
}

func (r *flacReader) frame(info flacInfo, h flacHeader) (*frame.Frame, error) {
	// Nothing makes a frame much longer than its samples as they are.
	r.left = 4096 + 2*h.samples*info.channels*(info.depth+8)/8
	r.patch, r.crc, r.head = h.rateCode == 2 || h.rateCode == 7 || h.depth == 0, 0, nil
	if r.patch {
		b, err := r.in.peek(h.length)
		if err != nil || len(b) < h.length {
			return nil, io.ErrUnexpectedEOF
		}
		r.sum(b)
		r.head = append(r.buf[:0], b...)
		if h.rateCode == 2 || h.rateCode == 7 {
			r.head[2] &= 0xF0
		}
		r.head[3] = r.head[3]&^0x0E | flacDepthCode(info.depth)<<1
		r.head[h.length-1] = crc8(r.head[:h.length-1])
		if err := r.in.skip(int64(h.length)); err != nil {
			return nil, err
		}
	}
	f, err := frame.Parse(r)
	if r.patch && err != nil && r.crc == 0 && f != nil {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if len(f.Subframes) != info.channels {
		return nil, errors.New("channels changed")
	}
	for _, s := range f.Subframes {
		if s == nil || len(s.Samples) != h.samples {
			return nil, errors.New("incomplete frame")
		}
	}
	return f, nil
}

// Read implements io.Reader.
func (r *flacReader) Read(p []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	if len(p) > r.left {
		p = p[:r.left]
	}
	if len(p) == 0 {
		return 0, io.EOF
	}
	n, err := r.in.Read(p)
	r.left -= n
	if r.patch {
		r.sum(p[:n])
	}
	return n, err
}

func (r *flacReader) sum(b []byte) {
	for _, v := range b {
		r.crc = r.crc<<8 ^ r.table[byte(r.crc>>8)^v]
	}
}
