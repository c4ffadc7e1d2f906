package library

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rs/zerolog"
)

// When changes are looked at.
const (
	settle   = 250 * time.Millisecond // after the last of a burst
	settled  = 2 * time.Second        // at the latest after the first
	pollSlow = 10 * time.Minute       // where changes are told: in case one was lost
	pollFast = time.Minute            // where they are not

	maxWatches = 20_000
)

// watcher tells which paths of a folder changed. Where the system does not tell it, or not for that many
// directories, it asks for the whole folder to be looked at each minute.
type watcher struct {
	dir  string
	log  zerolog.Logger
	fs   *fsnotify.Watcher // nil if it is not to be had
	poll time.Duration
	dirs map[string]bool
}

func newWatcher(dir string, log zerolog.Logger) *watcher {
	w := &watcher{dir: dir, log: log, poll: pollSlow, dirs: map[string]bool{}}
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		w.fallBack(err.Error())
		return w
	}
	w.fs = fs
	if remote(dir) {
		w.fallBack("the media folder is on a network file system")
	}
	return w
}

// fallBack turns to looking each minute.
func (w *watcher) fallBack(why string) {
	if w.poll != pollFast {
		w.poll = pollFast
		w.log.Warn().Str("reason", why).Msg("changes of the media folder are noticed once a minute")
	}
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close()
	}
}

// add watches a directory, named by its path below the folder.
func (w *watcher) add(p string) {
	if w.fs == nil {
		return
	}
	if !w.dirs[p] && len(w.dirs) >= maxWatches {
		w.fallBack("it has too many directories to watch")
		return
	}
	// Adding again is no harm, and needed where a directory was replaced by another of the same name.
	if err := w.fs.Add(filepath.Join(w.dir, filepath.FromSlash(p))); err != nil {
		w.fallBack(err.Error())
		return
	}
	w.dirs[p] = true
}

// forget stops watching a directory that was moved or deleted, and those in it:
// events of what goes on in them would still name the old place.
func (w *watcher) forget(p string) {
	if !w.dirs[p] {
		return
	}
	for d := range w.dirs {
		if d == p || strings.HasPrefix(d, p+"/") {
			_ = w.fs.Remove(filepath.Join(w.dir, filepath.FromSlash(d)))
			delete(w.dirs, d)
		}
	}
}

// wait returns the paths that changed, or all: the whole folder is to be looked at.
func (w *watcher) wait(ctx context.Context) (changed []string, all bool) {
	poll := time.NewTimer(w.poll)
	defer poll.Stop()
	var events <-chan fsnotify.Event
	var errs <-chan error
	if w.fs != nil {
		events, errs = w.fs.Events, w.fs.Errors
	}
	set := map[string]bool{}
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	var latest <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil, false
		case <-poll.C:
			return nil, true
		case <-quiet.C:
			return keys(set), all
		case <-latest:
			return keys(set), all
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			w.log.Debug().Err(err).Msg("events of the media folder were lost")
			all = true
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			p, err := filepath.Rel(w.dir, e.Name)
			if err != nil {
				continue
			}
			p = filepath.ToSlash(p)
			if hidden(p) {
				continue
			}
			if p == "." {
				all = true
			}
			if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
				w.forget(p)
			}
			set[p] = true
		}
		quiet.Reset(settle)
		if latest == nil {
			t := time.NewTimer(settled)
			defer t.Stop()
			latest = t.C
		}
	}
}

func keys(set map[string]bool) (list []string) {
	for k := range set {
		list = append(list, k)
	}
	return list
}
