package bridge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hkw/session"
)

// flowNode is what a test needs to know of one node of a Node-RED flow.
type flowNode struct {
	ID, Type, Name, Z, G, Broker, Topic string
	Nodes                               []string // of a group
	Links                               []string
	Wires                               [][]string
	Props                               []struct{ P string } // of inject
	Payload, PayloadType                string               // of inject
	Property                            string               // of switch
	Outputs                             int
	Func, Info                          string
	Rules                               []struct{ T, P, V, To, Tot string } // of switch and change
	In                                  []flowPort
	Out                                 []flowPort // of a subflow; of switch and function it is Outputs
}

type flowPort struct {
	Wires []struct {
		ID   string
		Port int
	}
}

// coreNodes are the types that Node-RED 4.1 has without anything installed beside
// it, and of those the ones that make sense here.
var coreNodes = []string{"inject", "debug", "complete", "catch", "status", "link in", "link call", "link out", "comment", "junction",
	"function", "switch", "change", "range", "template", "delay", "trigger", "rbe", "mqtt in", "mqtt out", "mqtt-broker",
	"json", "split", "join", "sort", "batch"}

const subflowType = "subflow:"

// flows reads the flows of the example, in order and by id.
func flows(t *testing.T) ([]flowNode, map[string]flowNode) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examplesDir, "node-red", "flows.json"))
	if err != nil {
		t.Fatal(err)
	}
	var nodes []flowNode
	if err := json.Unmarshal(text, &nodes); err != nil {
		t.Fatal(err)
	}
	byID := map[string]flowNode{}
	for _, n := range nodes {
		if _, twice := byID[n.ID]; twice || n.ID == "" {
			t.Errorf("the id %q stands twice", n.ID)
		}
		byID[n.ID] = n
	}
	return nodes, byID
}

// The flows can be imported: nothing but core nodes, and whatever a node names is
// there and on the same page.
func TestNodeREDFlows(t *testing.T) {
	nodes, byID := flows(t)
	for _, n := range nodes {
		page := func(id, what string) {
			if other, ok := byID[id]; !ok || other.Z != n.Z {
				t.Errorf("%s: its %s leads to %q, which is not on its page", n.ID, what, id)
			}
		}
		switch subflow, instance := strings.CutPrefix(n.Type, subflowType); {
		case instance:
			if s := byID[subflow]; s.Type != "subflow" || len(n.Wires) != len(s.Out) {
				t.Errorf("%s has %d outputs, and the subflow %q has %d", n.ID, len(n.Wires), subflow, len(s.Out))
			}
		case n.Type == "tab", n.Type == "group":
		case n.Type == "subflow":
			for _, port := range slices.Concat(n.In, n.Out) {
				for _, w := range port.Wires {
					if inside, ok := byID[w.ID]; !ok || inside.Z != n.ID || w.Port >= max(1, len(inside.Wires)) {
						t.Errorf("%s: a port leads to %q, output %d, which is not in it", n.ID, w.ID, w.Port)
					}
				}
			}
		case !slices.Contains(coreNodes, n.Type):
			t.Errorf("%s: %q is no core node", n.ID, n.Type)
		case n.Outputs > 0 && n.Outputs != len(n.Wires):
			t.Errorf("%s has %d outputs and wires for %d", n.ID, n.Outputs, len(n.Wires))
		}
		if z := byID[n.Z].Type; n.Z != "" && z != "tab" && z != "subflow" {
			t.Errorf("%s stands on %q", n.ID, n.Z)
		}
		if n.G != "" && !slices.Contains(byID[n.G].Nodes, n.ID) {
			t.Errorf("%s: its group %q does not have it", n.ID, n.G)
		}
		for _, id := range n.Nodes {
			page(id, "group")
		}
		for _, id := range slices.Concat(n.Wires...) {
			page(id, "wire")
		}
		for _, id := range n.Links {
			if byID[id].Type != "link in" {
				t.Errorf("%s: its link leads to %q", n.ID, id)
			}
		}
		if strings.HasPrefix(n.Type, "mqtt ") && byID[n.Broker].Type != "mqtt-broker" {
			t.Errorf("%s: its broker is %q", n.ID, n.Broker)
		}
		if n.Func != "" && (strings.Contains(n.Func, "global.") || strings.Count(n.Func, "\n") > 12) {
			t.Errorf("%s: the function is long, or keeps what it knows where others can reach it", n.ID)
		}
		if n.Type == "comment" && n.Info == "" {
			t.Errorf("%s explains nothing", n.ID)
		}
	}
	for _, n := range nodes {
		if n.Type == "tab" && !slices.ContainsFunc(nodes, func(c flowNode) bool { return c.Type == "comment" && c.Z == n.ID }) {
			t.Errorf("%s has no comment", n.ID)
		}
	}
}

