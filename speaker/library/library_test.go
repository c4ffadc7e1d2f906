package library

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"hkw/speaker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wav is a file of silence with tags.
func wav(frames int, title, artist, album string) []byte {
	chunk := func(id string, body []byte) []byte {
		b := binary.LittleEndian.AppendUint32([]byte(id), uint32(len(body)))
		if b = append(b, body...); len(body)%2 == 1 {
			b = append(b, 0)
		}
		return b
	}
	info := []byte("INFO")
	for id, text := range map[string]string{"INAM": title, "IART": artist, "IPRD": album} {
		if text != "" {
			info = append(info, chunk(id, append([]byte(text), 0))...)
		}
	}
	body := append([]byte("WAVE"), chunk("fmt ", []byte("\x01\x00\x02\x00\x80\xbb\x00\x00\x00\xee\x02\x00\x04\x00\x10\x00"))...)
	body = append(body, chunk("data", make([]byte, 4*frames))...)
	return chunk("RIFF", append(body, chunk("LIST", info)...))
}

// sample is a file of the decoder's tests.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "decode", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	p := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// logs collects what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), s)
}

// open opens a library and waits until its first scan is complete.
func open(t *testing.T, dir string, w io.Writer) *Library {
	t.Helper()
	if w == nil {
		w = io.Discard
	}
	l, err := Open(context.Background(), Config{Dir: dir, Log: zerolog.New(w)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	select {
	case <-l.Ready():
	case <-time.After(20 * time.Second):
		t.Fatal("the first scan does not end")
	}
	return l
}

// until waits for changes until ok is true.
func until(t *testing.T, l *Library, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-l.Changed():
		case <-deadline:
			t.Fatalf("it does not happen that %s; there are %v", what, paths(l))
		}
	}
}

func paths(l *Library) (list []string) {
	items, _ := l.List("", 0, 0)
	for _, m := range items {
		if m.Kind == KindHub {
			list = append(list, m.Path)
		}
	}
	return list
}

// id3 is an mp3 file with a tag in front.
func id3(mp3 []byte, title, artist string) []byte {
	var frames []byte
	for id, text := range map[string]string{"TIT2": title, "TPE1": artist} {
		frames = append(append(frames, id...), 0, 0, 0, byte(len(text)+1), 0, 0, 3)
		frames = append(frames, text...)
	}
	head := append([]byte("ID3\x04\x00\x00"), 0, 0, byte(len(frames)>>7), byte(len(frames)&0x7F))
	return append(append(head, frames...), mp3...)
}

