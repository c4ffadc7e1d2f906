package bridge

import (
	"reflect"
	"strconv"
	"testing"

	"github.com/rs/zerolog"
)

func topics(ms []message) (ts []string) {
	for _, m := range ms {
		t := m.topic
		if len(m.payload) == 0 {
			t = "clear " + t
		}
		ts = append(ts, t)
	}
	return ts
}

// A connection begins with the whole truth: what is stale is cleared, and
// "online" comes last.
func TestOutboxAttach(t *testing.T) {
	o := newOutbox("hkw/home/", newFeed("boot"), zerolog.Nop())
	o.retain("status", []byte("s"))
	o.retain("status/title", []byte("t"))
	o.retain("status/title", nil)
	o.retain("status/volume", []byte("7"))
	o.send("result/a", []byte("r"))
	o.attach([]string{"status", "status/session/s-old", "status/availability"}, nil)
	got, _ := o.take()
	want := []string{"clear status/session/s-old", "status", "status/volume", "result/a", "status/availability"}
	if !reflect.DeepEqual(topics(got), want) {
		t.Errorf("got %q, want %q", topics(got), want)
	}
	o.retain("status", []byte("s2"))
	o.retain("status/volume", nil)
	got, _ = o.take()
	if want := []string{"status", "clear status/volume"}; !reflect.DeepEqual(topics(got), want) {
		t.Errorf("got %q, want %q", topics(got), want)
	}
}

// What was not acknowledged comes again, but never an old status.
func TestOutboxDetach(t *testing.T) {
	o := newOutbox("hkw/home/", newFeed("boot"), zerolog.Nop())
	o.attach(nil, nil)
	o.retain("status", []byte("old"))
	o.send("result/a", []byte("a"))
	unsent, _ := o.take()
	o.send("result/b", []byte("b"))
	o.retain("status", []byte("newer"))
	o.detach(unsent)
	o.retain("status", []byte("newest"))
	for i := range maxKept {
		o.send("event/playback", []byte(strconv.Itoa(i)))
	}
	o.attach(nil, nil)
	got, _ := o.take()
	if string(got[0].payload) != "newest" || got[len(got)-1].topic != availabilityTopic {
		t.Errorf("got %q", topics(got))
	}
	if n := len(got) - 2; n != maxKept {
		t.Errorf("kept %d, want %d", n, maxKept)
	}
}

// A connection that does not drain is given up instead of growing without bound.
func TestOutboxOverrun(t *testing.T) {
	o := newOutbox("hkw/home/", newFeed("boot"), zerolog.Nop())
	o.attach(nil, nil)
	for range maxQueued {
		o.send("event/playback", []byte("x"))
	}
	if got, overrun := o.take(); !overrun || len(got) != maxQueued {
		t.Errorf("%d messages, overrun %v", len(got), overrun)
	}
}

// A connection that is behind is spared what is no longer true.
func TestOutboxBacklog(t *testing.T) {
	o := newOutbox("hkw/home/", newFeed("boot"), zerolog.Nop())
	o.attach(nil, nil)
	for i := range 10 * backlog {
		o.retain("status", []byte(strconv.Itoa(i)))
		o.send("result/x", []byte(strconv.Itoa(i)))
	}
	got, _ := o.take()
	statuses, results := 0, 0
	for _, m := range got {
		switch m.topic {
		case "status":
			statuses++
		case "result/x":
			if string(m.payload) != strconv.Itoa(results) {
				t.Fatalf("result %s comes as number %d", m.payload, results)
			}
			results++
		}
	}
	if results != 10*backlog || statuses > backlog {
		t.Errorf("%d results, %d statuses", results, statuses)
	}
	if last := got[len(got)-2]; string(last.payload) != strconv.Itoa(10*backlog-1) {
		t.Errorf("the newest status is %s", last.payload)
	}
}
