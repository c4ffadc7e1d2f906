package bridge

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"hkw/session"
)

func TestVolumesSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	synctest.Test(t, func(t *testing.T) {
		s := openVolumes(dir, "home", zerolog.Nop())
		if v := s.volume("kitchen"); v != session.DefaultVolume {
			t.Errorf("a new speaker has %d", v)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.run(ctx); close(done) }()
		s.set("kitchen", 7)
		s.set("kitchen", 8)
		cancel() // before the delay has passed: what is new is still written
		<-done
		if v := openVolumes(dir, "home", zerolog.Nop()).volume("kitchen"); v != 8 {
			t.Errorf("after a restart it has %d", v)
		}
		if v := openVolumes(dir, "other", zerolog.Nop()).volume("kitchen"); v != session.DefaultVolume {
			t.Errorf("another hub's speaker has %d", v)
		}
	})
}

func TestVolumesOfADamagedFile(t *testing.T) {
	dir := t.TempDir()
	for _, content := range []string{"", "{", `[1]`, `{"kitchen":"loud"}`, `{"kitchen":99}`, `{"../x":5}`} {
		if err := os.WriteFile(filepath.Join(dir, "home.volumes.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if v := openVolumes(dir, "home", zerolog.Nop()).volume("kitchen"); v != session.DefaultVolume {
			t.Errorf("%q: %d", content, v)
		}
	}
}

// A write that fails leaves the old file as it was.
func TestWriteFileIsAllOrNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := writeFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(path, "below-a-file"), []byte("new")); err == nil {
		t.Error("wrote below a file")
	}
	if got, _ := os.ReadFile(path); string(got) != "old" {
		t.Errorf("%q", got)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
