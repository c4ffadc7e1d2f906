package decode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hkw/speaker"
)

// Probe tells what Open would, from headers alone and without decoding. The
// duration is 0 where the format does not tell it cheaply. r stands at its
// beginning; where it stands afterwards is not defined. Errors wrap
// speaker.ErrMedia.
func Probe(r io.ReadSeeker, hint string) (info speaker.Info, err error) {
	info, err = probe(newInput(r), hint)
	if err != nil {
		return speaker.Info{}, fmt.Errorf("%w: %w", speaker.ErrMedia, err)
	}
	return info, nil
}

func probe(in *input, hint string) (info speaker.Info, err error) {
	defer contain(&err)
	f, err := detect(in, hint)
	if err != nil {
		return info, err
	}
	a := about{codec: string(f), seekable: in.seekable()}
	switch f {
	case formatWAV:
		var w *wav
		if w, err = newWAV(in); err == nil {
			a = w.about()
		}
	case formatFLAC:
		var i flacInfo
		if i, err = readFLACInfo(in); err == nil {
			a.rate, a.frames = i.rate, i.frames
		}
	case formatMP3:
		var m *mp3Stream
		if m, err = newMP3(in); err == nil {
			a = m.about()
		}
	case formatVorbis:
		a.rate, a.frames, err = probeOgg(in)
	default:
		a.rate, a.frames = probeForeign(in, f)
	}
	var foreign *foreignError
	if errors.As(err, &foreign) {
		a, err = about{codec: foreign.codec}, nil
	}
	if err != nil {
		return info, err
	}
	return speaker.Info{Duration: frameTime(a.frames, a.rate), Seekable: a.seekable, Codec: a.codec}, nil
}

// probeForeign finds the length of some formats that are not decoded here; zeros for the others.
func probeForeign(in *input, f format) (rate int, frames int64) {
	switch f {
	case formatOpus:
		rate, frames, _ = probeOgg(in)
	case formatMP4:
		rate, frames = probeMP4(in)
	}
	return rate, frames
}

// probeOgg reads rate and length of Vorbis and Opus from the first and the last page.
func probeOgg(in *input) (rate int, frames int64, err error) {
	r := newOggReader(in)
	p, err := r.next()
	if err != nil {
		return 0, 0, err
	}
	serial, skip := p.serial, int64(0)
	if len(p.body) >= 19 && string(p.body[:8]) == "OpusHead" {
		rate, skip = speaker.SampleRate, int64(binary.LittleEndian.Uint16(p.body[10:]))
	} else {
		s, err := readVorbisID(p.body)
		if err != nil {
			return 0, 0, err
		}
		rate = s.rate
	}
	if !in.seekable() {
		return rate, 0, nil
	}
	if err := in.seek(max(in.pos, in.size-2*oggMaxPage)); err != nil {
		return 0, 0, err
	}
	for {
		p, err := r.next()
		if err != nil {
			break // the end: what was found so far holds
		}
		if p.serial != serial {
			return rate, 0, nil // a chain
		}
		frames = max(frames, p.granule-skip)
	}
	return rate, frames, nil //nolint:nilerr // see above
}
