package bridge

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hkw/speaker/speakertest"

	"go.yaml.in/yaml/v3"
)

const examplesDir = "../examples"

// smallExamples are the examples for microcontrollers and switches.
var smallExamples = []string{"esp32", "esphome", "tasmota", "shelly"}

// validCommand tells what is wrong with a command that an example sends.
func validCommand(topic, payload string) string {
	below, ok := strings.CutPrefix(topic, "hkw/home/")
	if !ok {
		return "not a topic of the hub"
	}
	if _, why := decode(below, []byte(payload), time.Now()); why != nil {
		return why.message
	}
	if !fits(topic, payload) {
		return "too large for a small packet"
	}
	return ""
}

// smallTopic tells whether something is retained there that a small client can read.
func smallTopic(topic string) bool {
	return slices.ContainsFunc(Retained, func(r RetainedTopic) bool { return r.JSON == "" && "hkw/home/"+r.Topic == topic })
}

// Whatever topic an example names, in its text too, is one of the hub's.
func TestTopicsOfSmallExamples(t *testing.T) {
	named := regexp.MustCompile(`hkw/home/[A-Za-z0-9_/+#-]+`)
	for _, dir := range smallExamples {
		found := 0
		err := filepath.WalkDir(filepath.Join(examplesDir, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path) //nolint:gosec // of the repository
			for _, topic := range named.FindAllString(string(text), -1) {
				found++
				if route, _ := findRoute(strings.TrimPrefix(topic, "hkw/home/")); route == nil && !smallTopic(topic) {
					t.Errorf("%s names %s, which is neither a command nor something a small client can read", path, topic)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if found == 0 {
			t.Errorf("%s names no topic", dir)
		}
	}
}

// told are the words of each line that begins with a verb.
func told(out []byte, verb string) (lines []string) {
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), verb+" "); ok {
			lines = append(lines, rest)
		}
	}
	return lines
}

// The sketch is compiled against stand-ins for Arduino and PubSubClient, and lives
// through a day: it connects as a button should, rings once for each press however
// the contact bounces, and never later than it was pressed.
func TestSketch(t *testing.T) {
	compiler := speakertest.Require(t, "g++")
	program := filepath.Join(t.TempDir(), "doorbell")
	sketch, err := filepath.Abs(filepath.Join(examplesDir, "esp32", "doorbell", "doorbell.ino"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-Itestdata/arduino", "-include", "Arduino.h", //nolint:gosec // of the repository
		`-DSKETCH="`+sketch+`"`, "testdata/arduino/world.cpp", "-o", program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program).Output() //nolint:gosec // just compiled
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]string{}
	for _, step := range strings.Split(string(out), "# ")[1:] {
		name, does, _ := strings.Cut(step, "\n")
		steps[name] = strings.TrimSpace(does)
	}
	const (
		attempt   = "connect id=doorbell-aabbcc will=doorbell/door/availability offline qos=0 retain=1 clean=1: "
		connected = attempt + "ok\n" + `publish doorbell/door/availability "online" retain=1
subscribe hkw/home/status/availability qos=0
subscribe hkw/home/status/player_state qos=0
`
		press = `publish hkw/home/play/doorbell "" retain=0
-- 300 ms, lit for 0%
-- 600 ms, lit for 0%`
	)
	for name, want := range map[string]string{
		"no wifi":                         "-- 2000 ms, lit for 50%",
		"wifi, no broker":                 strings.Repeat(attempt+"no\n", 3) + "-- 12000 ms, lit for 50%",
		"the hub is there":                "-- 2000 ms, lit for 0%",
		"two presses, bouncing":           press + "\n" + press,
		"it plays":                        "-- 2000 ms, lit for 100%\n-- 2000 ms, lit for 0%",
		"the hub goes":                    "-- 2000 ms, lit for 2%",
		"a press that nobody hears":       "-- 300 ms, lit for 33%\n-- 600 ms, lit for 50%",
		"the broker comes":                connected + "-- 6000 ms, lit for 16%",
		"the broker goes, and comes back": attempt + "no\n-- 1000 ms, lit for 50%\n" + connected + "-- 6000 ms, lit for 34%",
	} {
		if steps[name] != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, steps[name], want)
		}
	}
	if !strings.HasPrefix(string(out), "keepalive 15\n") {
		t.Errorf("the keepalive: %.40s", out)
	}
	if why := validCommand("hkw/home/play/doorbell", ""); why != "" {
		t.Error(why)
	}
}

