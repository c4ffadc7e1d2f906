package bridge

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/wavfile"
)

// TestMutePayloads says it in every way; what is said last is what is so.
func TestMutePayloads(t *testing.T) {
	b := newBench(t)
	for _, test := range []struct {
		topic, payload string
		hub, kitchen   bool
		below          int
		code           session.Code
	}{
		{topic: "mute", payload: "on", hub: true},
		{topic: "mute", payload: "OFF"},
		{topic: "mute", payload: "toggle", hub: true},
		{topic: "mute", payload: `{"mute":"toggle"}`},
		{topic: "mute", payload: `{"mute":true,"below":300}`, hub: true, below: 300},
		{topic: "mute", payload: `{"mute":true}`, hub: true},
		{topic: "mute", payload: `{"mute":false,"below":300}`},
		{topic: "mute", payload: `{"mute":"on","speaker":"kitchen"}`, kitchen: true},
		{topic: "speaker/kitchen/mute", payload: "false"},
		{topic: "speaker/kitchen/mute", payload: "true", kitchen: true},
		{topic: "mute", payload: "", kitchen: true, code: session.InvalidCommand},
		{topic: "mute", payload: "auto", kitchen: true, code: session.InvalidCommand},
		{topic: "mute", payload: `{"mute":1}`, kitchen: true, code: session.InvalidCommand},
		{topic: "mute", payload: `{"mute":true,"below":0}`, kitchen: true, code: session.InvalidCommand},
		{topic: "mute", payload: `{"speaker":"kitchen"}`, kitchen: true, code: session.InvalidCommand},
		{topic: "speaker/barn/mute", payload: "on", kitchen: true, code: session.SpeakerNotFound},
		{topic: "mute", payload: `{"mute":true,"session":"dead"}`, kitchen: true, code: session.SessionNotFound},
	} {
		said := b.publish(test.topic, test.payload)
		if r := b.result(said); r.Error != test.code || r.Command != "mute" {
			t.Errorf("%s %s: %+v", test.topic, test.payload, r)
		}
		s := b.status()
		if s.Muted != test.hub || s.Speakers[0].Muted != test.kitchen || s.MuteBelow != test.below {
			t.Errorf("%s %s: hub %v below %d, kitchen %v", test.topic, test.payload, s.Muted, s.MuteBelow, s.Speakers[0].Muted)
		}
		if flat, _ := b.hub.out.get("status/mute"); string(flat) != onOff(test.hub) {
			t.Errorf("%s %s: status/mute %s", test.topic, test.payload, flat)
		}
	}
}

// status is the snapshot as it stands on the bus.
func (b *bench) status() (s Status) {
	b.t.Helper()
	raw, _ := b.hub.out.get("status")
	if err := json.Unmarshal(raw, &s); err != nil {
		b.t.Fatal(err)
	}
	return s
}

func TestQuietPayloads(t *testing.T) {
	zone := time.FixedZone("", 3600)
	b := newBench(t, func(c *Config) {
		c.Session.Quiet = &session.Quiet{Volume: 5, Priority: 250,
			Hours: &session.Hours{From: 0, To: 0, Days: []time.Weekday{(time.Now().In(zone).Weekday() + 3) % 7}, Zone: zone}}
	})
	for _, test := range []struct {
		topic, payload string
		hub, kitchen   session.QuietMode
		code           session.Code
	}{
		{topic: "quiet", payload: "on", hub: session.QuietOn},
		{topic: "quiet", payload: "Auto", hub: session.QuietAuto},
		{topic: "quiet", payload: `{"quiet":"off"}`, hub: session.QuietOff},
		{topic: "quiet", payload: `{"quiet":"on","speaker":"kitchen"}`, hub: session.QuietOff, kitchen: session.QuietOn},
		{topic: "speaker/kitchen/quiet", payload: "auto", hub: session.QuietOff},
		{topic: "speaker/kitchen/quiet", payload: "off", hub: session.QuietOff, kitchen: session.QuietOff},
		{topic: "quiet", payload: "toggle", hub: session.QuietOff, kitchen: session.QuietOff, code: session.InvalidCommand},
		{topic: "quiet", payload: `{"quiet":true}`, hub: session.QuietOff, kitchen: session.QuietOff, code: session.InvalidCommand},
		{topic: "speaker/barn/quiet", payload: "on", hub: session.QuietOff, kitchen: session.QuietOff, code: session.SpeakerNotFound},
	} {
		if r := b.result(b.publish(test.topic, test.payload)); r.Error != test.code || r.Command != "quiet" {
			t.Errorf("%s %s: %+v", test.topic, test.payload, r)
		}
		s := b.status()
		kitchen := session.QuietMode("")
		if q := s.Speakers[0].Quiet; q != nil {
			kitchen = q.Mode
		}
		if s.Quiet.Mode != test.hub || s.Quiet.Active != (test.hub == session.QuietOn) || kitchen != test.kitchen {
			t.Errorf("%s %s: %+v", test.topic, test.payload, s)
		}
		if flat, _ := b.hub.out.get("status/quiet"); string(flat) != onOff(test.hub == session.QuietOn) {
			t.Errorf("%s %s: status/quiet %s", test.topic, test.payload, flat)
		}
	}
	q := b.status().Quiet
	if q.Volume != 5 || q.Priority != 250 || q.From != "00:00" || q.To != "00:00" || len(q.Days) != 1 || q.Until == nil {
		t.Errorf("%+v", q)
	}
	if q := b.status().Speakers[0].Quiet; q.Volume != session.DefaultQuietVolume || q.Priority != session.DefaultQuietPriority || q.From != "" || q.Until != nil {
		t.Errorf("%+v", q)
	}
}

