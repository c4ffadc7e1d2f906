package library

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Limits of a folder.
const (
	maxFiles = 100_000
	maxDepth = 64

	// manyChanges at once are one look at the whole folder.
	manyChanges = 64
	// fresh is how old a file must be before it is complained about: it may still be arriving.
	fresh = 5 * time.Second
)

// extensions are the files that are taken for sound until their bytes say otherwise.
var extensions = map[string]bool{
	".wav": true, ".wave": true, ".mp3": true, ".mp2": true, ".flac": true, ".ogg": true, ".oga": true, ".opus": true,
	".m4a": true, ".m4b": true, ".aac": true, ".aif": true, ".aiff": true, ".aifc": true, ".wma": true, ".ape": true,
	".wv": true, ".mka": true, ".caf": true, ".amr": true, ".au": true,
}

// entry is a file as the scanner knows it.
type entry struct {
	path     string
	size     int64
	modified time.Time
	media    Media
	read     bool   // its tags were read, or tried
	problem  string // why it cannot be played; "" if it can
}

// scanner keeps the snapshot of a library current. One goroutine owns it.
type scanner struct {
	lib     *Library
	log     zerolog.Logger
	entries map[string]*entry
	watch   *watcher
	limit   int             // of files
	full    bool            // there are more
	again   bool            // this scan tries again what could not be read
	told    map[string]bool // what was logged
	hash    func(path string) uint64
	dirty   bool // entries differ from what was published
}

func newScanner(l *Library) *scanner {
	return &scanner{
		lib: l, log: l.cfg.Log,
		entries: map[string]*entry{}, told: map[string]bool{}, hash: pathHash, limit: maxFiles,
	}
}

// pathHash is 63 bits of the path's SHA-256: an id is the same wherever the folder stands and whatever the file holds.
func pathHash(p string) uint64 {
	sum := sha256.Sum256([]byte(p))
	return binary.BigEndian.Uint64(sum[:]) >> 1
}

// run scans and watches until ctx is done.
func (s *scanner) run(ctx context.Context) {
	s.watch = newWatcher(s.lib.cfg.Dir, s.log)
	defer s.watch.close()
	s.follow(ctx)
}

// follow scans everything, then what changes.
func (s *scanner) follow(ctx context.Context) {
	s.scan(ctx, ".")
	s.publish() // names first, so that they can be played while tags are read
	s.readTags(ctx)
	s.publish()
	close(s.lib.ready)
	for ctx.Err() == nil {
		changed, all := s.watch.wait(ctx)
		if ctx.Err() != nil {
			return
		}
		if all {
			s.reopen()
			changed = []string{"."}
		}
		if len(changed) > manyChanges {
			changed = []string{"."}
		}
		for _, p := range changed {
			s.scan(ctx, p)
		}
		s.readTags(ctx)
		s.publish()
	}
}

// reopen notices that the folder was replaced by another of the same name.
func (s *scanner) reopen() {
	old := s.lib.root.Load()
	now, err := os.Stat(s.lib.cfg.Dir)
	if err != nil {
		return
	}
	if was, err := old.Stat("."); err == nil && os.SameFile(was, now) {
		return
	}
	root, err := os.OpenRoot(s.lib.cfg.Dir)
	if err != nil {
		return
	}
	s.lib.root.Store(root)
	_ = old.Close()
}

// scan brings the entries at and below p up to date, but for their tags.
func (s *scanner) scan(ctx context.Context, p string) {
	seen := map[string]bool{}
	s.full, s.again = false, p != "."
	if !hidden(p) {
		s.visit(ctx, p, strings.Count(p, "/"), seen)
	}
	if ctx.Err() != nil {
		return
	}
	if e := s.entries[p]; e != nil && !seen[p] {
		delete(s.entries, p)
		s.dirty = true
	}
	for name := range s.entries {
		if (p == "." || strings.HasPrefix(name, p+"/")) && !seen[name] {
			delete(s.entries, name)
			s.dirty = true
		}
	}
}

// hidden reports that a path has a part that is not for people.
func hidden(p string) bool {
	if p == "." {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if strings.HasPrefix(part, ".") || part == "@eaDir" || part == "$RECYCLE.BIN" {
			return true
		}
	}
	return false
}

// visit notes what is at p: a file, or a directory with all that is in it.
func (s *scanner) visit(ctx context.Context, p string, depth int, seen map[string]bool) {
	root := s.lib.root.Load()
	info, err := root.Lstat(p)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.tell(p, err.Error())
		}
		return
	}
	linked := info.Mode()&fs.ModeSymlink != 0
	if linked {
		// To a file inside the folder a link may lead; Stat refuses those that lead outside.
		if info, err = root.Stat(p); err != nil {
			s.tell(p, err.Error())
			return
		}
	}
	switch {
	case info.IsDir():
		if linked || depth >= maxDepth {
			return
		}
		s.watch.add(p)
		dir, err := root.Open(p)
		if err != nil {
			s.tell(p, err.Error())
			return
		}
		names, err := dir.Readdirnames(-1)
		_ = dir.Close()
		if err != nil {
			s.tell(p, err.Error())
		}
		slices.Sort(names)
		for _, name := range names {
			if ctx.Err() != nil || s.full {
				return
			}
			if !hidden(name) {
				s.visit(ctx, path.Join(p, name), depth+1, seen)
			}
		}
	case info.Mode().IsRegular() && extensions[strings.ToLower(path.Ext(p))]:
		s.note(p, info, seen)
	}
}

