// Package library knows what can be played by name: the files of a folder, and
// the chimes that are built in.
package library

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"hkw/speaker"
	"hkw/speaker/decode"
)

// Errors of Resolve.
var (
	ErrNotFound  = errors.New("no such media")
	ErrAmbiguous = errors.New("more than one media has this title")
)

// Kind is where a media comes from.
type Kind string

// The kinds of media.
const (
	KindHub    Kind = "hub"    // a file of the library; can be paused and resumed
	KindChime  Kind = "chime"  // built in
	KindWeb    Kind = "web"    // an http(s) URL
	KindSpeech Kind = "speech" // a text that is spoken
)

// Media is something that can be played. It is a value; its files may be gone
// when it is opened.
type Media struct {
	ID       string // stable id: 63-bit decimal for files, the name for chimes, "" for URLs
	Kind     Kind
	Title    string
	Artist   string
	Album    string
	Duration time.Duration // 0 if unknown
	Path     string        // below the library's folder, slash-separated; "" for others
	URL      string        // of web media, as it was given, secrets and all; Title is what can be shown

	opener speaker.Opener
}

// NewMedia returns m with o as what its Open opens.
func NewMedia(m Media, o speaker.Opener) Media {
	m.opener = o
	return m
}

// Open opens the media for playing.
func (m Media) Open(ctx context.Context) (speaker.Source, error) {
	if m.opener == nil {
		return nil, fmt.Errorf("%w: %w", speaker.ErrMedia, ErrNotFound)
	}
	return m.opener.Open(ctx)
}

// Config of a library.
type Config struct {
	Dir string // "" for the chimes alone
	Log zerolog.Logger

	// Web is how URLs are opened.
	Web decode.Web
	// FFmpeg is the program for files that hkw does not decode itself: "" looks
	// for ffmpeg on the path, "-" does without.
	FFmpeg string
}

// openWait is how long Open waits for the first scan. What takes longer goes on behind it.
const openWait = 400 * time.Millisecond

// Library is a folder of media, watched for changes. Its methods may be called
// from any goroutine and never touch the disk, but for Open and Close.
type Library struct {
	cfg     Config
	chimes  []Media
	snap    atomic.Pointer[snapshot]
	root    atomic.Pointer[os.Root]
	changed chan struct{}
	ready   chan struct{}

	cancel context.CancelFunc
	done   chan struct{}
	close  sync.Once
}

// Open scans the folder once, quickly, and then keeps itself current until Close
// or the end of ctx. A scan that takes longer than half a second goes on in the
// background. It is an error if there is no such folder.
func Open(ctx context.Context, cfg Config) (*Library, error) {
	l := &Library{
		cfg: cfg, chimes: Chimes(),
		changed: make(chan struct{}, 1), ready: make(chan struct{}), done: make(chan struct{}),
	}
	l.snap.Store(&snapshot{})
	ctx, l.cancel = context.WithCancel(ctx)
	if cfg.Dir == "" {
		close(l.ready)
		close(l.done)
		return l, nil
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		l.cancel()
		return nil, fmt.Errorf("media folder: %w", err)
	}
	l.root.Store(root)
	go func() {
		defer close(l.done)
		newScanner(l).run(ctx)
	}()
	wait := time.NewTimer(openWait)
	defer wait.Stop()
	select {
	case <-l.ready:
	case <-wait.C:
	case <-ctx.Done():
	}
	return l, nil
}

// Close stops watching. What is open plays on.
func (l *Library) Close() error {
	l.cancel()
	<-l.done
	var err error
	l.close.Do(func() {
		if root := l.root.Load(); root != nil {
			err = root.Close()
		}
	})
	return err
}

// Changed returns a channel that receives after the media have changed. Changes
// that nobody waited for are one.
func (l *Library) Changed() <-chan struct{} { return l.changed }

// Ready returns a channel that is closed once the first scan is complete.
func (l *Library) Ready() <-chan struct{} { return l.ready }

