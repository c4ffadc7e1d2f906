package bridge

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/pulse"
	"hkw/speaker/speakertest"
)

// onPulse gives the hub each sink of a sound server as a speaker.
func onPulse(t testing.TB, server *speakertest.PulseServer) furnish {
	driver := pulse.New(server.Server())
	t.Cleanup(func() { _ = driver.Close() })
	return func(c *Config) { c.Speakers, c.Discover = nil, []speaker.Driver{driver} }
}

// speakerIs waits until a speaker's retained status satisfies ok.
func (h *house) speakerIs(id, what string, ok func(SpeakerStatus) bool) {
	h.t.Helper()
	until(h.t, listen(h.t, dial(h.t, h.url), "status/speaker/"+id), id+" is "+what, func(m busMessage) bool {
		var s SpeakerStatus
		return json.Unmarshal(m.payload, &s) == nil && ok(s)
	})
}

// loudest is the loudest sample of a recording.
func loudest(samples []float32) float64 {
	peak := 0.0
	for _, s := range samples {
		peak = max(peak, math.Abs(float64(s)))
	}
	return peak
}

var errSilence = errors.New("it is not heard")

// decoded are all samples of a media.
func decoded(t *testing.T, media Catalogue, name string) []float32 {
	t.Helper()
	m, err := media.Resolve(name)
	if err != nil {
		t.Fatal(err)
	}
	src, err := m.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var all []float32
	buf := make([]float32, 4096)
	for {
		n, err := src.Read(buf)
		all = append(all, buf[:2*n]...)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func left(stereo []float32) []float32 {
	mono := make([]float32, len(stereo)/2)
	for i := range mono {
		mono[i] = stereo[2*i]
	}
	return mono
}

// similarity is how much a recording holds of a sound, whatever its loudness: the
// normalized correlation, 1 for the same, at the best of the offsets about where
// both begin.
func similarity(recorded, sound []float32) float64 {
	const about = speaker.SampleRate / 100
	best := 0.0
	for at := onset(recorded) - onset(sound) - about; at < onset(recorded)-onset(sound)+about; at++ {
		if at < 0 || at+len(sound) > len(recorded) {
			continue
		}
		var dot, a, b float64
		for i, s := range sound {
			r := float64(recorded[at+i])
			dot, a, b = dot+r*float64(s), a+r*r, b+float64(s)*float64(s)
		}
		best = max(best, dot/math.Sqrt(a*b+1e-12))
	}
	return best
}

// onset is where a sound begins.
func onset(samples []float32) int {
	limit := float32(loudest(samples) / 20)
	for i, s := range samples {
		if s > limit || s < -limit {
			return i
		}
	}
	return 0
}

// TestSoundServerDies: PulseAudio is killed under the playing hub. The speaker's
// status says so, a play is answered with SpeakerUnavailable, and when the server is
// back so is the sound, without a restart of the hub.
func TestSoundServerDies(t *testing.T) {
	speakertest.Require(t, "pulse", "pulseaudio", "pactl", "parec")
	server := speakertest.StartPulse(t, "kitchen")
	h := newHouse(t, onPulse(t, server))
	up := func(s SpeakerStatus) bool { return s.Available }
	h.speakerIs("kitchen", "available", up)
	playing := h.must("play", `"media":"alarm"`, session.OutcomeStarted)
	events := h.listen("event/playback")

	server.Kill()
	h.speakerIs("kitchen", "gone, and says why", func(s SpeakerStatus) bool { return !s.Available && s.Error != "" })
	if e := event(t, events, session.EventFailed, playing.Playback); e.Error != session.SpeakerUnavailable {
		t.Errorf("what played: %+v", e)
	}
	if r := h.must("play", `"media":"chime"`, session.OutcomeRejected); r.Error != session.SpeakerUnavailable {
		t.Errorf("a play without a speaker: %+v", r)
	}

	server.Start(t)
	h.speakerIs("kitchen", "available again", up)
	recording := server.Record(t, "kitchen")
	h.must("play", `"media":"chime","volume":50`, session.OutcomeStarted)
	speakertest.Eventually(t, 10*time.Second, func() error {
		if loudest(recording.Frames()) < 0.1 {
			return errSilence
		}
		return nil
	})
}

// TestMosquittoPubIsHeard: a foreign client, a foreign sound server, and the chime
// in what is recorded of it, on both speakers and as the chime itself.
func TestMosquittoPubIsHeard(t *testing.T) {
	speakertest.Require(t, "pulse", "pulseaudio", "pactl", "parec")
	publisher := speakertest.Require(t, "mosquitto_pub")
	server := speakertest.StartPulse(t, "kitchen", "hall")
	h := newHouse(t, onPulse(t, server))
	for _, id := range []string{"kitchen", "hall"} {
		h.speakerIs(id, "available", func(s SpeakerStatus) bool { return s.Available })
	}
	h.must("volume", `"volume":50`, session.OutcomeDone)
	chime := decoded(t, h.hub.cfg.Media, "chime")
	port := h.url[strings.LastIndex(h.url, ":")+1:]
	// Three times at the most: on a machine that is too busy, what records loses samples.
	for try := 1; ; try++ {
		kitchen, hall := server.Record(t, "kitchen"), server.Record(t, "hall")
		events := h.listen("event/playback")
		if out, err := exec.Command(publisher, "-p", port, "-t", "hkw/home/play", "-m", "chime").CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_pub: %v\n%s", err, out)
		}
		event(t, events, session.EventFinished, "")
		holds := func(r *speakertest.Recording) float64 {
			best := 0.0
			for limit := time.Now().Add(3 * time.Second); best < 0.99 && time.Now().Before(limit); time.Sleep(100 * time.Millisecond) {
				best = similarity(left(r.Frames()), left(chime))
			}
			return best
		}
		inKitchen, inHall := holds(kitchen), holds(hall)
		kitchen.Stop()
		hall.Stop()
		if inKitchen >= 0.99 && inHall >= 0.99 {
			return
		}
		if try == 3 {
			t.Fatalf("the recordings are like the chime to %.4f and %.4f", inKitchen, inHall)
		}
	}
}
