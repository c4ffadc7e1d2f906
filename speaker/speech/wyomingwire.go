package speech

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// An event of the Wyoming protocol is a line of JSON, then as many bytes of JSON
// as that says, then as many of anything. The data may stand in the line, or
// behind it, or in both.

// Limits of an event, in bytes. Nothing is allocated because a header says so.
const (
	maxEventLine    = 1 << 20
	maxEventData    = 1 << 20
	maxEventPayload = 64 << 20
)

var (
	errEventLine = errors.New("what it sends is not the Wyoming protocol")
	errEventSize = errors.New("it sends an event that is too large")
)

// event is the head and the data of an event. Its payload comes from the reader.
type event struct {
	Type          string          `json:"type"`
	Data          json.RawMessage `json:"data"`
	DataLength    int64           `json:"data_length"`
	PayloadLength int64           `json:"payload_length"`

	behind []byte // the data behind the line
}

// decode puts the data into v. What stands behind the line goes over what stands in it.
func (e *event) decode(v any) error {
	for _, data := range [][]byte{e.Data, e.behind} {
		if len(data) == 0 {
			continue
		}
		if err := json.Unmarshal(data, v); err != nil {
			return fmt.Errorf("%w: the data of %q: %w", errEventLine, printable(e.Type), err)
		}
	}
	return nil
}

// writeEvent sends an event without payload. The data stands in the line, which servers of every age read.
func writeEvent(w io.Writer, kind string, data any) error {
	head := map[string]any{"type": kind}
	if data != nil {
		head["data"] = data
	}
	b, err := json.Marshal(head)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// eventReader reads events. Read reads the payload of the latest one.
type eventReader struct {
	br   *bufio.Reader
	left int64 // of the payload
}

func newEventReader(r io.Reader) *eventReader {
	return &eventReader{br: bufio.NewReaderSize(r, 16<<10)}
}

// next skips what is left of a payload and reads the next event. io.EOF if there is none.
func (r *eventReader) next() (*event, error) {
	if err := r.skip(); err != nil {
		return nil, err
	}
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	e := &event{}
	if err := json.Unmarshal(line, e); err != nil || e.Type == "" {
		return nil, errEventLine
	}
	if e.DataLength < 0 || e.PayloadLength < 0 {
		return nil, fmt.Errorf("%w: a length is negative", errEventLine)
	}
	if e.DataLength > maxEventData || e.PayloadLength > maxEventPayload {
		return nil, errEventSize
	}
	r.left = e.PayloadLength
	if e.DataLength > 0 {
		var b bytes.Buffer
		if _, err := io.CopyN(&b, r.br, e.DataLength); err != nil {
			return nil, atEnd(err)
		}
		e.behind = b.Bytes()
	}
	return e, nil
}

// skip skips what is left of a payload.
func (r *eventReader) skip() error {
	for r.left > 0 {
		n, err := r.br.Discard(int(min(r.left, 1<<20)))
		r.left -= int64(n)
		if err != nil {
			return atEnd(err)
		}
	}
	return nil
}

// line reads a line; io.EOF only if there is nothing of one.
func (r *eventReader) line() (line []byte, err error) {
	for {
		part, err := r.br.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxEventLine:
			return nil, errEventSize
		case err == nil:
			return line, nil
		case err == io.EOF && len(line) == 0:
			return nil, io.EOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, atEnd(err)
		}
	}
}

// Read reads of the payload; io.EOF at its end.
func (r *eventReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.br.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if r.left > 0 {
		err = atEnd(err)
	}
	return n, err
}

// atEnd makes of an end in the middle what it is.
func atEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCutOff
	}
	return err
}

// pcmFormat is how samples stand in a payload: signed integers, interleaved.
type pcmFormat struct {
	Rate     int64 `json:"rate"`  // Hz
	Width    int64 `json:"width"` // bytes
	Channels int64 `json:"channels"`
}

func (f pcmFormat) check() error {
	if f.Rate < 4000 || f.Rate > 384000 || f.Width < 2 || f.Width > 4 || f.Channels < 1 || f.Channels > 8 {
		return fmt.Errorf("it speaks with %d Hz, %d bytes, %d channels", f.Rate, f.Width, f.Channels)
	}
	return nil
}

// wavHeader begins a WAV stream whose end is not known.
func (f pcmFormat) wavHeader() []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, wavHead), "RIFF\xff\xff\xff\xffWAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, 1) // PCM
	b = le.AppendUint16(b, uint16(f.Channels))
	b = le.AppendUint32(b, uint32(f.Rate))
	b = le.AppendUint32(b, uint32(f.Rate*f.Channels*f.Width))
	b = le.AppendUint16(b, uint16(f.Channels*f.Width))
	b = le.AppendUint16(b, uint16(8*f.Width))
	b = append(b, "data"...)
	return le.AppendUint32(b, math.MaxUint32)
}

// wyomingAudio is what a server says in answer to synthesize, as a WAV stream. It
// ends with audio-stop and with nothing else.
type wyomingAudio struct {
	events  *eventReader
	format  pcmFormat // zero before audio-start
	pending []byte    // of the header
	ended   bool
}

func newWyomingAudio(r io.Reader) *wyomingAudio { return &wyomingAudio{events: newEventReader(r)} }

// Read implements io.Reader.
func (w *wyomingAudio) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		switch {
		case len(w.pending) > 0:
			n := copy(p, w.pending)
			w.pending = w.pending[n:]
			return n, nil
		case w.ended:
			return 0, io.EOF
		case w.events.left > 0:
			n, err := w.events.Read(p)
			if n > 0 || err != nil {
				return n, err
			}
			continue
		}
		e, err := w.events.next()
		if err != nil {
			return 0, atEnd(err)
		}
		if err := w.take(e); err != nil {
			return 0, err
		}
	}
}

// take does what an event says. The payload of audio-chunk is left for Read, every other is skipped.
func (w *wyomingAudio) take(e *event) error {
	switch e.Type {
	case "audio-start", "audio-chunk":
		f := w.format
		if err := e.decode(&f); err != nil {
			return err
		}
		if err := f.check(); err != nil {
			return err
		}
		if w.format == (pcmFormat{}) {
			w.format, w.pending = f, f.wavHeader()
		}
		if f != w.format {
			return errors.New("it changes its format in the middle")
		}
		if e.Type == "audio-chunk" {
			if e.PayloadLength%(f.Width*f.Channels) != 0 {
				return errors.New("it sends a part of a sample")
			}
			return nil
		}
	case "audio-stop":
		w.ended = true
	case "error":
		var said struct {
			Text string `json:"text"`
			Code string `json:"code"`
		}
		if err := e.decode(&said); err != nil {
			return err
		}
		return fmt.Errorf("it says: %s", printable(said.Text+" "+said.Code))
	}
	return w.events.skip()
}
