package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"hkw/session"
)

// web is a house that is served over HTTP too.
type web struct {
	*house
	url string
}

func newWeb(t *testing.T, guard Guard, furnishing ...furnish) *web {
	t.Helper()
	h := newHouse(t, furnishing...)
	s := httptest.NewServer(NewHandler(HTTPConfig{Version: "test", Hubs: []*Hub{h.hub}, Guard: guard}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return &web{h, s.URL}
}

// ask sends a request; header is name, value, name, value …
func (w *web) ask(method, path, body string, header ...string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, string(data)
}

// A command over HTTP and the same on the bus have the same result.
func TestPathIsTopic(t *testing.T) {
	w := newWeb(t, Guard{})
	results := w.listen("result/+")
	for _, c := range []struct {
		topic, body string
		status      int
	}{
		{"play", `{"id":"h1","media":"alarm","priority":300}`, 200},
		{"play", `{"id":"h2","media":"chime"}`, 409},
		{"play", `{"media":"chime","on_busy":"queue"}`, 202},
		{"play", "nothing of that name", 404},
		{"play", "", 400},
		{"play/ding", "", 409},
		{"volume", "20", 200},
		{"volume", `{"id":"h3","volume":21}`, 200},
		{"speaker/attic/volume", "20", 404},
		{"session/open", "", 200},
		{"session/close", `{"session":"1"}`, 404},
		{"media", "", 200},
		{"dance", `{"id":"h4"}`, 404},
		{"stop", `{"priority":300}`, 200},
	} {
		res, body := w.ask("POST", "/hkw/home/"+c.topic, c.body)
		if res.StatusCode != c.status {
			t.Errorf("POST %s %s: %s %s", c.topic, c.body, res.Status, body)
		}
		var over, on Result
		if err := json.Unmarshal([]byte(body), &over); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if !strings.Contains(c.body, `"id"`) {
			continue // an id that the hub made is known to nobody on the bus
		}
		m := until(t, results, "the result is on the bus too", func(m busMessage) bool { return strings.HasSuffix(m.topic, "/"+over.ID) })
		if err := json.Unmarshal(m.payload, &on); err != nil || !reflect.DeepEqual(over, on) {
			t.Errorf("over HTTP %s\non the bus %s", body, m.payload)
		}
	}
	if res, _ := w.ask("POST", "/hkw/nowhere/stop", ""); res.StatusCode != 404 {
		t.Errorf("a hub that is not there: %s", res.Status)
	}
	if res, body := w.ask("POST", "/hkw/home/play", strings.Repeat("x", MaxPayload+1)); res.StatusCode != 413 {
		t.Errorf("too large: %s %s", res.Status, body)
	}
	if res, _ := w.ask("GET", "/hkw/home/play", ""); res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
		t.Errorf("a GET of a command: %s", res.Status)
	}
}

// What is retained is read with an ETag that changes when it does.
func TestStatusOverHTTP(t *testing.T) {
	w := newWeb(t, Guard{})
	for _, topic := range []string{"status", "status/availability", "status/player_state", "status/volume", "status/speaker/kitchen"} {
		res, body := w.ask("GET", "/hkw/home/"+topic, "")
		heard := listen(t, dial(t, w.house.url), topic)
		m := until(t, heard, topic+" is retained", func(busMessage) bool { return true })
		if res.StatusCode != 200 || body != string(m.payload) {
			t.Errorf("%s: %s %q, on the bus %q", topic, res.Status, body, m.payload)
		}
		tag := res.Header.Get("ETag")
		if res, _ := w.ask("GET", "/hkw/home/"+topic, "", "If-None-Match", tag); res.StatusCode != 304 {
			t.Errorf("%s unchanged: %s", topic, res.Status)
		}
	}
	res, _ := w.ask("GET", "/hkw/home/status/volume", "")
	w.must("volume", `"volume":11`, session.OutcomeDone)
	until(t, w.listen("status/volume"), "the volume is 11", func(m busMessage) bool { return string(m.payload) == "11" })
	if res, body := w.ask("GET", "/hkw/home/status/volume", "", "If-None-Match", res.Header.Get("ETag")); res.StatusCode != 200 || body != "11" {
		t.Errorf("changed: %s %q", res.Status, body)
	}
	for _, topic := range []string{"status/", "status/nothing", "result/x", "event/playback", ""} {
		if res, _ := w.ask("GET", "/hkw/home/"+topic, ""); res.StatusCode != 404 && res.StatusCode != 405 {
			t.Errorf("%q: %s", topic, res.Status)
		}
	}
}

// sse reads server-sent events.
type sse struct {
	t      testing.TB
	lines  *bufio.Scanner
	cancel context.CancelFunc
	body   io.Closer
}

type sseEvent struct{ id, name, data string }

func (w *web) stream(lastID string) *sse {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", w.url+"/hkw/home/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if ct := res.Header.Get("Content-Type"); ct != "text/event-stream" {
		w.t.Fatalf("content type %q", ct)
	}
	s := &sse{w.t, bufio.NewScanner(res.Body), cancel, res.Body}
	s.lines.Buffer(nil, 1<<20)
	w.t.Cleanup(s.close)
	return s
}

func (s *sse) close() {
	s.cancel()
	_ = s.body.Close()
}

// until reads until an event satisfies ok.
func (s *sse) until(what string, ok func(sseEvent) bool) sseEvent {
	s.t.Helper()
	var e sseEvent
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data += value
		case "":
			if e.name != "" && ok(e) {
				return e
			}
			e = sseEvent{}
		}
	}
	s.t.Fatalf("the stream ended before %s: %v", what, s.lines.Err())
	return e
}