// note makes or keeps the entry of a file.
func (s *scanner) note(p string, info fs.FileInfo, seen map[string]bool) {
	old := s.entries[p]
	if old == nil && len(s.entries) >= s.limit {
		s.full = true
		s.tell("", "the media folder holds more than "+strconv.Itoa(s.limit)+" files; the rest is left out")
		return
	}
	seen[p] = true
	if old != nil && old.size == info.Size() && old.modified.Equal(info.ModTime()) && (old.problem == "" || !s.again) {
		return
	}
	e := &entry{path: p, size: info.Size(), modified: info.ModTime()}
	e.media = Media{Kind: KindHub, Title: stem(p), Path: p, opener: fileOpener{s.lib, p}}
	if old != nil {
		e.problem = old.problem
		if old.problem == "" {
			e.media = old.media // until the new tags are read
		}
	} else {
		s.dirty = true
	}
	s.entries[p] = e
}

// stem is the name of a file without its extension.
func stem(p string) string {
	base := path.Base(p)
	return strings.TrimSuffix(base, path.Ext(base))
}

// tell logs what is wrong with a path, once.
func (s *scanner) tell(p, problem string) {
	if key := p + "\x00" + problem; !s.told[key] && len(s.told) < maxFiles {
		s.told[key] = true
		s.log.Warn().Str("path", p).Msg(problem)
	}
}

// readTags reads the tags of all entries that have not been read, and publishes now and then.
func (s *scanner) readTags(ctx context.Context) {
	var todo []*entry
	for _, e := range s.entries {
		if !e.read {
			todo = append(todo, e)
		}
	}
	slices.SortFunc(todo, func(a, b *entry) int { return strings.Compare(a.path, b.path) })
	last, cost := time.Now(), time.Duration(0)
	for _, e := range todo {
		if ctx.Err() != nil {
			return
		}
		was, problem := e.media, e.problem
		e.problem = ""
		e.read = true
		if err := readMedia(s.lib.root.Load(), e); err != nil {
			e.problem = err.Error()
			if age := time.Since(e.modified); age >= 0 && age < fresh {
				e.read = false // it is looked at again with the next change
			} else if !errors.Is(err, fs.ErrNotExist) {
				s.tell(e.path, e.problem)
			}
		}
		if e.problem != problem || !sameMedia(e.media, was) {
			s.dirty = true
		}
		if since := time.Since(last); since > time.Second && since > 10*cost {
			s.publish()
			last, cost = time.Now(), time.Since(last)-since
		}
	}
}

func sameMedia(a, b Media) bool {
	return a.Title == b.Title && a.Artist == b.Artist && a.Album == b.Album && a.Duration == b.Duration
}

// publish makes a snapshot of the entries, if they have changed.
func (s *scanner) publish() {
	if !s.dirty {
		return
	}
	s.dirty = false
	list := make([]*entry, 0, len(s.entries))
	for _, e := range s.entries {
		if e.problem == "" {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *entry) int { return strings.Compare(a.path, b.path) })
	snap := &snapshot{
		files: make([]Media, len(list)), text: make([]string, len(list)),
		byID: make(map[string]int, len(list)), byPath: make(map[string]int, len(list)),
		byStem: make(map[string][]int, len(list)), byTitle: make(map[string][]int, len(list)),
	}
	for i, e := range list {
		m := e.media
		m.ID = s.id(m.Path, snap.byID)
		snap.files[i] = m
		snap.text[i] = fold(m.Title + "\n" + m.Artist + "\n" + m.Album + "\n" + m.Path)
		snap.byID[m.ID] = i
		snap.byPath[m.Path] = i
		short := strings.TrimSuffix(m.Path, path.Ext(m.Path))
		snap.byStem[short] = append(snap.byStem[short], i)
		snap.byTitle[fold(m.Title)] = append(snap.byTitle[fold(m.Title)], i)
	}
	s.lib.publish(snap)
}

// id derives the id of a path. Should two paths ever have the same, the later in order gets another.
func (s *scanner) id(p string, taken map[string]int) string {
	for salted := p; ; salted += "\x00" {
		id := strconv.FormatUint(s.hash(salted)&(1<<63-1), 10)
		if _, ok := taken[id]; !ok && id != "0" {
			return id
		}
	}
}