// What the flows send are commands that the hub takes, and what they listen to is
// what it publishes.
func TestNodeREDTopics(t *testing.T) {
	nodes, _ := flows(t)
	commands, listened := 0, 0
	sends := func(id, topic, payload string) {
		commands++
		if below, ok := strings.CutPrefix(topic, "hkw/home/"); !ok {
			t.Errorf("%s sends to %q", id, topic)
		} else if c, why := decode(below, []byte(payload), time.Now()); why != nil || len(c.notes) > 0 {
			t.Errorf("%s sends %s to %s: %v %v", id, payload, topic, why, c.notes)
		}
	}
	for _, n := range nodes {
		switch {
		case n.Type == "inject" && n.Topic != "":
			sends(n.ID, n.Topic, n.Payload)
		case n.Type == "change":
			set := map[string]string{}
			for _, r := range n.Rules {
				set[r.P] = r.To
			}
			if set["topic"] != "" {
				// The one expression that stands in a command is the text of a message.
				sends(n.ID, set["topic"], strings.ReplaceAll(set["payload"], ": payload", `: "text"`))
			}
		case n.Type == "mqtt in":
			listened++
			if !published(n.Topic) {
				t.Errorf("%s listens to %q, where a hub publishes nothing", n.ID, n.Topic)
			}
		case n.Type == "mqtt out" && n.Topic != "":
			sends(n.ID, n.Topic, "")
		}
	}
	if commands < 10 || listened < 4 {
		t.Errorf("%d commands and %d topics were found", commands, listened)
	}
}

// published tells whether the hub home publishes on a topic or what a filter matches.
func published(filter string) bool {
	_, below, ok := strings.Cut(strings.Replace(filter, "hkw/+/", "hkw/home/", 1), "hkw/home/")
	return ok && (below == "result/+" || below == "event/playback" ||
		slices.ContainsFunc(Retained, func(r RetainedTopic) bool { return r.Topic == below }))
}

// What the switches of the flows tell apart are events and errors that there are,
// and every event is one of the named ones or goes the way of all others.
func TestNodeREDSwitches(t *testing.T) {
	known := map[string][]string{}
	for _, k := range session.EventKinds() {
		known["payload.event"] = append(known["payload.event"], string(k))
	}
	for _, c := range Codes {
		known["payload.error"] = append(known["payload.error"], string(c.Code))
	}
	nodes, _ := flows(t)
	told := 0
	for _, n := range nodes {
		for _, r := range n.Rules {
			words := known[n.Property]
			if n.Type != "switch" || words == nil {
				continue
			}
			switch r.T {
			case "eq":
				if told++; !slices.Contains(words, r.V) {
					t.Errorf("%s: no %s is %q", n.ID, n.Property, r.V)
				}
			case "regex":
				for _, part := range strings.Split(strings.Trim(r.V, "^()$"), "|") {
					if told++; !slices.ContainsFunc(words, regexp.MustCompile("^"+part).MatchString) {
						t.Errorf("%s: no %s is like %q", n.ID, n.Property, part)
					}
				}
			}
		}
	}
	if told < 8 {
		t.Errorf("%d words were found", told)
	}
}
