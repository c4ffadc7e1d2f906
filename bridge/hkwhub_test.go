package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
	"hkw/speaker/null"
	"hkw/speaker/speech"
)

// hkwhubTable is the table of HKWHub's commands in topics.md.
func hkwhubTable() string {
	var b strings.Builder
	b.WriteString("| command | parameters | here |\n|---|---|---|\n")
	for _, c := range dialectCommands {
		var params []string
		for _, p := range c.params {
			params = append(params, "`"+p.name+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.name, strings.Join(params, " "), c.is)
	}
	return b.String()
}

// parrot says everything with the same sound.
type parrot struct{}

func (parrot) Accepts(speech.Request) error          { return nil }
func (parrot) State(context.Context) (string, error) { return "parrot", nil }
func (parrot) Opener(speech.Request) speaker.Opener  { return library.Chimes()[0] }

// oldHouse is a house as HKWHub's clients find it: two speakers, a song of a minute,
// somebody who speaks, and a radio somewhere else.
type oldHouse struct {
	*web
	song  string // its PersistentID
	radio string // its URL
}

func newOldHouse(t *testing.T, furnishing ...furnish) *oldHouse {
	t.Helper()
	dir := t.TempDir()
	toneFile(t, dir, "song.wav", 440, time.Minute)
	lib, err := library.Open(t.Context(), library.Config{Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lib.Close() })
	<-lib.Ready()
	song, err := lib.Resolve("song.wav")
	if err != nil {
		t.Fatal(err)
	}
	radio := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, "song.wav"))
	}))
	t.Cleanup(radio.Close)
	driver := null.New()
	t.Cleanup(func() { _ = driver.Close() })
	h := newHouse(t, append([]furnish{func(c *Config) {
		c.Media, c.Speech = lib, parrot{}
		c.Speakers = []speaker.Setup{{ID: "kitchen", Name: "Kitchen", Driver: driver}, {ID: "attic", Name: "Attic", Driver: driver}}
	}}, furnishing...)...)
	s := httptest.NewUnstartedServer(NewHandler(HTTPConfig{Version: "test", Hubs: []*Hub{h.hub}, Guard: Guard{Origins: []string{"http://panel.example"}}}))
	s.Listener = Lenient(s.Listener)
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return &oldHouse{&web{h, s.URL}, song.ID, radio.URL + "/radio.wav"}
}

// A way to speak a dialect.
type tongue struct {
	key  string
	call func(command string, args []string) (said, heard string) // args is name, value, name, value …
}

func (h *oldHouse) rest(prefix, key string) tongue {
	return tongue{key, func(command string, args []string) (string, string) {
		var query []string
		for i := 0; i < len(args); i += 2 {
			query = append(query, args[i]+"="+url.QueryEscape(args[i+1]))
		}
		path := prefix + command
		if len(query) > 0 {
			path += "?" + strings.Join(query, "&")
		}
		res, body := h.ask("GET", path, "")
		return "GET " + path, fmt.Sprintf("%d %s", res.StatusCode, body)
	}}
}

func (h *oldHouse) onBus() tongue {
	replies := h.listen("reply")
	return tongue{"SessionToken", func(command string, args []string) (string, string) {
		o := dialectObject{{"Command", command}}
		for i := 0; i < len(args); i += 2 {
			o = append(o, dialectField{args[i], args[i+1]})
		}
		message := string(o.encode(true))
		h.publish("command", message)
		return "hkw/home/command " + message, "hkw/home/reply " + h.reply(replies)
	}}
}

// reply waits for a reply on the bus, and passes over events.
func (h *oldHouse) reply(replies <-chan busMessage) string {
	h.t.Helper()
	m := until(h.t, replies, "there is a reply", func(m busMessage) bool { return !strings.HasPrefix(string(m.payload), `{"Event"`) })
	if m.retained {
		h.t.Error("a reply is retained")
	}
	return string(m.payload)
}

