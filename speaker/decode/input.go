package decode

import (
	"bufio"
	"errors"
	"io"
)

// inputBuffer is what is read from the source at once, and how far Peek can see.
const inputBuffer = 32 << 10

// input is a buffered source that knows where it is and, if the source can seek, how long it is.
type input struct {
	src    io.Reader
	seeker io.Seeker // nil if the source only runs forward
	br     *bufio.Reader
	pos    int64 // of the next byte that Read returns
	size   int64 // -1 if unknown
}

func newInput(r io.Reader) *input {
	in := &input{src: r, br: bufio.NewReaderSize(r, inputBuffer), size: -1}
	s, ok := r.(io.Seeker)
	if !ok {
		return in
	}
	// A pipe has the method and not the ability.
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil || start != 0 {
		return in
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return in
	}
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return in
	}
	in.seeker, in.size = s, end
	return in
}

func (in *input) seekable() bool { return in.seeker != nil }

func (in *input) Read(p []byte) (int, error) {
	n, err := in.br.Read(p)
	in.pos += int64(n)
	return n, err
}

func (in *input) ReadByte() (byte, error) {
	b, err := in.br.ReadByte()
	if err == nil {
		in.pos++
	}
	return b, err
}

// peek returns the next n bytes, n ≤ inputBuffer, without consuming them; fewer, and no error, at the end of the input.
func (in *input) peek(n int) ([]byte, error) {
	b, err := in.br.Peek(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}

// skip consumes n bytes, by seeking where that is possible. Running past the end is io.EOF at the next read.
func (in *input) skip(n int64) error {
	if n <= int64(in.br.Buffered()) || in.seeker == nil {
		for n > 0 {
			k, err := in.br.Discard(int(min(n, 1<<30)))
			in.pos += int64(k)
			n -= int64(k)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return in.seek(in.pos + n)
}

// seek goes to a place counted in bytes from the beginning.
func (in *input) seek(to int64) error {
	if in.seeker == nil {
		return errors.ErrUnsupported
	}
	to = max(0, min(to, in.size))
	if d := to - in.pos; d >= 0 && d <= int64(in.br.Buffered()) {
		_, err := in.br.Discard(int(d))
		in.pos = to
		return err
	}
	if _, err := in.seeker.Seek(to, io.SeekStart); err != nil {
		return err
	}
	in.br.Reset(in.src)
	in.pos = to
	return nil
}

// full reads len(p) bytes; io.ErrUnexpectedEOF if there are fewer but some, io.EOF if there are none.
func (in *input) full(p []byte) error {
	_, err := io.ReadFull(in, p)
	return err
}
