package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker"
)

// paced is a hub on the workbench with the default pace, and its log at info.
func paced(t *testing.T, furnishing ...furnish) (*bench, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	b := newBench(t, append(furnishing, func(c *Config) { c.Pace, c.Log = Pace{}, zerolog.New(log).Level(zerolog.InfoLevel) })...)
	log.Reset()
	return b, log
}

// songs has a library of so many, called n0, n1, …
func songs(n int) furnish {
	return func(c *Config) {
		media := catalogue{"song": testMedia["song"], "bell": testMedia["bell"]}
		for i := range n {
			media[fmt.Sprintf("n%d", i)] = testMedia["song"]
		}
		c.Media = media
	}
}

// at publishes as if it were then.
func (b *bench) at(then time.Time, topic, payload string) []message {
	b.t.Helper()
	return b.receive(request{topic: topic, payload: []byte(payload), at: then})
}

// pass lets time pass for what waits: the hub's loop does it at its deadline.
func (b *bench) pass(now time.Time) []message {
	b.hub.catchUp(now)
	b.settle()
	return b.said()
}

func (b *bench) starts() (n int) {
	for _, o := range b.engine.orders {
		if o.Verb == speaker.Start {
			n++
		}
	}
	return n
}

func on(said []message, topic string) (n int) {
	for _, m := range said {
		if m.topic == topic || strings.HasSuffix(topic, "/") && strings.HasPrefix(m.topic, topic) {
			n++
		}
	}
	return n
}

// Twenty presses in 200 ms ring once, and only the senders of the other nineteen
// hear of them.
func TestABouncingContactRingsOnce(t *testing.T) {
	b, log := paced(t)
	now := time.Now()
	said := b.at(now, "play/bell", "1")
	first := b.result(said)
	if first.Outcome != session.OutcomeStarted {
		t.Fatalf("the press: %+v", first)
	}
	for i := range 19 {
		said := b.at(now.Add(time.Duration(i+1)*10*time.Millisecond), "play/bell", "1")
		r := b.result(said)
		if r.Error != RateLimited || r.Outcome != session.OutcomeRejected || r.RetryAfter != float64(49-i)/100 || !strings.Contains(r.Message, "500ms") {
			t.Errorf("bounce %d: %+v", i, r)
		}
		if len(said) != 1 {
			t.Errorf("bounce %d: %d messages, want its result alone", i, len(said))
		}
	}
	if n := b.starts(); n != 1 {
		t.Errorf("it rang %d times", n)
	}
	var last Result
	if told, _ := b.hub.out.get("status/result"); json.Unmarshal(told, &last) != nil || last.ID != first.ID {
		t.Errorf("status/result is %+v, want that of the press", last)
	}
	b.pass(now.Add(190*time.Millisecond + burstPause))
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 4 { // the event, the result, the first bounce, and how many they were
		t.Errorf("the log has %d lines:\n%s", len(lines), log)
	}
	if end := lines[len(lines)-1]; !strings.Contains(end, `"refused":19`) || !strings.Contains(end, `"topic":"play/bell"`) {
		t.Errorf("the log ends with %s", end)
	}
}

// A contact that is stuck rings twice a second: each ring begins the time anew.
func TestAStuckContact(t *testing.T) {
	b, _ := paced(t)
	now := time.Now()
	for i := range 300 {
		b.at(now.Add(time.Duration(i)*10*time.Millisecond), "play", `{"media":"bell","on_busy":"interrupt"}`)
	}
	if n := b.starts(); n != 6 {
		t.Errorf("in 3 s it rang %d times, want 6", n)
	}
}

