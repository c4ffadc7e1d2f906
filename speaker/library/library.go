// Package library knows what can be played by name: the files of a folder, and
// the chimes that are built in.
package library

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"hkw/speaker"
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
	KindHub   Kind = "hub"   // a file of the library; can be paused and resumed
	KindChime Kind = "chime" // built in
	KindWeb   Kind = "web"   // an http(s) URL
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
	URL      string        // of web media

	opener speaker.Opener
}

// Open opens the media for playing.
func (m Media) Open(ctx context.Context) (speaker.Source, error) { return m.opener.Open(ctx) }

// Config of a library.
type Config struct {
	Dir string // "" for the chimes alone
	Log zerolog.Logger
}

// Library is a folder of media, watched for changes. Its methods may be called
// from any goroutine and never touch the disk, but for Open and Close.
type Library struct{}

// Open scans the folder once, quickly, and then keeps itself current until Close.
func Open(ctx context.Context, cfg Config) (*Library, error) { return &Library{}, nil }

// Resolve finds media by what a command calls it: an http(s) URL, else the id, the name of a
// chime, the path below the folder, or the title (case-insensitive).
func (l *Library) Resolve(name string) (Media, error) { return Media{}, ErrNotFound }

// List returns the media whose title, artist, album or path contain all words
// of query, in stable order, offset and limit applied, and how many there are in all.
func (l *Library) List(query string, offset, limit int) (items []Media, total int) { return nil, 0 }

// Close stops watching.
func (l *Library) Close() error { return nil }
