package speech

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hkw/speaker"
	"hkw/speaker/speakertest"
)

func TestEspeak(t *testing.T) {
	speakertest.Require(t, "espeak-ng")
	if err := Espeak("").Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	dir := t.TempDir()
	s := New(Config{Engine: Espeak(""), CacheDir: dir})
	r := Request{Text: "The washing machine is done."}
	first := mustSay(t, s, r)
	if v := loudness(first); v < 0.02 {
		t.Errorf("it is as loud as %.4f", v)
	}
	if d := seconds(first); d < 1 || d > 4 {
		t.Errorf("it takes %.2f s", d)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// Another process, later, where espeak-ng is gone: the same sound, to the bit.
	gone := newSpeech(t, Config{Engine: &renamed{"espeak-ng"}, CacheDir: dir})
	src, err := gone.Opener(Request{Text: "  The washing machine\nis done. "}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := src.Info().Duration.Seconds(); d != seconds(first) {
		t.Errorf("it is said to take %.3f s and takes %.3f", d, seconds(first))
	}
	again, err := listen(src)
	if err != nil || !slices.Equal(first, again) {
		t.Errorf("%d samples, then %d from the cache (%v)", len(first), len(again), err)
	}
	if _, err := say(t.Context(), gone, Request{Text: r.Text, Voice: "de"}); err == nil {
		t.Error("another voice came from the cache")
	}
}

// renamed is an engine that has the name of another and cannot speak.
type renamed struct{ name string }

func (r *renamed) Name() string { return r.name }
func (r *renamed) Synthesize(context.Context, Request) (speaker.Source, error) {
	return nil, errors.New("it is gone")
}
func (r *renamed) Check(context.Context) error { return errors.New("it is gone") }

func TestEspeakVoices(t *testing.T) {
	speakertest.Require(t, "espeak-ng")
	s := newSpeech(t, Config{Engine: Espeak("")})
	english := mustSay(t, s, Request{Text: "Guten Morgen"})
	german := mustSay(t, s, Request{Text: "Guten Morgen", Voice: "de"})
	if slices.Equal(english, german) {
		t.Error("the voice makes no difference")
	}
	_, err := say(t.Context(), s, Request{Text: "hello", Voice: "xx-nobody"})
	wantMedia(t, err, "espeak-ng", "voice does not exist")
	for _, voice := range []string{"../../etc/passwd", "en us", "en;id", strings.Repeat("a", 65)} {
		if err := s.Accepts(Request{Text: "hello", Voice: voice}); !errors.Is(err, ErrRequest) {
			t.Errorf("voice %q: %v", voice, err)
		}
	}
	// Neither markup nor options.
	for _, text := range []string{"[[h@l'oU]] [[[[[[", "<speak>&amp;</speak>", "-f /etc/passwd", "日本語 français №5"} {
		if samples := mustSay(t, s, Request{Text: text}); loudness(samples) == 0 {
			t.Errorf("%q is silence", text)
		}
	}
}

func TestEspeakAbsent(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	e := Espeak("")
	s := newSpeech(t, Config{Engine: e})
	_, err := say(t.Context(), s, Request{Text: "hello"})
	wantMedia(t, err, "apt-get install espeak-ng")
	if !errors.Is(err, ErrNoEngine) || !errors.Is(e.Check(t.Context()), ErrNoEngine) {
		t.Errorf("%v and %v are not ErrNoEngine", err, e.Check(t.Context()))
	}
}

// script makes a program that stands in for espeak-ng.
func script(t *testing.T, body string) Engine {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no shell here")
	}
	path := filepath.Join(t.TempDir(), "espeak")
	// A child that another test forks meanwhile would hold it open, and a file that is open for writing is not run.
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return Espeak(path)
}

// wavFile writes what a script shall say: the header with the sizes that espeak-ng makes up, and a tone.
func wavFile(t *testing.T, frames int) string {
	t.Helper()
	b := pcmFormat{22050, 2, 1}.wavHeader()
	copy(b[40:], "\x00\xf0\xff\x7f")
	for i := range frames {
		b = append(b, byte(i), byte(i%64))
	}
	path := filepath.Join(t.TempDir(), "a.wav")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// alive tells whether a process is there and not a zombie.
func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil || p.Signal(syscall.Signal(0)) != nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !bytes.Contains(b, []byte(") Z "))
}

// pids reads the numbers that a script wrote, one on each line.
func pids(t *testing.T, path string, n int) (all []int) {
	t.Helper()
	within(t, 10*time.Second, "the script told its numbers", func() bool {
		b, _ := os.ReadFile(path)
		all = nil
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pid)
		}
		return len(all) == n
	})
	return all
}

