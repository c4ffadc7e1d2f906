package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"unicode"

	"hkw/speaker/child"
)

const (
	// ffmpegMemory is the largest block that ffmpeg may allocate, in bytes.
	ffmpegMemory = "67108864"
	// ffmpegProbe is how many bytes it may look at before it begins.
	ffmpegProbe = "262144"
)

// ffmpegStream decodes with a child process, which gets the file on its standard
// input and may open nothing else: its only protocol is the pipe, its only
// demuxer the one for the format that the bytes show. It answers with a WAV
// stream. To seek, it is started again and what comes before is thrown away.
type ffmpegStream struct {
	ctx     context.Context
	in      *input
	start   int64 // where the file begins, after tags
	foreign *foreignError
	path    string
	info    about

	child *ffmpegChild
	from  int64 // frames before this one are dropped
	pos   int64
}

func newFFmpeg(ctx context.Context, in *input, foreign *foreignError, program string) (decoder, error) {
	if program == "-" {
		return nil, errNoFFmpeg(foreign.codec)
	}
	if program == "" {
		program = "ffmpeg"
	}
	file, err := exec.LookPath(program)
	if err != nil {
		return nil, errNoFFmpeg(foreign.codec)
	}
	s := &ffmpegStream{ctx: ctx, in: in, start: foreign.at, foreign: foreign, path: file}
	if in.pos != s.start && !in.seekable() {
		return nil, fmt.Errorf("%s is played from files only", foreign.codec)
	}
	var rate int
	var frames int64
	if in.seekable() {
		rate, frames = probeForeign(in, format(foreign.codec))
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	s.info = about{codec: foreign.codec, rate: s.child.wav.rate, seekable: in.seekable()}
	if length := frameTime(frames, rate); length > 0 {
		s.info.frames = int64(length.Seconds() * float64(s.info.rate))
	}
	return s, nil
}

// run starts the child and waits for the header of what it answers.
func (s *ffmpegStream) run() error {
	if s.in.seekable() {
		if err := s.in.seek(s.start); err != nil {
			return err
		}
	}
	var r io.Reader = s.in
	if s.foreign.demuxer == "mov" {
		var err error
		if r, err = mp4Stream(s.in); err != nil {
			return err
		}
	}
	c, err := startFFmpeg(s.ctx, s.path, s.foreign.demuxer, r)
	if err != nil {
		return err
	}
	s.child = c
	if c.wav, err = newWAV(newInput(c.out)); err != nil {
		return s.reason(err)
	}
	return nil
}

// reason ends the child and says, if it can, in its words what was wrong.
func (s *ffmpegStream) reason(err error) error {
	said := s.child.end()
	if said == "" {
		return fmt.Errorf("ffmpeg could not decode this as %s: %w", s.foreign.codec, err)
	}
	return fmt.Errorf("ffmpeg could not decode this as %s: %s", s.foreign.codec, said)
}

func (s *ffmpegStream) about() about { return s.info }

func (s *ffmpegStream) next() (block, error) {
	if s.child == nil {
		if err := s.run(); err != nil {
			return block{}, err
		}
	}
	b, err := s.child.wav.next()
	if errors.Is(err, io.EOF) {
		if fed := s.child.inputError(); fed != nil {
			return block{}, fed // it is the input that failed, a connection for one
		}
		return block{}, io.EOF
	}
	if err != nil {
		return block{}, s.reason(err)
	}
	ch := int64(len(b.positions))
	n := int64(len(b.samples)) / ch
	if drop := min(s.from-s.pos, n); drop > 0 {
		b.samples = b.samples[drop*ch:]
	}
	s.pos += n
	return b, nil
}

func (s *ffmpegStream) seek(frame int64) error {
	if s.child != nil && frame >= s.pos {
		s.from = frame
		return nil
	}
	err := s.close()
	s.child, s.from, s.pos = nil, frame, 0
	return err
}

func (s *ffmpegStream) close() error {
	if s.child != nil {
		s.child.end()
		<-s.child.fed // a file's read returns, and a connection is closed by now
	}
	return nil
}

// ffmpegChild is a running ffmpeg.
type ffmpegChild struct {
	cmd    *exec.Cmd
	out    io.ReadCloser
	wav    *wav
	stdin  io.Closer
	fed    chan struct{} // closed when all input was handed over
	fedErr error         // of the input, after fed
	stderr child.Complaints
	once   sync.Once
	cancel context.CancelFunc
}

func startFFmpeg(ctx context.Context, path, demuxer string, r io.Reader) (*ffmpegChild, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &ffmpegChild{fed: make(chan struct{}), cancel: cancel}
	c.cmd = child.Command(ctx, []string{"PATH", "LC_ALL=C", "AV_LOG_FORCE_NOCOLOR=1"}, path,
		"-hide_banner", "-loglevel", "error", "-nostdin", "-max_alloc", ffmpegMemory,
		"-protocol_whitelist", "pipe", "-format_whitelist", formatList(demuxer),
		"-probesize", ffmpegProbe, "-analyzeduration", "500000", "-threads", "1",
		"-f", demuxer, "-i", "pipe:0",
		"-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-threads", "1",
		"-c:a", "pcm_f32le", "-f", "wav", "pipe:1")
	c.cmd.Stderr = &c.stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		cancel()
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("ffmpeg: %w", err)
	}
	c.stdin = stdin
	go func() {
		defer close(c.fed)
		defer func() { _ = stdin.Close() }()
		buf := make([]byte, inputBuffer)
		for {
			n, err := r.Read(buf)
			if n > 0 {
				if _, err := stdin.Write(buf[:n]); err != nil {
					return // it has read enough
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					c.fedErr = err
				}
				return
			}
		}
	}()
	return c, nil
}

// formatList names what a demuxer is called in a whitelist, which wants all its names.
func formatList(demuxer string) string {
	switch demuxer {
	case "mov":
		return "mov,mp4,m4a,3gp,3g2,mj2"
	case "matroska":
		return "matroska,webm"
	}
	return demuxer
}

// inputError is why the input ended, if it failed. Called when the child has closed its output.
func (c *ffmpegChild) inputError() error {
	select {
	case <-c.fed:
		return c.fedErr
	default:
		return nil
	}
}

// end kills the child, if it still runs, with all that it may have started, and
// returns what it complained of.
func (c *ffmpegChild) end() string {
	c.once.Do(func() {
		c.cancel()
		_ = c.stdin.Close()
		_ = c.cmd.Wait()
		child.EndGroup(c.cmd)
	})
	return lastLine(c.stderr.String())
}

// lastLine is the last line of what ffmpeg complained of, fit for an error.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	s = s[strings.LastIndexByte(s, '\n')+1:]
	s = strings.TrimPrefix(s, "pipe:0: ")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	return clipText(s, 200)
}