// What counts as a bounce: the second command of each pair, sent 100 ms after the first.
func TestWhatBounces(t *testing.T) {
	type sent struct{ topic, payload string }
	for _, tt := range []struct {
		name        string
		first, then sent
		bounces     bool
	}{
		{"the same topic", sent{"play/bell", ""}, sent{"play/bell", ""}, true},
		{"the same bytes", sent{"play", "song"}, sent{"play", "song"}, true},
		{"a text", sent{"say", "hello"}, sent{"say", "hello"}, true},
		{"the siren", sent{"siren", "ON"}, sent{"siren", "ON"}, true},
		{"what could not be played", sent{"play/nothing", ""}, sent{"play/nothing", ""}, true},
		{"other bytes", sent{"play", "song"}, sent{"play", "bell"}, false},
		{"another button", sent{"play/bell", ""}, sent{"play/song", ""}, false},
		{"the same bytes elsewhere", sent{"play/bell", "song"}, sent{"play", "song"}, false},
		{"two ids", sent{"play", `{"id":"1","media":"song"}`}, sent{"play", `{"id":"2","media":"song"}`}, false},
		{"the same id, which is another matter", sent{"play", `{"id":"1","media":"song"}`}, sent{"play", `{"id":"1","media":"song"}`}, false},
		{"the siren switched off", sent{"siren", "OFF"}, sent{"siren", "OFF"}, false},
		{"stop", sent{"stop", ""}, sent{"stop", ""}, false},
		{"volume", sent{"volume", "7"}, sent{"volume", "7"}, false},
		{"pause", sent{"pause", ""}, sent{"pause", ""}, false},
		{"a question", sent{"media", ""}, sent{"media", ""}, false},
		{"what cannot be read", sent{"play", "{"}, sent{"play", "{"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := paced(t)
			now := time.Now()
			if r := b.result(b.at(now, tt.first.topic, tt.first.payload)); r.Error == RateLimited {
				t.Fatalf("the first: %+v", r)
			}
			if r := b.result(b.at(now.Add(100*time.Millisecond), tt.then.topic, tt.then.payload)); (r.Error == RateLimited) != tt.bounces {
				t.Errorf("the second: %+v", r)
			}
			if r := b.result(b.at(now.Add(100*time.Millisecond+bounceTime), tt.then.topic, tt.then.payload)); r.Error == RateLimited {
				t.Errorf("after %s: %+v", bounceTime, r)
			}
		})
	}
}

// Who silences a sound and asks for it again means it.
func TestPlayStopPlayIsNoBounce(t *testing.T) {
	for _, silence := range [][2]string{{"stop", ""}, {"pause", ""}, {"siren", "OFF"}} {
		b, _ := paced(t)
		now := time.Now()
		b.at(now, "siren", "ON")
		b.at(now.Add(10*time.Millisecond), silence[0], silence[1])
		if r := b.result(b.at(now.Add(20*time.Millisecond), "siren", "ON")); r.Error == RateLimited {
			t.Errorf("after %s: %+v", silence[0], r)
		}
	}
}

// HKWHub's clients are as they were: what they call twice they mean.
func TestOldClientsDoNotBounce(t *testing.T) {
	b, _ := paced(t)
	for range 2 {
		if r := b.result(b.receive(request{topic: "play", payload: []byte("song"), at: time.Now(), dialect: true})); r.Error != "" {
			t.Errorf("%+v", r)
		}
	}
}

// A topic has its rate and its burst; others are as free as before, and so is the
// topic when time has passed.
func TestRateOfATopic(t *testing.T) {
	b, _ := paced(t)
	now := time.Now()
	count := func(at time.Time, topic string, n int) (passed int) {
		t.Helper()
		for i := range n {
			r := b.result(b.at(at, topic, fmt.Sprintf(`{"id":"%s-%d-%d","media":"song"}`, strings.ReplaceAll(topic, "/", "_"), at.UnixNano(), i)))
			if r.Error != RateLimited {
				passed++
			} else if r.RetryAfter <= 0 || r.RetryAfter > 1 {
				t.Errorf("retry after %v", r.RetryAfter)
			}
		}
		return passed
	}
	for _, tt := range []struct {
		after time.Duration
		topic string
		want  int
	}{
		{0, "play", topicBurst},
		{0, "play/song", topicBurst},
		{time.Second, "play", topicPerSecond},
		{time.Second, "play", 0},
		{time.Minute, "play", topicBurst},
	} {
		if n := count(now.Add(tt.after), tt.topic, 3*topicBurst); n != tt.want {
			t.Errorf("%s after %s: %d passed, want %d", tt.topic, tt.after, n, tt.want)
		}
	}
}

