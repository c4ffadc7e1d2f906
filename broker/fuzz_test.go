package broker

import (
	"bytes"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// FuzzConnection throws bytes at a connection. Whatever they are, the process
// lives, the connection ends with the client, no goroutine hangs and no record of
// the client stays. Subscribers of both versions take in what comes through.
func FuzzConnection(f *testing.F) {
	for _, v := range malformed {
		f.Add(v.version, v.bytes)
	}
	for _, v := range harmless {
		f.Add(v.version, v.bytes)
	}
	for _, v := range versions {
		f.Add(v, cat(subscribe(v, 1, 2, "#", "$share/g/+", "a/+"), publish(v, "a/b", 2, 1, true, "x"), ack(0x62, 1), unsubscribe(v, 2, "#"), []byte{0xc0, 0}))
		f.Add(byte(0), cat(connect{version: v, id: "f", willTopic: "a", willPayload: "x", willRetain: true}.bytes(), publish(v, "a", 1, 1, false, "x")))
	}
	f.Add(byte(5), publish(5, "a", 1, 1, true, "x", topicAlias(1), messageExpiry(1), []byte{0x26, 0, 1, 'k', 0, 1, 'v', 0x08, 0, 1, 'r', 0x09, 0, 1, 'c', 0x03, 0, 1, 't', 0x01, 1}))
	f.Fuzz(func(t *testing.T, version byte, stream []byte) {
		if bytes.Count(stream, []byte{0xc0}) > 1000 || len(stream) > 128<<10 {
			return
		}
		b := start(t, Config{Log: zerolog.Nop(), ConnectDeadline: 100 * time.Millisecond})
		var watchers []*raw
		for _, v := range versions {
			watchers = append(watchers, dialHub(t, b, "watcher").welcome(connect{version: v, id: string(rune('0' + v))}).subscribed(2, "#"))
		}
		c, err := b.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := newRaw(t, c)
		if version >= 4 {
			r.welcome(connect{version: 4 + version%2, id: "fuzz"})
		}
		r.send(stream)
		if version >= 4 {
			r.send([]byte{0xe0, 0})
		}
		_ = c.Close()
		for _, w := range watchers {
			w.pong()
		}
		for _, w := range watchers {
			w.send([]byte{0xe0, 0})
			w.ended()
		}
		eventually(t, "connections over", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.conns) == 0 })
	})
}
