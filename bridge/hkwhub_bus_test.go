package bridge

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"hkw/session"
	"hkw/speaker"
)

// What old clients put on the bus beside the exchanges: each is answered once, and
// what cannot be read says why.
func TestBusDialect(t *testing.T) {
	h := newOldHouse(t)
	replies := h.listen("reply")
	say := func(message string) string {
		t.Helper()
		h.publish("command", message)
		return h.reply(replies)
	}
	opened := say(`{"Command":"init_session","HKWHubUUID":"HKWHub-1234","Priority":120}`)
	s := regexp.MustCompile(`\d{16}`).FindString(opened)
	end := func(command string) string {
		return `,"ResponseOf":"` + command + `","HKWHubUUID":"home","SessionToken":"` + s + `"}`
	}
	kitchen, attic := deviceID("kitchen"), deviceID("attic")
	for _, c := range []struct{ message, want string }{
		{`{"Command":"set_party_mode","SessionToken":` + s + `}`, `{"Result":true` + end("set_party_mode")}, // numbers
		{`{"Command":"is_playing","SesssionToken":"` + s + `"}`, `{"IsPlaying":false` + end("is_playing")},
		{`{"Command":"play_hub_media_selected_speakers","SessionToken":"` + s + `","PersistentID":` + h.song + `,"DeviceIDList":[` + kitchen + `,"` + attic + `"],"Priority":null}`,
			`{"Result":true` + end("play_hub_media_selected_speakers")},
		{`{"Command":"get_volume_device","SessionToken":"` + s + `","DeviceID":` + kitchen + `}`, `{"Volume":35` + end("get_volume_device")},
		{`{"Command":"set_volume","SessionToken":"` + s + `","Volume":1000}`, `{"Result":true` + end("set_volume")},
		{`{"Command":"set_volume","SessionToken":"` + s + `","Volume":true}`, `{"Result":false,"Error":"Volume must be a string or a number"` + end("set_volume")},
		{`{"Command":"set_volume","SessionToken":"` + s + `","Volume":5,"Volume":6}`, `{"Result":false,"Error":"Volume is given twice"` + end("set_volume")},
		{`{"Command":"get_volume","SessionToken":"` + s + `","Extra":{"x":[]}}`, `{"Volume":50` + end("get_volume")},
		{`{"Command":"stop_play","SessionToken":"1000"}`, `{"Result":false,"Error":"SessionNotFound","ResponseOf":"stop_play","HKWHubUUID":"home","SessionToken":"1000"}`},
		{`{"Command":"stop_play"}`, `{"Result":false,"Error":"SessionToken is missing","ResponseOf":"stop_play","HKWHubUUID":"home"}`},
		{`{"Command":"<b>&"}`, `{"Result":false,"Error":"UnknownCommand","ResponseOf":"<b>&","HKWHubUUID":"home"}`},
		{`{"SessionToken":"1"}`, `{"Result":false,"Error":"Command is missing","ResponseOf":"","HKWHubUUID":"home","SessionToken":"1"}`},
		{`{"Command":"stop_play","SessionToken":"` + s + `"} x`, `{"Result":false,"Error":"there is something after the JSON object"` + end("stop_play")},
		{`{"Command":"stop_play","SessionToken":"` + s + `"`, `{"Result":false,"Error":"the message is not valid JSON: unexpected EOF"` + end("stop_play")},
		{`stop_play`, `{"Result":false,"Error":"the message is not a JSON object","ResponseOf":"","HKWHubUUID":"home"}`},
		{``, `{"Result":false,"Error":"the message is not a JSON object","ResponseOf":"","HKWHubUUID":"home"}`},
		{`[]`, `{"Result":false,"Error":"the message is not a JSON object","ResponseOf":"","HKWHubUUID":"home"}`},
		{"{\"Command\":\"\xff\"}", `{"Result":false,"Error":"the message is not valid UTF-8","ResponseOf":"","HKWHubUUID":"home"}`},
		{`{"Command":"close_session","SessionToken":"` + s + `"}`, `{"Result":true` + end("close_session")},
	} {
		if got := say(c.message); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.message, got, c.want)
		}
	}
}

// Calls of one client take effect in the order in which they came, without being
// waited for.
func TestBusDialectKeepsOrder(t *testing.T) {
	h := newOldHouse(t)
	s := h.must("session/open", `"speakers":[]`, session.OutcomeDone).Session
	replies := h.listen("reply")
	for round := range 5 {
		for _, m := range []string{
			`{"Command":"remove_device_from_session","SessionToken":"` + s + `","DeviceID":` + deviceID("kitchen") + `}`,
			`{"Command":"add_device_to_session","SessionToken":"` + s + `","DeviceID":` + deviceID("kitchen") + `}`,
			`{"Command":"play_hub_media","SessionToken":"` + s + `","PersistentID":` + h.song + `}`,
		} {
			h.client.Publish("hkw/home/command", 1, false, m)
		}
		for range 3 {
			if got := h.reply(replies); !strings.HasPrefix(got, `{"Result":true`) {
				t.Errorf("round %d: %s", round, got)
			}
		}
	}
}

