package speech

import (
	"errors"
	"fmt"
	"io"
)

// maxBytes is the most that an engine may send for one text, whatever it says it is.
const maxBytes = 256 << 20

var (
	errFlood  = fmt.Errorf("it sent more than %d MiB", maxBytes>>20)
	errCutOff = errors.New("the connection ended in the middle")
)

// feed is what an engine sends, made fit for a decoder: it is bounded, and an error
// stays, and is not taken for the end.
type feed struct {
	io.Reader
	close func() error
	read  int64
	err   error
}

// Read implements io.Reader.
func (f *feed) Read(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.Reader.Read(p)
	if f.read += int64(n); f.read > maxBytes {
		err = errFlood
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCutOff
	}
	f.err = err
	return n, err
}

// Close implements io.Closer.
func (f *feed) Close() error { return f.close() }
