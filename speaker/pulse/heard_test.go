package pulse_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/speaker"
	"hkw/speaker/pulse"
	"hkw/speaker/speakertest"
)

// ramp is a source of which each frame tells its number.
type ramp struct{ at, frames int64 }

func (r *ramp) Open(context.Context) (speaker.Source, error) { c := *r; return &c, nil }

func (r *ramp) Read(dst []float32) (int, error) {
	if r.at >= r.frames {
		return 0, io.EOF
	}
	n := min(int64(len(dst)/2), r.frames-r.at)
	for i := range n {
		dst[2*i], dst[2*i+1] = value(r.at+i), -value(r.at+i)
	}
	r.at += n
	return int(n), nil
}

// value is never 0, and of 16 bit precision.
func value(frame int64) float32 { return float32(frame%16000+1) / 32768 }

func (r *ramp) Seek(f int64) error { r.at = f; return nil }
func (r *ramp) Info() speaker.Info {
	return speaker.Info{Duration: speaker.FramesToDuration(r.frames), Seekable: true, Codec: "ramp"}
}
func (r *ramp) Title() string { return "" }
func (r *ramp) Close() error  { return nil }

// house is an engine under test.
type house struct {
	*speaker.Engine
	t       testing.TB
	reports chan speaker.Report
}

func newHouse(t testing.TB, cfg speaker.Config) *house {
	h := &house{t: t, reports: make(chan speaker.Report, 1000)}
	cfg.Report = func(r speaker.Report) { h.reports <- r }
	cfg.Log = zerolog.Nop()
	h.Engine = speaker.NewEngine(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

// await waits for a report, passing over others.
func (h *house) await(what string, ok func(speaker.Report) bool) speaker.Report {
	h.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case r := <-h.reports:
			if ok(r) {
				return r
			}
		case <-timeout:
			h.t.Fatalf("%s was not reported", what)
		}
	}
}

func kind(k speaker.ReportKind) func(speaker.Report) bool {
	return func(r speaker.Report) bool { return r.Kind == k }
}

func available(id string, is bool) func(speaker.Report) bool {
	return func(r speaker.Report) bool {
		return r.Kind == speaker.ReportSpeaker && r.Speaker.ID == id && r.Speaker.Available == is
	}
}

func (h *house) speakers(ids ...string) {
	h.t.Helper()
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	for len(missing) > 0 {
		r := h.await("a speaker", func(r speaker.Report) bool {
			return r.Kind == speaker.ReportSpeaker && r.Speaker.Available
		})
		delete(missing, r.Speaker.ID)
	}
}

func (h *house) prepare(id string, o speaker.Opener) {
	h.t.Helper()
	h.Do([]speaker.Order{{Verb: speaker.Prepare, Playback: id, Opener: o}})
	h.await("that "+id+" is prepared", kind(speaker.ReportPrepared))
}

func on(ids ...string) []speaker.Output {
	var outs []speaker.Output
	for _, id := range ids {
		outs = append(outs, speaker.Output{Speaker: id, Volume: speaker.MaxVolume})
	}
	return outs
}

func TestHeard(t *testing.T) {
	server := speakertest.StartPulse(t, "hall")
	d := pulse.New(server.Server())
	defer d.Close()
	h := newHouse(t, speaker.Config{Speakers: []speaker.Setup{{ID: "hall", Driver: d, Target: "hall"}}})
	h.await("the speaker", available("hall", true))
	rec := server.Record(t, "hall")
	const frames = 72000
	h.prepare("a", &ramp{frames: frames})
	asked := time.Now()
	h.Do([]speaker.Order{{Verb: speaker.Start, Playback: "a", Outputs: on("hall")}})
	r := h.await("the start", kind(speaker.ReportStarted))
	t.Logf("started after %v, heard after %v", time.Since(asked), r.At.Sub(asked))
	h.await("the end", kind(speaker.ReportEnded))
	time.Sleep(300 * time.Millisecond)
	s := rec.Stop()
	i := 0
	for i < len(s) && s[i] == 0 {
		i += 2
	}
	bad := 0
	for k := range int64(frames) {
		j := i + int(2*k)
		if j+1 >= len(s) {
			t.Fatalf("cut at %d", k)
		}
		if s[j] != value(k) || s[j+1] != -value(k) {
			if bad < 10 {
				t.Logf("frame %d is %v not %v", k, s[j]*32768, value(k)*32768)
			}
			bad++
		}
	}
	if bad > 0 {
		t.Errorf("%d frames differ", bad)
	}
}

func TestOffset(t *testing.T) {
	// Two sinks whose sound ends up in one recording, and share nothing before.
	server := speakertest.StartPulse(t,
		"all=module-null-sink rate=48000 channels=4 format=float32le channel_map=front-left,front-right,rear-left,rear-right",
		"left=module-remap-sink master=all remix=no channels=2 channel_map=front-left,front-right master_channel_map=front-left,front-right",
		"right=module-remap-sink master=all remix=no channels=2 channel_map=front-left,front-right master_channel_map=rear-left,rear-right")
	d := pulse.New(server.Server())
	defer d.Close()
	h := newHouse(t, speaker.Config{Speakers: []speaker.Setup{{ID: "l", Driver: d, Target: "left"}, {ID: "r", Driver: d, Target: "right"}}})
	h.speakers("l", "r")
	rec := server.RecordChannels(t, "all", 4)
	for round := range 5 {
		h.prepare("a", &ramp{frames: 15000})
		asked := time.Now()
		h.Do([]speaker.Order{{Verb: speaker.Start, Playback: "a", Outputs: on("l", "r")}})
		r := h.await("the start", kind(speaker.ReportStarted))
		t.Logf("started after %v, heard after %v", time.Since(asked), r.At.Sub(asked))
		h.await("the end", kind(speaker.ReportEnded))
		_ = round
	}
	time.Sleep(300 * time.Millisecond)
	s := rec.Stop()
	var at [2][]int
	for c := range 2 {
		last := -100000
		for i := range len(s) / 4 {
			if s[4*i+2*c] != 0 {
				if i-last > 1000 {
					at[c] = append(at[c], i)
				}
				last = i
			}
		}
	}
	t.Log(at)
	for i := range at[0] {
		t.Logf("offset %d frames", at[0][i]-at[1][i])
	}
}
