package snapcast

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/speaker"
	"hkw/speaker/speakertest"
)

// tone is what a sink pulls: a sine of a frequency that can be changed, at a level of 0.5.
type tone struct {
	mu    sync.Mutex
	hertz float64
	phase float64
}

func (o *tone) set(hertz float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hertz = hertz
}

func (o *tone) pull(dst []float32, _ time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := 0; i < len(dst); i += 2 {
		o.phase += 2 * math.Pi * o.hertz / speaker.SampleRate
		dst[i], dst[i+1] = float32(0.5*math.Sin(o.phase)), 0
	}
}

// heardTone tells whether the last tenth of a second was a sine of a frequency and the level of a
// tone, or silence if the frequency is 0.
func heardTone(rec []float32, hertz float64) error {
	const window = speaker.SampleRate / 10
	if len(rec) < window {
		return fmt.Errorf("only %d samples", len(rec))
	}
	rec = rec[len(rec)-window:]
	var square float64
	crossings := 0
	for i, x := range rec {
		square += float64(x) * float64(x)
		if i > 0 && rec[i-1] < 0 && x >= 0 {
			crossings++
		}
	}
	level, want := math.Sqrt(square/window)*math.Sqrt2, 0.5
	if hertz == 0 {
		want = 0
	}
	if got := float64(crossings) * 10; math.Abs(got-hertz) > 15 || math.Abs(level-want) > 0.01 {
		return fmt.Errorf("heard %v Hz at %.3f, want %v Hz at %v", got, level, hertz, want)
	}
	return nil
}

// streamStatus is what the server says of its stream: idle or playing.
func streamStatus(t *testing.T, s *speakertest.Snapserver) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Control)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	fmt.Fprint(c, `{"id":1,"jsonrpc":"2.0","method":"Server.GetStatus"}`+"\r\n")
	line, err := bufio.NewReader(c).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var reply struct {
		Result struct {
			Server struct {
				Streams []struct{ Status string }
			}
		}
	}
	if err := json.Unmarshal(line, &reply); err != nil || len(reply.Result.Server.Streams) != 1 {
		t.Fatalf("%v: %s", err, line)
	}
	return reply.Result.Server.Streams[0].Status
}

// A client of a real server hears what is played, at its level, a switch of it, and nothing in
// between, during which the stream does not stand still.
func TestHeardBySnapclient(t *testing.T) {
	server := speakertest.StartSnapserver(t, 200)
	s, err := New().Open(t.Context(), server.Source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	client := server.Listen(t, "kitchen")
	hears := func(hertz float64) {
		t.Helper()
		speakertest.Eventually(t, 5*time.Second, func() error { return heardTone(client.Samples(t), hertz) })
	}
	o := &tone{hertz: 500}
	s.Start(o.pull)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(s.Run(time.Now()))
	hears(500)
	o.set(1000)
	ok(s.Flush())
	hears(1000)
	ok(s.Idle())
	hears(0)
	<-time.After(1200 * time.Millisecond) // the server looks twice a second
	if status := streamStatus(t, server); status != "playing" {
		t.Errorf("after a second of silence the stream is %s", status)
	}
	o.set(750)
	ok(s.Run(time.Now()))
	hears(750)
}

// sine is a source that never ends.
type sine struct{ tone }

func (s *sine) Open(context.Context) (speaker.Source, error) { return s, nil }
func (s *sine) Read(dst []float32) (int, error)              { s.pull(dst, time.Time{}); return len(dst) / 2, nil }
func (s *sine) SeekTo(int64) error                           { return nil }
func (s *sine) Info() speaker.Info                           { return speaker.Info{Codec: "sine"} }
func (s *sine) Title() string                                { return "" }
func (s *sine) Close() error                                 { return nil }

// A server that goes away makes its speaker unavailable, and one that is back makes it heard
// again, without anybody's help.
func TestServerRestarts(t *testing.T) {
	server := speakertest.StartSnapserver(t, 200)
	client := server.Listen(t, "kitchen")
	reports := make(chan speaker.Report, 1000)
	engine := speaker.NewEngine(speaker.Config{
		Speakers: []speaker.Setup{{ID: "house", Driver: New(), Target: server.Source}},
		Report:   func(r speaker.Report) { reports <- r }, Log: zerolog.Nop(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = engine.Run(ctx) }()
	defer func() { cancel(); <-done }()
	await := func(what string, ok func(speaker.Report) bool) {
		t.Helper()
		timeout := time.After(10 * time.Second)
		for {
			select {
			case r := <-reports:
				if ok(r) {
					return
				}
			case <-timeout:
				t.Fatalf("%s was not reported", what)
			}
		}
	}
	available := func(is bool) {
		t.Helper()
		await(fmt.Sprintf("that the speaker is available or not (%v)", is), func(r speaker.Report) bool {
			return r.Kind == speaker.ReportSpeaker && r.Speaker.Available == is
		})
	}
	play := func(id string, hertz float64) {
		t.Helper()
		engine.Do([]speaker.Order{{Verb: speaker.Prepare, Playback: id, Opener: &sine{tone{hertz: hertz}}}})
		await("the preparation of "+id, func(r speaker.Report) bool { return r.Kind == speaker.ReportPrepared })
		engine.Do([]speaker.Order{{Verb: speaker.Start, Playback: id, Outputs: []speaker.Output{{Speaker: "house", Volume: speaker.MaxVolume}}}})
		await("the start of "+id, func(r speaker.Report) bool { return r.Kind == speaker.ReportStarted })
		speakertest.Eventually(t, 10*time.Second, func() error { return heardTone(client.Samples(t), hertz) })
	}
	available(true)
	play("before", 500)
	server.Kill()
	available(false)
	await("the failure of what played", func(r speaker.Report) bool { return r.Kind == speaker.ReportFailed && r.Playback == "before" })
	server.Start(t)
	available(true)
	play("after", 1000)
}