// TestScan reads a folder: what is sound, its tags, its length.
func TestScan(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "b/tagged.wav", wav(48000, "Für Elise", "Beethoven", "Bagatellen"))
	write(t, dir, "b/no tags.wav", wav(24000, "", "", ""))
	write(t, dir, "song.mp3", id3(sample(t, "stereo44.mp3"), "A Song\x00", "Someone\nelse"))
	write(t, dir, "song.flac", sample(t, "stereo44.flac"))
	write(t, dir, "song.OGG", sample(t, "stereo44.ogg"))
	write(t, dir, "other.m4a", sample(t, "stereo44.m4a"))
	write(t, dir, "other.opus", sample(t, "stereo48.opus"))
	write(t, dir, "no sound.mp3", []byte("a text that is no sound"))
	write(t, dir, "empty.wav", nil)
	write(t, dir, "cover.jpg", []byte("x"))
	write(t, dir, ".hidden.wav", wav(1, "", "", ""))
	write(t, dir, ".trash/x.wav", wav(1, "", "", ""))
	write(t, dir, "@eaDir/x.wav", wav(1, "", "", ""))
	if err := os.Mkdir(filepath.Join(dir, "folder.wav"), 0o755); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"no sound.mp3", "empty.wav"} {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	var log logs
	l := open(t, dir, &log)
	var got []string
	items, total := l.List("", 0, 0)
	for _, m := range items[:len(items)-len(Chimes())] {
		got = append(got, fmt.Sprintf("%s|%s|%s|%s|%v", m.Path, m.Title, m.Artist, m.Album, m.Duration.Round(time.Millisecond)))
		if m.Kind != KindHub || m.URL != "" {
			t.Errorf("%+v", m)
		}
		src, err := m.Open(context.Background())
		if err != nil {
			if !strings.HasPrefix(m.Path, "other.") {
				t.Errorf("%s: %v", m.Path, err)
			}
			continue
		}
		if d := src.Info().Duration - m.Duration; d < -30*time.Millisecond || d > 30*time.Millisecond {
			t.Errorf("%s: listed as %v, opened as %v", m.Path, m.Duration, src.Info().Duration)
		}
		_ = src.Close()
	}
	want := []string{
		"b/no tags.wav|no tags|||500ms",
		"b/tagged.wav|Für Elise|Beethoven|Bagatellen|1s",
		"other.m4a|other|||300ms",
		"other.opus|other|||300ms",
		"song.OGG|song|||1s",
		"song.flac|song|||200ms",
		"song.mp3|A Song|Someone else||300ms",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if total != len(want)+len(Chimes()) || l.Len() != len(want) {
		t.Errorf("%d in all, %d files", total, l.Len())
	}
	// What cannot be played is told once, however often it is seen.
	write(t, dir, "new.wav", wav(10, "", "", ""))
	until(t, l, "new.wav is there", func() bool { return slices.Contains(paths(l), "new.wav") })
	if n, m := log.count("no sound.mp3"), log.count("empty.wav"); n != 1 || m != 1 {
		t.Errorf("told %d and %d times", n, m)
	}
}

// TestResolve finds media by all that they may be called.
func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "alarms/fire.wav", wav(10, "Fire Alarm", "", ""))
	write(t, dir, "alarms/flood.wav", wav(10, "", "", ""))
	write(t, dir, "a.wav", wav(10, "Same", "", ""))
	write(t, dir, "b.wav", wav(10, "same", "", ""))
	write(t, dir, "two.wav", wav(10, "T1", "", ""))
	write(t, dir, "two.flac", sample(t, "stereo44.flac"))
	write(t, dir, "chime.wav", wav(10, "My chime", "", ""))
	write(t, dir, "v1.2.wav", wav(10, "", "", ""))
	l := open(t, dir, nil)
	byID := map[string]string{}
	items, _ := l.List("", 0, 0)
	for _, m := range items {
		if byID[m.ID] != "" {
			t.Errorf("%s and %s have one id", byID[m.ID], m.Path)
		}
		byID[m.ID] = m.Path
		if got, err := l.Resolve(m.ID); err != nil || got.ID != m.ID || got.Path != m.Path {
			t.Errorf("%s: %+v, %v", m.ID, got, err)
		}
	}
	for _, c := range []struct {
		name, want string
		err        error
	}{
		{"alarms/fire.wav", "alarms/fire.wav", nil},
		{"alarms/fire", "alarms/fire.wav", nil},
		{"/alarms//fire", "alarms/fire.wav", nil},
		{"./alarms/fire", "alarms/fire.wav", nil},
		{"fire alarm", "alarms/fire.wav", nil},
		{" FIRE ALARM\n", "alarms/fire.wav", nil},
		{"Flood", "alarms/flood.wav", nil},
		{"v1.2", "v1.2.wav", nil},
		{"same", "", ErrAmbiguous},
		{"two", "", ErrAmbiguous},
		{"two.flac", "two.flac", nil},
		{"T1", "two.wav", nil},
		{"chime", "chime", nil}, // the name of a chime is before paths and titles
		{"Doorbell", "doorbell", nil},
		{"chime.wav", "chime.wav", nil},
		{"My chime", "chime.wav", nil},
		{"../../etc/passwd", "", ErrNotFound},
		{"/etc/passwd", "", ErrNotFound},
		{"nothing", "", ErrNotFound},
		{"", "", ErrNotFound},
		{"\x00", "", ErrNotFound},
		{"ftp://x/y", "", ErrNotFound},
		{"http://", "", ErrNotFound},
		{"http://%zz", "", ErrNotFound},
	} {
		m, err := l.Resolve(c.name)
		got := m.Path
		if m.Kind == KindChime {
			got = m.ID
		}
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %q, %v", c.name, got, err)
		}
	}
	if _, err := l.Resolve("same"); err == nil || !strings.Contains(err.Error(), `"a.wav", "b.wav"`) {
		t.Errorf("the candidates are not named: %v", err)
	}
	web, err := l.Resolve("https://me:hush@radio.example/live/stream.mp3?key=hush")
	if err != nil || web.Kind != KindWeb || web.ID != "" || web.Title != "stream.mp3 (radio.example)" || !strings.Contains(web.URL, "hush") {
		t.Errorf("%+v, %v", web, err)
	}
	if _, err := (Media{}).Open(context.Background()); !errors.Is(err, speaker.ErrMedia) {
		t.Errorf("%v", err)
	}
}

