package speakertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"hkw/speaker"
)

const (
	wobble = 2 * time.Millisecond   // by which a sink's idea of time may waver between two pulls
	busy   = 500 * time.Millisecond // for which a machine with much to do may keep a sink from its work
)

func errorf(format string, a ...any) error { return fmt.Errorf(format, a...) }

func checkTargets(t *testing.T, f Fixture) {
	if f.Driver.Name() == "" {
		t.Error("the driver has no name")
	}
	targets, err := f.Driver.Targets(t.Context())
	if err != nil {
		t.Fatalf("Targets: %v", err)
	}
	seen := map[string]bool{}
	defaults := 0
	for _, x := range targets {
		if x.ID == "" || seen[x.ID] {
			t.Errorf("target %q has no id or an id of another", x.ID)
		}
		seen[x.ID] = true
		if x.Default {
			defaults++
		}
		s, err := f.Driver.Open(t.Context(), x.ID)
		if err != nil {
			t.Errorf("Open(%q), which it lists: %v", x.ID, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close of %q: %v", x.ID, err)
		}
	}
	if defaults > 1 {
		t.Errorf("%d targets are the default", defaults)
	}
	if ch := f.Driver.Events(); ch != nil {
		_ = f.Driver.Close()
		Eventually(t, 5*time.Second, func() error {
			select {
			case _, ok := <-ch:
				if !ok {
					return nil
				}
			default:
			}
			return errors.New("the channel of events is open after Close")
		})
	}
}

func checkSilence(t *testing.T, f Fixture) {
	s, p := open(t, f)
	if s.Latency() < 0 || s.Latency() > 5*time.Second {
		t.Errorf("Latency is %v before anything ran", s.Latency())
	}
	if err := s.Flush(); err != nil {
		t.Errorf("Flush of what never ran: %v", err)
	}
	if err := s.Idle(); err != nil {
		t.Errorf("Idle of what never ran: %v", err)
	}
	<-time.After(60 * time.Millisecond)
	if n := len(p.all()); n > 0 {
		t.Errorf("%d pulls before Run", n)
	}
	select {
	case <-s.Failed():
		t.Errorf("it failed: %v", s.Err())
	default:
	}
	if err := s.Err(); err != nil {
		t.Errorf("Err without a failure: %v", err)
	}
}

func checkPace(t *testing.T, f Fixture) {
	s, p := open(t, f)
	start := time.Now().Add(2 * time.Millisecond)
	if err := s.Run(start); err != nil {
		t.Fatalf("Run: %v", err)
	}
	last := p.until(t, "is heard a second after the start", func(x pulled) bool { return x.heard.Sub(start) > time.Second })
	if took := last.at.Sub(start); took < time.Second-busy-s.Latency() {
		t.Errorf("a second of sound was pulled in %v", took)
	}
	list := p.all()
	if first := list[0].heard; first.Before(start.Add(-wobble)) || first.Sub(start) > busy+s.Latency() {
		t.Errorf("the first frame is heard %v after the start", first.Sub(start))
	}
	gaps := 0
	for i, x := range list {
		if x.frames == 0 || x.frames > speaker.SampleRate {
			t.Fatalf("pull %d is of %d frames", i, x.frames)
		}
		if ahead := x.heard.Sub(x.at); ahead > s.Latency()+busy || ahead < -busy {
			t.Errorf("pull %d is heard %v after it was pulled, the latency being %v", i, ahead, s.Latency())
		}
		if i == 0 {
			continue
		}
		switch step := x.heard.Sub(list[i-1].end()); {
		case step < -wobble:
			t.Errorf("pull %d goes back in time by %v without a flush", i, -step)
		case step > wobble:
			gaps++ // a busy machine
		}
	}
	if gaps > len(list)/10 {
		t.Errorf("%d of %d pulls left a gap", gaps, len(list))
	}
}

func checkFlush(t *testing.T, f Fixture) {
	s, p := open(t, f)
	if err := s.Run(time.Now()); err != nil {
		t.Fatalf("Run: %v", err)
	}
	p.until(t, "at all", func(pulled) bool { return true })
	late := 0
	for range 10 {
		<-time.After(23 * time.Millisecond)
		latency, asked := s.Latency(), time.Now()
		before := len(p.all())
		if err := s.Flush(); err != nil {
			t.Fatalf("Flush: %v", err)
		}
		var again pulled
		Eventually(t, 2*time.Second, func() error {
			list := p.all()
			for i := max(before, 1); i < len(list); i++ {
				if list[i].heard.Before(list[i-1].end().Add(-wobble)) || list[i].at.Sub(asked) > latency {
					again = list[i]
					return nil
				}
			}
			return errors.New("nothing was pulled anew")
		})
		if again.at.Sub(asked) > busy {
			t.Errorf("the flush took %v", again.at.Sub(asked))
		}
		if again.heard.Before(asked.Add(-wobble)) {
			t.Errorf("what was heard %v ago was pulled anew", asked.Sub(again.heard))
		}
		if again.heard.Sub(asked) > latency+wobble {
			late++
		}
	}
	if late > 5 {
		t.Errorf("%d of 10 flushes were heard later than the latency that was promised", late)
	}
}

func checkIdle(t *testing.T, f Fixture) {
	s, p := open(t, f)
	for round := range 2 {
		start := time.Now()
		if err := s.Run(start); err != nil {
			t.Fatalf("Run: %v", err)
		}
		if err := s.Run(start); err != nil {
			t.Errorf("Run of what runs: %v", err)
		}
		x := p.until(t, "since it ran again", func(x pulled) bool { return !x.at.Before(start) })
		if x.heard.Before(start.Add(-wobble)) {
			t.Errorf("round %d begins %v before its start", round, start.Sub(x.heard))
		}
		<-time.After(50 * time.Millisecond)
		if err := s.Idle(); err != nil {
			t.Fatalf("Idle: %v", err)
		}
		if err := s.Idle(); err != nil {
			t.Errorf("Idle of what rests: %v", err)
		}
		<-time.After(s.Latency() + 50*time.Millisecond)
		before := len(p.all())
		<-time.After(100 * time.Millisecond)
		if n := len(p.all()) - before; n > 0 {
			t.Errorf("%d pulls while idle", n)
		}
		if err := s.Flush(); err != nil {
			t.Errorf("Flush while idle: %v", err)
		}
		if n := len(p.all()) - before; n > 0 {
			t.Errorf("a flush made %d pulls while idle", n)
		}
	}
}

func checkClose(t *testing.T, f Fixture) {
	s, p := open(t, f)
	if err := s.Run(time.Now()); err != nil {
		t.Fatalf("Run: %v", err)
	}
	p.until(t, "at all", func(pulled) bool { return true })
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	before := len(p.all())
	<-time.After(50 * time.Millisecond)
	if n := len(p.all()) - before; n > 0 {
		t.Errorf("%d pulls after Close", n)
	}
	unused, err := f.Driver.Open(t.Context(), f.Target)
	if err != nil {
		t.Fatalf("Open again: %v", err)
	}
	if err := unused.Close(); err != nil {
		t.Errorf("Close of what was never started: %v", err)
	}
}

func checkMissing(t *testing.T, f Fixture) {
	if f.Missing != "" {
		s, err := f.Driver.Open(t.Context(), f.Missing)
		if err == nil {
			_ = s.Close()
			t.Errorf("Open(%q) is no error", f.Missing)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	s, err := f.Driver.Open(ctx, f.Target)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	cancel()
	<-time.After(20 * time.Millisecond)
	if err := s.Err(); err != nil {
		t.Errorf("the end of Open's context ended the sink: %v", err)
	}
	_ = s.Close()
}

func checkBreak(t *testing.T, f Fixture) {
	if f.Break == nil {
		t.Skip("nothing can break it")
	}
	s, p := open(t, f)
	if err := s.Run(time.Now()); err != nil {
		t.Fatalf("Run: %v", err)
	}
	p.until(t, "at all", func(pulled) bool { return true })
	f.Break()
	select {
	case <-s.Failed():
	case <-time.After(3 * time.Second):
		t.Fatal("it broke and does not say so")
	}
	if s.Err() == nil {
		t.Error("it failed without a reason")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _, _ = s.Run(time.Now()), s.Flush(), s.Idle()
		s.Latency()
		_ = s.Close()
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("a broken sink lets its caller wait")
	}
}
