package decode

import (
	"bytes"
	"errors"
	"fmt"
)

// ErrUnknownFormat is wrapped by the error for bytes that no decoder knows.
var ErrUnknownFormat = errors.New("unknown audio format")

// ErrNoFFmpeg is wrapped by the error for a format that only ffmpeg could read, where there is none.
var ErrNoFFmpeg = errors.New("needs ffmpeg, which is not installed")

// foreignError says that a file is sound, but not for the decoders here.
type foreignError struct {
	codec   string // for a person
	demuxer string // as ffmpeg calls it
	at      int64  // where in the input it begins
}

func (e *foreignError) Error() string { return e.codec + " is not decoded here" }

// errNoFFmpeg names the format and what to do.
func errNoFFmpeg(codec string) error {
	return fmt.Errorf("%s %w: install the package ffmpeg, or convert the file to wav, mp3, flac or ogg vorbis", codec, ErrNoFFmpeg)
}

// origin picks from a stack where a panic came from.
func origin(stack []byte) string {
	_, after, ok := bytes.Cut(stack, []byte("panic("))
	if !ok {
		return ""
	}
	for line := range bytes.Lines(after) {
		if line = bytes.TrimSpace(line); bytes.HasPrefix(line, []byte("/")) && !bytes.Contains(line, []byte("/runtime/")) {
			line, _, _ = bytes.Cut(line, []byte(" "))
			return " at " + string(line[bytes.LastIndexByte(line, '/')+1:])
		}
	}
	return ""
}
