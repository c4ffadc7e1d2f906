package bridge

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hkw/speaker/speakertest"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

const aclFile = "../deploy/mosquitto.acl"

// TestTopicsOfFlows holds what flows may publish, in Mosquitto's access rules,
// against the routes. With -update it writes them.
func TestTopicsOfFlows(t *testing.T) {
	acl, err := os.ReadFile(aclFile)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"topic write hkw/+/" + dialectTopic}
	for _, r := range Routes {
		want = append(want, "topic write hkw/+/"+r.Topic)
	}
	slices.Sort(want)
	got := regexp.MustCompile(`(?s)# commands\n.*# end\n`).ReplaceAllLiteralString(string(acl),
		"# commands\n"+strings.Join(slices.Compact(want), "\n")+"\n# end\n")
	switch {
	case got == string(acl):
	case *update:
		if err := os.WriteFile(aclFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the commands of %s differ from the routes; go test ./bridge -run Topics -update rewrites them", aclFile)
	}
}

// guardedMosquitto is Mosquitto with the configuration and the access rules of
// deploy/; each user's password is its name.
func guardedMosquitto(t *testing.T) *mosquitto {
	t.Helper()
	m := startMosquitto(t)
	m.kill()
	dir := filepath.Dir(m.config)
	for _, name := range []string{"mosquitto.conf", "mosquitto.acl"} {
		data, err := os.ReadFile(filepath.Join("..", "deploy", name))
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if name == "mosquitto.conf" {
			host, port, _ := strings.Cut(m.addr, ":")
			changed := strings.NewReplacer("listener 1883", "listener "+port+" "+host, "/mosquitto/config/", dir+"/", "/mosquitto/data/", dir+"/").Replace(text)
			me, err := user.Current()
			if err != nil {
				t.Fatal(err)
			}
			text = changed + "\nuser " + me.Username + "\n" // root would become someone who cannot read this folder
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"hub", "button", "flow", "stranger"} {
		args := []string{"-b", filepath.Join(dir, "mosquitto.passwd"), name, name}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		if out, err := exec.Command("mosquitto_passwd", args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v: %s", err, out)
		}
	}
	m.start(speakertest.Require(t, "mosquitto"))
	return m
}

// as is the URL of the broker for a user whose password is its name.
func (m *mosquitto) as(name string) string { return "tcp://" + name + ":" + name + "@" + m.addr }

// TestAccessRules: on a Mosquitto with the users of deploy/, a hub works as hub, a
// flow commands and reads everything, a button rings and no more, and only hubs
// can say what a hub says.
func TestAccessRules(t *testing.T) {
	m := guardedMosquitto(t)
	h := newHouseOn(t, m.as("flow"), func(c *Config) {
		c.Broker = BrokerConfig{URL: m.url(), Username: "hub", Password: "hub"}
	})

	// The flow: every command has its result, which it reads.
	for _, r := range Routes {
		topic := strings.Replace(r.Topic, "+", "kitchen", 1)
		if res := h.command(topic, ""); res.Command != r.Command {
			t.Errorf("%s: %+v", topic, res)
		}
	}
	h.must("stop", `"priority":9999`, "done")

	// The button: it rings, without a payload.
	button := dial(t, m.as("button"))
	publish := func(c mqtt.Client, topic, payload string) {
		t.Helper()
		if tok := c.Publish(topic, 1, false, payload); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
			t.Fatalf("%s: %v", topic, tok.Error())
		}
	}
	events := h.listen("event/playback")
	publish(button, "hkw/home/play/chime", "")
	until(t, events, "the chime plays", func(e busMessage) bool { return strings.Contains(string(e.payload), `"started"`) })

	// What each may publish. Everything goes through one broker, which keeps the
	// order: what had not come before the hub's mark will not come.
	watcher := dial(t, m.as("hub"))
	arrived := make(chan string, 1000)
	if tok := watcher.SubscribeMultiple(map[string]byte{"hkw/probe/#": 1, "homeassistant/#": 1}, func(_ mqtt.Client, msg mqtt.Message) {
		arrived <- msg.Topic() + " " + string(msg.Payload())
	}); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	allowed := map[string]map[string]bool{
		"hkw/probe/play/chime": {"hub": true, "flow": true, "button": true}, "hkw/probe/play": {"hub": true, "flow": true},
		"hkw/probe/volume": {"hub": true, "flow": true}, "hkw/probe/command": {"hub": true, "flow": true},
		"hkw/probe/status": {"hub": true}, "hkw/probe/status/availability": {"hub": true}, "hkw/probe/event/playback": {"hub": true},
		"hkw/probe/result/x": {"hub": true}, "hkw/probe/reply": {"hub": true}, "homeassistant/device/hkw-probe/config": {"hub": true},
		"homeassistant/status": {"hub": true, "flow": true}, "hkw/probe/play/a/b": {"hub": true},
	}
	clients := map[string]mqtt.Client{"hub": watcher, "flow": h.client, "button": button, "stranger": dial(t, m.as("stranger"))}
	want := map[string]bool{}
	for topic, users := range allowed {
		for name, c := range clients {
			publish(c, topic, name)
			if users[name] {
				want[topic+" "+name] = true
			}
		}
	}
	publish(watcher, "hkw/probe/mark", "hub")
	for got := ""; got != "hkw/probe/mark hub"; {
		select {
		case got = <-arrived:
			if !want[got] && got != "hkw/probe/mark hub" && !strings.HasPrefix(got, "homeassistant/device/hkw-home") {
				t.Errorf("published: %s", got)
			}
			delete(want, got)
		case <-time.After(10 * time.Second):
			t.Fatal("the mark did not come")
		}
	}
	for missing := range want {
		t.Errorf("not published: %s", missing)
	}

	// What the others read: a button sees who is there and what its LED needs, a stranger sees nothing.
	for name, topics := range map[string][]string{"button": {"hkw/home/status/availability", "hkw/home/status/player_state"}, "stranger": nil} {
		seen := make(chan string, 1000)
		c := clients[name]
		if tok := c.Subscribe("#", 1, func(_ mqtt.Client, msg mqtt.Message) { seen <- msg.Topic() }); !tok.WaitTimeout(10*time.Second) || tok.Error() != nil {
			t.Fatal(tok.Error())
		}
		h.must("volume", `"volume":20`, "done")
		publish(c, "hkw/home/play/none", "")
		read := map[string]bool{}
		for len(read) < len(topics) || len(seen) > 0 {
			topic := <-seen
			if read[topic] = true; !slices.Contains(topics, topic) {
				t.Fatalf("%s reads %s", name, topic)
			}
		}
	}

	// And nobody comes in without a password, or with the wrong one.
	for _, url := range []string{m.url(), "tcp://hub:wrong@" + m.addr} {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(url).SetClientID("intruder").SetProtocolVersion(4).SetAutoReconnect(false))
		if tok := c.Connect(); tok.WaitTimeout(10*time.Second) && tok.Error() == nil {
			t.Errorf("%s is let in", url)
		}
		c.Disconnect(0)
	}
}
