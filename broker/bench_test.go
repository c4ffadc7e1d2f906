package broker

import (
	"context"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// BenchmarkEcho is the round trip of a message through a second client that sends
// it back: the floor for a command and its result.
func BenchmarkEcho(b *testing.B) {
	for _, way := range []string{"tcp", "hub"} {
		for _, qos := range []byte{0, 1} {
			b.Run(fmt.Sprintf("%s/qos%d", way, qos), func(b *testing.B) {
				broker := start(b, Config{Log: zerolog.Nop()})
				addr := listen(b, broker)
				dial := func() (net.Conn, error) { return net.Dial("tcp", addr) }
				caller := dialRaw(b, addr).welcome(connect{id: "caller"}).subscribed(qos, "pong")
				if way == "hub" {
					dial = func() (net.Conn, error) { return broker.DialHub(context.Background(), "home") }
				}
				conn, err := dial()
				if err != nil {
					b.Fatal(err)
				}
				echo := newRaw(b, conn).welcome(connect{id: "echo"}).subscribed(qos, "ping")
				go func() {
					for id := uint16(1); ; id = id%60000 + 1 {
						r, err := echo.read(time.Hour)
						if err != nil {
							return
						}
						if r.kind() != 3 {
							continue
						}
						_, payload := r.publishProps()
						out := publish(4, "pong", qos, id, false, string(payload))
						if qos > 0 {
							out = cat(ack(0x40, r.id()), out)
						}
						if _, err := echo.Write(out); err != nil {
							return
						}
					}
				}()
				var took []time.Duration
				for i := 0; b.Loop(); i++ {
					began := time.Now()
					caller.send(publish(4, "ping", qos, uint16(i%60000+1), false, "x"))
					for r := caller.next(); ; r = caller.next() {
						if r.kind() == 3 {
							if qos > 0 {
								caller.send(ack(0x40, r.id()))
							}
							break
						}
					}
					took = append(took, time.Since(began))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(took[len(took)*95/100].Microseconds()), "p95-µs")
			})
		}
	}
}
