package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"hkw/speaker/child"
	"hkw/speaker/speakertest"
)

// nodeRED is a Node-RED that runs the flows of the example, seen as its editor sees
// it: buttons to press, and what the debug nodes show.
type nodeRED struct {
	t      *testing.T
	url    string
	log    text
	client *http.Client

	mu     sync.Mutex
	shown  map[string][]string // by debug node, in order; what a test has seen is removed
	status map[string]string   // what stands below each node
}

// noderedPatience is how long Node-RED may take for one step, its start included.
const noderedPatience = time.Minute

// startNodeRED runs the flows of examples/node-red against the broker at an address
// until the test ends.
func startNodeRED(t *testing.T, broker net.Addr) *nodeRED {
	t.Helper()
	program := speakertest.Require(t, "node-red")
	dir := t.TempDir()
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("flows.json", exampleFlows(t, broker))
	write("settings.js", []byte(`module.exports = {
	uiHost: "127.0.0.1", uiPort: 0, flowFile: "flows.json", credentialSecret: false,
	telemetry: { enabled: false, updateNotification: false },
	externalModules: { palette: { allowInstall: false, allowUpload: false }, modules: { allowInstall: false } },
	mqttReconnectTime: 200, debugMaxLength: 100000,
};`))
	n := &nodeRED{t: t, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, shown: map[string][]string{}, status: map[string]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := child.Command(ctx, []string{"PATH", "HOME=" + dir}, program, "--userDir", dir)
	cmd.Stdout, cmd.Stderr = &n.log, &n.log
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Log(n.log.String())
		}
	})
	address := regexp.MustCompile(`running at (http://\S+?)/?\n`)
	n.eventually("running", func() bool {
		found := address.FindStringSubmatch(n.log.String())
		if found != nil {
			n.url = found[1]
		}
		return found != nil
	})
	n.watch()
	n.eventually("connected to the broker", func() bool { return n.below("hkw-play-out") == "connected" })
	return n
}

// exampleFlows are the flows of the example as they stand there, but for the address of the broker.
func exampleFlows(t *testing.T, broker net.Addr) []byte {
	t.Helper()
	file, err := os.ReadFile("../../examples/node-red/flows.json")
	if err != nil {
		t.Fatal(err)
	}
	var flows []map[string]any
	if err := json.Unmarshal(file, &flows); err != nil {
		t.Fatal(err)
	}
	for _, node := range flows {
		if node["type"] == "mqtt-broker" {
			node["broker"], node["port"], err = net.SplitHostPort(broker.String())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(flows)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// watch listens to what Node-RED tells its editor.
func (n *nodeRED) watch() {
	n.t.Helper()
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(n.url, "http")+"/comms", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	_ = response.Body.Close()
	done := make(chan struct{})
	n.t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	// What stands below the nodes is told at once to who subscribes to it, and so
	// tells that the subscription before is in force.
	for _, topic := range []string{"debug", "status/#"} {
		if err := conn.WriteJSON(map[string]string{"subscribe": topic}); err != nil {
			n.t.Fatal(err)
		}
	}
	go func() {
		defer close(done)
		for {
			var messages []struct {
				Topic string
				Data  json.RawMessage
			}
			if err := conn.ReadJSON(&messages); err != nil {
				return
			}
			for _, m := range messages {
				n.told(m.Topic, m.Data)
			}
		}
	}()
}

func (n *nodeRED) told(topic string, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if node, ok := strings.CutPrefix(topic, "status/"); ok {
		var s struct{ Text string }
		_ = json.Unmarshal(data, &s)
		// Of what the editor would translate we see the name.
		n.status[node] = strings.TrimPrefix(s.Text, "node-red:common.status.")
		return
	}
	var d struct {
		ID  string
		Msg any
	}
	if json.Unmarshal(data, &d) == nil && topic == "debug" {
		n.shown[d.ID] = append(n.shown[d.ID], fmt.Sprint(d.Msg))
	}
}

// below is what stands below a node.
func (n *nodeRED) below(node string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status[node]
}

func (n *nodeRED) eventually(what string, done func() bool) {
	n.t.Helper()
	speakertest.Eventually(n.t, noderedPatience, func() error {
		if done() {
			return nil
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		return fmt.Errorf("not %s; shown: %q, below the nodes: %q", what, n.shown, n.status)
	})
}

// press presses the button of an inject node. Other properties than its own can be
// given for this once, in pairs, as one would type them into the node.
func (n *nodeRED) press(button string, instead ...string) {
	n.t.Helper()
	type property struct {
		Name  string `json:"p"`
		Value string `json:"v"`
		Type  string `json:"vt"`
	}
	body := map[string][]property{}
	for i := 0; i+1 < len(instead); i += 2 {
		p := property{instead[i], instead[i+1], "str"}
		if strings.HasPrefix(p.Value, "{") {
			p.Type = "json"
		}
		body["__user_inject_props__"] = append(body["__user_inject_props__"], p)
	}
	sent, err := json.Marshal(body)
	if err != nil {
		n.t.Fatal(err)
	}
	response, err := n.client.Post(n.url+"/inject/"+button, "application/json", strings.NewReader(string(sent)))
	if err != nil {
		n.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		n.t.Fatalf("%s: %s", button, response.Status)
	}
}

// shows waits for the next thing that a debug node shows and returns it.
func (n *nodeRED) shows(node string) (next string) {
	n.t.Helper()
	n.eventually("shown by "+node, func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		all := n.shown[node]
		if len(all) > 0 {
			next, n.shown[node] = all[0], all[1:]
		}
		return len(all) > 0
	})
	return next
}

// says holds what a debug node shows next, line by line, against what it should.
func (n *nodeRED) says(node string, lines ...string) {
	n.t.Helper()
	for _, want := range lines {
		if got := n.shows(node); !like(got, want) {
			n.t.Fatalf("%s shows %q, want %q", node, got, want)
		}
	}
}

// result is the next result that a debug node shows.
func (n *nodeRED) result(node string) map[string]any {
	n.t.Helper()
	var r map[string]any
	shown := n.shows(node)
	if err := json.Unmarshal([]byte(shown), &r); err != nil {
		n.t.Fatalf("%s shows %s", node, shown)
	}
	return r
}

// flowVoice speaks everything but the unspeakable, and opens slow media when told to.
func flowVoice(t *testing.T) (url string, open func()) {
	t.Helper()
	gate := make(chan struct{})
	open = sync.OnceFunc(func() { close(gate) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "unspeakable"):
			w.WriteHeader(http.StatusInternalServerError)
			return
		case strings.HasSuffix(r.URL.Path, "/slow.wav"):
			<-gate
		}
		w.Header().Set("Content-Type", "audio/wav")
		_, _ = w.Write(toneWAV(0.3))
	}))
	t.Cleanup(func() {
		open()
		server.Close()
	})
	return server.URL, open
}