// However many topics a flood uses, the hub has its rate, and can be silenced; a
// doorbell is heard.
func TestRateOfTheHub(t *testing.T) {
	b, _ := paced(t, songs(3*hubBurst))
	now := time.Now()
	b.at(now, "play", "song")
	passed := 1
	for i := range 3 * hubBurst {
		if r := b.result(b.at(now, fmt.Sprintf("play/n%d", i), `{"on_busy":"drop"}`)); r.Error != RateLimited {
			passed++
		}
	}
	if passed != hubBurst {
		t.Errorf("%d commands passed, want %d", passed, hubBurst)
	}
	if r := b.result(b.at(now, "play/bell", "")); r.Outcome != session.OutcomeStarted {
		t.Errorf("a doorbell in a flood: %+v", r)
	}
	if r := b.result(b.at(now, "play/bell", "once more")); r.Error != RateLimited {
		t.Errorf("at once again: %+v", r)
	}
	if r := b.result(b.at(now, "ping", "")); r.Outcome != session.OutcomeDone {
		t.Errorf("a ping in a flood: %+v", r)
	}
	if r := b.result(b.at(now, "stop", "")); r.Outcome != session.OutcomeDone || *r.Count != 2 {
		t.Errorf("a stop in a flood: %+v", r)
	}
}

// A flood that goes on, on all topics that there are and many more, leaves a doorbell
// on one of its own at least one ring a second.
func TestADoorbellInAFlood(t *testing.T) {
	b, _ := paced(t, songs(1000), func(c *Config) { c.Presets = map[string]Preset{"door": {Media: "bell"}} })
	now, rings := time.Now(), 0
	for i := range 20_000 { // at 2000 a second
		at := now.Add(time.Duration(i) * 500 * time.Microsecond)
		topic := [...]string{"say", "play", "play/n%d", "play/made-up-%d", "seek", "play/bell", "speaker/x%d/volume", "volume", "mute", "y%d"}[i%10]
		if strings.Contains(topic, "%d") {
			topic = fmt.Sprintf(topic, i/10%1000)
		}
		b.at(at, topic, `{"on_busy":"drop"}`)
		if i%3000 == 2999 {
			if r := b.result(b.at(at, "play/door", "")); r.Error == RateLimited {
				t.Errorf("%v after the beginning: %+v", at.Sub(now), r)
			}
			rings++
		}
	}
	if rings != 6 {
		t.Errorf("%d rings", rings)
	}
}

// What leads nowhere shares one limit, whatever it is called.
func TestRateOfInventedNames(t *testing.T) {
	b, _ := paced(t)
	now, passed := time.Now(), 0
	for i := range 3 * topicBurst {
		for _, topic := range []string{"play/x%d", "speaker/x%d/mute", "x%d"} {
			if r := b.result(b.at(now, fmt.Sprintf(topic, i), "off")); r.Error != RateLimited {
				passed++
			}
		}
	}
	if passed != topicBurst {
		t.Errorf("%d passed, want %d", passed, topicBurst)
	}
}

// What was refused because it came too fast can be sent again under its id.
func TestRefusedForItsPaceIsNotRemembered(t *testing.T) {
	b, _ := paced(t)
	now := time.Now()
	for i := range topicBurst {
		b.at(now, "play", fmt.Sprintf(`{"id":"p%d","media":"song"}`, i))
	}
	late := `{"id":"late","media":"song"}`
	if r := b.result(b.at(now, "play", late)); r.Error != RateLimited || r.ID != "late" {
		t.Fatalf("%+v", r)
	}
	if r := b.result(b.at(now.Add(time.Second), "play", late)); r.Outcome != session.OutcomeStarted || r.Repeated {
		t.Errorf("sent again: %+v", r)
	}
}

