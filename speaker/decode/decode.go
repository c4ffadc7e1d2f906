package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"strings"

	"hkw/speaker"
)

// Options are what Open may know beyond the bytes.
type Options struct {
	// Name is what errors call the source: a file name, a host. It must hold no secrets.
	Name string
	// Hint is a file name, an extension or a MIME type. It decides only where the bytes alone don't.
	Hint string
	// FFmpeg is the program for what is not decoded here: "" looks for ffmpeg on the path, "-" does without.
	FFmpeg string

	title func() string
}

// Open finds out what r holds and returns it as a source, which is seekable if r
// is an io.Seeker that stands at its beginning and the format allows it. The
// source owns r: it closes r, if r is an io.Closer, with itself, when ctx is
// done, and when Open fails. Errors wrap speaker.ErrMedia.
func Open(ctx context.Context, r io.Reader, opt Options) (speaker.Source, error) {
	closer, _ := r.(io.Closer)
	src, err := open(ctx, r, closer, opt)
	if err != nil {
		if closer != nil {
			_ = closer.Close()
		}
		return nil, mediaError(ctx, opt.Name, err)
	}
	return src, nil
}

func open(ctx context.Context, r io.Reader, closer io.Closer, opt Options) (*source, error) {
	if closer != nil {
		// What hangs in the first bytes is woken in the same way as later.
		defer context.AfterFunc(ctx, func() { _ = closer.Close() })()
	}
	in := newInput(r)
	dec, err := newDecoder(in, opt.Hint)
	var foreign *foreignError
	if errors.As(err, &foreign) {
		dec, err = newFFmpeg(ctx, in, foreign, opt.FFmpeg)
	}
	if err != nil {
		return nil, err
	}
	src, err := newSource(ctx, dec, opt.Name, closer, opt.title)
	if err != nil {
		return nil, errors.Join(err, dec.close())
	}
	return src, nil
}

// newDecoder opens the decoder for what in holds. If only ffmpeg can read it, the
// error is a *foreignError.
func newDecoder(in *input, hint string) (dec decoder, err error) {
	defer contain(&err)
	f, err := detect(in, hint)
	if err != nil {
		return nil, err
	}
	switch f {
	case formatWAV:
		return orForeign(newWAV(in))
	case formatFLAC:
		return orForeign(newFLAC(in))
	case formatVorbis:
		return orForeign(newVorbis(in))
	case formatMP3:
		return orForeign(newMP3(in))
	}
	return nil, &foreignError{codec: string(f), demuxer: demuxers[f], at: in.pos}
}

func orForeign[D decoder](d D, err error) (decoder, error) {
	if err != nil {
		return nil, err
	}
	return d, nil
}

// format is a kind of file, named as errors name it.
type format string

const (
	formatWAV    format = "wav"
	formatMP3    format = "mp3"
	formatFLAC   format = "flac"
	formatVorbis format = "vorbis"

	formatOpus     format = "opus"
	formatOggFLAC  format = "ogg flac"
	formatOgg      format = "ogg"
	formatAAC      format = "aac"
	formatMP4      format = "m4a"
	formatMatroska format = "matroska"
	formatAIFF     format = "aiff"
	formatWMA      format = "wma"
	formatAPE      format = "ape"
	formatWavPack  format = "wavpack"
	formatAMR      format = "amr"
	formatCAF      format = "caf"
	formatAU       format = "au"
	formatMPEG     format = "mpeg audio"
)

// demuxers are the only ones that ffmpeg may use for a format.
var demuxers = map[format]string{
	formatOpus: "ogg", formatOggFLAC: "ogg", formatOgg: "ogg", formatAAC: "aac", formatMP4: "mov",
	formatMatroska: "matroska", formatAIFF: "aiff", formatWMA: "asf", formatAPE: "ape", formatWavPack: "wv",
	formatAMR: "amr", formatCAF: "caf", formatAU: "au", formatMPEG: "mp3",
}

// maxTags bounds the ID3 tags before the sound; a cover picture has its place in it.
const maxTags = 64 << 20

