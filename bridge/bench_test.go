package bridge

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/null"
)

// The benchmarks here compare: each asks all its contestants in turn, in one
// loop, so that whatever else the machine does meets all of them. What they
// report are medians and 95th percentiles; the time of an iteration says nothing.

// BenchmarkCommand is the time from a publish to its result, beside the bare echo
// of the same payload by another client of the same broker. Everything the hub
// says before the result, its retained status for one, is part of it. Volumes are
// asked for in silence and while a sound is playing, refusals while one is. Where it
// is watched, one more client hears everything, the echo and the hub alike.
func BenchmarkCommand(b *testing.B) {
	for _, bm := range []struct {
		broker  string
		qos     byte
		watched bool
	}{
		{"embedded", 1, false}, {"embedded", 0, false}, {"embedded", 1, true},
		{"mosquitto", 1, false}, {"mosquitto", 0, false},
	} {
		name := fmt.Sprintf("%s/qos%d", bm.broker, bm.qos)
		if bm.watched {
			name += "/watched"
		}
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			toneFile(b, dir, "a.wav", toneA, 10*time.Second)
			furnishing := func(c *Config) {
				unpaced(c)
				c.Media = files{dir}
				c.Speakers = []speaker.Setup{{ID: "kitchen", Name: "Kitchen", Driver: null.New()}}
				c.Log = zerolog.New(io.Discard).Level(zerolog.InfoLevel) // as in earnest
			}
			var h *house
			if bm.broker == "mosquitto" {
				h = newHouseOn(b, startMosquitto(b).url(), furnishing)
			} else {
				h = newHouse(b, furnishing)
			}
			// The house watched its hub come up; from here on nobody does unasked.
			h.client.Disconnect(100)
			c := newCaller(b, h.url, bm.qos)
			if bm.watched {
				subscribe(b, dial(b, h.url), bm.qos, func(mqtt.Client, mqtt.Message) {}, "#")
			}
			benchmarkCommand(b, c)
		})
	}
}

// rounds is how often each contestant that starts no sound is asked in an
// iteration, for each sound that is started.
const rounds = 8

func benchmarkCommand(b *testing.B, c *caller) {
	echo := func() time.Duration {
		return c.call("bench/echo", `,"volume":25`, nil)
	}
	loud := false
	volume := func() time.Duration {
		loud = !loud // each command changes something, and is told on the status topics
		v := 20
		if loud {
			v = 30
		}
		return c.call("hkw/home/volume", fmt.Sprintf(`,"volume":%d`, v), wants(session.OutcomeDone, ""))
	}
	refusal := func() time.Duration {
		return c.call("hkw/home/play", `,"media":"a.wav","priority":50`, wants(session.OutcomeRejected, session.PriorityTooLow))
	}
	play := func() time.Duration {
		return c.call("hkw/home/play", `,"media":"a.wav","priority":900`, wants(session.OutcomeStarted, ""))
	}
	stop := func() { c.call("hkw/home/stop", `,"priority":900`, wants(session.OutcomeDone, "")) }

	silent := []*contestant{{name: "silent-echo", call: echo}, {name: "silent-volume", call: volume}}
	playing := []*contestant{{name: "echo", call: echo}, {name: "volume", call: volume}, {name: "refusal", call: refusal}}
	var played times
	take := func() {
		compete(silent)
		played = append(played, play())
		compete(playing)
		stop()
	}
	take() // warm
	for _, k := range append(silent, playing...) {
		k.took = nil
	}
	played = nil
	for b.Loop() {
		take()
	}
	b.ReportMetric(0, "ns/op")
	for _, group := range [][]*contestant{silent, playing} {
		for _, k := range group {
			k.took.report(b, k.name, time.Microsecond)
			if k != group[0] {
				b.ReportMetric(float64(k.took.at(0.5))/float64(group[0].took.at(0.5)), k.name+"/echo")
			}
		}
	}
	played.report(b, "play", time.Millisecond)

	// What they allocate, in the client and the broker too; the sound plays on.
	play()
	for _, k := range playing {
		const n = 50
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			k.call()
		}
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, k.name+"-allocs")
	}
	stop()
}

