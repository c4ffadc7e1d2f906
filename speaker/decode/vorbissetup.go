package decode

import (
	"errors"
	"fmt"
	"math/bits"
)

// Limits of a Vorbis setup header, far above what encoders make. The library
// allocates and loops as the header tells it, so the header is read here first.
const (
	vorbisMaxSetup   = 256 << 10 // bytes
	vorbisMaxEntries = 1 << 15   // of one codebook
	vorbisAllEntries = 1 << 17   // of all
	vorbisMaxDims    = 1 << 10   // of one codebook
	vorbisAllValues  = 1 << 20   // of all codebooks: 4 MiB
	vorbisMaxBlock   = 8192      // samples (Vorbis I specification, 4.2.2)
)

var errVorbisSetup = errors.New("vorbis: damaged setup header")

// vorbisSetup is what the demuxer must know of a stream's headers.
type vorbisSetup struct {
	channels int
	rate     int
	blocks   [2]int // sizes, short and long
	long     []bool // of each mode
}

// readVorbisID reads the identification header (4.2.2).
func readVorbisID(p []byte) (s vorbisSetup, err error) {
	if len(p) < 30 || string(p[:7]) != "\x01vorbis" || p[29]&1 == 0 {
		return s, errors.New("vorbis: damaged identification header")
	}
	s.channels = int(p[11])
	s.rate = int(p[12]) | int(p[13])<<8 | int(p[14])<<16 | int(p[15])<<24
	s.blocks = [2]int{1 << (p[28] & 15), 1 << (p[28] >> 4)}
	switch {
	case s.channels < 1 || s.channels > maxChannels:
		return s, fmt.Errorf("vorbis: %d channels", s.channels)
	case s.rate < minRate || s.rate > maxRate:
		return s, fmt.Errorf("vorbis: sample rate of %d Hz", s.rate)
	case s.blocks[0] < 64 || s.blocks[1] < s.blocks[0] || s.blocks[1] > vorbisMaxBlock:
		return s, fmt.Errorf("vorbis: block sizes of %d and %d", s.blocks[0], s.blocks[1])
	}
	return s, nil
}

// vorbisBits reads bits, least significant first (2). Reading past the end makes it broken.
type vorbisBits struct {
	data   []byte
	at     int
	broken bool
}

func (r *vorbisBits) read(n int) int {
	v := 0
	for i := range n {
		if r.at >= 8*len(r.data) {
			r.broken = true
			return 0
		}
		v |= int(r.data[r.at>>3]) >> (r.at & 7) & 1 << i
		r.at++
	}
	return v
}

func (r *vorbisBits) flag() bool { return r.read(1) == 1 }

// readSetup reads the setup header (4.2.4) and refuses what is out of bounds.
func (s *vorbisSetup) readSetup(p []byte) error {
	if len(p) < 8 || len(p) > vorbisMaxSetup || string(p[:7]) != "\x05vorbis" {
		return errVorbisSetup
	}
	r := &vorbisBits{data: p[7:]}
	entries, values := 0, 0
	books := r.read(8) + 1
	for range books {
		e, d, used, err := readCodebook(r)
		if err != nil {
			return err
		}
		if entries += e; used == 0 || entries > vorbisAllEntries {
			return errVorbisSetup
		}
		if values += e * d; values > vorbisAllValues {
			return errVorbisSetup
		}
	}
	for range r.read(6) + 1 {
		if r.read(16) != 0 {
			return errVorbisSetup
		}
	}
	for range r.read(6) + 1 {
		readFloor(r)
	}
	for range r.read(6) + 1 {
		readResidue(r)
	}
	for range r.read(6) + 1 {
		s.readMapping(r)
	}
	for range r.read(6) + 1 {
		s.long = append(s.long, r.flag())
		r.read(16 + 16 + 8)
	}
	if !r.flag() || r.broken {
		return errVorbisSetup
	}
	return nil
}

