package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hkw/bridge"
)

// What runs and is well is told so with 0; wildcard addresses are asked on loopback.
func TestHealthy(t *testing.T) {
	b := serve(t, "--hub", "house", "--http-listen", "0.0.0.0:0", "--open", "--speaker", "a=null")
	_, port, _ := net.SplitHostPort(b.app.httpAddr.String())
	for _, address := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port, ":" + port} {
		if code, stdout, stderr := command(t, b.env, "health", "--http-listen", address); code != 0 || stdout != "healthy: hkw 1.2.3, house\n" {
			t.Errorf("%s: %d %s%s", address, code, stdout, stderr)
		}
	}
	env := append(environment{"HKW_HTTP_LISTEN=0.0.0.0:" + port}, b.env...)
	code, stdout, _ := command(t, env, "health", "--json")
	var health bridge.Health
	if err := json.Unmarshal([]byte(stdout), &health); err != nil || code != 0 || !health.Healthy || health.Hubs[0].Hub != "house" {
		t.Errorf("%d %s %v", code, stdout, err)
	}
}

// Everything else is told with 1 and why.
func TestUnhealthy(t *testing.T) {
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	away := `{"healthy":false,"version":"1","hubs":[{"hub":"a","alive":true,"connected":true},{"hub":"b","alive":true}]}`
	tests := []struct {
		name, address, want string
		args                []string
	}{
		{"nobody listens", gone.Addr().String(), "hkw: http://" + gone.Addr().String() + "/healthz: connection refused\n", nil},
		{"no broker", answer(503, away), "hkw: hub b has no connection to its broker; it tries on\n", nil},
		{"a hung loop", answer(503, `{"hubs":[{"hub":"a","connected":true}]}`), "hkw: hub a does not answer\n", nil},
		{"someone else", answer(200, "<html>"), "no hkw\n", nil},
		{"someone else with JSON", answer(200, "{}"), "no hkw\n", nil},
		{"as JSON", answer(503, away), "", []string{"--json"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, _, stderr := command(t, emptyEnv(t), append([]string{"health", "--http-listen", tt.address}, tt.args...)...)
			if code != int(exitRuntime) || !strings.HasSuffix(stderr, tt.want) || tt.want == "" && stderr != "" {
				t.Errorf("%d %q", code, stderr)
			}
		})
	}
}

// A hub whose broker is away serves, but is not well, and says so.
func TestHealthWithoutBroker(t *testing.T) {
	b := launch(t, &program{env: emptyEnv(t)}, "serve", "--broker", "tcp://127.0.0.1:9", "--http-listen", "127.0.0.1:0", "--speaker", "a=null")
	select {
	case <-b.app.started:
	case <-b.done:
		t.Fatal(b.stderr.String())
	}
	code, _, stderr := command(t, b.env, "health", "--http-listen", b.app.httpAddr.String())
	if code != int(exitRuntime) || !strings.Contains(stderr, "hub home has no connection to its broker") {
		t.Errorf("%d %s", code, stderr)
	}
}
