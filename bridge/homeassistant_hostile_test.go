package bridge

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hkw/session"
)

// What a stranger leaves on the hub's discovery topic must not keep the hub off the bus.
func TestHomeAssistantForged(t *testing.T) {
	for name, forged := range map[string]string{
		"value": `{"origin":{"name":"hkw"},"components":{"x":{"platform":"sensor","unique_id":"hkw_home_x","name":"` + strings.Repeat("n", 255<<10) + `"}}}`,
		"key":   `{"origin":{"name":"hkw"},"components":{"` + strings.Repeat("k", 100<<10) + `":{"platform":"sensor","unique_id":"hkw_home_` + strings.Repeat("k", 100<<10) + `"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var house furnish
			first := newHouse(t, func(c *Config) {
				dial := c.Broker.Dial
				house = func(c *Config) { c.Broker.Dial = dial }
			})
			if tok := first.client.Publish("homeassistant/device/hkw_home/config", 1, true, forged); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
				t.Fatal(tok.Error())
			}
			leave(t, first)
			second := newHouseOn(t, first.url, house, announcing("homeassistant"))
			second.must("ping", "", session.OutcomeDone)
			ha := newHomeAssistant(t, first.url)
			if m := ha.config("the hub is found"); !strings.Contains(string(m.payload), `"hkw_home_say"`) || len(m.payload) > 64<<10 {
				t.Errorf("announced in %d bytes", len(m.payload))
			}
		})
	}
}

func TestDiscoveryPrefixes(t *testing.T) {
	for prefix, valid := range map[string]bool{
		"homeassistant": true, "a/b/c": true, "é/😀": true, "hkwx": true, "x/hkw": true, strings.Repeat("x", 100): true,
		"": false, "/": false, "a/": false, "/a": false, "a//b": false, "a/+": false, "#": false, "$SYS": false, "a b": false, "a\x01": false,
		"a\u0085": false, "\xff": false, "hkw": false, "hkw/home/play": false, strings.Repeat("x", 101): false,
	} {
		if ValidDiscoveryPrefix(prefix) != valid {
			t.Errorf("%q: valid must be %v", prefix, valid)
		}
	}
}

// Whoever may publish may say that Home Assistant has come, as often as they like.
func TestHomeAssistantIsBornOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newAnnouncingBench(t, "home", nil)
		b.said()
		again := func() (n int) {
			for _, m := range b.said() {
				if m.topic == "homeassistant/device/hkw_home/config" {
					n++
				}
			}
			return n
		}
		for range 10_000 {
			b.hub.announcer.born()
		}
		time.Sleep(bornPause + time.Millisecond)
		if n := again(); n != 1 {
			t.Errorf("announced %d times", n)
		}
		b.hub.announcer.born()
		time.Sleep(bornPause + time.Millisecond)
		if n := again(); n != 1 {
			t.Errorf("announced %d times later", n)
		}
		b.hub.announcer.born()
		b.hub.announcer.close()
		time.Sleep(time.Minute)
		if n := again(); n != 0 {
			t.Errorf("announced %d times after the end", n)
		}
	})
}
