package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
)

// crowd is a library of many media with long names.
type crowd int

func (crowd) Resolve(name string) (library.Media, error) {
	if name == "song" {
		return testMedia["song"], nil
	}
	return library.NewMedia(library.Media{Kind: library.KindWeb, Title: strings.Repeat("<", 300), URL: name}, never{}), nil
}

func (n crowd) Count() int { return int(n) }

func (n crowd) List(_ string, offset, limit int) (items []library.Media, total int) {
	for i := offset; i < int(n) && (limit <= 0 || len(items) < limit); i++ {
		items = append(items, library.Media{ID: fmt.Sprint(i), Kind: library.KindHub, Title: strings.Repeat("<", 150), Path: strings.Repeat("p", 150)})
	}
	return items, int(n)
}

// A broker ends the connection of who publishes more than it takes. Nothing that
// anybody asks for makes a hub do that: it hears on, and who asked is answered.
func TestNothingIsTooLargeForTheBroker(t *testing.T) {
	h := newHouse(t, unpaced, func(c *Config) { c.Media = crowd(5000) })
	availability := h.listen("status/availability")
	for i := range 200 { // their snapshot would have half a megabyte
		h.publish("play", fmt.Sprintf(`{"media":"http://127.0.0.1:1/%d%s","priority":7}`, i, strings.Repeat("&", 4000)))
	}
	list := h.must("media", `"limit":500`, session.OutcomeDone)
	if n := len(list.List); n == 0 || n == 500 || len(list.Notes) != 1 || *list.Total != 5000 {
		t.Errorf("%d of %d media, notes %q", n, *list.Total, list.Notes)
	}
	replies := h.listen("reply")
	says := func(fields string) []byte {
		h.publish("command", "{"+fields+"}")
		return until(t, replies, fields, func(busMessage) bool { return true }).payload
	}
	var opened struct{ SessionToken string }
	if err := json.Unmarshal(says(`"Command":"init_session"`), &opened); err != nil {
		t.Fatal(err)
	}
	if got := says(fmt.Sprintf(`"Command":"media_list","SessionToken":%q`, opened.SessionToken)); !strings.Contains(string(got), "too long for a message") {
		t.Errorf("media_list: %.200s", got)
	}
	var s Status
	if payload, _ := h.hub.out.get("status"); json.Unmarshal(payload, &s) != nil || s.More == 0 || len(s.Queue)+s.More != 100 {
		t.Errorf("the snapshot has %d that wait, and says that there are %d more", len(s.Queue), s.More)
	}
	for len(availability) > 0 {
		if m := <-availability; string(m.payload) == Offline {
			t.Error("the hub was cut off")
		}
	}
}

// never is media that is never ready.
type never struct{}

func (never) Open(ctx context.Context) (speaker.Source, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
