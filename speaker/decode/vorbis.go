package decode

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"

	"github.com/jfreymuth/vorbis"
)

// vorbisStream decodes Ogg Vorbis. Pages, positions and seeking are done here,
// packets by the library. A stream may be a chain, as radio stations send it:
// where a link ends another begins, at its own rate.
type vorbisStream struct {
	ogg    *oggReader
	setup  vorbisSetup
	dec    *vorbis.Decoder
	serial uint32
	first  vorbisSetup // of the first link
	chain  bool        // more than one link: no seeking
	frames int64       // 0 unknown
	data   int64       // where the first audio page begins
	base   int64       // granule position of the first sample

	page    *oggPage // the current one, nil before it is read
	lace    int      // next in its lacing
	at      int      // next in its body
	partial []byte   // of a packet that goes on in the next page
	joined  bool     // partial is the beginning of a packet
	begun   bool     // the page before it ended inside a packet

	block int   // size of the last block decoded, 0 before the first
	pos   int64 // of the next sample, counted from base; meaningless while lost
	lost  bool  // after a jump, until a page tells
	from  int64 // samples before this one are dropped
	limit int64 // samples from this one on are dropped; -1 none
	bad   int
	out   []float32
	title atomic.Pointer[string]
}

func newVorbis(in *input) (*vorbisStream, error) {
	v := &vorbisStream{ogg: newOggReader(in), limit: -1}
	if err := v.openLink(); err != nil {
		return nil, err
	}
	v.first = v.setup
	if in.seekable() {
		if err := v.measure(); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// openLink reads the three headers and stops before the first page of audio.
func (v *vorbisStream) openLink() error {
	p, err := v.ogg.next()
	if err != nil {
		return err
	}
	return v.openLinkAt(p)
}

// openLinkAt does so when the first page has been read already.
func (v *vorbisStream) openLinkAt(p *oggPage) error {
	for p.flags&oggFirstPage == 0 || !strings.HasPrefix(string(p.body), "\x01vorbis") {
		var err error
		if p, err = v.ogg.next(); err != nil {
			return noHeader(err)
		}
	}
	setup, err := readVorbisID(p.body)
	if err != nil {
		return err
	}
	v.serial, v.setup = p.serial, setup
	v.dec = new(vorbis.Decoder)
	if err := v.dec.ReadHeader(p.body[:30]); err != nil {
		return err
	}
	// The comments and the setup share pages, and the setup ends one.
	var packet []byte
	for kind := 3; kind <= 5; {
		p, err := v.ogg.next()
		if err != nil {
			return noHeader(err)
		}
		if p.serial != v.serial {
			continue
		}
		at := 0
		for _, n := range p.lacing {
			if part := p.body[at : at+int(n)]; len(packet) < oggMaxPacket {
				packet = append(packet, part...)
			}
			at += int(n)
			if n == 255 || kind > 5 {
				continue
			}
			if kind == 3 {
				t := vorbisTitle(packet)
				v.title.Store(&t)
			} else {
				if err := v.setup.readSetup(packet); err != nil {
					return err
				}
				if err := v.dec.ReadHeader(packet); err != nil {
					return err
				}
			}
			packet = nil
			kind += 2
		}
	}
	v.out = make([]float32, v.dec.BufferSize())
	v.page, v.partial, v.joined, v.begun = nil, nil, false, false
	v.block, v.pos, v.lost, v.from, v.limit, v.base = 0, 0, true, 0, -1, -1
	return nil
}

func noHeader(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("vorbis: it ends before the first sound")
	}
	return err
}

// measure finds where sound begins and, from the last page, how long it is.
func (v *vorbisStream) measure() error {
	in := v.ogg.in
	v.data = in.pos
	if p, err := v.ogg.next(); err == nil && p.serial == v.serial {
		v.base = v.start(p)
	}
	v.base = max(0, v.base)
	if err := in.seek(max(v.data, in.size-2*oggMaxPage)); err != nil {
		return err
	}
	for {
		p, err := v.ogg.next()
		if err != nil {
			break
		}
		if p.serial != v.serial {
			v.chain = true // or other streams beside it, which is as rare
			break
		}
		if p.granule > v.base {
			v.frames = p.granule - v.base
		}
	}
	if v.chain {
		v.frames = 0
	}
	return in.seek(v.data)
}

// start is the granule position of the first sample that the packets of a page
// give to a decoder that knows nothing of what was before.
func (v *vorbisStream) start(p *oggPage) int64 {
	if p.granule < 0 {
		return 0
	}
	before, n := v.block, int64(0)
	at, begin := 0, 0
	inside := p.flags&oggContinued != 0 && !v.joined
	for _, l := range p.lacing {
		at += int(l)
		if l == 255 {
			continue
		}
		if !inside {
			packet := p.body[begin:at]
			if begin == 0 && v.joined && p.flags&oggContinued != 0 && len(v.partial) > 0 {
				packet = v.partial
			}
			if size := v.setup.blockSize(packet); size > 0 {
				if before > 0 {
					n += int64(before+size) / 4
				}
				before = size
			}
		}
		inside, begin = false, at
	}
	if p.flags&oggLastPage != 0 && p.granule < n {
		return 0 // one page holds it all, and its granule position says where to stop
	}
	return p.granule - n
}

func (v *vorbisStream) about() about {
	return about{codec: "vorbis", rate: v.first.rate, frames: v.frames, seekable: v.ogg.in.seekable() && !v.chain}
}

func (v *vorbisStream) close() error { return nil }

// streamTitle is what the comments of the current link say.
func (v *vorbisStream) streamTitle() string {
	if t := v.title.Load(); t != nil {
		return *t
	}
	return ""
}

func (v *vorbisStream) next() (block, error) {
	packet, err := v.packet()
	if err != nil {
		return block{}, err
	}
	size := v.setup.blockSize(packet)
	if size == 0 {
		return block{}, nil // not audio: to be ignored (4.3.1)
	}
	samples, err := v.dec.DecodeInto(packet, v.out)
	if err != nil {
		if v.bad++; v.bad > 100 {
			return block{}, err
		}
		return block{}, nil
	}
	v.bad, v.block = 0, size
	ch := v.setup.channels
	n := int64(len(samples) / ch)
	begin := v.pos
	v.pos += n
	if v.limit >= 0 && v.pos > v.limit {
		n = max(0, v.limit-begin)
		samples = samples[:n*int64(ch)]
	}
	if begin < v.from {
		samples = samples[min(v.from-begin, n)*int64(ch):]
	}
	for i, s := range samples {
		if !(s >= -4 && s <= 4) {
			samples[i] = sane(float64(s))
		}
	}
	return block{samples, vorbisLayouts[ch], v.setup.rate}, nil
}

// packet returns the next packet of the stream.
func (v *vorbisStream) packet() ([]byte, error) {
	for {
		if v.page == nil {
			if err := v.turn(); err != nil {
				return nil, err
			}
		}
		p := v.page
		begin := v.at
		for v.lace < len(p.lacing) {
			n := p.lacing[v.lace]
			v.lace++
			v.at += int(n)
			if n == 255 {
				continue
			}
			part := p.body[begin:v.at]
			begin = v.at
			if !v.begun {
				return part, nil
			}
			v.begun = false
			if v.joined {
				return append(v.partial, part...), nil
			}
		}
		// The rest goes on in the next page.
		rest := p.body[begin:v.at]
		switch open := len(p.lacing) > 0 && p.lacing[len(p.lacing)-1] == 255; {
		case !open:
			v.partial, v.joined, v.begun = v.partial[:0], false, false
		case !v.begun:
			v.partial, v.joined, v.begun = append(v.partial[:0], rest...), true, true
		case v.joined && len(v.partial)+len(rest) <= oggMaxPacket:
			v.partial = append(v.partial, rest...)
		default:
			v.joined = false
		}
		v.page = nil
	}
}

// turn reads the next page of the stream, or opens the next link.
func (v *vorbisStream) turn() error {
	for {
		p, err := v.ogg.next()
		if err != nil {
			return err
		}
		if p.serial != v.serial {
			if p.flags&oggFirstPage != 0 && strings.HasPrefix(string(p.body), "\x01vorbis") {
				if err := v.openLinkAt(p); err != nil {
					return err
				}
			}
			continue
		}
		if p.flags&oggContinued != 0 && !v.begun {
			v.begun, v.joined = true, false // its beginning is unknown
		}
		if p.flags&oggContinued == 0 {
			v.begun, v.joined = false, false // what was open is lost
		}
		v.page, v.lace, v.at = p, 0, 0
		if p.granule >= 0 {
			if v.lost {
				start := v.start(p)
				if v.base < 0 {
					v.base = max(0, start)
				}
				v.pos, v.lost = start-v.base, false
			}
			if p.flags&oggLastPage != 0 {
				v.limit = p.granule - v.base
			}
		}
		return nil
	}
}

// seek goes to a sample, exactly: to a page before it by bisection, from there by decoding.
func (v *vorbisStream) seek(sample int64) error {
	if v.frames > 0 {
		sample = min(sample, v.frames)
	}
	sample = min(sample, 1<<50)
	at, err := v.pageBefore(sample + v.base)
	if err != nil {
		return err
	}
	if err := v.ogg.in.seek(at); err != nil {
		return err
	}
	v.dec.Clear()
	v.page, v.partial, v.joined, v.begun = nil, nil, false, false
	v.block, v.lost, v.from, v.limit, v.bad = 0, true, sample, -1, 0
	return nil
}

// pageBefore finds where to begin so that the decoder knows all it must before that granule position.
func (v *vorbisStream) pageBefore(granule int64) (int64, error) {
	in := v.ogg.in
	low, high := v.data, in.size
	for high-low > 4*oggMaxPage {
		mid := low + (high-low)/2
		if err := in.seek(mid); err != nil {
			return 0, err
		}
		p, err := v.ogg.next()
		for err == nil && (p.serial != v.serial || p.granule < 0) && p.at < high {
			p, err = v.ogg.next()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if err == nil && p.at < high && p.granule <= granule {
			low = p.at
		} else {
			high = mid
		}
	}
	// Two pages that end before it: the first may hold nothing but the end of a packet.
	start := max(v.data, low-2*oggMaxPage)
	if err := in.seek(start); err != nil {
		return 0, err
	}
	before, last := int64(-1), int64(-1)
	for {
		p, err := v.ogg.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if err != nil || p.serial == v.serial && p.granule > granule {
			return max(before, v.data), nil //nolint:nilerr // the end is where the search ends
		}
		if p.serial == v.serial && p.granule >= 0 {
			before, last = last, p.at
		}
	}
}

// vorbisTitle picks artist and title from a comment header (5.2.1).
func vorbisTitle(p []byte) string {
	var artist, title string
	if len(p) < 7 {
		return ""
	}
	p = p[7:]
	field := func() (string, bool) {
		if len(p) < 4 {
			return "", false
		}
		n := uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24
		if n > uint64(len(p)-4) {
			return "", false
		}
		s := p[4 : 4+n]
		p = p[4+n:]
		return string(s[:min(len(s), 512)]), true
	}
	if _, ok := field(); !ok || len(p) < 4 {
		return ""
	}
	p = p[4:]
	for {
		s, ok := field()
		if !ok {
			break
		}
		name, value, _ := strings.Cut(s, "=")
		switch strings.ToUpper(name) {
		case "ARTIST":
			artist = value
		case "TITLE":
			title = value
		}
	}
	if artist != "" && title != "" {
		title = artist + " - " + title
	}
	return strings.ToValidUTF8(title, "\uFFFD")
}