// The Shelly script runs in Node, on a Shelly of the test's.
func TestShellyScript(t *testing.T) {
	node := speakertest.Require(t, "node")
	out, err := exec.Command(node, "testdata/shelly.js", filepath.Join(examplesDir, "shelly", "doorbell.js")).CombinedOutput() //nolint:gosec // of the repository
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{`hkw/home/play/doorbell "" qos=0 retain=false`, `hkw/home/stop "" qos=0 retain=false`}
	if got := told(out, "publish"); !slices.Equal(got, want) {
		t.Errorf("it publishes\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, line := range told(out, "publish") {
		topic, payload, _ := strings.Cut(line, " ")
		if why := validCommand(topic, strings.Trim(strings.Fields(payload)[0], `"`)); why != "" {
			t.Errorf("%s: %s", line, why)
		}
	}
	for _, topic := range told(out, "subscribe") {
		if !smallTopic(topic) {
			t.Errorf("it subscribes to %s", topic)
		}
	}
	if got := strings.Join(told(out, "call"), "; "); got != `Switch.Set {"id":0,"on":true}; Switch.Set {"id":0,"on":false}` {
		t.Errorf("the lamp: %s", got)
	}
}

// The ESPHome configuration is YAML, publishes what the hub knows and never retains
// it, and listens to what is there.
func TestESPHomeConfiguration(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(examplesDir, "esphome", "doorbell.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	published, subscribed := 0, 0
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			fields := map[string]*yaml.Node{}
			for i := 0; i+1 < len(n.Content); i += 2 {
				fields[n.Content[i].Value] = n.Content[i+1]
			}
			if action, ok := fields["mqtt.publish"]; ok {
				published++
				var p struct {
					Topic, Payload string
					Retain         bool
				}
				if err := action.Decode(&p); err != nil {
					t.Error(err)
				}
				if why := validCommand(p.Topic, p.Payload); why != "" || p.Retain {
					t.Errorf("%+v: %s", p, why)
				}
			}
			if platform, ok := fields["platform"]; ok && platform.Value == "mqtt_subscribe" {
				subscribed++
				if topic := fields["topic"]; topic == nil || !smallTopic(topic.Value) {
					t.Errorf("line %d: it listens to %+v", n.Line, topic)
				}
			}
			if n == root.Content[0] {
				if _, api := fields["api"]; api {
					t.Error("with api: and without Home Assistant it would restart every 15 minutes")
				}
			}
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(&root)
	if published != 1 || subscribed != 2 {
		t.Errorf("%d commands, %d subscriptions", published, subscribed)
	}
	for _, secret := range regexp.MustCompile(`!secret (\w+)`).FindAllSubmatch(text, -1) {
		if head, _, _ := bytes.Cut(text, []byte("\nesphome:")); !bytes.Contains(head, secret[1]) {
			t.Errorf("its head does not say that %s is needed", secret[1])
		}
	}
}

// Each Tasmota rule is of the form that Tasmota takes, and its commands are the hub's.
func TestTasmotaRules(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(examplesDir, "tasmota", "rules.txt"))
	if err != nil {
		t.Fatal(err)
	}
	const maxRule = 511 // characters of a rule set
	rule := regexp.MustCompile(`^(ON [A-Za-z0-9]+#[A-Za-z0-9=]+ DO (.+?) ENDON ?)+$`)
	body := regexp.MustCompile(`DO (.+?) ENDON`)
	published, subscribed := 0, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		set := regexp.MustCompile(`^Rule[1-3] (ON .*)$`).FindStringSubmatch(line)
		if set == nil {
			if !regexp.MustCompile(`^(Rule[1-3] 1|Backlog [A-Za-z0-9 ;]+)$`).MatchString(line) {
				t.Errorf("not a command: %s", line)
			}
			continue
		}
		if !rule.MatchString(set[1]) || len(set[1]) > maxRule {
			t.Errorf("not a rule set of at most %d characters: %s", maxRule, line)
		}
		for _, does := range body.FindAllStringSubmatch(set[1], -1) {
			verb, args, _ := strings.Cut(does[1], " ")
			switch verb {
			case "Publish": // Publish2 would retain
				published++
				topic, payload, _ := strings.Cut(args, " ")
				if why := validCommand(topic, payload); why != "" {
					t.Errorf("%s: %s", does[1], why)
				}
			case "Subscribe":
				subscribed++
				event, topic, ok := strings.Cut(args, ", ")
				if !ok || !smallTopic(topic) || !strings.Contains(line, "ON Event#"+event+"=") {
					t.Errorf("%s", does[1])
				}
			case "LedPower1":
			default:
				t.Errorf("unknown: %s", does[1])
			}
		}
	}
	if published != 3 || subscribed != 1 {
		t.Errorf("%d commands, %d subscriptions", published, subscribed)
	}
}
