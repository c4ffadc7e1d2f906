// Package wavfile is a driver that writes what a speaker would have played to a
// file, in real time: RIFF WAVE, 48 kHz, stereo, 16 bit. The file holds the time
// between the first sound and five seconds after the last, and so on; while the
// hub is silent nothing is written.
package wavfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hkw/speaker"
	"hkw/speaker/paced"
)

const (
	refresh = 200 * time.Millisecond // how old what is in the file may be
	// maxData is how many bytes of samples a file takes before the next one is
	// begun: readers count in 31 bits.
	maxData = 1<<31 - 1<<20
)

// Driver implements speaker.Driver; a target is the path of a file.
type Driver struct{ maxData int64 }

// New makes the driver.
func New() *Driver { return &Driver{maxData: maxData} }

// Name is "wav".
func (*Driver) Name() string { return "wav" }

// Targets is empty: a file is what its path says.
func (*Driver) Targets(context.Context) ([]speaker.Target, error) { return nil, nil }

// Events is nil: nothing ever changes.
func (*Driver) Events() <-chan speaker.TargetEvent { return nil }

// Close has nothing to do; each sink closes its file.
func (*Driver) Close() error { return nil }

// Open creates the file, or empties the one that is there.
func (d *Driver) Open(_ context.Context, path string) (speaker.Sink, error) {
	if path == "" {
		return nil, fmt.Errorf("%w: the wav driver needs the path of a file", speaker.ErrNoSuchSpeaker)
	}
	w, err := newWriter(path, d.maxData)
	if err != nil {
		return nil, err
	}
	return w.sink(), nil
}

func newWriter(path string, maxData int64) (*writer, error) {
	w := &writer{path: path, maxData: maxData}
	return w, w.create(path)
}

// sink plays to the file.
func (w *writer) sink() speaker.Sink {
	return paced.New(w.write, paced.Hooks{Tick: w.tick, Rest: w.sync, End: w.close})
}

// writer is used by one goroutine at a time.
type writer struct {
	path    string
	maxData int64
	file    *os.File
	number  int   // of files, the first being 1
	data    int64 // bytes of samples in the file
	buf     []byte
	synced  time.Time
}

// create begins a file.
func (w *writer) create(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create the wav file: %w", err)
	}
	w.file, w.data, w.number = f, 0, w.number+1
	if _, err := f.Write(header(0)); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// write takes what was heard.
func (w *writer) write(samples []float32) error {
	for len(samples) > 0 {
		room := int((w.maxData - w.data - int64(len(w.buf))) / frameBytes * speaker.Channels)
		if room <= 0 {
			if err := w.roll(); err != nil {
				return err
			}
			continue
		}
		n := min(room, len(samples))
		w.buf = speaker.AppendPCM16(w.buf, samples[:n])
		samples = samples[n:]
	}
	return nil
}

// roll goes on in the next file: name.wav, name-2.wav, name-3.wav.
func (w *writer) roll() error {
	if err := w.close(); err != nil {
		return err
	}
	ext := filepath.Ext(w.path)
	return w.create(fmt.Sprintf("%s-%d%s", strings.TrimSuffix(w.path, ext), w.number+1, ext))
}

// tick brings the file up to date now and then.
func (w *writer) tick(now time.Time) error {
	if now.Sub(w.synced) < refresh {
		return nil
	}
	w.synced = now
	return w.sync()
}

// sync brings the file up to date: the samples first, then the header that tells
// of them, so that whoever opens it at any time finds a valid file.
func (w *writer) sync() error {
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.file.WriteAt(w.buf, headerBytes+w.data); err != nil {
		return fmt.Errorf("write the wav file: %w", err)
	}
	w.data += int64(len(w.buf))
	w.buf = w.buf[:0]
	if _, err := w.file.WriteAt(header(w.data), 0); err != nil {
		return fmt.Errorf("write the wav file: %w", err)
	}
	return nil
}

func (w *writer) close() error {
	return errors.Join(w.sync(), w.file.Close())
}
