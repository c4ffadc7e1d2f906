package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
)

// catalogue is media that is only named: nothing opens it here.
type catalogue map[string]library.Media

func (c catalogue) Resolve(name string) (library.Media, error) {
	if m, ok := c[name]; ok {
		return m, nil
	}
	return library.Media{}, library.ErrNotFound
}

func (c catalogue) List(string, int, int) ([]library.Media, int) { return nil, len(c) }

func (c catalogue) Count() int { return len(c) }

var testMedia = catalogue{
	"song":  {ID: "1", Kind: library.KindHub, Title: "Song", Duration: 3 * time.Minute, Path: "song.flac"},
	"radio": {Kind: library.KindWeb, Title: "radio", URL: "http://user:secret@radio.example/live?key=secret"},
	"bell":  {ID: "bell", Kind: library.KindChime, Title: "Bell"},
}

// obedient is an engine that does at once what it is told, and reports it.
type obedient struct {
	report func(speaker.Report)
	orders []speaker.Order
	deaf   bool // do nothing, report nothing
}

func (e *obedient) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (e *obedient) Position(string) (time.Duration, time.Time, bool) { return 0, time.Time{}, false }

func (e *obedient) Do(orders []speaker.Order) {
	for _, o := range orders {
		e.orders = append(e.orders, o)
		if e.deaf {
			continue
		}
		r := speaker.Report{Playback: o.Playback, At: time.Now()}
		switch o.Verb {
		case speaker.Prepare:
			r.Kind, r.Info = speaker.ReportPrepared, speaker.Info{Seekable: true}
		case speaker.Start, speaker.Resume:
			r.Kind = speaker.ReportStarted
		case speaker.Hold:
			r.Kind = speaker.ReportHeld
		case speaker.Seek:
			r.Kind = speaker.ReportSeeked
		default:
			continue
		}
		e.report(r)
	}
}

// bench is a hub on the workbench: the test is its loop, and reads what it says.
type bench struct {
	t      *testing.T
	hub    *Hub
	engine *obedient
}