// readCodebook reads one codebook (3.2.1) and returns its sizes and how many entries have a code.
func readCodebook(r *vorbisBits) (entries, dims, used int, err error) {
	if r.read(24) != 0x564342 {
		return 0, 0, 0, errVorbisSetup
	}
	dims, entries = r.read(16), r.read(24)
	if dims < 1 || dims > vorbisMaxDims || entries < 1 || entries > vorbisMaxEntries {
		return 0, 0, 0, errVorbisSetup
	}
	if !r.flag() {
		sparse := r.flag()
		for range entries {
			if !sparse || r.flag() {
				r.read(5)
				used++
			}
		}
	} else {
		for length := r.read(5) + 1; used < entries; length++ {
			n := r.read(bits.Len(uint(entries - used)))
			if r.broken || length > 32 || used+n > entries {
				return 0, 0, 0, errVorbisSetup
			}
			used += n
		}
	}
	switch lookup := r.read(4); lookup {
	case 0:
	case 1, 2:
		r.read(32 + 32)
		width := r.read(4) + 1
		r.read(1)
		n := entries * dims
		if lookup == 1 {
			n = lookupValues(entries, dims)
		}
		if r.at += n * width; r.at > 8*len(r.data) {
			r.broken = true
		}
	default:
		return 0, 0, 0, errVorbisSetup
	}
	if r.broken {
		return 0, 0, 0, errVorbisSetup
	}
	return entries, dims, used, nil
}

// lookupValues is the greatest n with n to the power of dims ≤ entries (9.2.3).
func lookupValues(entries, dims int) int {
	n := 1
	for {
		p := 1
		for i := 0; i < dims && p <= entries; i++ {
			p *= n + 1
		}
		if p > entries {
			return n
		}
		n++
	}
}

// readFloor passes over a floor of type 0 or 1 (6.2.1, 7.2.2).
func readFloor(r *vorbisBits) {
	switch r.read(16) {
	case 0:
		r.read(8 + 16 + 16 + 6 + 8)
		for range r.read(4) + 1 {
			r.read(8)
		}
	case 1:
		var partitions [32]int
		n, highest := r.read(5), 0
		for i := range n {
			partitions[i] = r.read(4)
			highest = max(highest, partitions[i])
		}
		var dims [16]int
		for i := range highest + 1 {
			dims[i] = r.read(3) + 1
			sub := r.read(2)
			if sub > 0 {
				r.read(8)
			}
			for range 1 << sub {
				r.read(8)
			}
		}
		r.read(2)
		width := r.read(4)
		for _, p := range partitions[:n] {
			for range dims[p] {
				r.read(width)
			}
		}
	default:
		r.broken = true
	}
}

// readResidue passes over a residue (8.6.1).
func readResidue(r *vorbisBits) {
	if r.read(16) > 2 {
		r.broken = true
	}
	r.read(24 + 24 + 24)
	classes := r.read(6) + 1
	r.read(8)
	books := 0
	for range classes {
		cascade := r.read(3)
		if r.flag() {
			cascade |= r.read(5) << 3
		}
		books += bits.OnesCount(uint(cascade))
	}
	for range books {
		r.read(8)
	}
}

// readMapping passes over a mapping (4.2.4).
func (s *vorbisSetup) readMapping(r *vorbisBits) {
	if r.read(16) != 0 {
		r.broken = true
	}
	submaps := 1
	if r.flag() {
		submaps = r.read(4) + 1
	}
	if r.flag() {
		width := bits.Len(uint(s.channels - 1))
		for range r.read(8) + 1 {
			r.read(2 * width)
		}
	}
	r.read(2)
	if submaps > 1 {
		r.read(4 * s.channels)
	}
	for range submaps {
		r.read(8 + 8 + 8)
	}
}

// blockSize is the size of the block that an audio packet holds (4.3.1); 0 if it is none.
func (s *vorbisSetup) blockSize(packet []byte) int {
	r := &vorbisBits{data: packet}
	if r.read(1) != 0 {
		return 0
	}
	mode := r.read(bits.Len(uint(len(s.long) - 1)))
	if r.broken || mode >= len(s.long) {
		return 0
	}
	if s.long[mode] {
		return s.blocks[1]
	}
	return s.blocks[0]
}
