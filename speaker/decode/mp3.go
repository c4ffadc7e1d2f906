package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	gomp3 "github.com/llehouerou/go-mp3"
)

const (
	// mp3Delay is how many samples the decoder's filters are late.
	mp3Delay = 528 + 1
	// mp3Warmup is how many frames before a place are decoded so that the filters are as if all had been.
	mp3Warmup = 2
	// mp3Lead is how many frames before those are taken apart, for their main data: the smallest frame has 13 bytes of it.
	mp3Lead = 40
	// mp3IndexStep is how many frames lie between two entries of the index.
	mp3IndexStep = 32
	// mp3MaxBad is how many frames in a row may fail to decode.
	mp3MaxBad = 100
	// mp3Survey is how many frames are looked at for the length of a file that does not tell it.
	mp3Survey = 2000
)

// mp3Stream decodes MPEG 1 and 2, layer III.
//
// The library decodes frames; all around it is done here: finding frames among
// tags and garbage, the delays that LAME notes, seeking. Frames are given to it
// one by one, each repacked so that it needs none but the one before it. So
// a decoder can begin anywhere without a chirp, seeking is exact to the sample,
// and the one frame length that the library miscalculates (22,050 Hz, padded)
// never reaches it.
type mp3Stream struct {
	in     *input
	framer mp3Framer
	unpack mp3Unpacker
	dec    *gomp3.Decoder
	feed   mp3Feed
	first  mp3Header
	start  int64 // of the first frame that is sound, in bytes

	index   []int64 // place of each mp3IndexStep-th frame
	frame   int64   // number of the frame that the framer finds next
	waiting *mp3Packet
	ended   bool // no packet comes after waiting

	raw    int64 // number of the next sample out of the decoder
	drop   int64 // samples below this number are dropped
	delay  int64 // samples before the beginning
	end    int64 // of the sound, in samples out of the decoder; -1 unknown
	frames int64 // estimate of the frames in all; 0 unknown
	bad    int
	pcm    []byte
	out    []float32
}

// newMP3 finds the first frame. in stands where the tags before it end.
func newMP3(in *input) (*mp3Stream, error) {
	m := &mp3Stream{in: in, framer: mp3Framer{in: in}, end: -1}
	h, err := m.framer.find()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("mp3: no frames")
	}
	if err != nil {
		return nil, err
	}
	m.first, m.start = h, in.pos
	b, err := in.peek(h.size)
	if err != nil {
		return nil, err
	}
	if t, ok := parseXing(h, b); ok {
		// This frame holds no sound.
		if err := m.framer.pass(); err != nil {
			return nil, errors.New("mp3: no frames")
		}
		m.start = in.pos
		m.frames = t.frames
		m.delay = mp3Delay
		if t.lame {
			m.delay += int64(t.delay)
			if t.frames > 0 {
				m.end = max(m.delay, mp3Delay+t.frames*int64(h.samples)-int64(t.padding))
			}
		}
	} else if in.seekable() {
		if err := m.survey(); err != nil {
			return nil, err
		}
	}
	m.drop = m.delay
	m.pcm = make([]byte, 1152*4)
	m.out = make([]float32, 1152*2)
	return m, nil
}

// survey estimates the number of frames from the first ones and goes back.
func (m *mp3Stream) survey() error {
	var n int64
	for ; n < mp3Survey; n++ {
		if err := m.framer.pass(); err != nil {
			break
		}
	}
	m.frames = n
	if n == mp3Survey {
		m.frames = int64(float64(m.in.size-m.start) / float64(m.in.pos-m.start) * float64(n))
	}
	m.framer.seen = false
	return m.in.seek(m.start)
}

func (m *mp3Stream) about() about {
	a := about{codec: "mp3", rate: m.first.rate, seekable: m.in.seekable()}
	switch {
	case m.end >= 0:
		a.frames = m.end - m.delay
	case m.frames > 0:
		a.frames = max(0, m.frames*int64(m.first.samples)-m.delay)
	}
	return a
}

func (m *mp3Stream) close() error { return nil }