// More calls than may wait are answered with Busy, and none of this blocks the hub.
func TestBusDialectIsBounded(t *testing.T) {
	b := newBench(t)
	stop := b.hub.dialect.start() // and nobody runs the loop: no call gets its result
	const calls = dialectInFlight + 10
	for range calls {
		b.hub.deliver("command", []byte(`{"Command":"init_session"}`), false)
	}
	got := map[string]int{}
	count := func() (n int) {
		for _, m := range b.said() {
			if m.topic == "reply" {
				got[string(m.payload)]++
			}
		}
		for _, k := range got {
			n += k
		}
		return n
	}
	for limit := time.Now().Add(10 * time.Second); count() < calls-dialectInFlight; {
		if time.Now().After(limit) {
			t.Fatalf("replies %v", got)
		}
	}
	stop()
	count()
	reply := func(code session.Code) string {
		return `{"Result":false,"Error":"` + string(code) + `","ResponseOf":"init_session","HKWHubUUID":"home"}`
	}
	if got[reply(session.Busy)] != 10 || got[reply(session.Cancelled)] != dialectInFlight || len(got) != 2 {
		t.Errorf("replies %v", got)
	}
	for range dialectWaiting + 1 {
		b.hub.deliver("command", []byte(`{"Command":"init_session"}`), false)
	}
	if got = map[string]int{}; count() != 1 || got[reply(session.Busy)] != 1 {
		t.Errorf("with a full inbox: %v", got)
	}
	if r := func() *dialectReply {
		_, r := b.hub.dialect.read(dialectMessage{[]byte(`{"Command":"init_session"}`), true})
		return r
	}(); string(r.body) != reply(RetainedCommand) {
		t.Errorf("retained: %s", r.body)
	}
}

// While a client of the dialect has a session it is told once a second how far the
// sound is, and no longer.
func TestPlaybackTimeChanged(t *testing.T) {
	t.Parallel()
	h := newOldHouse(t)
	replies := h.listen("reply")
	h.must("play", `"media":"song","priority":50`, session.OutcomeStarted) // of somebody else
	h.publish("command", `{"Command":"init_session"}`)
	s := regexp.MustCompile(`\d{16}`).FindString(h.reply(replies))
	var times []int
	event := func() int {
		var e struct {
			Event, HKWHubUUID string
			PlaybackTime      int
		}
		m := until(t, replies, "there is an event", func(m busMessage) bool { return strings.HasPrefix(string(m.payload), `{"Event":"PlaybackTimeChanged"`) })
		if err := json.Unmarshal(m.payload, &e); err != nil || string(m.payload) != fmt.Sprintf(`{"Event":"PlaybackTimeChanged","PlaybackTime":%d,"HKWHubUUID":"home"}`, e.PlaybackTime) {
			t.Errorf("%s %v", m.payload, err)
		}
		return e.PlaybackTime
	}
	for range 2 {
		times = append(times, event())
	}
	if d := times[1] - times[0]; d < 0 || d > 5 {
		t.Errorf("times %v", times)
	}
	h.publish("command", `{"Command":"close_session","SessionToken":"`+s+`"}`)
	if got := h.reply(replies); !strings.HasPrefix(got, `{"Result":true`) {
		t.Errorf("close: %s", got)
	}
	// Were it told on, two more would come in this time.
	quiet := time.After(2500 * time.Millisecond)
	for late := 0; ; {
		select {
		case m := <-replies:
			if late++; late > 1 { // one may have been on its way
				t.Fatalf("after the session was closed: %s", m.payload)
			}
			continue
		case <-quiet:
		}
		break
	}
}

// What happens to speakers is told in HKWHub's words.
func TestDeviceStateUpdated(t *testing.T) {
	b := newBench(t)
	stop := b.hub.dialect.start()
	defer stop()
	b.hub.out.retain("status/session/s-open", []byte("{}"))
	b.hub.dialect.used <- "s-open"
	b.hub.dialect.used <- "s-open" // the first is dealt with
	report := func(info speaker.SpeakerInfo) {
		b.hub.mail.put(speaker.Report{Kind: speaker.ReportSpeaker, Speaker: info})
		b.settle()
	}
	want := func(reason, id string) {
		t.Helper()
		for limit := time.Now().Add(10 * time.Second); ; {
			for _, m := range b.said() {
				if m.topic != "reply" {
					continue
				}
				if got := string(m.payload); got != `{"Event":"DeviceStateUpdated","Reason":"`+reason+`","DeviceID":"`+deviceID(id)+`","HKWHubUUID":"home"}` || m.retained {
					t.Errorf("got %s, want %s of %s", got, reason, id)
				}
				return
			}
			if time.Now().After(limit) {
				t.Fatalf("no %s of %s", reason, id)
			}
		}
	}
	attic := speaker.SpeakerInfo{ID: "attic", Name: "Attic", Available: true}
	report(attic)
	want("DeviceAvailable", "attic")
	attic.Available, attic.Error = false, "unplugged"
	report(attic)
	want("DeviceUnavailable", "attic")
	attic.Error = "no sound server"
	report(attic)
	want("DeviceError", "attic")
	attic.Available, attic.Error = true, ""
	report(attic)
	want("DeviceAvailable", "attic")
	b.hub.handle(request{topic: "speaker/attic/volume", payload: []byte("7"), at: time.Now()})
	want("SpeakerInfoUpdated", "attic")
	b.hub.handle(request{topic: "play", payload: []byte("song"), at: time.Now()}) // what plays there is nobody's news
	b.settle()
	b.hub.mail.put(speaker.Report{Kind: speaker.ReportSpeakerGone, Speaker: speaker.SpeakerInfo{ID: "attic"}})
	b.settle()
	want("DeviceUnavailable", "attic")
}
