package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"
)

// A client id is held from the moment that it is claimed, before the library knows
// of the client.
func TestClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		conn := func() *guardedConn {
			near, _ := pipe()
			return newGuardedConn(near, 0)
		}
		claim := func(c *guardedConn, who string) packets.Code {
			code, _ := b.claim(c, b.server.NewClient(c, tcpID, "id", false), identity{name: who})
			return code
		}
		first, other, second, third := conn(), conn(), conn(), conn()
		if got := claim(first, "anna"); got != packets.CodeSuccess {
			t.Fatalf("unused: %v", got)
		}
		if got := claim(other, "bob"); got != packets.ErrClientIdentifierNotValid {
			t.Errorf("another's: %v", got)
		}
		began := time.Now()
		if got := claim(second, "anna"); got != packets.ErrServerUnavailable || time.Since(began) != 3*time.Second {
			t.Errorf("one's own, whose old connection does not end: %v after %v", got, time.Since(began))
		}
		go func() {
			time.Sleep(time.Second)
			b.release(first)
		}()
		began = time.Now()
		if got := claim(third, "anna"); got != packets.CodeSuccess || time.Since(began) != time.Second {
			t.Errorf("one's own, whose old connection ends: %v after %v", got, time.Since(began))
		}
		b.release(third)
		if got := claim(other, "bob"); got != packets.CodeSuccess {
			t.Errorf("free again: %v", got)
		}
		b.release(other)
		if len(b.claims) != 0 {
			t.Errorf("%d claims left", len(b.claims))
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}