// TestNodeRED imports the flows of the example into a real Node-RED, presses their
// buttons and looks at what their debug nodes show, while a hub plays.
func TestNodeRED(t *testing.T) {
	speakertest.Require(t, "node-red")
	url, open := flowVoice(t)
	hub := []string{"--speaker", "hall=null", "--speech", "http:" + url}
	b := serve(t, hub...)
	n := startNodeRED(t, b.app.mqttAddr)
	step := func(name string, run func()) {
		if !t.Failed() {
			t.Run(name, func(t *testing.T) {
				outer := n.t
				n.t, b.t = t, t
				defer func() { n.t, b.t = outer, outer }()
				run()
			})
		}
	}
	silence := func(instead ...string) {
		n.press("hkw-play-stop", instead...)
		if last := n.shows("hkw-react-told"); !strings.HasSuffix(last, "is over: stopped") {
			n.t.Fatalf("%q", last)
		}
	}

	step("what is retained is known", func() {
		n.eventually("there", func() bool { return n.below("hkw-there-state") == "The hub is there" })
		n.eventually("idle", func() bool { return n.below("hkw-there-now") == "Nothing plays" })
		n.press("hkw-there-ping")
		n.says("hkw-there-answer", "Yes, at *")
	})
	step("a play is answered", func() {
		n.press("hkw-play-alarm")
		r := n.result("hkw-play-accepted")
		if r["outcome"] != "started" || r["command"] != "play" || r["priority"] != 300. {
			t.Errorf("%v", r)
		}
		n.says("hkw-react-told", "Alarm plays at priority 300")
		status, err := readStatus(context.Background(), b.app.reached(), "home", patience)
		if err != nil || status.Playing == nil || status.Playing.Command != r["id"] || status.Playing.ID != r["playback"] {
			t.Errorf("%+v is not what %v answers: %v", status.Playing, r, err)
		}
		n.eventually("shown below", func() bool { return n.below("hkw-there-now") == "Alarm, priority 300" })
	})
	step("a refused play says by whom", func() {
		n.press("hkw-play-chime")
		n.says("hkw-play-refused", "Alarm holds the hub at priority 300")
		n.press("hkw-play-missing")
		n.says("hkw-play-refused", "Cannot play no such song: *")
		n.press("hkw-play-chime", "topic", "hkw/home/play", "payload", `{"media":"chime","volume":99}`)
		n.says("hkw-play-refused", "InvalidCommand: *volume*")
		silence("topic", "hkw/home/stop", "payload", `{"priority":300}`)
	})
	step("an announcement gives the music back", func() {
		n.press("hkw-play-music")
		n.says("hkw-react-told", "Westminster plays at priority 100")
		n.press("hkw-announce-dinner")
		if r := n.result("hkw-announce-said"); r["outcome"] != "started" || r["command"] != "say" {
			t.Errorf("%v", r)
		}
		n.says("hkw-react-told", "Westminster makes way for an announcement", "Dinner is ready plays at priority 100",
			"Dinner is ready is over: finished", "Westminster is back")
	})
	step("without a voice it rings", func() {
		n.press("hkw-announce-dinner", "payload", "unspeakable")
		if r := n.result("hkw-announce-said"); r["outcome"] != "started" || r["command"] != "play" {
			t.Errorf("%v", r)
		}
		n.says("hkw-react-told", "unspeakable was not heard: failed, MediaUnavailable", "Westminster makes way for an announcement",
			"Notify plays at priority 100", "Notify is over: finished", "Westminster is back")
	})
	step("the doorbell switches the light on", func() {
		n.press("hkw-play-doorbell")
		n.says("hkw-react-hall", "on")
		n.says("hkw-react-told", "Westminster makes way for an announcement", "Doorbell plays at priority 100",
			"Doorbell is over: finished", "Westminster is back")
		silence()
	})
	step("the other buttons", func() {
		n.press("hkw-play-volume")
		n.press("hkw-play-mute")
		eventually(t, func() bool {
			status, err := readStatus(context.Background(), b.app.reached(), "home", patience)
			return err == nil && status.Volume == 20 && status.Muted
		}, func() string { return "volume and mute" })
		n.press("hkw-play-mute")
		n.press("hkw-play-music")
		n.says("hkw-react-told", "Westminster plays at priority 100")
		n.press("hkw-play-pause")
		n.says("hkw-react-told", "Westminster: paused")
		n.press("hkw-play-resume")
		n.says("hkw-react-told", "Westminster is back")
		silence()
	})
	step("each of many requests gets its own answer", func() {
		n.press("hkw-play-alarm", "topic", "hkw/home/play", "payload", `{"media":"`+url+`/slow.wav"}`)
		var wanted, got []string
		for i := range 20 {
			name := fmt.Sprintf("song-%02d", i)
			n.press("hkw-play-missing", "topic", "hkw/home/play", "payload", `{"media":"`+name+`"}`)
			wanted = append(wanted, name)
		}
		matched := regexp.MustCompile(`^Cannot play (song-\d\d): .*"(song-\d\d)"`)
		for range wanted {
			shown := n.shows("hkw-play-refused")
			m := matched.FindStringSubmatch(shown)
			if m == nil || m[1] != m[2] {
				t.Fatalf("%q", shown)
			}
			got = append(got, m[1])
		}
		if slices.Sort(got); !slices.Equal(got, wanted) {
			t.Errorf("%v", got)
		}
		open()
		if r := n.result("hkw-play-accepted"); r["outcome"] != "started" {
			t.Errorf("the one that waited: %v", r)
		}
		n.says("hkw-react-told", "slow.wav * plays at priority 100", "slow.wav * is over: finished")
	})
	step("nobody answers", func() {
		n.press("hkw-there-ping", "topic", "hkw/attic/ping")
		n.says("hkw-there-answer", "Nobody: no answer within 2 s")
	})
	step("the hub goes", func() {
		if code := b.stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		n.eventually("away", func() bool { return n.below("hkw-there-state") == "The hub is away" })
		n.eventually("cut off", func() bool { return n.below("hkw-play-out") != "connected" })
		n.press("hkw-there-ping")
		n.says("hkw-there-answer", "Nobody: no answer within 2 s")
	})
	step("and comes back", func() {
		again := serve(t, append(hub, "--mqtt-listen", b.app.mqttAddr.String())...)
		n.eventually("connected again", func() bool { return n.below("hkw-play-out") == "connected" })
		n.eventually("there again", func() bool { return n.below("hkw-there-state") == "The hub is there" })
		n.press("hkw-there-ping")
		n.says("hkw-there-answer", "Yes, at *")
		n.press("hkw-play-alarm")
		if r := n.result("hkw-play-accepted"); r["outcome"] != "started" {
			t.Errorf("%v", r)
		}
		again.stop()
	})
	// Nothing else came out anywhere, and no node complained.
	n.mu.Lock()
	defer n.mu.Unlock()
	for node, shown := range n.shown {
		if len(shown) > 0 && node != "hkw-there-now" && node != "hkw-there-state" && node != "hkw-react-told" {
			t.Errorf("%s showed %q", node, shown)
		}
	}
	if strings.Contains(n.log.String(), "[error]") {
		t.Errorf("%s", n.log.String())
	}
}
