package decode

import (
	"encoding/binary"
	"errors"
	"io"
)

// mp3Header is a frame header of MPEG audio, layer III (ISO/IEC 11172-3, 2.4.1.3 and 13818-3).
type mp3Header struct {
	raw     uint32
	version int // 1, 2, or 25 for the unofficial MPEG 2.5
	layer   int
	bitrate int // bit/s; 0 is the free format
	rate    int // Hz
	mono    bool
	crc     bool
	size    int // bytes of the whole frame
	samples int // per channel
	side    int // bytes of side information
}

var (
	mp3Bitrates = [2][15]int{
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	}
	mp3Rates = [3]int{44100, 48000, 32000}
)

// parseMP3Header reads the first four bytes of b. Frames of other layers are reported with their layer alone.
func parseMP3Header(b []byte) (h mp3Header, ok bool) {
	if len(b) < 4 {
		return h, false
	}
	h.raw = binary.BigEndian.Uint32(b)
	version, layer := h.raw>>19&3, h.raw>>17&3
	bitrate, rate := h.raw>>12&15, h.raw>>10&3
	if h.raw>>21 != 0x7FF || version == 1 || layer == 0 || bitrate == 15 || rate == 3 || h.raw&3 == 2 {
		return h, false
	}
	h.layer = int(4 - layer)
	h.rate = mp3Rates[rate]
	low := 0
	h.version = 1
	switch version {
	case 2:
		h.version, low = 2, 1
	case 0:
		h.version, low = 25, 1
		h.rate >>= 1
	}
	h.rate >>= low
	h.crc = h.raw>>16&1 == 0
	h.mono = h.raw>>6&3 == 3
	if h.layer != 3 {
		return h, true
	}
	h.bitrate = mp3Bitrates[low][bitrate] * 1000
	h.samples = 1152 >> low
	h.size = h.samples/8*h.bitrate/h.rate + int(h.raw>>9&1)
	switch {
	case low == 0 && !h.mono:
		h.side = 32
	case low == 1 && h.mono:
		h.side = 9
	default:
		h.side = 17
	}
	return h, true
}

// same reports that two frames can follow each other in one stream.
func (h mp3Header) same(o mp3Header) bool {
	return h.version == o.version && h.layer == o.layer && h.rate == o.rate
}

// head is the length of what comes before the main data.
func (h mp3Header) head() int {
	n := 4 + h.side
	if h.crc {
		n += 2
	}
	return n
}

// findMPEG looks for frames of MPEG audio in the beginning of a file. An AAC
// stream in ADTS has the same sync word and another layer. "" if there are none.
func findMPEG(b []byte) format {
	for i := 0; i+4 <= len(b); i++ {
		if b[i] != 0xFF || b[i+1] < 0xE0 {
			continue
		}
		if b[i+1]&0xF6 == 0xF0 {
			// ADTS: the frame's length is in 13 bits, the next frame begins there.
			if i+7 > len(b) {
				continue
			}
			n := int(b[i+3]&3)<<11 | int(b[i+4])<<3 | int(b[i+5])>>5
			if n > 7 && (i+n+2 <= len(b) && b[i+n] == 0xFF && b[i+n+1]&0xF6 == 0xF0 || i == 0 && i+n >= len(b)) {
				return formatAAC
			}
			continue
		}
		h, ok := parseMP3Header(b[i:])
		if !ok {
			continue
		}
		if h.layer != 3 || h.bitrate == 0 {
			// Its length takes more than the header to tell; only where a file begins is this believed.
			if i == 0 {
				return formatMPEG
			}
			continue
		}
		if n, ok := parseMP3Header(b[min(i+h.size, len(b)):]); ok && n.same(h) || i == 0 && i+h.size >= len(b) {
			if h.version == 25 {
				return formatMPEG
			}
			return formatMP3
		}
	}
	return ""
}

// errNoMPEG ends the search for the next frame.
var errNoMPEG = errors.New("mp3: no more frames in a megabyte of data")

// maxGarbage is how much between two frames is skipped.
const maxGarbage = 1 << 20

// mp3Framer finds the frames of an MP3 stream, whatever tags and garbage lie between.
type mp3Framer struct {
	in   *input
	last mp3Header // of the frame before; zero when out of sync
	seen bool
}

// next returns the next whole frame, consumed, valid until the following call; io.EOF if there is none.
func (f *mp3Framer) next() (mp3Header, []byte, error) {
	h, err := f.find()
	if err != nil {
		return h, nil, err
	}
	b, err := f.in.peek(h.size)
	if err != nil {
		return h, nil, err
	}
	if len(b) < h.size {
		return h, nil, io.EOF // cut off: less than 1/20 s
	}
	// What was peeked stays in the buffer as long as nothing else is read.
	if err := f.in.skip(int64(h.size)); err != nil {
		return h, nil, err
	}
	return h, b, nil
}

