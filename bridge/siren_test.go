package bridge

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
	"hkw/speaker/wavfile"
)

func number(n int) *int { return &n }

// recorded is a virtual house whose speakers write down what they play, so that
// what was heard can be measured.
func recorded(t *testing.T, tell func(h *virtualHouse, dir string)) (kitchen []int16) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		driver := wavfile.New()
		toneFile(t, dir, "a.wav", toneA, 30*time.Second)
		toneFile(t, dir, "b.wav", toneB, time.Second)
		toneFile(t, dir, "c.wav", toneC, time.Second)
		h := newVirtualHouse(t, func(c *Config) {
			c.Media = files{dir}
			c.Presets = map[string]Preset{
				"fire": {Media: "b.wav", Priority: number(500), Volume: number(40)}, "burglar": {Media: "c.wav"}, "gone": {Media: "no.wav"}}
			c.Speakers = []speaker.Setup{{ID: "kitchen", Driver: driver, Target: filepath.Join(dir, "kitchen-out.wav")}}
		})
		tell(h, dir)
		h.end()
		_ = driver.Close()
		kitchen = heardOn(t, filepath.Join(dir, "kitchen-out.wav"))
	})
	return kitchen
}

// lasted tells the tones that were heard in turn, and for how long each, without silence.
func lasted(samples []int16) string {
	names, length := runs(tones(samples))
	var s string
	for i, n := range names {
		if n != 0 {
			s += fmt.Sprintf("%d for %s, ", n, length[i].Round(100*time.Millisecond))
		}
	}
	return s
}

func TestRepeatAndDuration(t *testing.T) {
	var frames int
	heard := recorded(t, func(h *virtualHouse, _ string) {
		events := h.listen("event/playback")
		p := h.must("play", `"media":"b.wav","repeat":true,"duration":3.5`, session.OutcomeStarted)
		e := event(h.t, events, session.EventFinished, p.Playback)
		if e.Media.Duration != 3.5 {
			h.t.Errorf("of repeated sound: %+v", e.Playback)
		}
		p = h.must("play/c.wav", `"duration":60`, session.OutcomeStarted)
		if e := event(h.t, events, session.EventFinished, p.Playback); e.Media.Duration != 1 {
			h.t.Errorf("of a sound that ends before its limit: %+v", e.Playback)
		}
		p = h.must("play", `"media":"a.wav","duration":2`, session.OutcomeStarted)
		time.Sleep(time.Second)
		h.must("pause", "", session.OutcomeDone)
		time.Sleep(10 * time.Second)
		h.must("resume", "", session.OutcomeStarted)
		event(h.t, events, session.EventFinished, p.Playback)
		h.must("play", `"media":"c.wav","repeat":true`, session.OutcomeStarted)
		time.Sleep(5 * time.Second)
		h.must("stop", "", session.OutcomeDone)
	})
	if got, want := lasted(heard), "900 for 3.5s, 1700 for 1s, 500 for 1s, 500 for 1s, 1700 for 5s, "; got != want {
		t.Errorf("heard %swant %s", got, want)
	}
	// Round follows round without a gap, and the limit is kept to the sample.
	for _, s := range heard {
		if s == 0 && frames == 0 {
			continue
		}
		if frames++; frames >= 2*3*speaker.SampleRate {
			break
		}
	}
	for i, got := range tones(heard) {
		if got == toneB {
			for j := range 174 {
				if at := tones(heard)[i+j]; at != toneB {
					t.Fatalf("block %d of the repeated sound is %d", j, at)
				}
			}
			break
		}
	}
}