// A flood is answered, each command to its sender; everyone else hears of it once.
func TestAFloodIsToldOnce(t *testing.T) {
	b, log := paced(t)
	now := time.Now()
	for i := range topicBurst {
		b.at(now, "dance", strconv.Itoa(i))
	}
	log.Reset()
	told, answered := 0, 0
	at := now
	for i := range 1000 {
		at = now.Add(time.Duration(i) * 10 * time.Microsecond)
		said := b.at(at, "dance", "x")
		told += on(said, "status/result")
		answered += len(b.results(said))
		if on(said, "status") != 0 || on(said, "event/") != 0 {
			t.Fatalf("a refusal touched more than it should: %v", said)
		}
	}
	if answered != 1000 || told != 1 {
		t.Errorf("%d answers, %d on status/result, want 1000 and 1", answered, told)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines in the log, want 1:\n%s", n, log)
	}
	due, ok := b.hub.deadline(at)
	if !ok || !due.Equal(at.Add(burstPause)) {
		t.Fatalf("the burst ends %s after its last, %v", due.Sub(at), ok)
	}
	log.Reset()
	b.pass(due)
	if !strings.Contains(log.String(), `"refused":1000`) {
		t.Errorf("the end of the burst: %s", log)
	}
	if at, ok := b.hub.pacer.deadline(due); ok {
		t.Errorf("there is something to do in %s", at.Sub(due))
	}
}

// A slider may move as fast as it likes: where it comes to rest is what is set, and
// each of its values has its one result.
func TestTheLastValueOfASlider(t *testing.T) {
	b, _ := paced(t)
	now := time.Now()
	const n = 1000
	var said []message
	for i := range n {
		topic, payload := "volume", fmt.Sprintf(`{"id":"s%d","volume":%d}`, i, i%50)
		if i%2 == 1 {
			topic = "speaker/kitchen/volume"
		}
		if i == n-1 {
			payload = fmt.Sprintf(`{"id":"s%d","volume":33}`, i)
		}
		said = append(said, b.at(now, topic, payload)...)
	}
	for limit := now.Add(time.Second); len(b.hub.pacer.held) > 0; {
		due, ok := b.hub.pacer.deadline(now)
		if !ok || due.After(limit) {
			t.Fatal("the last value does not come")
		}
		now = due
		said = append(said, b.pass(now)...)
	}
	got := map[string]session.Code{}
	for _, r := range b.results(said) {
		if _, twice := got[r.ID]; twice {
			t.Errorf("%s has two results", r.ID)
		}
		got[r.ID] = r.Error
	}
	if len(got) != n || got["s998"] != "" || got["s999"] != "" || got["s500"] != RateLimited {
		t.Errorf("%d results; the last %q and %q, one between %q", len(got), got["s998"], got["s999"], got["s500"])
	}
	if v, _ := b.hub.out.get("status/volume"); string(v) != "33" {
		t.Errorf("the volume is %s, want 33", v)
	}
}

// While values wait, a newer one for something else does not overtake them.
func TestValuesKeepTheirOrder(t *testing.T) {
	b, _ := paced(t)
	now := time.Now()
	for i := range topicBurst + 1 {
		b.at(now, "speaker/kitchen/volume", strconv.Itoa(i%50))
	}
	later := now.Add(time.Second / topicPerSecond) // one may pass: the older
	b.at(later, "volume", "21")
	if len(b.hub.pacer.held) != 1 || b.hub.pacer.held[0].request.topic != "volume" {
		t.Errorf("%d values wait", len(b.hub.pacer.held))
	}
	b.pass(now.Add(time.Second))
	if v, _ := b.hub.out.get("status/volume"); string(v) != "21" {
		t.Errorf("the volume is %s, want the newest, 21", v)
	}
}

// A value that waits and comes again under its id, as a broker may repeat it, has
// one result.
func TestAWaitingValueThatIsRepeated(t *testing.T) {
	b, _ := paced(t)
	now := time.Now()
	for range topicBurst {
		b.at(now, "volume", "1")
	}
	said := b.at(now, "volume", `{"id":"a","volume":2}`)
	said = append(said, b.at(now, "volume", `{"id":"a","volume":2}`)...)
	said = append(said, b.pass(now.Add(time.Second))...)
	if r := b.results(said); len(r) != 1 || r[0].ID != "a" || r[0].Outcome != session.OutcomeDone {
		t.Errorf("results %+v", r)
	}
	if len(b.hub.pending) != 0 {
		t.Errorf("%d commands are pending", len(b.hub.pending))
	}
}