// pass goes past the next frame.
func (f *mp3Framer) pass() error {
	h, err := f.find()
	if err != nil {
		return err
	}
	if b, err := f.in.peek(h.size); err != nil || len(b) < h.size {
		return io.EOF
	}
	return f.in.skip(int64(h.size))
}

// find stops before the next frame.
func (f *mp3Framer) find() (mp3Header, error) {
	for skipped := int64(0); ; {
		b, err := f.in.peek(10)
		if err != nil {
			return mp3Header{}, err
		}
		if len(b) < 4 {
			return mp3Header{}, io.EOF
		}
		if h, ok := parseMP3Header(b); ok && h.layer == 3 && h.bitrate > 0 && h.version != 25 &&
			(f.seen && h.same(f.last) && skipped == 0 || f.confirmed(h)) {
			f.last, f.seen = h, true
			return h, nil
		}
		if skipped > maxGarbage {
			return mp3Header{}, errNoMPEG
		}
		n := int64(1)
		switch {
		case string(b[:3]) == "TAG":
			n = 128
		case id3Size(b) > 0:
			n = id3Size(b)
		default:
			// To the next byte that could begin one of these.
			w, err := f.in.peek(1024)
			if err != nil {
				return mp3Header{}, err
			}
			for int(n) < len(w) && w[n] != 0xFF && w[n] != 'T' && w[n] != 'I' {
				n++
			}
			skipped += n
		}
		if err := f.in.skip(n); err != nil {
			return mp3Header{}, err
		}
	}
}

// confirmed reports that a frame like h follows h, or the end.
func (f *mp3Framer) confirmed(h mp3Header) bool {
	b, err := f.in.peek(h.size + 4)
	if err != nil || len(b) < h.size {
		return false
	}
	if len(b) < h.size+4 {
		return true
	}
	n, ok := parseMP3Header(b[h.size:])
	return ok && n.same(h) || string(b[h.size:h.size+3]) == "TAG" || string(b[h.size:h.size+3]) == "ID3"
}

// mp3Reservoir is the longest way back that main data can begin: 9 bits of bytes (2.4.2.7).
const mp3Reservoir = 511

// A mp3Packet is one frame made independent of those before it.
type mp3Packet struct {
	header mp3Header
	side   []byte // side information
	main   []byte // the frame's own main data, complete; nil: silence
	begin  int    // how much of it stood in frames before
}

// mp3Unpacker takes frames apart. Main data may begin in earlier frames, up to
// mp3Reservoir bytes back; after a jump it takes some frames until it is complete again.
type mp3Unpacker struct {
	store []byte // the latest main data
	p     mp3Packet
}

func (u *mp3Unpacker) reset() { u.store = u.store[:0] }

// unpack returns the packet in a frame. It stays valid until the next call.
func (u *mp3Unpacker) unpack(h mp3Header, frame []byte) mp3Packet {
	u.p.header = h
	u.p.side = append(u.p.side[:0], make([]byte, h.side)...)
	u.p.main, u.p.begin = nil, 0
	if h.head() > len(frame) {
		return u.p
	}
	side := frame[h.head()-h.side : h.head()]
	begin, need := mp3MainData(h, side)
	body := frame[h.head():]
	if begin <= len(u.store) && begin+len(body) >= need {
		from := len(u.store) - begin
		u.store = append(u.store, body...)
		u.p.main = append(make([]byte, 0, need), u.store[from:from+need]...)
		u.p.begin = begin
		copy(u.p.side, side)
	} else {
		u.store = append(u.store, body...)
	}
	if old := len(u.store) - mp3Reservoir; old > 0 {
		u.store = u.store[:copy(u.store, u.store[old:])]
	}
	return u.p
}

// mp3MainData reads from side information where the main data begins, in bytes
// before the frame's own, and how many bytes it has.
func mp3MainData(h mp3Header, side []byte) (begin, need int) {
	// Per granule and channel the first 12 bits are the length, the rest is for the decoder.
	granules, skip, per := 2, 9+5+4, 59
	channels := 2
	switch {
	case h.version == 1 && h.mono:
		channels = 1
	case h.version == 1:
		skip = 9 + 3 + 8
	case h.mono:
		granules, skip, per, channels = 1, 8+1, 63, 1
	default:
		granules, skip, per = 1, 8+2, 63
	}
	if h.version == 1 {
		begin = bitsAt(side, 0, 9)
	} else {
		begin = bitsAt(side, 0, 8)
	}
	total := 0
	for i := range granules * channels {
		total += bitsAt(side, skip+i*per, 12)
	}
	return begin, (total + 7) / 8
}

// bitsAt reads n ≤ 16 bits, most significant first.
func bitsAt(b []byte, at, n int) int {
	v := 0
	for i := at; i < at+n; i++ {
		v = v<<1 | int(b[i>>3])>>(7-i&7)&1
	}
	return v
}