func (m *mp3Stream) next() (block, error) {
	for {
		p, err := m.packet()
		if errors.Is(err, io.EOF) && m.raw > m.drop && m.raw < m.end && m.end-m.raw <= mp3Delay {
			// The very last samples are still in the filters.
			p, err = mp3Packet{header: m.first, side: make([]byte, m.first.side)}, nil
		}
		if err != nil {
			return block{}, err
		}
		samples, err := m.decode(p)
		if err != nil {
			return block{}, err
		}
		from := m.raw
		m.raw += int64(len(samples) / 2)
		if m.end >= 0 && m.raw > m.end {
			samples = samples[:2*max(0, m.end-from)]
		}
		if from < m.drop {
			samples = samples[min(2*(m.drop-from), int64(len(samples))):]
		}
		if len(samples) > 0 {
			return block{samples, layouts[2], p.header.rate}, nil
		}
		if m.end >= 0 && m.raw >= m.end {
			return block{}, io.EOF
		}
	}
}

// packet returns the next packet. It reads one further, whose main data may need room in this one's frame.
func (m *mp3Stream) packet() (mp3Packet, error) {
	if m.waiting == nil && !m.ended {
		if err := m.fetch(); err != nil {
			return mp3Packet{}, err
		}
	}
	if m.waiting == nil {
		return mp3Packet{}, io.EOF
	}
	p := *m.waiting
	if err := m.fetch(); err != nil {
		return mp3Packet{}, err
	}
	return p, nil
}

// fetch reads the next frame into waiting; nil at the end.
func (m *mp3Stream) fetch() error {
	m.waiting = nil
	if m.ended {
		return nil
	}
	p, err := m.read()
	if errors.Is(err, io.EOF) || errors.Is(err, errNoMPEG) {
		m.ended = true
		return nil
	}
	if err != nil {
		return err
	}
	p.side = append([]byte(nil), p.side...)
	m.waiting = &p
	return nil
}

// read takes the next frame apart and keeps the index.
func (m *mp3Stream) read() (mp3Packet, error) {
	if err := m.note(); err != nil {
		return mp3Packet{}, err
	}
	h, b, err := m.framer.next()
	if err != nil {
		return mp3Packet{}, err
	}
	m.frame++
	return m.unpack.unpack(h, b), nil
}

// note writes the place of the next frame into the index, when it is its turn.
func (m *mp3Stream) note() error {
	if !m.in.seekable() || m.frame != int64(len(m.index))*mp3IndexStep {
		return nil
	}
	if _, err := m.framer.find(); err != nil {
		return err
	}
	m.index = append(m.index, m.in.pos)
	return nil
}