func TestEventStream(t *testing.T) {
	w := newWeb(t, Guard{})
	first := w.stream("")
	first.until("the snapshot", func(e sseEvent) bool { return e.name == "status" && strings.Contains(e.data, `"hub":"home"`) })
	first.until("the volume", func(e sseEvent) bool { return e.name == "status/volume" && e.data == "35" })
	w.must("play", `"media":"alarm"`, session.OutcomeStarted)
	started := first.until("started", func(e sseEvent) bool { return e.name == "event/playback" && strings.Contains(e.data, `"started"`) })
	first.close()

	// What happens while nobody reads is not missed by who says where it stopped.
	w.must("stop", "", session.OutcomeDone)
	w.must("volume", `"volume":3`, session.OutcomeDone)
	again := w.stream(started.id)
	missed := again.until("what was missed", func(sseEvent) bool { return true })
	if missed.id == started.id {
		t.Errorf("%s comes again", missed.id)
	}
	again.until("stopped", func(e sseEvent) bool { return e.name == "event/playback" && strings.Contains(e.data, `"stopped"`) })
	again.until("the volume", func(e sseEvent) bool { return e.name == "status/volume" && e.data == "3" })

	// An id of another run, or nonsense, begins anew.
	for _, id := range []string{"otherrun.3", "nonsense", w.hub.Boot() + ".999999", w.hub.Boot() + ".-1"} {
		w.stream(id).until("the snapshot", func(e sseEvent) bool { return e.name == "status" })
	}
}

// A session's token is nobody else's business.
func TestEventStreamHoldsNoTokens(t *testing.T) {
	w := newWeb(t, Guard{})
	s := w.stream("")
	open := w.must("session/open", "", session.OutcomeDone)
	w.must("session/close", `"session":"`+open.Session+`"`, session.OutcomeDone)
	s.until("the session is gone", func(e sseEvent) bool {
		if strings.Contains(e.data, open.Session) {
			t.Errorf("%s tells the token", e.name)
		}
		return e.name == "status/session/"+open.SessionRef && e.data == ""
	})
}