func TestEspeakMisbehaves(t *testing.T) {
	wav := wavFile(t, 22050)
	for _, c := range []struct {
		name, body string
		cfg        Config
		words      []string
	}{
		{"exits", "exit 3", Config{}, []string{"exit status 3"}},
		{"complains", "echo 'no \033[31mvoices\a' >&2; exit 1", Config{}, []string{"exit status 1", "no [31mvoices"}},
		{"complains without end", "yes complaint | head -c 1000000 >&2; exit 1", Config{}, []string{"exit status 1", "complaint"}},
		{"says nothing", "cat >/dev/null", Config{}, []string{"no data"}},
		{"says no samples", "head -c 44 " + wav, Config{}, []string{"it said nothing"}},
		{"garbage", "head -c 100000 /dev/zero", Config{}, []string{"unknown audio format"}},
		{"text", "yes", Config{}, []string{"it is text"}},
		{"dies at the end", "cat " + wav + "; exit 9", Config{}, []string{"exit status 9"}},
		{"crashes", "cat " + wav + "; kill -SEGV $$", Config{}, []string{"segmentation fault"}},
		{"hangs", "sleep 1000", Config{Stall: 200 * time.Millisecond}, []string{"never began"}},
		{"hangs in the middle", "cat " + wav + "; sleep 1000", Config{Stall: 500 * time.Millisecond}, []string{"no sound for 500ms"}},
		{"hangs silently", "exec >/dev/null; sleep 1000", Config{Stall: 200 * time.Millisecond}, []string{"never began"}},
		{"floods", "cat " + wav + "; cat /dev/zero", Config{Length: 3 * time.Second}, []string{"would not stop", "3s"}},
		{"is slow", "head -c 44 " + wav + "; while :; do head -c 2000 " + wav + "; sleep 0.05; done",
			Config{Limit: time.Second}, []string{"took too long", "1s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Engine = script(t, "echo $$ >\"$0.pid\"\n"+c.body)
			c.cfg.CacheDir = t.TempDir()
			s := newSpeech(t, c.cfg)
			began := time.Now()
			_, err := say(t.Context(), s, Request{Text: "hello"})
			wantMedia(t, err, append(c.words, "espeak-ng")...)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
			pid := pids(t, c.cfg.Engine.(espeak).path+".pid", 1)[0]
			within(t, 10*time.Second, "it is gone", func() bool { return !alive(pid) })
			_ = s.Close()
			if files, _ := os.ReadDir(c.cfg.CacheDir); len(files) > 0 {
				t.Errorf("%s was kept", files[0].Name())
			}
		})
	}
}

// A grandchild is killed with its parent: when the listener leaves, and when the parent has ended by itself.
func TestEspeakForks(t *testing.T) {
	wav := wavFile(t, 22050)
	for _, c := range []struct {
		name, body string
		leave      bool // before the end
	}{
		{"and both hang", "cat " + wav + "; sleep 1000 & echo $! >>\"$0.pid\"; wait", true},
		{"and leaves it", "cat " + wav + "; sleep 1000 & echo $! >>\"$0.pid\"", true},
		{"and leaves it mute", "cat " + wav + "; sleep 1000 >/dev/null 2>&1 & echo $! >>\"$0.pid\"", false},
		{"and leaves it with the complaints", "cat " + wav + "; sleep 1000 >/dev/null & echo $! >>\"$0.pid\"", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := script(t, "echo $$ >\"$0.pid\"\n"+c.body)
			s := newSpeech(t, Config{Engine: e})
			src, err := s.Opener(Request{Text: "hello"}).Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all := pids(t, e.(espeak).path+".pid", 2)
			if c.leave {
				_ = src.Close()
			} else if got, err := listen(src); err != nil || seconds(got) != 1 {
				t.Errorf("%.3f s, %v", seconds(got), err)
			}
			for _, pid := range all {
				within(t, 10*time.Second, "it is gone", func() bool { return !alive(pid) })
			}
		})
	}
}

// What has been spoken is heard while the rest is not, and the end of the context ends it.
func TestEspeakStreams(t *testing.T) {
	wav := wavFile(t, 22050)
	e := script(t, "echo $$ >\"$0.pid\"\ncat "+wav+"; sleep 1000")
	s := newSpeech(t, Config{Engine: e})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src, err := s.Opener(Request{Text: "hello"}).Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	buf := make([]float32, 2*speaker.SampleRate)
	if n, err := src.Read(buf); n == 0 || err != nil {
		t.Fatalf("%d frames, %v", n, err)
	}
	if d := src.Info().Duration; d != 0 {
		t.Errorf("nobody can know that it takes %s", d)
	}
	if err := src.SeekTo(0); err != nil {
		t.Error(err)
	}
	cancel()
	_, err = src.Read(buf)
	wantMedia(t, err, "canceled")
	pid := pids(t, e.(espeak).path+".pid", 1)[0]
	within(t, 10*time.Second, "it is gone", func() bool { return !alive(pid) })
}

func TestEspeakIsBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("limits are set on Linux")
	}
	e := script(t, "n=0; while [ $(ulimit -v) = unlimited ] && [ $n -lt 100 ]; do n=$((n+1)); sleep 0.05; done\nulimit -v >&2; ulimit -t >&2; env >&2; cat >&2; exit 1")
	t.Setenv("HKW_HTTP_TOKEN", "secret")
	s := newSpeech(t, Config{Engine: e})
	_, err := say(t.Context(), s, Request{Text: "hello"})
	wantMedia(t, err, "524288 60 ")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("it sees our environment: %v", err)
	}
}

// How soon the first words are there: spoken, and kept.
func BenchmarkOpen(b *testing.B) {
	speakertest.Require(b, "espeak-ng")
	for _, dir := range []string{"", b.TempDir()} {
		name := "spoken"
		if dir != "" {
			name = "kept"
		}
		b.Run(name, func(b *testing.B) {
			s := New(Config{Engine: Espeak(""), CacheDir: dir})
			defer s.Close()
			r := Request{Text: "There is somebody at the front door, and the washing machine is done."}
			if _, err := say(b.Context(), s, r); err != nil {
				b.Fatal(err)
			}
			s.wg.Wait()
			for b.Loop() {
				src, err := s.Opener(r).Open(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				_ = src.Close()
			}
		})
	}
}