func TestSiren(t *testing.T) {
	heard := recorded(t, func(h *virtualHouse, _ string) {
		states, events := h.listen("status/siren"), h.listen("event/playback")
		is := func(want string) {
			h.t.Helper()
			until(h.t, states, "the siren is "+want, func(m busMessage) bool { return string(m.payload) == want })
		}
		is(powerOff)
		// Nothing to switch off is done.
		h.must("siren", `"state":"OFF"`, session.OutcomeDone)

		music := h.must("play", `"media":"a.wav"`, session.OutcomeStarted)
		time.Sleep(time.Second)
		fire := h.must("siren", `"state":"ON","tone":"fire","volume_level":0.5,"duration":30`, session.OutcomeStarted)
		is(powerOn)
		if *fire.Priority != 500 {
			h.t.Errorf("priority %d, want that of the preset", *fire.Priority)
		}
		event(h.t, events, session.EventInterrupted, music.Playback)
		if e := event(h.t, events, session.EventStarted, fire.Playback); *e.Volume != 25 || e.Media.Duration != 30 || e.Media.Title != "b.wav" {
			h.t.Errorf("siren: %+v", e.Playback)
		}
		time.Sleep(2 * time.Second)

		// A tone that cannot be played leaves the alarm as it is.
		h.must("siren", `"tone":"gone"`, session.OutcomeRejected)
		h.must("play", `"media":"a.wav","priority":400`, session.OutcomeRejected)

		// Switched on again it changes, although it asks for less than it has.
		burglar := h.must("siren", `"state":"on","tone":"burglar"`, session.OutcomeStarted)
		if *burglar.Priority != 300 {
			h.t.Errorf("priority %d", *burglar.Priority)
		}
		event(h.t, events, session.EventInterrupted, fire.Playback)
		time.Sleep(2 * time.Second)

		// Who switches off needs no priority, and silences nothing else.
		h.must("siren", `"state":"OFF"`, session.OutcomeDone)
		is(powerOff)
		event(h.t, events, session.EventStopped, burglar.Playback)
		other := h.must("play", `"media":"a.wav","priority":1`, session.OutcomeStarted)
		h.must("siren", `"state":"OFF"`, session.OutcomeDone)
		time.Sleep(time.Second)
		h.must("stop", `"playback":"`+other.Playback+`"`, session.OutcomeDone)

		// It ends by itself, and says so.
		quick := h.must("siren", `"tone":"c.wav","duration":4`, session.OutcomeStarted)
		is(powerOn)
		event(h.t, events, session.EventFinished, quick.Playback)
		is(powerOff)

		// Interrupted by what is more important, and paused, it is over.
		h.must("siren", `"tone":"c.wav"`, session.OutcomeStarted)
		is(powerOn)
		h.must("play", `"media":"a.wav","priority":9999,"duration":1`, session.OutcomeStarted)
		is(powerOff)
		time.Sleep(2 * time.Second)
		h.must("siren", `"tone":"c.wav","priority":100`, session.OutcomeStarted)
		is(powerOn)
		h.must("pause", "", session.OutcomeDone)
		is(powerOff)
		h.must("resume", "", session.OutcomeRejected)

		// A minute, unless told otherwise.
		last := h.must("siren", `"tone":"c.wav"`, session.OutcomeStarted)
		began := time.Now()
		time.Sleep(50 * time.Second)
		event(h.t, events, session.EventFinished, last.Playback)
		if took := time.Since(began); took < sirenTime-time.Second || took > sirenTime+time.Second {
			h.t.Errorf("it ended after %s", took)
		}
	})
	if got, want := lasted(heard), "500 for 1s, 900 for 2s, 1700 for 2s, 500 for 1s, 1700 for 4s, "; !strings.HasPrefix(got, want) {
		t.Errorf("heard %s\nwant  %s", got, want)
	}
}

// The payloads are those that Home Assistant sends by itself, and bare text.
func TestSirenPayloads(t *testing.T) {
	for _, c := range []struct {
		payload string
		why     string // of the refusal
	}{
		{"ON", ""}, {"on", ""}, {"OFF", ""}, {`{"state":"ON"}`, ""}, {`{"state":"OFF"}`, ""},
		{`{"state":"ON","tone":"bell","duration":10,"volume_level":0.25}`, ""}, {`{"tone":"bell"}`, ""},
		{"", `"state" is missing`}, {"maybe", `"state" must be ON or OFF, not "maybe"`},
		{`{"state":true}`, `"state" must be ON or OFF, not true`},
		{`{"volume_level":1.5}`, `"volume_level" must be a number from 0 to 1, not 1.5`},
		{`{"duration":0}`, `"duration" must be seconds from 1 to 3600, not 0`},
		{`{"tone":"nothing"}`, `the library has no "nothing"`},
	} {
		b := newBench(t)
		b.hub.cfg.Presets = map[string]Preset{"alarm": {Media: "bell"}}
		r := b.result(b.publish("siren", c.payload))
		switch {
		case c.why == "" && r.Error != "":
			t.Errorf("%s: %s %s", c.payload, r.Error, r.Message)
		case c.why != "" && (r.Outcome != session.OutcomeRejected || len(r.Message) < len(c.why) || r.Message[:len(c.why)] != c.why) && c.payload != "":
			t.Errorf("%s: %q, want %q", c.payload, r.Message, c.why)
		case c.why != "" && r.Error == "":
			t.Errorf("%q was carried out", c.payload)
		}
	}
}

// What is about to replace the siren is switched off with it.
func TestSirenOffWhileItChanges(t *testing.T) {
	b := newBench(t)
	b.hub.cfg.Presets = map[string]Preset{"alarm": {Media: "bell"}}
	b.publish("siren", "ON")
	b.engine.deaf = true
	b.publish("siren", `{"id":"second","tone":"song"}`)
	if got := b.hub.sirens(); len(got) != 2 {
		t.Fatalf("sirens %v, want what sounds and what comes", got)
	}
	said := b.publish("siren", `{"id":"off","state":"OFF"}`)
	if got := b.hub.sirens(); len(got) != 0 {
		t.Errorf("sirens %v are left", got)
	}
	ends := map[string]Result{}
	for _, r := range b.results(said) {
		ends[r.ID] = r
	}
	if ends["second"].Error != session.Cancelled || ends["off"].Outcome != session.OutcomeDone {
		t.Errorf("results %+v", ends)
	}
	if state, _ := b.hub.out.get("status/siren"); string(state) != powerOff {
		t.Errorf("status/siren %s", state)
	}
}

// A URL of the siren that came over HTTP is opened as one of play: strictly.
func TestSirenOpensURLsAsPlayDoes(t *testing.T) {
	b := newBench(t)
	reply := make(chan Result, 1)
	body, _ := json.Marshal(map[string]string{"tone": "radio"})
	b.receive(request{topic: "siren", payload: body, at: time.Now(), overHTTP: true, reply: reply})
	<-reply
	v := b.hub.core.View()
	if m := v.Current.Media.(*item); m.Kind != library.KindWeb || !m.siren {
		t.Errorf("plays %+v", m)
	}
}