// Who asks in quiet hours is told so.
func TestQuietHoursRefuse(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Session.Quiet = &session.Quiet{Volume: 0, Priority: 200} })
	b.publish("quiet", "on")
	if r := b.result(b.publish("play", "song")); r.Error != session.QuietHours || r.Outcome != session.OutcomeRejected || HTTPStatus(r.Error) != 409 {
		t.Errorf("%+v", r)
	}
	if r := b.result(b.publish("play", `{"media":"song","priority":200}`)); r.Outcome != session.OutcomeStarted {
		t.Errorf("%+v", r)
	}
}

// A hub that comes back is as muted and as quiet as it was.
func TestSwitchesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	furnish := func(c *Config) { c.DataDir = dir }
	b := newBench(t, furnish)
	for _, c := range [][2]string{{"mute", `{"mute":true,"below":300}`}, {"quiet", "on"}, {"speaker/kitchen/mute", "on"},
		{"speaker/kitchen/quiet", "off"}, {"volume", "7"}} {
		b.publish(c[0], c[1])
	}
	b.hub.saved.save()
	s := newBench(t, furnish).status()
	if !s.Muted || s.MuteBelow != 300 || !s.Quiet.Active || s.Quiet.Mode != session.QuietOn {
		t.Errorf("the hub: %+v", s)
	}
	if k := s.Speakers[0]; !k.Muted || k.Quiet == nil || k.Quiet.Mode != session.QuietOff || k.Volume != 7 {
		t.Errorf("the kitchen: %+v", k)
	}
}

// loudness tells the tones that were heard in turn, each at which volume, and for
// how long.
func loudness(samples []int16) string {
	const block = speaker.SampleRate / 50
	names := tones(samples)
	for i := range names {
		peak := 0.0
		for _, s := range samples[2*block*i : 2*block*(i+1)] {
			peak = max(peak, math.Abs(float64(s)))
		}
		if names[i] > 0 { // the tones of toneFile, by the square law of the gain
			names[i] += 100_000 * int(math.Round(session.MaxVolume*math.Sqrt(peak/12000)))
		}
	}
	var s string
	names, length := runs(names)
	for i, n := range names {
		s += fmt.Sprintf("%d at %d for %s, ", n%100_000, n/100_000, length[i].Round(100*time.Millisecond))
	}
	return s
}

// TestQuietHoursAreHeard listens to a night that begins one minute after midnight
// and lasts a minute, and to somebody who mutes.
func TestQuietHoursAreHeard(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		night := session.Hours{From: 1, To: 2, Zone: time.UTC}
		driver := wavfile.New()
		toneFile(t, dir, "a.wav", toneA, 30*time.Second)
		toneFile(t, dir, "b.wav", toneB, 5*time.Second)
		h := newVirtualHouse(t, func(c *Config) {
			c.Media = files{dir}
			c.Session.Quiet = &session.Quiet{Hours: &night, Volume: 10, Priority: 200}
			c.Session.QuietSpeakers = map[string]session.Quiet{"nursery": {Hours: &night, Volume: 0, Priority: 300}}
			c.Speakers = []speaker.Setup{{ID: "hall", Driver: driver, Target: filepath.Join(dir, "hall-out.wav")},
				{ID: "nursery", Driver: driver, Target: filepath.Join(dir, "nursery-out.wav")}}
		})
		midnight := time.Now().Truncate(24 * time.Hour)
		at := func(s float64) { time.Sleep(time.Until(midnight.Add(time.Duration(s * float64(time.Second))))) }
		quiet, events := h.listen("status/quiet"), h.listen("event/playback")
		until(t, quiet, "it is not quiet", func(m busMessage) bool { return string(m.payload) == "off" })
		h.must("volume", `"volume":40`, session.OutcomeDone)

		at(10)
		h.must("play", `"media":"a.wav","repeat":true`, session.OutcomeStarted)
		at(20)
		h.must("mute", `"mute":true`, session.OutcomeDone)
		at(25)
		h.must("volume", `"volume":30`, session.OutcomeDone)
		h.must("mute", `"mute":false`, session.OutcomeDone)

		at(60.5)
		until(t, quiet, "it is quiet", func(m busMessage) bool { return string(m.payload) == "on" })
		at(70)
		bell := h.must("play", `"media":"b.wav","on_busy":"announce","priority":250,"volume":40`, session.OutcomeStarted)
		event(t, events, session.EventFinished, bell.Playback)
		if r := h.command("play", `"media":"b.wav","speakers":["nursery"],"priority":299`); r.Error != session.QuietHours {
			t.Errorf("%+v", r)
		}

		at(120.5)
		until(t, quiet, "it is not quiet any more", func(m busMessage) bool { return string(m.payload) == "off" })
		at(130)
		h.must("quiet", `"quiet":"on","speaker":"nursery"`, session.OutcomeDone)
		at(140.05)
		h.must("stop", "", session.OutcomeDone)
		h.end()
		_ = driver.Close()
	})
	for name, want := range map[string]string{
		"hall":    "500 at 40 for 10s, 0 at 0 for 5s, 500 at 30 for 35s, 500 at 10 for 10s, 900 at 40 for 5s, 500 at 10 for 45s, 500 at 30 for 20s, ",
		"nursery": "500 at 40 for 10s, 0 at 0 for 5s, 500 at 30 for 35s, 0 at 0 for 1m0s, 500 at 30 for 10s, 0 at 0 for 10s, ",
	} {
		if heard := loudness(heardOn(t, filepath.Join(dir, name+"-out.wav"))); heard != want {
			t.Errorf("%s:\nheard %s\nwant  %s", name, heard, want)
		}
	}
}
