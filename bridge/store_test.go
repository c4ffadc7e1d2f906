package bridge

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
)

func TestStoreSurvivesARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	synctest.Test(t, func(t *testing.T) {
		s := openStore(dir, "home", zerolog.Nop())
		if l := s.speaker("kitchen"); l != (keptSpeaker{Volume: session.DefaultVolume}) {
			t.Errorf("a new speaker has %+v", l)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.run(ctx); close(done) }()
		kitchen := keptSpeaker{Volume: 8, kept: kept{Muted: true, MuteBelow: 300}}
		hub := kept{Quiet: session.QuietOff, QuietUntil: time.Date(2026, 1, 2, 7, 0, 0, 0, time.UTC)}
		s.set("kitchen", keptSpeaker{Volume: 7})
		s.set("kitchen", kitchen)
		s.setHub(hub)
		cancel() // before the delay has passed: what is new is still written
		<-done
		again := openStore(dir, "home", zerolog.Nop())
		if got := again.speaker("kitchen"); got != kitchen {
			t.Errorf("after a restart it has %+v", got)
		}
		if got := again.hub(); got != hub {
			t.Errorf("after a restart the hub has %+v", got)
		}
		if l := openStore(dir, "other", zerolog.Nop()).speaker("kitchen"); l.Volume != session.DefaultVolume {
			t.Errorf("another hub's speaker has %+v", l)
		}
	})
}

// Earlier versions kept volumes alone.
func TestStoreOfAnEarlierVersion(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "home.volumes.json"), []byte(`{"kitchen":8,"attic":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openStore(dir, "home", zerolog.Nop())
	if l := s.speaker("kitchen"); l != (keptSpeaker{Volume: 8}) {
		t.Errorf("kitchen %+v", l)
	}
	if l := s.speaker("attic"); l.Volume != session.DefaultVolume {
		t.Errorf("attic %+v", l)
	}
	s.set("kitchen", keptSpeaker{Volume: 9})
	s.save()
	if l := openStore(dir, "home", zerolog.Nop()).speaker("kitchen"); l.Volume != 9 {
		t.Errorf("the old file wins over the new one: %+v", l)
	}
}

func TestStoreOfADamagedFile(t *testing.T) {
	dir := t.TempDir()
	for _, content := range []string{"", "{", `[1]`, `{"speakers":{"kitchen":{"volume":"loud"}}}`, `{"speakers":{"kitchen":{"volume":99}}}`,
		`{"speakers":{"kitchen":5}}`, `{"speakers":{"../x":{"volume":5}}}`, `{"speakers":{"kitchen":{"volume":5,"quiet":"loud"}}}`,
		`{"hub":{"muted":true,"mute_below":-1}}`, `{"hub":{"quiet":"auto"}}`, `{"hub":{"quiet":"on","quiet_until":"tomorrow"}}`, `null`} {
		if err := os.WriteFile(filepath.Join(dir, "home.state.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s := openStore(dir, "home", zerolog.Nop())
		if l := s.speaker("kitchen"); l != (keptSpeaker{Volume: session.DefaultVolume}) {
			t.Errorf("%q: %+v", content, l)
		}
		if l := s.hub(); l != (kept{}) {
			t.Errorf("%q: %+v", content, l)
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
	if kept, _ := filepath.Glob(path + ".*"); len(kept) > 0 {
		t.Errorf("kept behind: %v", kept)
	}
}
