package library

import (
	"encoding/binary"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/dhowden/tag"

	"hkw/speaker/decode"
)

// maxText is how long a title may be, in runes.
const maxText = 300

// readMedia reads what a file says of itself.
func readMedia(root *os.Root, e *entry) error {
	f, err := openFile(root, e.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := decode.Probe(f, e.path)
	if err != nil {
		return err
	}
	t := readTags(f, info.Codec)
	m := &e.media
	m.Duration = info.Duration
	m.Title, m.Artist, m.Album = clean(t.title), clean(t.artist), clean(t.album)
	if m.Title == "" {
		m.Title = clean(stem(e.path))
	}
	return nil
}

// tags are what is wanted of a file's tags.
type tags struct{ title, artist, album string }

// readTags reads tags, as far as there are any that make sense.
func readTags(f io.ReadSeeker, codec string) (t tags) {
	defer func() {
		if recover() != nil {
			t = tags{} // the tags are damaged, the sound may not be
		}
	}()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return t
	}
	if codec == "wav" {
		return wavTags(f)
	}
	m, err := tag.ReadFrom(f)
	if err != nil {
		return t
	}
	return tags{m.Title(), m.Artist(), m.Album()}
}

// clean makes a tag fit for one line.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(clip(strings.TrimSpace(s), maxText))
}

// wavTags reads the INFO list of a WAVE file.
func wavTags(f io.ReadSeeker) (t tags) {
	var h [12]byte
	if _, err := io.ReadFull(f, h[:]); err != nil || string(h[8:]) != "WAVE" {
		return t
	}
	for range 100 {
		if _, err := io.ReadFull(f, h[:8]); err != nil {
			return t
		}
		size := int64(binary.LittleEndian.Uint32(h[4:8]))
		if string(h[:4]) == "LIST" && size >= 4 && size < 64<<10 {
			b := make([]byte, size)
			n, _ := io.ReadFull(f, b)
			if b = b[:n]; n > 4 && string(b[:4]) == "INFO" {
				return infoTags(b[4:])
			}
			size -= int64(n)
		}
		if _, err := f.Seek(size+int64(binary.LittleEndian.Uint32(h[4:8]))&1, io.SeekCurrent); err != nil {
			return t
		}
	}
	return t
}

// infoTags reads the chunks of an INFO list.
func infoTags(b []byte) (t tags) {
	for len(b) >= 8 {
		id, size := string(b[:4]), int(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		if size > len(b) {
			return t
		}
		text := strings.TrimRight(string(b[:size]), "\x00")
		switch id {
		case "INAM":
			t.title = text
		case "IART":
			t.artist = text
		case "IPRD":
			t.album = text
		}
		b = b[min(size+size&1, len(b)):]
	}
	return t
}
