package decode

import (
	"encoding/binary"
	"errors"
	"io"
)

// Limits of an Ogg stream.
const (
	oggMaxPage   = 27 + 255 + 255*255
	oggMaxPacket = 1 << 20 // a comment header with a cover picture is cut, not kept
	oggMaxSkip   = 1 << 20 // between two pages
)

// Flags of a page.
const (
	oggContinued = 1 << iota
	oggFirstPage
	oggLastPage
)

// oggPage is one page (RFC 3533, 6).
type oggPage struct {
	flags   byte
	granule int64
	serial  uint32
	lacing  []byte
	body    []byte
	at, end int64 // where it begins and ends in the input
}

// oggReader reads pages and puts packets together.
type oggReader struct {
	in    *input
	head  [27 + 255]byte
	data  []byte
	page  oggPage
	table []uint32
}

func newOggReader(in *input) *oggReader {
	r := &oggReader{in: in, table: make([]uint32, 256)}
	for i := range r.table {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
		r.table[i] = c
	}
	return r
}

func (r *oggReader) sum(c uint32, b []byte) uint32 {
	for _, v := range b {
		c = c<<8 ^ r.table[byte(c>>24)^v]
	}
	return c
}

// next reads the next page that is whole. What lies between pages is skipped. The page is valid until the next call.
func (r *oggReader) next() (*oggPage, error) {
	for skipped := 0; skipped <= oggMaxSkip; {
		b, err := r.in.peek(27)
		if err != nil {
			return nil, err
		}
		if len(b) < 27 {
			return nil, io.EOF
		}
		if string(b[:5]) == "OggS\x00" {
			at := r.in.pos
			ok, err := r.read()
			if ok || err != nil {
				return &r.page, err
			}
			// A false or damaged page: what was in it is looked through again, if possible.
			if r.in.seekable() {
				if err := r.in.seek(at + 1); err != nil {
					return nil, err
				}
				skipped++
			} else {
				skipped += int(r.in.pos - at)
			}
			continue
		}
		n := 1
		for n < len(b) && b[n] != 'O' {
			n++
		}
		skipped += n
		if err := r.in.skip(int64(n)); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("ogg: no more pages in a megabyte of data")
}

// read reads the page at which the input stands; false if its checksum is wrong.
func (r *oggReader) read() (bool, error) {
	p := &r.page
	p.at = r.in.pos
	h := r.head[:27]
	if err := r.in.full(h); err != nil {
		return false, noEOF(err)
	}
	n := int(h[26])
	lacing := r.head[27 : 27+n]
	if err := r.in.full(lacing); err != nil {
		return false, cut(err)
	}
	size := 0
	for _, v := range lacing {
		size += int(v)
	}
	if cap(r.data) < size {
		r.data = make([]byte, 255*255)
	}
	p.body = r.data[:size]
	if err := r.in.full(p.body); err != nil {
		return false, cut(err)
	}
	p.flags, p.lacing, p.end = h[5], lacing, r.in.pos
	p.granule = int64(binary.LittleEndian.Uint64(h[6:]))
	p.serial = binary.LittleEndian.Uint32(h[14:])
	want := binary.LittleEndian.Uint32(h[22:])
	clear(h[22:26])
	return r.sum(r.sum(r.sum(0, h), lacing), p.body) == want, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// cut makes the end of a truncated file its end.
func cut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// oggFirst is the beginning of the first packet in the page at the beginning of b.
func oggFirst(b []byte) string {
	if len(b) < 27 || len(b) < 27+int(b[26]) {
		return ""
	}
	b = b[27+int(b[26]):]
	return string(b[:min(len(b), 16)])
}
