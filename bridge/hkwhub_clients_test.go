package bridge

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker/library"
)

// What programs that were written against the real HKWHub were seen to do.

// get is a call of the local dialect as such a program makes it: plain text, into the
// socket. It returns the status and the reply.
func (h *oldHouse) get(target string) (int, map[string]any) {
	h.t.Helper()
	host := strings.TrimPrefix(h.url, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		h.t.Fatalf("%s: %v", target, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	var reply map[string]any
	if err := json.Unmarshal(body, &reply); err != nil {
		h.t.Fatalf("%s: %s %s", target, res.Status, body)
	}
	return res.StatusCode, reply
}

// wants is a call that has to be answered so.
func (h *oldHouse) wants(target, name, value string) {
	h.t.Helper()
	if status, reply := h.get(target); reply[name] != value {
		h.t.Errorf("%s: %d %v, want %s %q", target, status, reply, name, value)
	}
}

func (h *oldHouse) open(query string) string {
	h.t.Helper()
	_, reply := h.get("/v1/init_session" + query)
	token, _ := reply["SessionID"].(string)
	if n, err := strconv.ParseUint(token, 10, 53); err != nil || n == 0 {
		h.t.Fatalf("init_session: %v", reply)
	}
	return token
}

// A program that builds its address of a base with a slash at the end.
func TestDoubledSlashes(t *testing.T) {
	h := newOldHouse(t)
	for _, at := range []string{"//v1/init_session", "//v1//init_session", "/v1/init_session/", "/v1/init_session?", "///api//v1/init_session"} {
		if status, reply := h.get(at); status != 200 || reply["Error"] != nil {
			t.Errorf("%s: %d %v", at, status, reply)
		}
	}
}

// A MediaUrl as it stands, with spaces, parentheses, other scripts and parameters of
// its own; and one that was encoded, by whatever encodes.
func TestMediaURLAsItStands(t *testing.T) {
	asked := make(chan string, 10)
	dir := t.TempDir()
	toneFile(t, dir, "tone.wav", 440, time.Minute)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.RequestURI
		http.ServeFile(w, r, filepath.Join(dir, "tone.wav"))
	}))
	t.Cleanup(server.Close)
	h := newOldHouse(t)
	s := h.open("")
	const way = "/v1/play_web_media_party_mode?"
	for _, c := range []struct{ query, want string }{
		{"SessionID=" + s + "&MediaUrl=" + server.URL + "/a b (live).wav", "/a%20b%20(live).wav"},
		{"MediaUrl=" + server.URL + "/a b (live).wav&SessionID=" + s, "/a%20b%20(live).wav"},
		{"SessionID=" + s + "&Priority=200&MediaUrl=" + server.URL + "/s?a=1&b=2", "/s?a=1&b=2"},
		{"SessionID=" + s + "&MediaUrl=" + server.URL + "/s?a=1&b=2 3&c&Priority=200&_=17", "/s?a=1&b=2%203&c"},
		{"SessionID=" + s + "&MediaUrl=" + server.URL + "/s?key=a%2Fb&Volume=3&t=x+y", "/s?key=a%2Fb&Volume=3&t=x+y"},
		{"SessionID=" + s + "&MediaUrl=" + server.URL + "/a%20b.wav", "/a%20b.wav"},
		{"SessionID=" + s + "&MediaUrl=" + server.URL + "/1+1.wav", "/1+1.wav"},
		{"SessionID=" + s + "&MediaUrl=" + server.URL + "/100%.wav", "/100%25.wav"},
		{"SessionID=" + s + "&MediaUrl=" + server.URL + "/Grün.wav", "/Gr%C3%BCn.wav"},
		{"SessionID=" + s + "&MediaUrl=" + url.QueryEscape(server.URL+"/a b+c.wav?x=1&y=%26"), "/a%20b+c.wav?x=1&y=%26"},
		{"SessionID=" + s + "&MediaUrl=" + server.URL + "/x%3Fa%3D1%26b%3D2", "/x?a=1&b=2"}, // encoded, but for what a query may hold
	} {
		if status, reply := h.get(way + c.query); reply["Result"] != "true" {
			t.Errorf("%s: %d %v", c.query, status, reply)
			continue
		}
		if got := <-asked; got != c.want {
			t.Errorf("%s asked for %s, want %s", c.query, got, c.want)
		}
		for len(asked) > 0 {
			<-asked // a second look of the decoder
		}
	}
	h.wants("/v1/play_web_media?SessionID="+s+"&MediaUrl=ftp://x/y z", "Error", "MediaUrl must be "+paramURL.must)
}

