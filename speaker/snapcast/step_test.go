package snapcast

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/speaker"
	"hkw/speaker/pulse"
	"hkw/speaker/speakertest"
)

// A speaker on this machine and a client of the server begin together if the
// target says how long the server takes, and the one here does not wait if it doesn't.
func TestInStepWithOthers(t *testing.T) {
	const buffer = 300 * time.Millisecond
	sound := speakertest.StartPulse(t, "all=module-null-sink rate=48000 channels=4 format=float32le channel_map=front-left,front-right,rear-left,rear-right",
		"here=module-remap-sink master=all remix=no channels=2 channel_map=front-left,front-right master_channel_map=front-left,front-right",
		"house=module-remap-sink master=all remix=no channels=2 channel_map=front-left,front-right master_channel_map=rear-left,rear-right")
	rec := sound.RecordChannels(t, "all", 4)
	for options, want := range map[string]time.Duration{"": buffer + lead - chunk, "?latency=" + buffer.String(): 0} {
		t.Run(options, func(t *testing.T) {
			server := speakertest.StartSnapserver(t, int(buffer.Milliseconds()))
			server.ListenOn(t, "kitchen", sound, "house")
			reports := make(chan speaker.Report, 1000)
			engine := speaker.NewEngine(speaker.Config{
				Speakers: []speaker.Setup{
					{ID: "house", Driver: New(), Target: server.Source + options},
					{ID: "here", Driver: pulse.New(sound.Server()), Target: "here"},
				},
				Report: func(r speaker.Report) { reports <- r }, Log: zerolog.Nop(),
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); _ = engine.Run(ctx) }()
			defer func() { cancel(); <-done }()
			await := func(kind speaker.ReportKind) speaker.Report {
				t.Helper()
				timeout := time.After(10 * time.Second)
				for {
					select {
					case r := <-reports:
						if r.Kind == kind {
							return r
						}
					case <-timeout:
						t.Fatalf("report %d did not come", kind)
					}
				}
			}
			for range 2 {
				if r := await(speaker.ReportSpeaker); !r.Speaker.Available {
					t.Fatalf("%s: %v", r.Speaker.ID, r.Err)
				}
			}
			// On a busy machine the server may have missed something; it is tried again.
			var apart time.Duration
			for try := range 5 {
				if apart = playApart(t, engine, await, rec, fmt.Sprint(try)); (apart - want).Abs() < 3*time.Millisecond {
					return
				}
				t.Logf("the house began %v after this machine", apart)
			}
			t.Errorf("the house begins %v after this machine, want %v", apart, want)
		})
	}
}

// playApart plays a tone on both speakers and measures when they begin.
func playApart(t *testing.T, engine *speaker.Engine, await func(speaker.ReportKind) speaker.Report, rec *speakertest.Recording, id string) time.Duration {
	t.Helper()
	engine.Do([]speaker.Order{{Verb: speaker.Prepare, Playback: id, Opener: &sine{tone{hertz: 500}}}})
	await(speaker.ReportPrepared)
	from := rec.Length()
	both := []speaker.Output{{Speaker: "house", Volume: speaker.MaxVolume}, {Speaker: "here", Volume: speaker.MaxVolume}}
	engine.Do([]speaker.Order{{Verb: speaker.Start, Playback: id, Outputs: both}})
	await(speaker.ReportStarted)
	var here, house int
	speakertest.Eventually(t, 5*time.Second, func() error {
		here, house = onset(rec, from, 0), onset(rec, from, 2)
		if here < 0 || house < 0 {
			return fmt.Errorf("heard from frame %d here and %d in the house", here, house)
		}
		return nil
	})
	engine.Do([]speaker.Order{{Verb: speaker.Release, Playback: id}})
	speakertest.Eventually(t, 5*time.Second, func() error {
		if n := rec.Length() - speaker.SampleRate/5; onset(rec, n, 0) >= 0 || onset(rec, n, 2) >= 0 {
			return fmt.Errorf("it is still heard")
		}
		return nil
	})
	return speaker.FramesToDuration(int64(house - here))
}

// onset is the first frame after from in which a channel of four is not silent, -1 if there is none.
func onset(rec *speakertest.Recording, from, channel int) int {
	frames := rec.Frames()
	for i := from; i < len(frames)/4; i++ {
		if x := frames[4*i+channel]; x > 0.001 || x < -0.001 {
			return i
		}
	}
	return -1
}