// What waits when the hub ends is answered.
func TestShutDownAnswersHeldValues(t *testing.T) {
	b, _ := paced(t)
	now := time.Now()
	for range topicBurst {
		b.at(now, "volume", "1")
	}
	if said := b.at(now, "volume", `{"id":"held","volume":2}`); len(b.results(said)) != 0 {
		t.Fatalf("answered at once: %v", said)
	}
	b.hub.shutDown()
	if r := b.result(b.said()); r.ID != "held" || r.Error != session.Cancelled {
		t.Errorf("%+v", r)
	}
}

// Whatever names are invented, what is remembered of them is bounded.
func TestPaceForgets(t *testing.T) {
	b, _ := paced(t, songs(20*maxBuckets))
	b.hub.pacer.pace.Hub.PerSecond = -1
	now := time.Now()
	for i := range 20 * maxBuckets {
		b.at(now, fmt.Sprintf("play/n%d", i), "")
		b.at(now, "volume", fmt.Sprintf(`{"volume":1,"speaker":"s%d"}`, i))
	}
	p := b.hub.pacer
	if len(p.topics) > maxBuckets || len(p.presses) > maxPresses+1 || len(p.recent) > maxPresses+1 || len(p.held) > maxHeld {
		t.Errorf("%d topics, %d presses, %d recent, %d held", len(p.topics), len(p.presses), len(p.recent), len(p.held))
	}
	b.at(now.Add(time.Minute), "play/song", "")
	if len(p.topics) > 2 || len(p.presses) != 1 || len(p.recent) != 1 {
		t.Errorf("a minute later %d topics, %d presses, %d recent", len(p.topics), len(p.presses), len(p.recent))
	}
}

// The button at the door, with everything real but the contact: it is pressed 20
// times in 200 ms, the bell rings once, and whoever watches the status hears as
// much as of one press.
func TestABouncingContactOnABroker(t *testing.T) {
	h := newHouse(t)
	watch := func(press func()) (started, status int) {
		t.Helper()
		all := listen(t, dial(t, h.url), "#")
		until(t, all, "everything retained is here", func(m busMessage) bool { return strings.HasSuffix(m.topic, "/status/volume") })
		press()
		until(t, all, "the bell has rung", func(m busMessage) bool {
			if !m.retained && (strings.HasSuffix(m.topic, "/status") || strings.Contains(m.topic, "/status/")) {
				status++
			}
			started += strings.Count(string(m.payload), `"event":"started"`)
			return !m.retained && strings.HasSuffix(m.topic, "/status/title") && len(m.payload) == 0 // the last that is told of its end
		})
		return started, status
	}
	button := dial(t, h.url)
	once, quiet := watch(func() { button.Publish("hkw/home/play/ding", 0, false, "") })
	results := h.listen("result/+")
	often, loud := watch(func() {
		contact := time.NewTicker(10 * time.Millisecond)
		defer contact.Stop()
		for range 20 {
			button.Publish("hkw/home/play/ding", 0, false, "")
			<-contact.C
		}
	})
	if once != 1 || often != 1 {
		t.Errorf("one press rang %d times, 20 in 200 ms %d times", once, often)
	}
	t.Logf("on hkw/home/status/#: %d messages for one press, %d for 20", quiet, loud)
	if loud != quiet {
		t.Errorf("20 presses put %d messages on status, one %d", loud, quiet)
	}
	refused := 0
	until(t, results, "each press has its result", func(m busMessage) bool {
		refused += strings.Count(string(m.payload), string(RateLimited))
		return refused == 19
	})
}

// Over HTTP the answer says when to come again.
func TestTooFastOverHTTP(t *testing.T) {
	w := newWeb(t, Guard{})
	if res, body := w.ask("POST", "/hkw/home/play/ding", ""); res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", res.Status, body)
	}
	res, body := w.ask("POST", "/hkw/home/play/ding", "")
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") != "1" || !strings.Contains(body, `"retry_after":0.`) {
		t.Errorf("a double click: %s, Retry-After %q, %s", res.Status, res.Header.Get("Retry-After"), body)
	}
}