// seek goes to a sample, exactly.
func (m *mp3Stream) seek(sample int64) error {
	total := m.about().frames
	if m.end >= 0 {
		sample = min(sample, total)
	}
	if sample > 1<<50 {
		sample = 1 << 50
	}
	m.drop = sample + m.delay
	target := m.drop / int64(m.first.samples)
	decode := max(0, target-mp3Warmup)
	if err := m.locate(max(0, decode-mp3Lead)); err != nil {
		return err
	}
	m.unpack.reset()
	m.waiting, m.ended, m.bad, m.dec = nil, false, 0, nil
	m.feed = mp3Feed{}
	m.raw = decode * int64(m.first.samples)
	for m.frame < decode {
		if _, err := m.read(); errors.Is(err, io.EOF) || errors.Is(err, errNoMPEG) {
			m.ended = true
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// locate goes to a frame by its number, or to the end.
func (m *mp3Stream) locate(frame int64) error {
	m.framer.seen = false
	if len(m.index) == 0 {
		m.frame = 0
		if err := m.in.seek(m.start); err != nil {
			return err
		}
	} else {
		i := min(frame/mp3IndexStep, int64(len(m.index)-1))
		m.frame = i * mp3IndexStep
		if err := m.in.seek(m.index[i]); err != nil {
			return err
		}
	}
	for m.frame < frame {
		err := m.note()
		if err == nil {
			err = m.framer.pass()
		}
		if errors.Is(err, io.EOF) || errors.Is(err, errNoMPEG) {
			return nil
		}
		if err != nil {
			return err
		}
		m.frame++
	}
	return nil
}

// decode turns a packet into samples, always stereo.
func (m *mp3Stream) decode(p mp3Packet) ([]float32, error) {
	m.feed.put(p, m.waiting)
	n := p.header.samples * 4
	err := m.decodeFrame(m.pcm[:n])
	if err != nil {
		// A damaged frame is silence, as in other players, unless there is nothing else.
		m.dec, m.feed.room = nil, mp3Room{}
		if m.bad++; m.bad > mp3MaxBad {
			return nil, fmt.Errorf("mp3: %w", err)
		}
		clear(m.pcm[:n])
	} else {
		m.bad = 0
	}
	pcm16(m.out[:n/2], m.pcm[:n])
	return m.out[:n/2], nil
}

// decodeFrame decodes the frame in feed.
func (m *mp3Stream) decodeFrame(pcm []byte) error {
	if m.dec == nil {
		d, err := gomp3.NewDecoderWithOptions(&m.feed, gomp3.DecoderOptions{})
		if err != nil {
			return err
		}
		m.dec = d
	}
	_, err := io.ReadFull(m.dec, pcm)
	return err
}

// mp3Feed gives the library frames. Each is of the greatest size that its rate
// allows, which is enough for its main data, but for the highest rates. So as
// much of it as in the file stands at the end of the frame before, never further.
type mp3Feed struct {
	frame []byte
	rest  []byte // of frame, not read yet
	room  mp3Room
}

// mp3Room tells how much of the next packet's main data is already in the last frame.
type mp3Room struct{ carried int }

// put makes the frame of p; waiting is the packet after it, or nil.
func (f *mp3Feed) put(p mp3Packet, waiting *mp3Packet) {
	h := p.header
	raw := h.raw&^0x0000F203 | 0x0001E000 // the highest bit rate, no padding, no emphasis, no CRC
	size := h.samples / 8 * mp3Bitrates[min(h.version, 2)-1][14] * 1000 / h.rate
	if h.version == 1 {
		raw |= 0x200
		size++
	}
	f.frame = append(f.frame[:0], make([]byte, size)...)
	binary.BigEndian.PutUint32(f.frame, raw)
	side, body := f.frame[4:4+h.side], f.frame[4+h.side:]
	copy(side, p.side)
	own := p.main[min(f.room.carried, len(p.main)):]
	begin := f.room.carried
	if len(own) > len(body) {
		clear(side) // more than any valid stream has
		own, begin = nil, 0
	}
	setMainDataBegin(h, side, begin)
	n := copy(body, own)
	f.room.carried = 0
	if waiting != nil && waiting.header.same(h) {
		// As in the file, the next one's main data begins here. There it fitted, and this frame is no smaller.
		f.room.carried = min(waiting.begin, len(waiting.main), len(body)-n)
		copy(body[len(body)-f.room.carried:], waiting.main)
	}
	f.rest = f.frame
}

func setMainDataBegin(h mp3Header, side []byte, n int) {
	if h.version == 1 {
		side[0], side[1] = byte(n>>1), side[1]&0x7F|byte(n<<7)
	} else {
		side[0] = byte(n)
	}
}

// Read implements io.Reader.
func (f *mp3Feed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// xing is what encoders write into the first frame.
type xing struct {
	frames         int64
	lame           bool
	delay, padding int
}

// parseXing reads the Xing, Info or VBRI header from a frame without sound.
func parseXing(h mp3Header, b []byte) (t xing, ok bool) {
	if at := 4 + 32; len(b) >= at+18 && string(b[at:at+4]) == "VBRI" {
		t.frames = int64(binary.BigEndian.Uint32(b[at+14:]))
		return t, true
	}
	at := 4 + h.side
	if len(b) < at+8 || string(b[at:at+4]) != "Xing" && string(b[at:at+4]) != "Info" {
		return t, false
	}
	flags := binary.BigEndian.Uint32(b[at+4:])
	b = b[at+8:]
	for i, n := range []int{4, 4, 100, 4} { // frames, bytes, table of contents, quality
		if flags>>i&1 == 0 {
			continue
		}
		if len(b) < n {
			return t, true
		}
		if i == 0 {
			t.frames = int64(binary.BigEndian.Uint32(b))
		}
		b = b[n:]
	}
	// LAME's extension: the name of the encoder, and 12 bits each of delay and padding.
	if len(b) >= 24 && b[0] >= 'A' && b[0] <= 'z' {
		t.lame = true
		t.delay = int(b[21])<<4 | int(b[22])>>4
		t.padding = int(b[22]&15)<<8 | int(b[23])
	}
	return t, true
}
