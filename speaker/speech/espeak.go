package speech

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"hkw/speaker"
	"hkw/speaker/child"
	"hkw/speaker/decode"
)

// Limits of espeak-ng, which needs a few megabytes and 50 ms of a processor for a minute of speech.
const (
	espeakMemory = 512 << 20 // bytes of addresses
	espeakCPU    = 60        // seconds
)

// espeakVoice is a voice as espeak-ng names them: en, en-us+f3, mb-de5.
var espeakVoice = regexp.MustCompile(`^[A-Za-z0-9_+-]{1,64}$`)

type espeak struct{ path string }

// Espeak is the engine espeak-ng: a program on this machine, started for each
// text. An empty path looks for espeak-ng on the search path each time, so that
// installing it is enough.
func Espeak(path string) Engine { return espeak{path} }

// Name implements Engine.
func (e espeak) Name() string {
	if e.path == "" {
		return "espeak-ng"
	}
	return "espeak-ng " + e.path
}

func (e espeak) find() (string, error) {
	name := e.path
	if name == "" {
		name = "espeak-ng"
	}
	file, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w (%s: %w)", ErrNoEngine, name, errors.Unwrap(err))
	}
	return file, nil
}

// accepts looks at the voice: it becomes an argument.
func (e espeak) accepts(r Request) error {
	if r.Voice != "" && !espeakVoice.MatchString(r.Voice) {
		return fmt.Errorf("espeak-ng has no voice %q: %w", printable(r.Voice), ErrRequest)
	}
	return nil
}

// Synthesize implements Engine. The text goes to standard input alone, and is no
// markup there.
func (e espeak) Synthesize(ctx context.Context, r Request) (speaker.Source, error) {
	if err := e.accepts(r); err != nil {
		return nil, err
	}
	args := []string{"--stdin", "--stdout", "-b", "1"} // 1 is UTF-8
	if r.Voice != "" {
		args = append(args, "-v", r.Voice)
	}
	file, err := e.find()
	if err != nil {
		return nil, err
	}
	// Two brackets would begin phonemes.
	text := strings.ReplaceAll(r.Text, "[[", "[ [")
	out, err := start(ctx, file, args, text)
	if err != nil {
		return nil, err
	}
	return decode.Open(ctx, &feed{Reader: out, close: out.Close}, decode.Options{Name: e.Name(), FFmpeg: "-"})
}

// Check implements Engine: it says something.
func (e espeak) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	src, err := e.Synthesize(ctx, Request{Text: "ready"})
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	buf := make([]float32, 2*2048)
	heard := false
	for {
		n, err := src.Read(buf)
		heard = heard || n > 0
		switch {
		case errors.Is(err, io.EOF) && heard:
			return nil
		case errors.Is(err, io.EOF):
			return errNothing
		case err != nil:
			return err
		}
	}
}

// checkTimeout bounds every engine's Check.
const checkTimeout = 10 * time.Second

// speaking is what a program says on its standard output.
type speaking struct {
	cmd    *exec.Cmd
	out    *os.File
	cancel context.CancelFunc
	stderr child.Complaints
	wait   func() error
}

// start starts a program in a process group of its own, with little memory and
// none of our environment that it has no use for. It ends when ctx does.
func start(ctx context.Context, file string, args []string, text string) (*speaking, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &speaking{cancel: cancel}
	c.cmd = child.Command(ctx, []string{"LC_ALL=C.UTF-8", "PATH", "LD_LIBRARY_PATH", "ESPEAK_DATA_PATH"}, file, args...)
	c.cmd.Stdin = strings.NewReader(text)
	c.cmd.Stderr = &c.stderr
	out, in, err := os.Pipe()
	if err != nil {
		cancel()
		return nil, err
	}
	c.out, c.cmd.Stdout = out, in
	err = c.cmd.Start()
	_ = in.Close()
	if err != nil {
		cancel()
		return nil, errors.Join(err, out.Close())
	}
	limit(c.cmd.Process.Pid, espeakMemory, espeakCPU)
	c.wait = sync.OnceValue(func() error {
		err := c.cmd.Wait()
		child.EndGroup(c.cmd)
		cancel()
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil // it has ended well, and a child of its own had not
		}
		return err
	})
	return c, nil
}

// Read reads its output; at the end, an error if it did not end well.
func (c *speaking) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if err == io.EOF {
		if failed := c.wait(); failed != nil {
			if said := printable(c.stderr.String()); said != "" {
				return n, fmt.Errorf("%w: %s", failed, said)
			}
			return n, failed
		}
	}
	return n, err
}

// Close kills it, if it still runs, with its children, and waits until it is gone.
func (c *speaking) Close() error {
	c.cancel()
	_ = c.wait()
	_ = c.out.Close()
	return nil
}
