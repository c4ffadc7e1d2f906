package snapcast

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hkw/speaker"
	"hkw/speaker/speakertest"
)

// The server is never without sound, whether something plays or not, and gets no more than time has passed.
func TestSilenceKeepsThePace(t *testing.T) {
	f := newFakeServer(t)
	began := time.Now()
	s, err := New().Open(t.Context(), f.address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.Start((&tone{hertz: 500}).pull)
	for range 3 {
		<-time.After(200 * time.Millisecond)
		if err := s.Run(time.Now()); err != nil {
			t.Fatal(err)
		}
		<-time.After(200 * time.Millisecond)
		if err := s.Idle(); err != nil {
			t.Fatal(err)
		}
	}
	frames, conns := f.taken()
	took := time.Since(began)
	if most := speaker.DurationToFrames(took + lead + chunk); int64(frames) > most {
		t.Errorf("%d frames in %v are more than %d", frames, took, most)
	}
	if machineWasBusy(f) {
		t.Skip("the server was kept waiting, which it is spared later")
	}
	if least := speaker.DurationToFrames(took - 2*chunk); int64(frames) < least {
		t.Errorf("%d frames in %v are less than %d", frames, took, least)
	}
	if conns != 1 {
		t.Errorf("%d connections", conns)
	}
}

func machineWasBusy(f *fakeServer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resyncs > 1 // the first chunk of all is one
}

// A server that accepts and reads nothing, since it listens to another program,
// makes the speaker fail soon, and from then on it is not shown as open before it is read.
func TestServerTakesNothing(t *testing.T) {
	f := newFakeServer(t)
	f.sleep(true)
	ignore := goleak.IgnoreCurrent()
	d := New()
	s, err := d.Open(t.Context(), f.address())
	if err != nil {
		t.Fatal(err)
	}
	s.Start((&tone{hertz: 500}).pull)
	if err := s.Run(time.Now()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Failed():
	case <-time.After(5 * time.Second):
		t.Fatal("nobody noticed")
	}
	if err := s.Err(); !errors.Is(err, errStuck) {
		t.Errorf("failed for %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	goleak.VerifyNone(t, ignore)
	asked := time.Now()
	if _, err := d.Open(t.Context(), f.address()); !errors.Is(err, errStuck) {
		t.Errorf("opened anew: %v", err)
	}
	if took := time.Since(asked); took > time.Second {
		t.Errorf("that took %v", took)
	}
	if _, conns := f.taken(); conns != 1 {
		t.Errorf("%d connections", conns)
	}
	// Half a minute later it is tried again, and has to prove itself.
	later := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stuck[f.address()] = time.Now().Add(-stuckPause)
	}
	later()
	asked = time.Now()
	if _, err := d.Open(t.Context(), f.address()); !errors.Is(err, errStuck) {
		t.Errorf("opened half a minute later: %v", err)
	}
	if took := time.Since(asked); took < writeLimit || took > 4500*time.Millisecond {
		t.Errorf("that took %v, and a speaker may take no longer than 5 s to open", took)
	}
	f.sleep(false)
	later()
	for range 2 { // at first with a proof, then at once
		asked = time.Now()
		s, err = d.Open(t.Context(), f.address())
		if err != nil {
			t.Fatalf("it is read again: %v", err)
		}
		_ = s.Close()
	}
	if took := time.Since(asked); took > time.Second {
		t.Errorf("to open a server that proved itself took %v", took)
	}
}

// A closing sink does not wait for a server that hangs.
func TestCloseWhileStuck(t *testing.T) {
	f := newFakeServer(t)
	f.sleep(true)
	s, err := New().Open(t.Context(), f.address())
	if err != nil {
		t.Fatal(err)
	}
	s.Start((&tone{hertz: 500}).pull)
	if err := s.Run(time.Now()); err != nil {
		t.Fatal(err)
	}
	<-time.After(900 * time.Millisecond) // until nothing more fits into the connection
	asked := time.Now()
	_ = s.Close()
	if took := time.Since(asked); took > time.Second {
		t.Errorf("it took %v to close", took)
	}
}

// What the server went without while this machine was held up is not sent after it for
// ever: the next silence begins with a new connection.
func TestStarvedServer(t *testing.T) {
	f := newFakeServer(t)
	s, err := New().Open(t.Context(), f.address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	held := make(chan struct{}, 1)
	s.Start(func(dst []float32, _ time.Time) {
		select {
		case held <- struct{}{}: // the first time only
			<-time.After(300 * time.Millisecond)
		default:
		}
		clear(dst)
	})
	if err := s.Run(time.Now()); err != nil {
		t.Fatal(err)
	}
	<-time.After(500 * time.Millisecond)
	if err := s.Idle(); err != nil {
		t.Fatal(err)
	}
	speakertest.Eventually(t, 5*time.Second, func() error {
		if _, conns := f.taken(); conns != 2 {
			return fmt.Errorf("%d connections", conns)
		}
		return nil
	})
	select {
	case <-s.Failed():
		t.Errorf("it failed: %v", s.Err())
	case <-time.After(100 * time.Millisecond):
	}
}

// Another program on the port, which answers, is told from a snapserver.
func TestServerThatTalks(t *testing.T) {
	f := newFakeServer(t)
	s, err := New().Open(t.Context(), f.address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	speakertest.Eventually(t, 5*time.Second, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.conn == nil {
			return errors.New("nobody has connected")
		}
		_, err := f.conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n"))
		return err
	})
	select {
	case <-s.Failed():
	case <-time.After(5 * time.Second):
		t.Fatal("nobody noticed")
	}
	if err := s.Err(); !errors.Is(err, errTalks) {
		t.Errorf("failed for %v", err)
	}
}