// A page that was served from elsewhere reads the JSON; one that is not listed does
// not, and has no effect.
func TestOldPagesCallAcross(t *testing.T) {
	h := newOldHouse(t)
	res, body := h.ask("GET", "/v1/init_session", "", "Origin", "http://panel.example", "Sec-Fetch-Site", "cross-site")
	if res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != "http://panel.example" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %v %s", res.Status, res.Header, body)
	}
	res, _ = h.ask("OPTIONS", "/api/v1/init_session", "", "Origin", "http://panel.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
	if res.StatusCode != 204 || !strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: %s %v", res.Status, res.Header)
	}
	res, body = h.ask("GET", "/api/v1/init_session", "", "Authorization", "Bearer whatever-it-had")
	if res.StatusCode != 200 || !strings.Contains(body, `"ResponseOf":"init_session"`) {
		t.Errorf("a bearer token that nobody asked for: %s %s", res.Status, body)
	}
	before := h.hub.Status().Sessions
	for _, header := range [][]string{{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}, {"Referer", "http://evil.example/x"}, {"Host", "evil.example"}} {
		res, body := h.ask("GET", "//v1/init_session", "", header...)
		if res.StatusCode != 403 && res.StatusCode != 421 || strings.Contains(body, "SessionID") || res.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v: %s %s", header, res.Status, body)
		}
	}
	if after := h.hub.Status().Sessions; after != before {
		t.Errorf("%d sessions, %d before the forged requests", after, before)
	}
}

// A client keeps its session by polling, and has lost it for good once it slept.
func TestPollingKeepsASession(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	h := newOldHouse(t, func(c *Config) { c.Session = session.Config{Timeout: timeout} })
	s := h.open("")
	gone := h.listen("status/session/+")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	polls := []string{"playback_status?", "is_playing?", "get_volume?", "media_list?", "device_list?", "device_count?", "device_info?DeviceID=1&", "play_hub_media?PersistentID=1&"}
	for began, last := time.Now(), time.Now(); time.Since(began) < 3*timeout; <-tick.C {
		for _, p := range polls {
			sent := time.Now()
			if _, reply := h.get("/v1/" + p + "SessionID=" + s); reply["Error"] == "SessionNotFound" {
				if late := time.Since(last); late >= timeout {
					t.Skipf("this machine did not poll for %s", late)
				}
				t.Fatalf("%s after %s: %v", p, time.Since(began), reply)
			}
			last = sent
		}
	}
	until(t, gone, "the session has expired", func(m busMessage) bool { return len(m.payload) == 0 })
	others := map[string]bool{s: true}
	for range 50 {
		other := h.open("")
		if others[other] {
			t.Fatal("a token came twice")
		}
		others[other] = true
	}
	for _, p := range append(polls, "close_session?", "stop_play?", "set_volume?Volume=3&", "set_party_mode?") {
		if status, reply := h.get("/v1/" + p + "SessionID=" + s); status != 404 || reply["Error"] != "SessionNotFound" || reply["Result"] != "false" {
			t.Errorf("%s with an expired session: %d %v", p, status, reply)
		}
	}
}

// Buttons that go up and down in steps of five and do not look where they are.
func TestVolumeSteps(t *testing.T) {
	h := newOldHouse(t)
	s := h.open("")
	for _, c := range []struct{ set, get string }{
		{"45", "45"}, {"50", "50"}, {"55", "50"}, {"0", "0"}, {"-5", "0"}, {"+5", "5"}, {"%2B5", "5"}, {" 7", "7"}, {"99999999999999999999", "50"}, {"-99999999999999999999", "0"},
	} {
		h.wants("/v1/set_volume?SessionID="+s+"&Volume="+c.set, "Result", "true")
		h.wants("/v1/get_volume?SessionID="+s, "Volume", c.get)
	}
	for _, bad := range []string{"", "loud", "5.5", "0x10", "1e1", "NaN", "5_0"} {
		if status, reply := h.get("/v1/set_volume?SessionID=" + s + "&Volume=" + bad); status != 400 || !strings.Contains(reply["Error"].(string), "Volume") {
			t.Errorf("volume %q: %d %v", bad, status, reply)
		}
	}
	h.wants("/v1/get_volume?SessionID="+s, "Volume", "0")
}

