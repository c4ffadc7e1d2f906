package broker

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// A packet that the decoder cannot bear ends its connection: the process lives, no
// record of the client stays, and the rest of the house hears its will.
func TestMalformedEndsOneConnection(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	addr := listen(t, b)
	witness := dialRaw(t, addr).welcome(connect{id: "witness"}).subscribed(1, "will/#")
	for _, v := range malformed {
		t.Run(v.name, func(t *testing.T) {
			c := dialRaw(t, addr)
			if v.version > 0 {
				c.welcome(connect{version: v.version, id: "villain", willTopic: "will/villain", willPayload: v.name, willQoS: 1})
			}
			c.send(v.bytes)
			c.ended()
			if v.version > 0 {
				witness.t = t
				r := witness.expect(3)
				if r.payload() != v.name || r.qos() != 1 {
					t.Fatalf("got %v, want its will at QoS 1", r)
				}
				witness.send(ack(0x40, r.id()))
			}
			eventually(t, "no record but the witness's", func() bool { return b.Clients() == 1 })
		})
	}
	witness.t = t
	witness.pong()
}

// What is merely odd is answered or dropped, quickly, and its connection goes on.
func TestHarmlessIsSurvived(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	addr := listen(t, b)
	for _, v := range harmless {
		t.Run(v.name, func(t *testing.T) {
			c := dialRaw(t, addr).welcome(connect{version: v.version, id: "odd"})
			began := time.Now()
			c.send(v.bytes)
			c.pong()
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	if n := b.server.Topics.Retained.Len(); n > 40 { // the broker's own
		t.Errorf("%d messages retained", n)
	}
}

// Ten thousand broken connections and packets leave nothing behind.
func TestMalformedFlood(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop(), MaxClients: 100})
	goroutines := func() int { runtime.GC(); return runtime.NumGoroutine() }
	before := goroutines()
	const each, workers = 2500, 4
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				v := malformed[(w+i)%len(malformed)]
				c, err := b.Dial(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if v.version > 0 {
					_, _ = c.Write(connect{version: v.version, id: string(rune('A' + w))}.bytes())
				}
				_, _ = c.Write(v.bytes)
				_ = c.SetReadDeadline(time.Now().Add(patience))
				var buf [256]byte
				for err == nil {
					_, err = c.Read(buf[:])
				}
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	eventually(t, "no client record left", func() bool { return b.Clients() == 0 })
	eventually(t, "no goroutine left", func() bool { return goroutines() <= before })
	if n := b.server.Info.Subscriptions; n != 0 {
		t.Errorf("%d subscriptions left", n)
	}
}

// A header that promises 256 MB reserves nothing.
func TestHugeRemainingLength(t *testing.T) {
	b := start(t, Config{Log: zerolog.Nop()})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 64 {
		c, err := b.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := newRaw(t, c)
		r.send([]byte{0x10, 0xff, 0xff, 0xff, 0x7f})
		r.ended()
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d MiB allocated for 64 headers", grown>>20)
	}
}
