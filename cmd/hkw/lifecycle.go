package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// closeLimit is how long one part of the program may take to close.
const closeLimit = 3 * time.Second

// lifecycle closes what was opened: the last one first.
type lifecycle struct {
	log    zerolog.Logger
	limit  time.Duration
	closer []namedCloser
}

type namedCloser struct {
	name  string
	close func() error
}

// opened remembers how something is closed.
func (l *lifecycle) opened(name string, close func() error) {
	l.closer = append(l.closer, namedCloser{name, close})
}

// close closes everything and joins the errors. What hangs is left behind with
// an error that names it, so that the others still get their turn.
func (l *lifecycle) close() error {
	var errs []error
	for _, c := range slices.Backward(l.closer) {
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- c.close() }()
		var err error
		select {
		case err = <-done:
		case <-time.After(l.limit):
			err = fmt.Errorf("still not closed after %s", l.limit)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.name, err))
		}
		l.log.Debug().Err(err).Str("part", c.name).Float64("dur_ms", float64(time.Since(began).Microseconds())/1000).Msg("closed")
	}
	l.closer = nil
	return errors.Join(errs...)
}
