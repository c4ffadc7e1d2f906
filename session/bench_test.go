package session

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkStep shows that the cost of a Step does not grow with the sessions
// that have nothing to do with the command. One operation of "interrupt" is
// three Steps: a play, its Prepared and its Started; the others are one.
func BenchmarkStep(b *testing.B) {
	for _, sessions := range []int{1, 1_000, 10_000} {
		setUp := func() (*Core, time.Time) {
			c := New(Config{})
			c.Step(epoch, Speaker{ID: "hall", Available: true, Volume: 20})
			c.Step(epoch, Speaker{ID: "kitchen", Available: true, Volume: 20})
			now := epoch
			for n := range sessions {
				now = now.Add(time.Millisecond)
				name := fmt.Sprintf("s%d", n)
				c.Step(now, Open{Request: Request{ID: name}, Token: name, Ref: name, AllSpeakers: true})
			}
			return c, now
		}
		b.Run(fmt.Sprintf("read/sessions=%d", sessions), func(b *testing.B) {
			c, now := setUp()
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Microsecond)
				c.Step(now, Read{Request{ID: "r", Session: "s0"}})
			}
		})
		b.Run(fmt.Sprintf("refused/sessions=%d", sessions), func(b *testing.B) {
			c, now := setUp()
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Microsecond)
				c.Step(now, Read{Request{ID: "r", Session: "nobody"}})
			}
		})
		b.Run(fmt.Sprintf("volume/sessions=%d", sessions), func(b *testing.B) {
			c, now := setUp()
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Microsecond)
				c.Step(now, SetVolume{Request: Request{ID: "v", Session: "s0"}, Speaker: "hall", Volume: 30})
			}
		})
		b.Run(fmt.Sprintf("interrupt/sessions=%d", sessions), func(b *testing.B) {
			c, now := setUp()
			ids := make([]string, 0, 1024)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%cap(ids) == 0 {
					ids = ids[:0]
					for i := range cap(ids) {
						ids = append(ids, fmt.Sprintf("p%d", n+i))
					}
				}
				id := ids[n%cap(ids)]
				now = now.Add(time.Microsecond)
				c.Step(now, Play{Request: Request{ID: id, Session: "s0"}, Playback: id, Media: id})
				c.Step(now, Prepared{Playback: id})
				c.Step(now, Started{Playback: id})
			}
		})
	}
}
