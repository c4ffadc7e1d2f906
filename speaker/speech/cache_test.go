package speech

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hkw/speaker"
	"hkw/speaker/decode"
)

// cached lists what is in a cache.
func cached(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// counted is an engine that speaks so many frames.
func counted(frames int) *fake {
	return &fake{name: "counted", speak: func(ctx context.Context, _ Request) (speaker.Source, error) {
		return ramp(ctx, frames, false), nil
	}}
}

// once says texts with a Speech of its own, as after a restart.
func once(t *testing.T, cfg Config, texts ...string) {
	t.Helper()
	for _, text := range texts {
		s := New(cfg)
		mustSay(t, s, Request{Text: text})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCacheCorrupt(t *testing.T) {
	spoil := map[string]func(b []byte) []byte{
		"empty":         func([]byte) []byte { return nil },
		"header only":   func(b []byte) []byte { return b[:44] },
		"cut off":       func(b []byte) []byte { return b[:len(b)/2] },
		"a bit":         func(b []byte) []byte { b[1000] ^= 4; return b },
		"header":        func(b []byte) []byte { b[22] = 2; return b },
		"sum":           func(b []byte) []byte { b[len(b)-1]++; return b },
		"zeros":         func(b []byte) []byte { return make([]byte, len(b)) },
		"more":          func(b []byte) []byte { return append(b, 0) },
		"something":     func([]byte) []byte { return []byte(strings.Repeat("not sound ", 100)) },
		"more than all": func([]byte) []byte { return make([]byte, 200000) },
	}
	for name, f := range spoil {
		dir := t.TempDir()
		e := counted(5000)
		cfg := Config{Engine: e, CacheDir: dir, CacheBytes: 100000}
		once(t, cfg, "hello")
		path := filepath.Join(dir, cached(t, dir)[0])
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f(slices.Clone(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		once(t, cfg, "hello", "hello")
		if n := e.asked.Load(); n != 2 {
			t.Errorf("%s: the engine was asked %d times, want 2", name, n)
		}
		if mended, err := os.ReadFile(path); err != nil || !slices.Equal(mended, good) {
			t.Errorf("%s: not mended: %v", name, err)
		}
	}
}

// A file of the cache is one that any player plays.
func TestCacheIsWAV(t *testing.T) {
	dir := t.TempDir()
	once(t, Config{Engine: counted(5000), CacheDir: dir}, "hello")
	f, err := os.Open(filepath.Join(dir, cached(t, dir)[0]))
	if err != nil {
		t.Fatal(err)
	}
	src, err := decode.Open(t.Context(), f, decode.Options{FFmpeg: "-"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := listen(src); err != nil || len(got) != 10000 {
		t.Errorf("%d samples, %v", len(got), err)
	}
}

func TestCacheMakesRoom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	e := counted(5000) // 10,084 bytes each
	cfg := Config{Engine: e, CacheDir: dir, CacheBytes: 31000}
	once(t, cfg, "one", "two", "three")
	// What else lies there is left alone, but for what a crash left behind long ago.
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"README", ".new-1", "abc.wav"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, 50000), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	// Long ago, in this order; then the first one is used.
	s := New(cfg)
	for i, text := range []string{"one", "two", "three"} {
		when := old.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(filepath.Join(dir, s.key(Request{Text: text})+".wav"), when, when); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	once(t, cfg, "one", "four")
	if n := e.asked.Load(); n != 4 {
		t.Fatalf("asked %d times, want 4", n)
	}
	want := []string{"README", "abc.wav"}
	for _, text := range []string{"one", "three", "four"} {
		want = append(want, s.key(Request{Text: text})+".wav")
	}
	slices.Sort(want)
	if got := cached(t, dir); !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	// What is larger than all is not kept and drives nothing out.
	cfg.Engine = &fake{name: "long", speak: counted(50000).speak}
	once(t, cfg, "long")
	if got := cached(t, dir); !slices.Equal(got, want) {
		t.Errorf("kept %q", got)
	}
}

func TestCacheFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"no folder": filepath.Join(file, "sub"), "a file": file}
	// A folder in the way of the file.
	taken := t.TempDir()
	e := counted(5000)
	s := New(Config{Engine: e})
	if err := os.MkdirAll(filepath.Join(taken, s.key(Request{Text: "hello"})+".wav", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	dirs["taken"] = taken
	for name, dir := range dirs {
		e := counted(5000)
		once(t, Config{Engine: e, CacheDir: dir}, "hello", "hello")
		if n := e.asked.Load(); n != 2 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
	if got := cached(t, taken); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
}

// Engines, voices and texts never share a file.
func TestCacheKeys(t *testing.T) {
	seen := map[string]string{}
	for _, engine := range []string{"a", "a b", `a "b"`} {
		for _, voice := range []string{"", "b", `b" "c`, "b c"} {
			for _, text := range []string{"c", "b c", `c" "`, `"`} {
				s := New(Config{Engine: &fake{name: engine}})
				what := fmt.Sprintf("%q %q %q", engine, voice, text)
				key := s.key(Request{Text: text, Voice: voice})
				if other, ok := seen[key]; ok {
					t.Errorf("%s and %s are %s", what, other, key)
				}
				if seen[key] = what; len(key) != 64 {
					t.Errorf("key %q", key)
				}
				_ = s.Close()
			}
		}
	}
}

// Two that share a folder, as two hubs of a process do.
func TestCacheShared(t *testing.T) {
	dir := t.TempDir()
	var all []*Speech
	e := counted(20000)
	for range 4 {
		all = append(all, New(Config{Engine: e, CacheDir: dir, CacheBytes: 100000}))
	}
	done := make(chan error)
	for i, s := range all {
		go func() {
			var failed error
			for j := range 12 {
				samples, err := say(t.Context(), s, Request{Text: fmt.Sprint((i + j) % 5)})
				if err == nil && len(samples) != 40000 {
					err = fmt.Errorf("%d samples", len(samples))
				}
				if err != nil {
					failed = err
				}
			}
			done <- failed
		}()
	}
	for range all {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, s := range all {
		_ = s.Close()
	}
	if got := cached(t, dir); len(got) == 0 || len(got) > 2 {
		t.Errorf("%d files, which do not fit", len(got))
	}
}