// A remote control that looks at the device to decide what its one button does.
func TestResumeOrPlay(t *testing.T) {
	h := newOldHouse(t)
	s := h.open("?Priority=120")
	kitchen := deviceID("kitchen")
	press := func() {
		t.Helper()
		_, device := h.get("/v1/device_info?SessionID=" + s + "&DeviceID=" + kitchen)
		_, status := h.get("/v1/playback_status?SessionID=" + s)
		command := "play_hub_media"
		switch {
		case device["Active"] != true:
			h.wants("/v1/add_device_to_session?SessionID="+s+"&DeviceID="+kitchen, "Result", "true")
		case device["IsPlaying"] == true:
			command = "pause_play"
		case status["PlaybackState"] == "PlayerStatePaused":
			command = "resume_hub_media"
		}
		h.wants("/v1/"+command+"?SessionID="+s+"&PersistentID="+h.song, "Result", "true")
	}
	var heard []string
	for range 4 {
		press()
		_, status := h.get("/v1/playback_status?SessionID=" + s)
		heard = append(heard, strings.TrimPrefix(status["PlaybackState"].(string), "PlayerState"))
	}
	if want := []string{"Playing", "Paused", "Playing", "Paused"}; !reflect.DeepEqual(heard, want) {
		t.Errorf("heard %v, want %v", heard, want)
	}
}

// A player with a next button: it plays through the list as it got it, and draws a
// bar of parseInt(TimeElapsed).
func TestNextInTheList(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"b.wav", "a.wav", "c/a.wav"} {
		toneFile(t, dir, strings.ReplaceAll(name, "c/", "c "), 440, time.Minute)
	}
	h := newOldHouse(t, func(c *Config) {
		lib, err := library.Open(t.Context(), library.Config{Dir: dir, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lib.Close() })
		<-lib.Ready()
		c.Media = lib
	})
	s := h.open("")
	h.wants("/v1/set_party_mode?SessionID="+s, "Result", "true")
	list := func() (ids []string) {
		_, reply := h.get("/v1/media_list?SessionID=" + s)
		for _, m := range reply["MediaList"].([]any) {
			id := m.(map[string]any)["PersistentID"].(string)
			if n, err := strconv.ParseUint(id, 10, 63); err != nil || strconv.FormatUint(n, 10) != id {
				t.Errorf("PersistentID %q", id)
			}
			ids = append(ids, id)
		}
		return ids
	}
	first := list()
	elapsed := func() int {
		_, reply := h.get("/v1/playback_status?SessionID=" + s)
		n, err := strconv.Atoi(reply["TimeElapsed"].(string))
		if err != nil {
			t.Fatal(reply)
		}
		return n
	}
	if n := elapsed(); n != -1 {
		t.Errorf("%d s before anything played", n)
	}
	for i, id := range first[:3] {
		began := time.Now()
		h.wants("/v1/play_hub_media?SessionID="+s+"&PersistentID="+id, "Result", "true")
		if n := elapsed(); n < 0 || n > int(time.Since(began).Seconds()) {
			t.Errorf("song %d is at %d s %s after it was asked for", i, n, time.Since(began))
		}
		for limit := time.Now().Add(20 * time.Second); elapsed() < 1; {
			if time.Now().After(limit) {
				t.Fatal("the time stands still")
			}
		}
	}
	toneFile(t, dir, "aa.wav", 440, time.Second)
	var later []string
	for limit := time.Now().Add(20 * time.Second); len(later) <= len(first); later = list() {
		if time.Now().After(limit) {
			t.Fatal("the new file is not listed")
		}
	}
	if want := append([]string{first[0], later[1]}, first[1:]...); !reflect.DeepEqual(later, want) {
		t.Errorf("with another file:\n got %v\nwant %v", later, want)
	}
}