// detect looks at the first bytes. It consumes ID3 tags that stand before everything else.
func detect(in *input, hint string) (format, error) {
	for {
		b, err := in.peek(10)
		if err != nil {
			return "", err
		}
		n := id3Size(b)
		if n == 0 {
			break
		}
		if in.pos+n > maxTags {
			return "", fmt.Errorf("more than %d MiB of tags", maxTags>>20)
		}
		if err := in.skip(n); err != nil {
			return "", err
		}
	}
	// A station may send 4 KiB in a second: no more is waited for than is needed.
	var head []byte
	for _, n := range []int{64, 512, 1536, 4096} {
		var err error
		if head, err = in.peek(n); err != nil {
			return "", err
		}
		if f := magic(head); f != "" {
			return f, nil
		}
		// A frame of MPEG audio has no name, only a pattern that repeats.
		if f := findMPEG(head); f != "" {
			return f, nil
		}
		if len(head) < n {
			break
		}
	}
	if len(head) == 0 {
		return "", errors.New("no data")
	}
	hinted := hintFormat(hint)
	if isText(head) {
		return "", fmt.Errorf("%w: it is text, not sound", ErrUnknownFormat)
	}
	if hinted != "" {
		return hinted, nil // whose decoder searches further
	}
	return "", ErrUnknownFormat
}

// magic knows files by their beginning; "" if it doesn't.
func magic(b []byte) format {
	has := func(at int, s string) bool { return len(b) >= at+len(s) && string(b[at:at+len(s)]) == s }
	switch {
	case (has(0, "RIFF") || has(0, "RF64") || has(0, "BW64")) && has(8, "WAVE"):
		return formatWAV
	case has(0, "fLaC"):
		return formatFLAC
	case has(0, "OggS"):
		switch first := oggFirst(b); {
		case strings.HasPrefix(first, "\x01vorbis"):
			return formatVorbis
		case strings.HasPrefix(first, "OpusHead"):
			return formatOpus
		case strings.HasPrefix(first, "\x7fFLAC"):
			return formatOggFLAC
		}
		return formatOgg
	case has(4, "ftyp"):
		return formatMP4
	case has(0, "\x1aE\xdf\xa3"):
		return formatMatroska
	case has(0, "FORM") && (has(8, "AIFF") || has(8, "AIFC")):
		return formatAIFF
	case has(0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11"):
		return formatWMA
	case has(0, "MAC "):
		return formatAPE
	case has(0, "wvpk"):
		return formatWavPack
	case has(0, "#!AMR"):
		return formatAMR
	case has(0, "caff"):
		return formatCAF
	case has(0, ".snd"):
		return formatAU
	case has(0, "ADIF"):
		return formatAAC
	}
	return ""
}

// hintFormat turns a name, an extension or a MIME type into a format; "" if it says nothing.
func hintFormat(hint string) format {
	hint = strings.ToLower(hint)
	if t, _, err := mime.ParseMediaType(hint); err == nil && strings.Contains(t, "/") {
		switch t {
		case "audio/mpeg", "audio/mp3", "audio/x-mp3", "audio/x-mpeg":
			return formatMP3
		case "audio/aac", "audio/aacp", "audio/x-aac":
			return formatAAC
		}
	}
	ext := hint
	if i := strings.LastIndexByte(path.Base(hint), '.'); i >= 0 {
		ext = path.Base(hint)[i+1:]
	}
	switch ext {
	case "mp3", "mp2", "mpga":
		return formatMP3
	case "aac", "adts":
		return formatAAC
	}
	return ""
}

// isText reports that the bytes look like something to read.
func isText(b []byte) bool {
	for _, c := range b[:min(len(b), 512)] {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' {
			return false
		}
	}
	return true
}

// id3Size is the length of the ID3v2 tag with which b begins, 0 if there is none.
func id3Size(b []byte) int64 {
	if len(b) < 10 || string(b[:3]) != "ID3" || b[3] == 0xFF || b[4] == 0xFF {
		return 0
	}
	var n int64
	for _, c := range b[6:10] {
		if c >= 0x80 {
			return 0
		}
		n = n<<7 | int64(c)
	}
	n += 10
	if b[5]&0x10 != 0 {
		n += 10 // a footer
	}
	return n
}