// TestList holds order, words, offset and limit.
func TestList(t *testing.T) {
	dir := t.TempDir()
	for i := range 12 {
		write(t, dir, fmt.Sprintf("set/%02d.wav", i), wav(10, fmt.Sprintf("Piece %d", i%3), "The Band", "Ünder"))
	}
	l := open(t, dir, nil)
	chimes := len(Chimes())
	for _, c := range []struct {
		query         string
		offset, limit int
		first, last   string
		n, total      int
	}{
		{"", 0, 0, "set/00.wav", "", 12 + chimes, 12 + chimes},
		{"", 0, 5, "set/00.wav", "set/04.wav", 5, 12 + chimes},
		{"", 3, 5, "set/03.wav", "set/07.wav", 5, 12 + chimes},
		{"", -3, -1, "set/00.wav", "", 12 + chimes, 12 + chimes},
		{"", 1000, 5, "", "", 0, 12 + chimes},
		{"piece BAND", 0, 0, "set/00.wav", "set/11.wav", 12, 12},
		{"üNDER 1", 0, 0, "set/01.wav", "set/11.wav", 5, 5},
		{"nowhere", 0, 0, "", "", 0, 0},
		{"door", 0, 0, "", "", 1, 1},
	} {
		items, total := l.List(c.query, c.offset, c.limit)
		if len(items) != c.n || total != c.total {
			t.Errorf("%+v: %d of %d", c, len(items), total)
			continue
		}
		if c.n > 0 && (items[0].Path != c.first || items[c.n-1].Path != c.last) {
			t.Errorf("%+v: from %s to %s", c, items[0].Path, items[c.n-1].Path)
		}
	}
}

