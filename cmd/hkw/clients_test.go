package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// rest sends one command of HKWHub's local dialect and returns the bytes of its reply.
func (b *background) rest(command, query string) string {
	b.t.Helper()
	res, err := http.Get(fmt.Sprintf("http://%s/v1/%s?%s", b.app.httpAddr, command, query))
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(body)
}

// TestClientsShareTheHub: a REST client of HKWHub, an MQTT client and this command
// line meet in one core. Whoever asks with more is heard, whoever asks with less is
// refused, whichever way they came.
func TestClientsShareTheHub(t *testing.T) {
	b := serve(t, "--speaker", "hall=null")
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + b.app.mqttAddr.String()).SetClientID("flow").SetProtocolVersion(4))
	if tok := client.Connect(); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	defer client.Disconnect(50)
	results := make(chan map[string]any, 10)
	if tok := client.Subscribe("hkw/home/result/flow", 1, func(_ mqtt.Client, m mqtt.Message) {
		var r map[string]any
		_ = json.Unmarshal(m.Payload(), &r)
		results <- r
	}); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	flow := func(topic, payload string) map[string]any {
		t.Helper()
		client.Publish("hkw/home/"+topic, 1, false, payload)
		return <-results
	}

	// The REST client opens a session at 150 and plays.
	var opened struct{ SessionID string }
	if err := json.Unmarshal([]byte(b.rest("init_session", "Priority=150")), &opened); err != nil || opened.SessionID == "" {
		t.Fatal(err)
	}
	session := "SessionID=" + opened.SessionID
	b.rest("set_party_mode", session)
	var list struct {
		MediaList []struct{ PersistentID, Title string }
	}
	if err := json.Unmarshal([]byte(b.rest("media_list", session)), &list); err != nil {
		t.Fatal(err)
	}
	alarm := ""
	for _, m := range list.MediaList {
		if m.Title == "Alarm" {
			alarm = m.PersistentID
		}
	}
	if got := b.rest("play_hub_media", session+"&PersistentID="+alarm); got != `{"Result":"true"}` {
		t.Fatal(got)
	}

	// The command line asks with 100 and is refused; the flow asks with 200 and interrupts.
	if code, _, stderr := b.client("play", "chime"); exitCode(code) != exitRejected || !strings.Contains(stderr, "PriorityTooLow") {
		t.Errorf("the command line: %d %s", code, stderr)
	}
	if r := flow("play", `{"id":"flow","media":"alarm","priority":200}`); r["outcome"] != "started" {
		t.Errorf("the flow: %v", r)
	}
	if got := b.rest("playback_status", session); got != `{"PlaybackState":"PlayerStateStopped","TimeElapsed":"-1"}` {
		t.Errorf("the REST client, interrupted: %s", got)
	}
	if got := b.rest("play_hub_media", session+"&PersistentID="+alarm); !strings.Contains(got, `"Result":"false"`) || !strings.Contains(got, "PriorityTooLow") {
		t.Errorf("the REST client asks with less: %s", got)
	}

	// The command line plays with the REST client's session and more; the REST client sees it as its own.
	if code, _, stderr := b.client("play", "alarm", "--session", opened.SessionID, "--priority", "300"); code != 0 {
		t.Errorf("the command line with the session: %d %s", code, stderr)
	}
	if got := b.rest("is_playing", session); got != `{"IsPlaying":"true"}` {
		t.Errorf("the REST client's session: %s", got)
	}
	if got := b.rest("stop_play", session); got != `{"Result":"true"}` {
		t.Errorf("the REST client stops what the command line began: %s", got)
	}
	if got := b.rest("close_session", session); got != `{"Result":"true"}` {
		t.Errorf("close: %s", got)
	}
	if code, _, stderr := b.client("play", "chime", "--session", opened.SessionID); exitCode(code) != exitRejected || !strings.Contains(stderr, "SessionNotFound") {
		t.Errorf("a closed session: %d %s", code, stderr)
	}
}
