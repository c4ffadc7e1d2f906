package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
	"hkw/speaker/speech"
)

// Presets come first in a list, then chimes, then files, whatever part of it is asked for.
func TestListOfMedia(t *testing.T) {
	h := pageHouse(t)
	var all []string
	for _, m := range h.must("media", `"limit":500`, session.OutcomeDone).List {
		all = append(all, m.Kind+" "+m.Title)
	}
	kinds := []string{"preset", "chime", "hub"}
	if !slices.IsSortedFunc(all, func(a, b string) int {
		return slices.Index(kinds, strings.Fields(a)[0]) - slices.Index(kinds, strings.Fields(b)[0])
	}) || all[0] != "preset doorbell" || len(all) != 1+len(library.Chimes())+41 {
		t.Fatalf("%d: %q", len(all), all)
	}
	for offset := range len(all) + 1 {
		r := h.must("media", fmt.Sprintf(`"offset":%d,"limit":3`, offset), session.OutcomeDone)
		var part []string
		for _, m := range r.List {
			part = append(part, m.Kind+" "+m.Title)
		}
		if !slices.Equal(part, all[offset:min(offset+3, len(all))]) || *r.Total != len(all) {
			t.Errorf("from %d: %q of %d", offset, part, *r.Total)
		}
	}
	if r := h.must("media", `"query":"ALARM bell"`, session.OutcomeDone); *r.Total != 1 || r.List[0].ID != "doorbell" {
		t.Errorf("%+v", r.List)
	}
	if s := retainedStatus(t, h.hub); s.Media != len(all) {
		t.Errorf("the status counts %d of %d", s.Media, len(all))
	}
}

// After a seek the status says where the sound is now, not where it was.
func TestStatusAfterSeek(t *testing.T) {
	h := pageHouse(t)
	h.must("play", `"media":"Evening song"`, session.OutcomeStarted)
	h.must("seek", `"position":35`, session.OutcomeDone)
	p := retainedStatus(t, h.hub).Playing
	if p == nil || p.Position == nil || *p.Position < 35 || *p.Position > 36 || p.PositionAt.After(time.Now().Add(time.Second)) {
		t.Errorf("%+v", p)
	}
	h.must("pause", "", session.OutcomeDone)
	if s := retainedStatus(t, h.hub); len(s.Paused) != 1 || *s.Paused[0].Position < 35 || *s.Paused[0].Position > 50 {
		t.Errorf("paused: %+v", s.Paused)
	}
	h.must("seek", `"position":20,"playback":"`+p.ID+`"`, session.OutcomeDone)
	if s := retainedStatus(t, h.hub); len(s.Paused) != 1 || *s.Paused[0].Position != 20 {
		t.Errorf("sought while paused: %+v", s.Paused)
	}
}

// Who was refused is told by title and priority, so that a log can say it.
func TestRefusalNamesWhatItRefused(t *testing.T) {
	h := pageHouse(t)
	h.must("play", `"media":"Evening song","priority":300`, session.OutcomeStarted)
	r := h.must("play", `"media":"doorbell"`, session.OutcomeRejected)
	if r.Title != "Alarm" || r.Priority == nil || *r.Priority != 200 {
		t.Errorf("%+v", r)
	}
	if r := h.must("stop", "", session.OutcomeRejected); r.Title != "" || r.Priority == nil || *r.Priority != 100 {
		t.Errorf("%+v", r)
	}
}

// The speech engine is looked at when the hub starts, and again when it failed.
func TestStatusOfSpeech(t *testing.T) {
	engine := &hoarse{}
	engine.err.Store("it is not there")
	h := newHouse(t, func(c *Config) { c.Speech = engine })
	shows := func(want SpeechStatus) {
		t.Helper()
		until(t, h.listen("status"), fmt.Sprintf("speech is %+v", want), func(m busMessage) bool {
			var s Status
			return json.Unmarshal(m.payload, &s) == nil && s.Speech == want
		})
	}
	shows(SpeechStatus{Engine: "parrot", Error: "it is not there"})
	engine.err.Store("")
	h.must("say", `"say":"hello"`, session.OutcomeFailed)
	shows(SpeechStatus{Engine: "parrot", Available: true})
}

// hoarse is a parrot that may be ill and never says anything.
type hoarse struct {
	parrot
	err atomic.Value
}

func (h *hoarse) State(context.Context) (string, error) {
	if why := h.err.Load().(string); why != "" {
		return "parrot", errors.New(why)
	}
	return "parrot", nil
}

func (h *hoarse) Opener(speech.Request) speaker.Opener { return h }

func (h *hoarse) Open(context.Context) (speaker.Source, error) { return nil, speaker.ErrMedia }

// A stream can begin with what happened before, and says whether the hub has its broker.
func TestStreamOfThePast(t *testing.T) {
	w := newWeb(t, Guard{})
	w.ask("POST", "/hkw/home/play", `{"media":"alarm","id":"first"}`)
	w.ask("POST", "/hkw/home/stop", `{"id":"second"}`)
	read := func(path string, enough func(event, data string) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, MaxPayload)
		name := ""
		for lines.Scan() {
			if topic, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = topic
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && enough(name, data) {
				return
			}
		}
		t.Errorf("%s ended early: %v", path, lines.Err())
	}
	var heard []string
	read("/hkw/home/events?recent=3", func(event, data string) bool {
		var p struct{ Event, ID, Command string }
		_ = json.Unmarshal([]byte(data), &p)
		heard = append(heard, strings.TrimSpace(strings.Join([]string{event, p.Event + p.Command, p.ID}, " ")))
		return event == "status/availability" && data == Online
	})
	if want := []string{"status/result play first", "event/playback stopped first", "status/result stop second"}; !slices.Equal(heard[:3], want) {
		t.Errorf("heard %q, want %q first", heard, want)
	}
	read("/hkw/home/events?recent=-7", func(event, _ string) bool { return event == "status/volume" })
}