// publish makes s what readers see.
func (l *Library) publish(s *snapshot) {
	l.snap.Store(s)
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Resolve finds media by what a command calls it: an http(s) URL, else the id,
// the name of a chime, the path below the folder with or without its extension,
// or the title. Names of chimes and titles are compared without regard to case.
func (l *Library) Resolve(name string) (Media, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return Media{}, fmt.Errorf("%w: no name given", ErrNotFound)
	}
	if scheme, _, ok := strings.Cut(name, "://"); ok && len(scheme) <= 5 {
		return l.web(name)
	}
	s := l.snap.Load()
	if i, ok := s.byID[name]; ok {
		return s.files[i], nil
	}
	for _, c := range l.chimes {
		if strings.EqualFold(c.ID, name) {
			return c, nil
		}
	}
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if i, ok := s.byPath[clean]; ok {
		return s.files[i], nil
	}
	if m, err := s.one(name, s.byStem[clean]); !errors.Is(err, ErrNotFound) {
		return m, err
	}
	return s.one(name, s.byTitle[fold(name)])
}

// web makes a media of a URL.
func (l *Library) web(name string) (Media, error) {
	u, err := url.Parse(name)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// What is not a URL might hold secrets all the same.
		return Media{}, fmt.Errorf("%w: not an http or https URL", ErrNotFound)
	}
	title := u.Hostname()
	if base := path.Base(u.Path); base != "/" && base != "." {
		title = base + " (" + title + ")"
	}
	return Media{Kind: KindWeb, Title: clean(title), URL: name, opener: webOpener{name, l.cfg.Web}}, nil
}

type webOpener struct {
	url string
	web decode.Web
}

func (o webOpener) Open(ctx context.Context) (speaker.Source, error) {
	return decode.OpenURL(ctx, o.url, o.web)
}

// List returns the media whose title, artist, album or path contain all words
// of query, whatever their case: first the files in the order of their paths,
// then the chimes in the order of their names. offset and limit are applied,
// a limit of 0 or less is none; total counts all that match.
func (l *Library) List(query string, offset, limit int) (items []Media, total int) {
	s := l.snap.Load()
	words := strings.Fields(fold(query))
	offset = max(0, offset)
	take := func(m Media, text string) {
		for _, w := range words {
			if !strings.Contains(text, w) {
				return
			}
		}
		if total >= offset && (limit <= 0 || len(items) < limit) {
			items = append(items, m)
		}
		total++
	}
	for i, m := range s.files {
		take(m, s.text[i])
	}
	for _, c := range l.chimes {
		take(c, fold(c.ID+" "+c.Title))
	}
	return items, total
}

// Len returns how many files there are, without the chimes.
func (l *Library) Len() int { return len(l.snap.Load().files) }

// Count is how much can be played by name: the files and the chimes.
func (l *Library) Count() int { return l.Len() + len(l.chimes) }

// maxCandidates is how many names an ErrAmbiguous tells.
const maxCandidates = 5

// snapshot is the folder at one moment. It is never changed.
type snapshot struct {
	files   []Media // in the order of their paths
	text    []string
	byID    map[string]int
	byPath  map[string]int
	byStem  map[string][]int // path without extension
	byTitle map[string][]int // folded
}

// one returns the only one of the candidates.
func (s *snapshot) one(name string, candidates []int) (Media, error) {
	switch len(candidates) {
	case 0:
		return Media{}, fmt.Errorf("%w: %q", ErrNotFound, clip(name, 100))
	case 1:
		return s.files[candidates[0]], nil
	}
	var paths []string
	for _, i := range candidates[:min(len(candidates), maxCandidates)] {
		paths = append(paths, fmt.Sprintf("%q", s.files[i].Path))
	}
	more := ""
	if n := len(candidates) - len(paths); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return Media{}, fmt.Errorf("%w: %q is %s%s", ErrAmbiguous, clip(name, 100), strings.Join(paths, ", "), more)
}

// fold makes text comparable without regard to case.
func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// clip shortens a text to n runes.
func clip(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i] + "…"
		}
	}
	return s
}

// fileOpener opens a file below the folder, wherever its links lead inside it and never outside.
type fileOpener struct {
	lib  *Library
	path string
}

func (o fileOpener) Open(ctx context.Context) (speaker.Source, error) {
	f, err := openFile(o.lib.root.Load(), o.path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", speaker.ErrMedia, err)
	}
	return decode.Open(ctx, f, decode.Options{Name: o.path, Hint: o.path, FFmpeg: o.lib.cfg.FFmpeg})
}

// openFile opens a regular file. A named pipe would block.
func openFile(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	return root.Open(name)
}