// A reader that does not keep up is dropped; the others and the hub don't notice.
func TestSlowReader(t *testing.T) {
	f := newFeed("boot")
	_, _, _, slow := f.follow("")
	_, _, _, quick := f.follow("")
	for i := range feedQueued + 1 {
		f.publish("status", []byte(fmt.Sprint(i)))
		<-quick
	}
	n := 0
	for range slow {
		n++
	}
	if n != feedQueued {
		t.Errorf("the slow reader got %d", n)
	}
	f.leave(slow)
	f.leave(quick)
	f.close()
	if _, _, _, late := f.follow(""); len(late) != 0 {
		t.Error("a closed feed is followed")
	} else if _, open := <-late; open {
		t.Error("a closed feed is followed")
	}
}

// Pages of strangers press no buttons.
func TestGuard(t *testing.T) {
	const friend = "http://panel.example:8123"
	guarded := Guard{Hosts: []string{"hub.lan"}, Origins: []string{friend}}
	for _, c := range []struct {
		what   string
		guard  Guard
		header []string
		status int
	}{
		{"a program", Guard{}, nil, 200},
		{"the address bar", Guard{}, []string{"Sec-Fetch-Site", "none"}, 200},
		{"a page of its own", Guard{}, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"an image of another site", Guard{}, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"an image of another port", Guard{}, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"an image in an old browser", Guard{}, []string{"Referer", "http://evil.example/x"}, 403},
		{"a script of another site", Guard{}, []string{"Origin", "http://evil.example"}, 403},
		{"a sandboxed frame", Guard{}, []string{"Origin", "null"}, 403},
		{"a friend, not listed", Guard{}, []string{"Origin", friend, "Sec-Fetch-Site", "cross-site"}, 403},
		{"a friend", guarded, []string{"Origin", friend, "Sec-Fetch-Site", "cross-site"}, 200},
		{"a friend of another port", guarded, []string{"Origin", "http://panel.example:9"}, 403},
		{"a friend over https", guarded, []string{"Origin", "https://panel.example:8123"}, 403},
		{"another beside a friend", guarded, []string{"Origin", "http://evil.example", "Referer", friend + "/"}, 403},
		{"whoever, allowed", Guard{Origins: []string{"*"}}, []string{"Origin", "http://evil.example"}, 200},
		{"a name that was made to resolve here", Guard{}, []string{"Host", "evil.example"}, 421},
		{"a name like ours", guarded, []string{"Host", "hub.lan.evil.example"}, 421},
		{"our name", guarded, []string{"Host", "HUB.lan:8080"}, 200},
		{"localhost", Guard{}, []string{"Host", "localhost:8080"}, 200},
		{"an address of version 6", Guard{}, []string{"Host", "[::1]:8080"}, 200},
		{"no token", Guard{Tokens: []TokenHash{HashToken("secret")}}, nil, 401},
		{"a wrong token", Guard{Tokens: []TokenHash{HashToken("secret")}}, []string{"Authorization", "Bearer Secret"}, 401},
		{"a token as password", Guard{Tokens: []TokenHash{HashToken("secret")}}, []string{"Authorization", "Basic secret"}, 401},
		{"the second token", Guard{Tokens: []TokenHash{HashToken("x"), HashToken("secret")}}, []string{"Authorization", "Bearer secret"}, 200},
	} {
		acted := 0
		handler := c.guard.protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { acted++ }))
		for _, method := range []string{"GET", "POST"} {
			r := httptest.NewRequest(method, "/v1/stop_play", nil)
			r.Host = "127.0.0.1:8080"
			for i := 0; i+1 < len(c.header); i += 2 {
				if c.header[i] == "Host" {
					r.Host = c.header[i+1]
					continue
				}
				r.Header.Set(c.header[i], c.header[i+1])
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("%s, %s: %d, want %d", c.what, method, w.Code, c.status)
			}
			if allowed := w.Header().Get("Access-Control-Allow-Origin"); allowed != "" && c.status != 200 {
				t.Errorf("%s: may read what it may not ask", c.what)
			}
		}
		if (acted > 0) != (c.status == 200) {
			t.Errorf("%s: acted %d times", c.what, acted)
		}
	}
}