func newBench(t *testing.T, furnishing ...furnish) *bench {
	t.Helper()
	cfg := Config{Hub: "home", Media: testMedia, Log: zerolog.Nop()}
	unpaced(&cfg)
	for _, f := range furnishing {
		f(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e := &obedient{report: h.mail.put}
	h.engine = e
	b := &bench{t, h, e}
	h.mail.put(speaker.Report{Kind: speaker.ReportSpeaker, Speaker: speaker.SpeakerInfo{ID: "kitchen", Driver: "null", Available: true}})
	b.settle()
	h.out.attach(nil, nil)
	b.said()
	return b
}

// settle lets the hub take what the engine reports until there is no more.
func (b *bench) settle() {
	for {
		reports := b.hub.mail.take()
		if len(reports) == 0 {
			return
		}
		for _, r := range reports {
			b.hub.handleReport(r)
		}
	}
}

func (b *bench) publish(topic, payload string) []message {
	b.t.Helper()
	return b.receive(request{topic: topic, payload: []byte(payload), at: time.Now()})
}

func (b *bench) receive(r request) []message {
	b.t.Helper()
	b.hub.handle(r)
	b.settle()
	return b.said()
}

func (b *bench) said() []message {
	m, _ := b.hub.out.take()
	return m
}

// results are the results among what the hub said.
func (b *bench) results(said []message) []Result {
	b.t.Helper()
	var rs []Result
	for _, m := range said {
		if !strings.HasPrefix(m.topic, "result/") {
			continue
		}
		var r Result
		if err := json.Unmarshal(m.payload, &r); err != nil {
			b.t.Fatalf("%s: %v", m.payload, err)
		}
		if m.topic != "result/"+r.ID {
			b.t.Errorf("result of %q on %s", r.ID, m.topic)
		}
		rs = append(rs, r)
	}
	return rs
}

func (b *bench) result(said []message) Result {
	b.t.Helper()
	rs := b.results(said)
	if len(rs) != 1 {
		b.t.Fatalf("%d results, want exactly one: %v", len(rs), rs)
	}
	return rs[0]
}

// Each change is published as status, then event, then result, and in sequence.
func TestOrderOfPublishing(t *testing.T) {
	b := newBench(t)
	said := b.publish("play", `{"id":"one","media":"song"}`)
	var order []string
	last := uint64(0)
	for _, m := range said {
		order = append(order, m.topic)
		var s Stamp
		if json.Unmarshal(m.payload, &s) != nil || s.Boot == "" {
			continue // a scalar or a speaker carries no stamp
		}
		if s.Boot != b.hub.boot {
			t.Errorf("%s: boot %q", m.topic, s.Boot)
		}
		if s.Seq < last {
			t.Errorf("%s: seq %d after %d", m.topic, s.Seq, last)
		}
		last = s.Seq
	}
	at := func(topic string) int {
		for i := len(order) - 1; i >= 0; i-- {
			if order[i] == topic {
				return i
			}
		}
		t.Fatalf("nothing on %s among %v", topic, order)
		return -1
	}
	if at("status") >= at("event/playback") || at("event/playback") >= at("result/one") {
		t.Errorf("order %v", order)
	}
	if r := b.result(said); r.Outcome != session.OutcomeStarted || r.Playback == "" || r.SessionRef == "" {
		t.Errorf("result %+v", r)
	}
}

// Whatever comes, it is answered once, and the hub goes on playing.
func TestOneResultForEachCommand(t *testing.T) {
	b := newBench(t)
	b.publish("play", "song")
	for _, topic := range []string{"play", "play/nothing", "say", "pause", "resume", "seek", "volume", "speaker/attic/volume", "session/open",
		"session/close", "session/speakers", "media", "ping", "dance", "session/x", "speaker/a/b", "play/" + strings.Repeat("é", 200)} {
		for _, payload := range []string{"", "{", "{}", `{"id":"#"}`, `{"id":"a/b"}`, "\xff", "x", "-1", `{"session":"9"}`, `{"playback":"nobody"}`, `[]`, `{"priority":0}`} {
			r := b.result(b.publish(topic, payload))
			if !ValidID(r.ID) {
				t.Errorf("%s %q: result on %q", topic, payload, r.ID)
			}
			if (r.Error == "") != (r.Outcome == session.OutcomeDone || r.Outcome == session.OutcomeStarted || r.Outcome == session.OutcomeQueued) {
				t.Errorf("%s %q: %+v", topic, payload, r)
			}
		}
	}
	if len(b.hub.pending) != 0 {
		t.Errorf("%d commands still wait", len(b.hub.pending))
	}
}

func TestRetainedCommandsAreRefused(t *testing.T) {
	b := newBench(t)
	for _, topic := range []string{"play", "play/bell", "stop", "volume", "session/open", "dance"} {
		r := b.result(b.receive(request{topic: topic, payload: []byte(`{"id":"r","media":"song"}`), retained: true, at: time.Now()}))
		if r.Error != RetainedCommand || r.ID != "r" {
			t.Errorf("%s: %+v", topic, r)
		}
	}
	if len(b.engine.orders) != 0 {
		t.Errorf("orders %v", b.engine.orders)
	}
}

func TestTheSameCommandAgain(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	play := func(topic, payload string, at time.Time) Result {
		t.Helper()
		return b.result(b.receive(request{topic: topic, payload: []byte(payload), at: at}))
	}
	first := play("play", `{"id":"x","media":"song"}`, now)
	orders := len(b.engine.orders)
	again := play("play", `{"id":"x","media":"song"}`, now.Add(9*time.Minute))
	if !again.Repeated || again.Playback != first.Playback || len(b.engine.orders) != orders {
		t.Errorf("the same command again: %+v", again)
	}
	if r := play("play", `{"id":"x","media":"radio"}`, now.Add(9*time.Minute)); r.Error != session.InvalidCommand || r.ID != "x" {
		t.Errorf("other bytes under the same id: %+v", r)
	}
	if r := play("stop", `{"id":"x"}`, now.Add(9*time.Minute)); r.Outcome != session.OutcomeDone {
		t.Errorf("the same id on another topic: %+v", r)
	}
	if r := play("play", `{"id":"x","media":"song"}`, now.Add(dedupeTime)); r.Repeated || r.Playback == first.Playback {
		t.Errorf("after %s: %+v", dedupeTime, r)
	}
}

// A command that comes again while the first still prepares is answered with it.
func TestTheSameCommandWhilePending(t *testing.T) {
	b := newBench(t)
	b.engine.deaf = true
	one, two := make(chan Result, 1), make(chan Result, 1)
	r := request{topic: "play", payload: []byte(`{"id":"x","media":"song"}`), at: time.Now(), reply: one}
	b.receive(r)
	r.reply = two
	if said := b.results(b.receive(r)); len(said) != 0 {
		t.Fatalf("answered before it is known: %v", said)
	}
	playback := b.engine.orders[0].Playback
	b.engine.deaf = false
	b.hub.mail.put(speaker.Report{Kind: speaker.ReportPrepared, Playback: playback})
	b.settle()
	if res := b.result(b.said()); res.Outcome != session.OutcomeStarted {
		t.Errorf("%+v", res)
	}
	for _, c := range []chan Result{one, two} {
		if res := <-c; res.Playback != playback {
			t.Errorf("%+v", res)
		}
	}
}

// The token stands in the first result alone.
func TestTokenIsTold(t *testing.T) {
	b := newBench(t)
	said := b.publish("session/open", `{"id":"o"}`)
	token := b.result(said).Session
	if !regexp.MustCompile(`^[1-9][0-9]{15}$`).MatchString(token) {
		t.Fatalf("token %q", token)
	}
	said = append(said, b.publish("session/open", `{"id":"o"}`)...)
	said = append(said, b.publish("play", `{"session":"`+token+`","media":"song"}`)...)
	said = append(said, b.publish("session/close", `{"session":"`+token+`"}`)...)
	told := 0
	for _, m := range said {
		if strings.Contains(string(m.payload), token) {
			told++
			if m.retained || m.topic != "result/o" {
				t.Errorf("the token stands on %s", m.topic)
			}
		}
	}
	if told != 1 {
		t.Errorf("the token was told %d times", told)
	}
	if r := b.result(b.publish("stop", `{"session":"`+token+`"}`)); r.Error != session.SessionNotFound {
		t.Errorf("after close: %+v", r)
	}
}

// Nothing that was secret in a URL is published.
func TestURLsAreShownWithoutSecrets(t *testing.T) {
	b := newBench(t)
	for _, m := range b.publish("play", "radio") {
		if strings.Contains(string(m.payload), "secret") {
			t.Errorf("%s: %s", m.topic, m.payload)
		}
	}
}

// Everything retained stands in the table, everything else does not.
func TestRetainedTopics(t *testing.T) {
	b := newBench(t, func(c *Config) { c.HomeAssistant = HomeAssistant{Prefix: "homeassistant", MediaPlayer: true} })
	var said []message
	for topic := range b.hub.out.all() {
		said = append(said, message{topic: topic, retained: true})
	}
	for _, c := range [][2]string{{"session/open", `{"id":"o"}`}, {"play", "song"}, {"play", `{"media":"bell","on_busy":"announce"}`},
		{"volume", "7"}, {"mute", "on"}, {"quiet", "on"}, {"pause", ""}, {"resume", ""}, {"stop", ""}, {"siren", `{"tone":"bell"}`}, {"dance", ""}} {
		said = append(said, b.publish(c[0], c[1])...)
	}
	used := map[string]bool{availabilityTopic: true} // published by the connection
	for _, m := range said {
		in := false
		for _, r := range Retained {
			pattern := "^" + regexp.MustCompile(`<\w+>`).ReplaceAllString(r.Topic, `[A-Za-z0-9_-]+`) + "$"
			if regexp.MustCompile(pattern).MatchString(m.topic) {
				in, used[r.Topic] = true, true
			}
		}
		if m.retained != in || m.retained != strings.HasPrefix(m.topic, "status") {
			t.Errorf("%s: retained %v, in the table %v", m.topic, m.retained, in)
		}
	}
	for _, r := range Retained {
		if !used[r.Topic] {
			t.Errorf("%s was never published", r.Topic)
		}
	}
}

// A chime named in the topic gives the music back; one named in a play interrupts.
func TestDoorbellGivesMusicBack(t *testing.T) {
	b := newBench(t)
	music := b.result(b.publish("play", "song")).Playback
	bell := b.result(b.publish("play/bell", ""))
	if bell.Outcome != session.OutcomeStarted {
		t.Fatalf("%+v", bell)
	}
	var s Status
	status, _ := b.hub.out.get("status")
	if err := json.Unmarshal(status, &s); err != nil || s.Playing == nil || s.Playing.ID != bell.Playback || s.Suspended == nil || s.Suspended.ID != music {
		t.Fatalf("while the bell rings: %s", status)
	}
	b.hub.mail.put(speaker.Report{Kind: speaker.ReportEnded, Playback: bell.Playback})
	b.settle()
	status, _ = b.hub.out.get("status")
	s = Status{}
	if err := json.Unmarshal(status, &s); err != nil || s.Playing == nil || s.Playing.ID != music || s.Suspended != nil {
		t.Errorf("after the bell: %s", status)
	}
}

// A preset is a name with settings; what a command says itself goes before them.
func TestPresets(t *testing.T) {
	b := newBench(t)
	priority, volume := 250, 40
	b.hub.cfg.Presets = map[string]Preset{"front-door": {Media: "bell", Priority: &priority, Volume: &volume, OnBusy: session.Interrupt}}
	heard := func(topic, payload string) Playback {
		t.Helper()
		b.publish("stop", `{"priority":9999}`)
		if r := b.result(b.publish(topic, payload)); r.Outcome != session.OutcomeStarted {
			t.Fatalf("%+v", r)
		}
		var s Status
		status, _ := b.hub.out.get("status")
		if err := json.Unmarshal(status, &s); err != nil || s.Playing == nil {
			t.Fatalf("%s", status)
		}
		return *s.Playing
	}
	for _, c := range [][2]string{{"play/front-door", ""}, {"play", "front-door"}, {"play", `{"media":"front-door"}`}} {
		if p := heard(c[0], c[1]); p.Media.ID != "bell" || p.Priority != 250 || p.Volume == nil || *p.Volume != 40 || p.OnBusy != session.Interrupt {
			t.Errorf("%v: %+v", c, p)
		}
	}
	if p := heard("play/front-door", `{"priority":300,"on_busy":"queue"}`); p.Priority != 300 || p.OnBusy != session.Queue || *p.Volume != 40 {
		t.Errorf("with settings of its own: %+v", p)
	}
}

// A full inbox answers at once instead of blocking the MQTT client.
func TestFullInbox(t *testing.T) {
	b := newBench(t)
	for range inboxSize {
		b.hub.deliver("volume", []byte("1"), false)
	}
	b.hub.deliver("play", []byte(`{"id":"late","media":"song"}`), false)
	if r := b.result(b.said()); r.Error != session.Busy || r.ID != "late" {
		t.Errorf("%+v", r)
	}
}

// Whoever waits when the hub ends is answered.
func TestShutDownAnswers(t *testing.T) {
	b := newBench(t)
	b.publish("play", `{"id":"music","media":"song"}`)
	b.engine.deaf = true
	b.publish("play", `{"id":"waits","media":"song"}`)
	b.hub.deliver("play", []byte(`{"id":"unread","media":"song"}`), false)
	b.hub.shutDown()
	got := map[string]session.Code{}
	for _, r := range b.results(b.said()) {
		got[r.ID] = r.Error
	}
	if got["waits"] != session.Cancelled || got["unread"] != Internal {
		t.Errorf("answers %v", got)
	}
	if state, _ := b.hub.out.get("status/player_state"); string(state) != string(session.PlayerStateStopped) {
		t.Errorf("state %s", state)
	}
}

func TestEngineFailures(t *testing.T) {
	b := newBench(t)
	b.engine.deaf = true
	for _, c := range []struct {
		err  error
		code session.Code
	}{
		{fmt.Errorf("open song.flac: %w", speaker.ErrMedia), session.MediaUnavailable},
		{fmt.Errorf("kitchen: %w", speaker.ErrSpeaker), session.SpeakerUnavailable},
		{errors.New("something else"), session.MediaUnavailable},
	} {
		b.publish("play", "song")
		playback := b.engine.orders[len(b.engine.orders)-1].Playback
		b.hub.mail.put(speaker.Report{Kind: speaker.ReportFailed, Playback: playback, Err: c.err})
		b.settle()
		if r := b.result(b.said()); r.Outcome != session.OutcomeFailed || r.Error != c.code {
			t.Errorf("%v: %+v", c.err, r)
		}
	}
	if len(b.hub.items) != 0 {
		t.Errorf("%d items are kept", len(b.hub.items))
	}
}

// What only asks is asked anew: remembering its long answers would fill the memory.
func TestQuestionsAreNotRemembered(t *testing.T) {
	b := newBench(t)
	for range 2 {
		if r := b.result(b.publish("ping", `{"id":"a"}`)); r.Repeated || r.Outcome != session.OutcomeDone {
			t.Errorf("asked again: %+v", r)
		}
	}
	if n := len(b.hub.seen.order); n != 0 {
		t.Errorf("%d questions are remembered", n)
	}
}