// What an old client does in the exchanges. A line that begins with ! is said by
// somebody else, on the bus.
const oldScript = `
init_session Priority=120
device_count
device_list
device_info DeviceID={kitchen}
play_hub_media PersistentID={song}
add_device_to_session DeviceID={kitchen}
device_info DeviceID={kitchen}
media_list
play_hub_media PersistentID={song}
playback_status
is_playing
device_info DeviceID={kitchen}
pause_play
playback_status
is_playing
resume_hub_media PersistentID={chime}
resume_hub_media PersistentID={song}
pause_play
resume_hub_media_party_mode PersistentID={song} Priority=130
pause_play
resume_hub_media_selected_speakers PersistentID={song} DeviceIDList={attic}
stop_play
playback_status
resume_hub_media PersistentID={song}
play_hub_media_party_mode PersistentID={chime}
play_hub_media_selected_speakers PersistentID={song} DeviceIDList={kitchen},{attic} Priority=140
play_web_media MediaUrl={radio} Priority=140
pause_play
playback_status
play_web_media_party_mode MediaUrl={radio}
play_web_media_selected_speakers MediaUrl={radio} DeviceIDList={attic}
play_tts Text=Tea
play_tts_party_mode Text=Tea
play_tts_selected_speakers Text=Tea DeviceIDList={attic}
stop_play
! play "media":"alarm","priority":300
play_hub_media PersistentID={song}
playback_status
! stop "priority":300
remove_device_from_session DeviceID={kitchen}
set_party_mode
set_volume Volume=10
get_volume
set_volume_device DeviceID={attic} Volume=21
get_volume_device DeviceID={attic}
get_volume
set_volume Volume=55
get_volume
set_volume Volume=-5
get_volume
device_info
device_info DeviceID=attic
device_info DeviceID=1
set_volume Volume=loud
set_volume_device DeviceID=1 Volume=5
play_hub_media PersistentID=1
play_hub_media PersistentID={song} Priority=10000
play_web_media MediaUrl=file:///etc/passwd
play_web_media_selected_speakers MediaUrl={radio} DeviceIDList=1
dance
close_session
playback_status
`

