package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// maxMoov is the most that the index of an MP4 file may have to be held in memory.
const maxMoov = 16 << 20

// probeMP4 reads the time scale and the duration from moov/mvhd (ISO/IEC 14496-12, 8.2.2); zeros if it isn't found.
func probeMP4(in *input) (scale int, duration int64) {
	end := in.size
	for range 1000 {
		at := in.pos
		kind, size, err := mp4Box(in)
		if err != nil {
			return 0, 0
		}
		switch kind {
		case "moov":
			continue // go into it
		case "mvhd":
			var b [32]byte
			if in.full(b[:]) != nil {
				return 0, 0
			}
			if b[0] == 1 {
				return int(binary.BigEndian.Uint32(b[20:])), int64(binary.BigEndian.Uint64(b[24:]) & (1<<63 - 1))
			}
			return int(binary.BigEndian.Uint32(b[12:])), int64(binary.BigEndian.Uint32(b[16:]))
		}
		if size == 0 || end >= 0 && size > end-at {
			return 0, 0
		}
		if err := in.skip(size - (in.pos - at)); err != nil {
			return 0, 0
		}
	}
	return 0, 0
}

// mp4Box reads the header of a box. Its size counts the header; 0 is until the end.
func mp4Box(in *input) (kind string, size int64, err error) {
	var b [16]byte
	if err := in.full(b[:8]); err != nil {
		return "", 0, err
	}
	kind, size = string(b[4:8]), int64(binary.BigEndian.Uint32(b[:4]))
	least := int64(8)
	if size == 1 {
		if err := in.full(b[8:]); err != nil {
			return "", 0, err
		}
		size, least = int64(binary.BigEndian.Uint64(b[8:])&(1<<63-1)), 16
	}
	if size != 0 && size < least {
		return "", 0, errors.New("m4a: damaged box")
	}
	return kind, size, nil
}

// mp4Stream returns an MP4 file so that it can be played from a pipe: with its
// index before its data. Many files have it at the end. The offsets in the
// index are moved along. Where that is not possible the file is left as it is.
func mp4Stream(in *input) (io.Reader, error) {
	if !in.seekable() {
		return in, nil
	}
	begin := in.pos
	var moov, data, moovSize int64 = -1, -1, 0
	for moov < 0 {
		at := in.pos
		kind, size, err := mp4Box(in)
		if err != nil || size == 0 {
			break
		}
		switch kind {
		case "moov":
			moov, moovSize = at, size
		case "mdat", "moof":
			if data < 0 {
				data = at
			}
		}
		if size > in.size-at {
			break
		}
		if err := in.skip(size - (in.pos - at)); err != nil {
			return nil, err
		}
	}
	if data < 0 || moov < data || moovSize > maxMoov {
		return in, in.seek(begin)
	}
	if err := in.seek(moov); err != nil {
		return nil, err
	}
	index := make([]byte, moovSize)
	if err := in.full(index); err != nil {
		return nil, noEOF(err)
	}
	moveChunks(index, 0, moovSize)
	if err := in.seek(begin); err != nil {
		return nil, err
	}
	return io.MultiReader(
		io.LimitReader(in, data-begin),
		bytes.NewReader(index),
		io.LimitReader(in, moov-data),
	), nil
}

// moveChunks adds by to all chunk offsets in a box that holds boxes.
func moveChunks(b []byte, depth int, by int64) {
	for len(b) >= 8 && depth < 8 {
		size := int(binary.BigEndian.Uint32(b))
		if size < 8 || size > len(b) {
			return
		}
		body := b[8:size]
		switch string(b[4:8]) {
		case "moov", "trak", "mdia", "minf", "stbl":
			moveChunks(body, depth+1, by)
		case "stco":
			for i := 8; i+4 <= len(body); i += 4 {
				binary.BigEndian.PutUint32(body[i:], binary.BigEndian.Uint32(body[i:])+uint32(by))
			}
		case "co64":
			for i := 8; i+8 <= len(body); i += 8 {
				binary.BigEndian.PutUint64(body[i:], binary.BigEndian.Uint64(body[i:])+uint64(by))
			}
		}
		b = b[size:]
	}
}