func TestPreflight(t *testing.T) {
	const friend = "http://panel.example"
	handler := Guard{Origins: []string{friend}, Tokens: []TokenHash{HashToken("x")}}.protect(http.NotFoundHandler())
	for origin, want := range map[string]int{friend: 204, "http://evil.example": 403} {
		r := httptest.NewRequest("OPTIONS", "/hkw/home/play", nil)
		r.Host = "localhost"
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Private-Network", "true")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		ok := w.Header().Get("Access-Control-Allow-Origin") == origin && w.Header().Get("Access-Control-Allow-Private-Network") == "true"
		if w.Code != want || ok != (want == 204) {
			t.Errorf("%s: %d %v", origin, w.Code, w.Header())
		}
	}
}

// The description describes what is served: every route, every field, every code
// and every payload, and nothing that is not there.
func TestOpenAPI(t *testing.T) {
	w := newWeb(t, Guard{})
	_, body := w.ask("GET", "/openapi.json", "")
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]map[string]any }
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%v, %q", err, doc.OpenAPI)
	}
	for _, m := range regexp.MustCompile(`"\$ref": "#/components/schemas/([^"]+)"`).FindAllStringSubmatch(body, -1) {
		if doc.Components.Schemas[m[1]] == nil {
			t.Errorf("schema %s is missing", m[1])
		}
	}
	ids := map[any]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if id := op["operationId"]; ids[id] || id == nil {
				t.Errorf("%s %s: operation id %v", method, path, id)
			} else {
				ids[id] = true
			}
			for _, name := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(path, -1) {
				if !strings.Contains(fmt.Sprint(op["parameters"]), "name:"+name[1]) {
					t.Errorf("%s %s: parameter %s is missing", method, path, name[1])
				}
			}
			// Each operation is answered by something other than the mux.
			concrete := regexp.MustCompile(`{\w+}`).ReplaceAllString(strings.Replace(path, "{hub}", "home", 1), "x")
			if strings.HasSuffix(concrete, "/events") {
				continue
			}
			res, reply := w.ask(strings.ToUpper(method), concrete, "")
			if responses := op["responses"].(map[string]any); responses[fmt.Sprint(res.StatusCode)] == nil {
				t.Errorf("%s %s answers %s, which is not described\n%s", method, concrete, res.Status, reply)
			}
		}
	}
	for _, r := range Routes {
		op := doc.Paths["/hkw/{hub}/"+routePath(&r)]["post"]
		if op == nil {
			t.Errorf("%s is missing", r.Topic)
			continue
		}
		for _, f := range r.Fields {
			if !strings.Contains(fmt.Sprint(op["requestBody"]), f.Name+":map[") {
				t.Errorf("%s: field %s is missing", r.Topic, f.Name)
			}
		}
	}
	// A real payload has no field that its schema lacks, and each that it requires.
	var status map[string]any
	_, body = w.ask("GET", "/hkw/home/status", "")
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas["Status"]
	for name := range status {
		if schema["properties"].(map[string]any)[name] == nil {
			t.Errorf("Status lacks %s", name)
		}
	}
	for _, name := range schema["required"].([]any) {
		if _, has := status[name.(string)]; !has {
			t.Errorf("the status has no %s", name)
		}
	}
}

func TestDocsPage(t *testing.T) {
	w := newWeb(t, Guard{})
	res, body := w.ask("GET", "/docs", "")
	if res.StatusCode != 200 || strings.Contains(body, "<script") || strings.Contains(body, "broke off") || strings.Contains(body, "`") {
		t.Errorf("%s\n%s", res.Status, body)
	}
	for _, r := range Routes {
		if !strings.Contains(body, "/hkw/home/"+routePath(&r)) {
			t.Errorf("%s is not on the page", r.Topic)
		}
	}
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(body, -1) {
		if !strings.Contains(body, `id="`+link[1]+`"`) {
			t.Errorf("#%s leads nowhere", link[1])
		}
	}
}
