package broker

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

// What the standard library asks of its own connections.
func TestPipeIsAConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c1, c2 = pipe()
		return c1, c2, func() { _ = c1.Close(); _ = c2.Close() }, nil
	})
}

// Both ends write far more than the buffer holds, at once, and read at once.
func TestPipeBothWays(t *testing.T) {
	near, far := pipe()
	const size = 16 << 20
	var wg sync.WaitGroup
	sums := make([][2][32]byte, 2)
	for i, c := range []net.Conn{near, far} {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(rand.Uint32())
		}
		sums[i][0] = sha256.Sum256(data)
		wg.Go(func() {
			if n, err := c.Write(data); n != size || err != nil {
				t.Errorf("wrote %d, %v", n, err)
			}
		})
		wg.Go(func() {
			got := make([]byte, size)
			if _, err := io.ReadFull(c, got); err != nil {
				t.Error(err)
			}
			sums[i][1] = sha256.Sum256(got)
		})
	}
	wg.Wait()
	if sums[0][0] != sums[1][1] || sums[1][0] != sums[0][1] {
		t.Error("what was read is not what was written")
	}
}

// Both ends write a buffer full before either reads: net.Pipe would stand still.
func TestPipeWritesBeforeReads(t *testing.T) {
	near, far := pipe()
	full := make([]byte, pipeBuffer)
	for _, c := range []net.Conn{near, far} {
		_ = c.SetDeadline(time.Now().Add(patience))
		if n, err := c.Write(full); n != len(full) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	for _, c := range []net.Conn{near, far} {
		if _, err := io.ReadFull(c, full); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPipeCloses(t *testing.T) {
	near, far := pipe()
	if _, err := near.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := near.Close(); err != nil {
		t.Fatal(err)
	}
	if err := near.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if got, err := io.ReadAll(far); string(got) != "last words" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	for _, c := range []net.Conn{near, far} {
		if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("wrote %d, %v", n, err)
		}
	}
}

// Close wakes whoever waits on either end.
func TestPipeCloseWakes(t *testing.T) {
	for _, closer := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			near, far := pipe()
			ends := []net.Conn{near, far}
			var wg sync.WaitGroup
			for _, c := range ends {
				wg.Go(func() {
					if _, err := c.Write(make([]byte, pipeBuffer+1)); !errors.Is(err, io.ErrClosedPipe) {
						t.Errorf("write: %v", err)
					}
				})
			}
			synctest.Wait()
			_ = ends[closer].Close()
			wg.Wait()

			near, far = pipe()
			ends = []net.Conn{near, far}
			for _, c := range ends {
				wg.Go(func() {
					if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
						t.Errorf("read: %v", err)
					}
				})
			}
			synctest.Wait()
			_ = ends[closer].Close()
			wg.Wait()
		})
	}
}

// Deadlines strike when they are due, not before, can be moved while someone
// waits, and lifted.
func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe()
		defer func() { _ = near.Close() }()
		began := time.Now()
		_ = near.SetReadDeadline(began.Add(time.Second))
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		_ = near.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Hour)
			_ = near.SetReadDeadline(time.Now().Add(time.Minute)) // while it waits
		}()
		began = time.Now()
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Hour+time.Minute {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		_ = near.SetReadDeadline(time.Time{})

		began = time.Now()
		_ = near.SetWriteDeadline(began.Add(time.Second))
		if n, err := near.Write(make([]byte, pipeBuffer+5)); n != pipeBuffer || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Fatalf("%d, %v after %v", n, err, time.Since(began))
		}
		if n, err := far.Write([]byte("other way")); n != 9 || err != nil { // has deadlines of its own
			t.Fatal(n, err)
		}
		if got := make([]byte, 9); true {
			if _, err := io.ReadFull(near, got); err != nil || !bytes.Equal(got, []byte("other way")) {
				t.Fatalf("%q, %v", got, err)
			}
		}
	})
}