// TestOldExchanges holds what HKWHub's clients are answered, byte by byte, against
// the exchanges in testdata/hkwhub, which -update rewrites.
func TestOldExchanges(t *testing.T) {
	for _, c := range dialectCommands {
		if !strings.Contains(oldScript, "\n"+c.name+" ") && !strings.Contains(oldScript, "\n"+c.name+"\n") {
			t.Errorf("the script lacks %s", c.name)
		}
	}
	for name, speak := range map[string]func(*oldHouse) tongue{
		"local": func(h *oldHouse) tongue { return h.rest("/v1/", "SessionID") },
		"cloud": func(h *oldHouse) tongue { return h.rest("/api/v1/", "SessionToken") },
		"bus":   (*oldHouse).onBus,
	} {
		t.Run(name, func(t *testing.T) {
			h := newOldHouse(t)
			got := h.perform(speak(h))
			file := filepath.Join("testdata", "hkwhub", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got == string(want) {
				return
			}
			g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
			for i := range min(len(g), len(w)) {
				if g[i] != w[i] {
					t.Fatalf("%s:%d\n got %s\nwant %s\nafter %s", file, i+1, g[i], w[i], g[max(0, i-1)])
				}
			}
			t.Fatalf("%d lines, want %d", len(g), len(w))
		})
	}
}

// perform plays the script and writes down the exchange, with names for what
// differs from run to run.
func (h *oldHouse) perform(tongue tongue) string {
	fill := strings.NewReplacer("{kitchen}", deviceID("kitchen"), "{attic}", deviceID("attic"), "{song}", h.song, "{radio}", h.radio,
		"{chime}", persistentID(library.Media{Kind: library.KindChime, ID: "chime"}))
	elapsed := regexp.MustCompile(`("TimeElapsed":"?)\d+`)
	var session, out string
	for _, line := range strings.Split(strings.TrimSpace(oldScript), "\n") {
		if other, ok := strings.CutPrefix(line, "! "); ok {
			topic, fields, _ := strings.Cut(other, " ")
			if r := h.command(topic, fields); r.Error != "" {
				h.t.Fatalf("%s: %+v", line, r)
			}
			out += "# somebody: " + other + "\n"
			continue
		}
		words := strings.Fields(line)
		var args []string
		if session != "" {
			args = []string{tongue.key, session}
		}
		for _, w := range words[1:] {
			name, value, _ := strings.Cut(fill.Replace(w), "=")
			args = append(args, name, value)
		}
		said, heard := tongue.call(words[0], args)
		if session == "" {
			session = regexp.MustCompile(`"\w+":"(\d{16})"`).FindStringSubmatch(heard)[1]
		}
		names := strings.NewReplacer(session, "<session>", h.song, "<song>", h.radio, "<radio>", url.QueryEscape(h.radio), "<radio>")
		out += "→ " + names.Replace(said) + "\n← " + elapsed.ReplaceAllString(names.Replace(heard), "$1<seconds>") + "\n"
	}
	return out
}

// Sessions of REST clients, of MQTT clients and of the bus dialect are the same, and
// so is who of them wins.
func TestOldAndNewClientsArbitrate(t *testing.T) {
	h := newOldHouse(t)
	local, cloud, bus := h.rest("/v1/", "SessionID"), h.rest("/api/v1/", "SessionToken"), h.onBus()
	says := func(who tongue, command string, want string, args ...string) {
		t.Helper()
		if _, heard := who.call(command, args); heard != want {
			t.Errorf("%s %v: %s, want %s", command, args, heard, want)
		}
	}
	_, heard := local.call("init_session", []string{"Priority", "150"})
	var opened struct{ SessionID string }
	if err := json.Unmarshal([]byte(heard[4:]), &opened); err != nil {
		t.Fatal(err)
	}
	old := opened.SessionID
	flow := h.must("session/open", `"priority":200`, session.OutcomeDone).Session

	says(local, "play_hub_media_party_mode", `200 {"Result":"true"}`, "SessionID", old, "PersistentID", h.song)
	if r := h.command("play", `"media":"chime"`); r.Error != session.PriorityTooLow || r.Current == nil || r.Current.Priority != 150 {
		t.Errorf("a command below the old client's: %+v", r)
	}
	h.must("play", `"media":"song","session":"`+flow+`"`, session.OutcomeStarted)
	says(local, "playback_status", `200 {"PlaybackState":"PlayerStateStopped","TimeElapsed":"-1"}`, "SessionID", old)
	says(local, "play_hub_media_party_mode", `200 {"Result":"false","Error":"PriorityTooLow"}`, "SessionID", old, "PersistentID", h.song)
	says(cloud, "is_playing", `200 {"IsPlaying":"true","ResponseOf":"is_playing"}`, "SessionToken", flow)
	says(bus, "stop_play", `hkw/home/reply {"Result":true,"ResponseOf":"stop_play","HKWHubUUID":"home","SessionToken":"`+old+`"}`, "SessionToken", old)
	says(cloud, "is_playing", `200 {"IsPlaying":"true","ResponseOf":"is_playing"}`, "SessionToken", flow) // a stop never reaches a stranger's
	says(bus, "play_hub_media_party_mode", `hkw/home/reply {"Result":true,"ResponseOf":"play_hub_media_party_mode","HKWHubUUID":"home","SessionToken":"`+old+`"}`,
		"SessionToken", old, "PersistentID", h.song, "Priority", "200")
	if r := h.must("session/get", `"session":"`+flow+`"`, session.OutcomeDone); r.State == nil || r.State.State != session.PlayerStateStopped || r.State.Playing != nil {
		t.Errorf("the flow's session was interrupted: %+v", r.State)
	}
	r := h.must("session/get", `"session":"`+old+`"`, session.OutcomeDone)
	if r.State == nil || r.State.Playing == nil || r.State.Playing.Priority != 200 || r.State.Playing.Position == nil || r.State.Priority != 150 || len(r.State.Speakers) != 0 {
		t.Errorf("the old client's session: %+v", r.State)
	}
	h.must("session/close", `"session":"`+old+`"`, session.OutcomeDone)
	says(local, "is_playing", `404 {"Result":"false","Error":"SessionNotFound"}`, "SessionID", old)
}

// What is refused does not hide that the session is dead, and keeps a live one.
func TestDeadSessionIsHeardFirst(t *testing.T) {
	h := newOldHouse(t, func(c *Config) { c.Speech = nil })
	_, body := h.ask("GET", "/v1/init_session", "")
	live := regexp.MustCompile(`\d{16}`).FindString(body)
	for _, c := range []struct{ call, dead, alive string }{
		{"play_hub_media?PersistentID=1", "SessionNotFound", `404 {"Result":"false","Error":"MediaNotFound"}`},
		{"resume_hub_media?PersistentID=1", "SessionNotFound", `404 {"Result":"false","Error":"MediaNotFound"}`},
		{"resume_hub_media?PersistentID=" + h.song, "SessionNotFound", `200 {"Result":"false","Error":"NothingToResume"}`},
		{"play_tts?Text=Tea", "SessionNotFound", `200 {"Result":"false","Error":"MediaUnavailable"}`},
		{"add_device_to_session?DeviceID=1", "SessionNotFound", `404 {"Result":"false","Error":"SpeakerNotFound"}`},
		{"device_info?DeviceID=1", "SessionNotFound", `404 {"Result":"false","Error":"SpeakerNotFound"}`},
		{"get_volume?", "SessionNotFound", `200 {"Volume":"35"}`},
	} {
		for _, token := range []string{"1000", "1000000000000000", "none", "%00", strings.Repeat("9", 300)} {
			if res, body := h.ask("GET", "/v1/"+c.call+"&SessionID="+token, ""); res.StatusCode != 404 || body != `{"Result":"false","Error":"`+c.dead+`"}` {
				t.Errorf("%s with session %.20s: %s %s", c.call, token, res.Status, body)
			}
		}
		if res, body := h.ask("GET", "/v1/"+c.call+"&SessionID="+live, ""); fmt.Sprintf("%d %s", res.StatusCode, body) != c.alive {
			t.Errorf("%s: %s %s, want %s", c.call, res.Status, body, c.alive)
		}
	}
	if res, body := h.ask("GET", "/v1/is_playing", ""); res.StatusCode != 400 || body != `{"Result":"false","Error":"SessionID is missing"}` {
		t.Errorf("without a session: %s %s", res.Status, body)
	}
	if res, body := h.ask("GET", "/api/v1/is_playing?SessionID="+live, ""); res.StatusCode != 400 || body != `{"Result":"false","Error":"SessionToken is missing","ResponseOf":"is_playing"}` {
		t.Errorf("without a session: %s %s", res.Status, body)
	}
	if res, body := h.ask("POST", "/v1/init_session", ""); res.StatusCode != 405 || res.Header.Get("Allow") != "GET" {
		t.Errorf("POST: %s %s", res.Status, body)
	}
}

// Ids of devices and chimes never change: programs keep them.
func TestOldIDs(t *testing.T) {
	if id := deviceID("kitchen"); id != deviceID("kitchen") || len(id) != 15 || id == deviceID("attic") {
		t.Errorf("device %s", id)
	}
	var ids []string
	for _, c := range library.Chimes() {
		ids = append(ids, persistentID(c))
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != len(library.Chimes()) {
		t.Errorf("chimes with the same id: %v", ids)
	}
}