// contestant is one of those that are compared.
type contestant struct {
	name string
	call func() time.Duration
	took times
}

// compete asks each as often as the others, in an order that is another each
// time: what one leaves to be done while the next is asked meets all of them.
func compete(contestants []*contestant) {
	for range rounds {
		for _, i := range rand.Perm(len(contestants)) {
			k := contestants[i]
			k.took = append(k.took, k.call())
		}
	}
}

// wants is what a result must say.
func wants(outcome session.Outcome, code session.Code) []string {
	w := []string{`"outcome":"` + string(outcome) + `"`}
	if code != "" {
		w = append(w, `"error":"`+string(code)+`"`)
	}
	return w
}

// caller is a client that publishes commands and waits for their results.
type caller struct {
	tb     testing.TB
	client mqtt.Client
	qos    byte
	heard  chan busMessage
	n      int
}

// newCaller makes one, and another client that echoes what comes on bench/echo.
func newCaller(tb testing.TB, url string, qos byte) *caller {
	tb.Helper()
	c := &caller{tb: tb, client: dial(tb, url), qos: qos, heard: make(chan busMessage, 1000)}
	subscribe(tb, c.client, qos, func(_ mqtt.Client, m mqtt.Message) {
		c.heard <- busMessage{topic: m.Topic(), payload: m.Payload(), at: time.Now()}
	}, "hkw/home/result/+", "bench/echoed/+")
	subscribe(tb, dial(tb, url), qos, func(by mqtt.Client, m mqtt.Message) {
		by.Publish("bench/echoed/x", qos, false, m.Payload())
	}, "bench/echo")
	return c
}

func subscribe(tb testing.TB, client mqtt.Client, qos byte, f mqtt.MessageHandler, filters ...string) {
	tb.Helper()
	wanted := map[string]byte{}
	for _, filter := range filters {
		wanted[filter] = qos
	}
	tok := client.SubscribeMultiple(wanted, f).(*mqtt.SubscribeToken)
	if !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		tb.Fatalf("subscribe: %v", tok.Error())
	}
	for filter, granted := range tok.Result() {
		if granted >= 0x80 {
			tb.Fatalf("the broker refused the subscription to %s", filter)
		}
	}
}

// call publishes a JSON object, given without its id and braces, and waits for the
// answer, which must contain what it should.
func (c *caller) call(topic, fields string, should []string) time.Duration {
	c.tb.Helper()
	c.n++
	id := fmt.Sprintf("b%d", c.n)
	payload := `{"id":"` + id + `"` + fields + `}`
	sent := time.Now()
	token := c.client.Publish(topic, c.qos, false, payload)
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for {
		select {
		case m := <-c.heard:
			if !strings.Contains(string(m.payload), `"id":"`+id+`"`) {
				continue
			}
			for _, s := range should {
				if !strings.Contains(string(m.payload), s) {
					c.tb.Fatalf("%s %s: %s, want %s", topic, payload, m.payload, s)
				}
			}
			token.Wait()
			return m.at.Sub(sent)
		case <-limit.C:
			c.tb.Fatalf("%s %s: no answer", topic, payload)
		}
	}
}

// times are measurements of the same thing.
type times []time.Duration

// at is the quantile q, 0 to 1; interpolated between neighbours.
func (t times) at(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(t))
	x := q * float64(len(s)-1)
	i := int(x)
	if i+1 == len(s) {
		return s[i]
	}
	return s[i] + time.Duration((x-float64(i))*float64(s[i+1]-s[i]))
}

// report gives out median and 95th percentile.
func (t times) report(b *testing.B, name string, unit time.Duration) {
	u := map[time.Duration]string{time.Microsecond: "µs", time.Millisecond: "ms"}[unit]
	b.ReportMetric(float64(t.at(0.5))/float64(unit), name+"-p50-"+u)
	b.ReportMetric(float64(t.at(0.95))/float64(unit), name+"-p95-"+u)
}
