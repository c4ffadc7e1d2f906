package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"hkw/speaker/library"
)

// stuck is a catalogue that holds up whoever looks for something in it.
type stuck struct {
	Catalogue
	entered chan struct{}
	release chan struct{}
}

func (s stuck) Resolve(string) (library.Media, error) {
	s.entered <- struct{}{}
	<-s.release
	return library.Media{}, library.ErrNotFound
}

// A hub whose loop goes round is alive; one that hangs in a command is not, and
// says so on /healthz, though its connection to the broker stands.
func TestAlive(t *testing.T) {
	s := stuck{entered: make(chan struct{}), release: make(chan struct{})}
	w := newWeb(t, Guard{}, func(c *Config) {
		s.Catalogue = c.Media
		c.Media = s
	})
	health := func() (status int, h Health) {
		res, body := w.ask("GET", "/healthz", "")
		if err := json.Unmarshal([]byte(body), &h); err != nil || len(h.Hubs) != 1 {
			t.Fatalf("%s: %v", body, err)
		}
		return res.StatusCode, h
	}
	if err := w.hub.Alive(t.Context()); err != nil {
		t.Error(err)
	}
	if status, h := health(); status != 200 || !h.Healthy || !h.Hubs[0].Alive || !h.Hubs[0].Connected {
		t.Errorf("%d %+v", status, h)
	}

	w.publish("play", "nothing of that name")
	<-s.entered
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.hub.Alive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the loop hangs: %v", err)
	}
	if status, h := health(); status != 503 || h.Healthy || h.Hubs[0].Alive || !h.Hubs[0].Connected {
		t.Errorf("while the loop hangs: %d %+v", status, h)
	}
	close(s.release)
	if err := w.hub.Alive(t.Context()); err != nil {
		t.Errorf("when it goes round again: %v", err)
	}
}