// TestWatch follows what happens to a folder.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "old.wav", wav(10, "Old", "", ""))
	l := open(t, dir, nil)
	is := func(want ...string) func() bool { return func() bool { return slices.Equal(paths(l), want) } }
	id := func(name string) string {
		m, err := l.Resolve(name)
		if err != nil {
			t.Fatal(err)
		}
		return m.ID
	}
	oldID := id("old.wav")

	write(t, dir, "deep/er/new.wav", wav(10, "New", "", ""))
	until(t, l, "a file in new folders is found", is("deep/er/new.wav", "old.wav"))
	write(t, dir, "deep/er/newer.wav", wav(10, "", "", ""))
	until(t, l, "a second one as well", is("deep/er/new.wav", "deep/er/newer.wav", "old.wav"))

	if err := os.Rename(filepath.Join(dir, "deep"), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	until(t, l, "a renamed folder takes its files along", is("moved/er/new.wav", "moved/er/newer.wav", "old.wav"))
	write(t, dir, "moved/er/third.wav", wav(10, "", "", ""))
	until(t, l, "it is watched under its new name", is("moved/er/new.wav", "moved/er/newer.wav", "moved/er/third.wav", "old.wav"))

	write(t, dir, "old.wav", wav(48000, "Old, but retagged", "", ""))
	until(t, l, "new tags are read", func() bool {
		m, err := l.Resolve("Old, but retagged")
		return err == nil && m.Duration == time.Second
	})
	if id("old.wav") != oldID {
		t.Error("new tags changed the id")
	}

	m, err := l.Resolve("moved/er/new")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	until(t, l, "a deleted folder is gone", is("old.wav"))
	if _, err := m.Open(context.Background()); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, speaker.ErrMedia) {
		t.Errorf("a file that is gone: %v", err)
	}

	// A file that grows is read again when it is whole.
	whole := wav(48000, "Slow", "", "")
	write(t, dir, "slow.wav", whole[:30])
	write(t, dir, "marker.wav", wav(10, "", "", ""))
	until(t, l, "the marker is there", func() bool { return slices.Contains(paths(l), "marker.wav") })
	write(t, dir, "slow.wav", whole)
	until(t, l, "the file is there once it is whole", func() bool { m, err := l.Resolve("slow.wav"); return err == nil && m.Title == "Slow" })
}

// TestPoll follows a folder that nobody tells of.
func TestPoll(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.wav", wav(10, "", "", ""))
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	l := &Library{cfg: Config{Dir: dir}, changed: make(chan struct{}, 1), ready: make(chan struct{})}
	l.snap.Store(&snapshot{})
	l.root.Store(root)
	s := newScanner(l)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w := newWatcher(dir, s.log)
	w.close()
	w.fs, w.poll = nil, 20*time.Millisecond
	s.watch = w
	done := make(chan struct{})
	go func() { defer close(done); s.follow(ctx) }()
	<-l.ready
	write(t, dir, "b.wav", wav(10, "", "", ""))
	until(t, l, "b is found", func() bool { return slices.Equal(paths(l), []string{"a.wav", "b.wav"}) })
	if err := os.Remove(filepath.Join(dir, "a.wav")); err != nil {
		t.Fatal(err)
	}
	until(t, l, "a is gone", func() bool { return slices.Equal(paths(l), []string{"b.wav"}) })
	// Another folder takes the place: a disk is mounted.
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "c.wav", wav(10, "", "", ""))
	until(t, l, "the other folder is seen", func() bool { return slices.Equal(paths(l), []string{"c.wav"}) })
	m, err := l.Resolve("c")
	if err != nil {
		t.Fatal(err)
	}
	src, err := m.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_ = src.Close()
	cancel()
	<-done
	_ = l.root.Load().Close()
}

// TestOutside holds that no name and no link leads out of the folder.
func TestOutside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside, "secret.wav", wav(10, "Secret", "", ""))
	write(t, dir, "in.wav", wav(10, "In", "", ""))
	write(t, dir, "sub/x.wav", wav(10, "X", "", ""))
	for name, target := range map[string]string{
		"out.wav": filepath.Join(outside, "secret.wav"), "up.wav": "../" + filepath.Base(outside) + "/secret.wav",
		"outdir": outside, "gone.wav": "nowhere.wav", "loop.wav": "loop.wav", "self": ".", "link.wav": "sub/x.wav",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skip("no symbolic links here: ", err)
		}
	}
	var log logs
	l := open(t, dir, &log)
	if got, want := paths(l), []string{"in.wav", "link.wav", "sub/x.wav"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if log.count(`"path":"out.wav"`) != 1 {
		t.Error("a link that leads outside is not told of")
	}
	m, err := l.Resolve("in.wav")
	if err != nil {
		t.Fatal(err)
	}
	// The file is replaced by a link after it was listed.
	if err := errors.Join(os.Remove(filepath.Join(dir, "in.wav")), os.Symlink(filepath.Join(outside, "secret.wav"), filepath.Join(dir, "in.wav"))); err != nil {
		t.Fatal(err)
	}
	if src, err := m.Open(context.Background()); err == nil {
		_ = src.Close()
		t.Error("a link led outside")
	} else if !errors.Is(err, speaker.ErrMedia) {
		t.Error(err)
	}
}

