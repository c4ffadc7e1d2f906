// Package speaker makes sound. A play is a source (a file of the library, a web
// stream, speech, a chime) that a decoder turns into 48 kHz stereo float32, that
// the engine mixes for each speaker, and that a driver's sink lets be heard.
//
// The package knows playbacks and speakers; it knows nothing of sessions,
// priorities or MQTT.
package speaker

import (
	"context"
	"errors"
	"time"
)

// The one format inside the hub: interleaved stereo float32, nominally -1 to 1.
const (
	SampleRate = 48000 // frames per second
	Channels   = 2     // samples per frame
)

// MaxVolume is the loudest volume; 0 is silence.
const MaxVolume = 50

// ErrNotSeekable is returned by Seek of a source that only runs forward.
var ErrNotSeekable = errors.New("source is not seekable")

// Info is what is known of a source when it is opened.
type Info struct {
	Duration time.Duration // 0 if unknown or endless
	Seekable bool
	Codec    string // "wav", "mp3", "flac", "vorbis", …
}

// Source is an opened sound. It is used by one goroutine at a time. Its methods
// may block on the disk or the network and must return soon after the context
// it was opened with is done.
type Source interface {
	// Read fills dst with interleaved 48 kHz stereo samples and returns the number
	// of frames, at most len(dst)/2. It returns 0 and io.EOF after the last frame.
	Read(dst []float32) (frames int, err error)
	// SeekTo goes to a frame counted from the beginning; ErrNotSeekable if it can't.
	SeekTo(frame int64) error
	// Info describes the source.
	Info() Info
	// Title is what the source says it is playing now (ICY metadata), "" if nothing.
	Title() string
	Close() error
}

// Opener opens a source; whoever can be played is one. Open may take long; it ends when ctx does,
// and the source it returned is dead once ctx is done.
type Opener interface {
	Open(ctx context.Context) (Source, error)
}