// TestUnreadable tells once of a file that may not be read, and takes it when it may.
func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	write(t, dir, "x.wav", wav(10, "", "", ""))
	old := time.Now().Add(-time.Hour)
	if err := errors.Join(os.Chtimes(filepath.Join(dir, "x.wav"), old, old), os.Chmod(filepath.Join(dir, "x.wav"), 0)); err != nil {
		t.Fatal(err)
	}
	var log logs
	l := open(t, dir, &log)
	if len(paths(l)) != 0 || log.count("x.wav") == 0 {
		t.Errorf("%v", paths(l))
	}
	if err := os.Chmod(filepath.Join(dir, "x.wav"), 0o644); err != nil {
		t.Fatal(err)
	}
	until(t, l, "it is there", func() bool { return len(paths(l)) == 1 })
}

// TestManyFiles opens a large folder without holding up who opens it, and stops at the limit.
func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	const n = 4000
	write(t, dir, "0/0.wav", wav(100, "", "", ""))
	for i := 1; i < n; i++ {
		name := filepath.Join(dir, fmt.Sprint(i%40), fmt.Sprintf("%d.wav", i))
		if i < 40 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Link(filepath.Join(dir, "0", "0.wav"), name); err != nil {
			t.Skip("no hard links here: ", err)
		}
	}
	begin := time.Now()
	l, err := Open(context.Background(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > openWait+time.Second {
		t.Errorf("opening took %v", took)
	}
	defer func() { _ = l.Close() }()
	<-l.Ready()
	if l.Len() != n {
		t.Errorf("%d files", l.Len())
	}

	s := newScanner(l)
	var log logs
	s.log, s.limit, s.watch = zerolog.New(&log), 100, &watcher{}
	for range 2 {
		s.scan(context.Background(), ".")
	}
	if len(s.entries) != 100 || log.count("more than 100 files") != 1 {
		t.Errorf("%d entries of 100", len(s.entries))
	}
}

// TestIDs holds that ids come of paths alone and never meet.
func TestIDs(t *testing.T) {
	s := &scanner{hash: pathHash}
	if id := s.id("alarms/fire.wav", nil); id != "2296148423701579453" {
		t.Errorf("the id of a path changed to %s", id)
	}
	// A hash that sees nothing but the number of salts.
	s.hash = func(p string) uint64 { return uint64(strings.Count(p, "\x00")) }
	taken := map[string]int{}
	for i, want := range []string{"1", "2", "3"} {
		id := s.id(fmt.Sprint("path", i), taken)
		if taken[id] = i; id != want {
			t.Errorf("%s, want %s", id, want)
		}
	}
}

// TestNoFolder is an error, and no folder at all is none.
func TestNoFolder(t *testing.T) {
	if _, err := Open(context.Background(), Config{Dir: filepath.Join(t.TempDir(), "gone")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	l := open(t, "", nil)
	if _, total := l.List("", 0, 0); total != len(Chimes()) || l.Len() != 0 {
		t.Errorf("%d media", total)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
}

// TestDamagedTags holds that tags that make no sense cost the tags alone.
func TestDamagedTags(t *testing.T) {
	dir := t.TempDir()
	mp3 := id3(sample(t, "stereo44.mp3"), "Title", "Artist")
	for i := range 40 {
		b := bytes.Clone(mp3)
		for k := 10 + i; k < 40; k += 7 {
			b[k] ^= byte(0x80 >> (i % 8))
		}
		write(t, dir, fmt.Sprintf("%02d.mp3", i), b)
	}
	if l := open(t, dir, nil); l.Len() != 40 {
		t.Errorf("%d files", l.Len())
	}
}
