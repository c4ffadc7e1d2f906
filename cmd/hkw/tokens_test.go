package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"hkw/bridge"
)

// Tokens come from anywhere; those of a later source take the place of an earlier
// one's, file and hashes come on top.
func TestTokens(t *testing.T) {
	const (
		one, two = "hunter2-of-the-first-kind", "hunter2-of-the-second-kind"
		hashOne  = "c3b7f4ab1b2e4b1a6a3b0e6cbb7f5c31c74cb0c1c7d47ba6c3e7b6a0ce5a3a3e"
	)
	var h bridge.TokenHash
	for i := range h {
		h[i] = mustHex(hashOne[2*i : 2*i+2])
	}
	of := func(tokens ...string) (all []bridge.TokenHash) {
		for _, token := range tokens {
			all = append(all, bridge.HashToken(token))
		}
		return all
	}
	file := filepath.Join(t.TempDir(), "tokens")
	write(t, file, "# ours\n\n  "+two+"\t\n#"+one+"\n")
	tests := []struct {
		name string
		file string
		env  environment
		args []string
		want []bridge.TokenHash
	}{
		{"none", "", nil, nil, nil},
		{"file", "http_token: [" + one + ", " + two + "]\n", nil, nil, of(one, two)},
		{"environment over file", "http_token: " + one + "\n", environment{"HKW_HTTP_TOKEN=" + two}, nil, of(two)},
		{"environment, several", "", environment{"HKW_HTTP_TOKEN=" + one + ", " + two}, nil, of(one, two)},
		{"flags over environment", "", environment{"HKW_HTTP_TOKEN=x"}, []string{"--http-token", one, "--http-token", two}, of(one, two)},
		{"token file", "http_token_file: " + file + "\n", nil, nil, of(two)},
		{"token file by environment", "", environment{"HKW_HTTP_TOKEN_FILE=" + file}, []string{"--http-token", one}, of(one, two)},
		{"hash", "http_token_hashes: [" + strings.ToUpper(hashOne) + "]\n", nil, []string{"--http-token", one}, append(of(one), h)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(t, tt.file, tt.env, tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.allTokens()
			if err != nil || len(got) != len(tt.want) || len(got) > 0 && !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%x %v", got, err)
			}
			if text := c.yaml() + c.json(); strings.Contains(text, "hunter2") || tt.want != nil && !strings.Contains(text, redacted) && !strings.Contains(text, file) {
				t.Errorf("shown as\n%s", text)
			}
		})
	}
}

func mustHex(s string) (b byte) {
	for _, c := range s {
		b = b<<4 | byte(strings.IndexRune("0123456789abcdef", c))
	}
	return b
}

func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ text, want string }{
		"empty":              {"", "there is no token in"},
		"comments":           {"# none yet\n", "there is no token in"},
		"spaces":             {"# ours\nhunter2 hunter2\n", "tokens:2: a token must be"},
		"binary":             {"hunter2\x00\n", "tokens:1: a token must be"},
		"a line without end": {strings.Repeat("hunter2", 20000), "too long"},
	} {
		file := filepath.Join(dir, "tokens")
		write(t, file, tt.text)
		// A hub that cannot read its tokens does not start without them.
		code, _, stderr := command(t, emptyEnv(t), "serve", "--http-token-file", file, "--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
		if code != int(exitUsage) || !strings.Contains(stderr, "--http-token-file") || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, "hunter2") {
			t.Errorf("%s: %d %q", name, code, stderr)
		}
	}
	if code, _, stderr := command(t, emptyEnv(t), "serve", "--http-token-file", dir+"/none", "--mqtt-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"); code != int(exitUsage) {
		t.Errorf("%d %q", code, stderr)
	}
}

// Secrets that others can read, or guess, are told of.
func TestWeakSecrets(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such permissions")
	}
	file := filepath.Join(t.TempDir(), "tokens")
	write(t, file, "0123456789abcdef\n")
	weak := func(config string, args ...string) string {
		c, err := load(t, config, nil, append([]string{"--http-token-file", file}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		if c.file != "" {
			if err := os.Chmod(c.file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		found := strings.Join(c.weaknesses(), "\n")
		if c.file == "" {
			return found
		}
		return strings.ReplaceAll(found, c.file, "CONFIG")
	}
	if got := weak("http_hosts: [a]\n"); got != "" {
		t.Errorf("nothing is wrong, and it says %q", got)
	}
	if got := weak("http_token: [0123456789abcdef]\n"); !strings.Contains(got, "CONFIG holds http_token") {
		t.Errorf("%q", got)
	}
	if got := weak("", "--http-token", "hunter2"); !strings.Contains(got, "--http-token: a token of less than 16") || strings.Contains(got, "hunter2") {
		t.Errorf("%q", got)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := weak(""); !strings.Contains(got, file+" can be read by everyone") {
		t.Errorf("%q", got)
	}
	b := serve(t, "--speaker", "a=null", "--http-token-file", file)
	b.stderr.waitFor(t, "chmod 600 "+file)
	_, found := examine(t, emptyEnv(t), "--http-token-file", file, "--http-listen", "127.0.0.1:0", "--mqtt-listen", "127.0.0.1:1")
	if found["secrets"].Level != levelWarning || !strings.Contains(found["secrets"].Do, "chmod") {
		t.Errorf("doctor says %+v", found["secrets"])
	}
}

// With a token HTTP may be reached from other machines, and does nothing without it.
func TestHTTPWithTokens(t *testing.T) {
	code, stdout, _ := command(t, emptyEnv(t), "token", "--json")
	var made struct{ Token, Hash string }
	if err := json.Unmarshal([]byte(stdout), &made); err != nil || code != 0 || len(made.Token) < shortToken {
		t.Fatalf("%d %q", code, stdout)
	}
	file := filepath.Join(t.TempDir(), "tokens")
	write(t, file, "hunter2-from-the-file\n")
	env := emptyEnv(t)
	write(t, filepath.Join(env.get("XDG_CONFIG_HOME"), configFolder, configName), "http_token_hashes: ["+made.Hash+"]\nhttp_token_file: "+file+"\n")
	env = append(env, "HKW_HTTP_TOKEN=hunter2-from-the-environment")
	b := serveWith(t, &program{env: env}, "--speaker", "a=null", "--http-listen", "0.0.0.0:0", "--log-level", "trace")
	ask := func(token string) (int, string) {
		req, err := http.NewRequest(http.MethodPost, "http://"+dialable(b.app.httpAddr.String())+"/hkw/home/volume", strings.NewReader("12"))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for _, token := range []string{"", "hunter2", made.Hash, "hunter2-from-the-file2", redacted} {
		if status, body := ask(token); status != http.StatusUnauthorized {
			t.Errorf("%q: %d %s", token, status, body)
		}
	}
	if _, out, _ := b.client("volume", "a"); out != "volume of a: 35\n" {
		t.Errorf("without a token something was done: %q", out)
	}
	for _, token := range []string{made.Token, "hunter2-from-the-file", "hunter2-from-the-environment"} {
		if status, body := ask(token); status != http.StatusOK {
			t.Errorf("%q: %d %s", token, status, body)
		}
	}
	log := b.stderr.String()
	if strings.Contains(log, "hunter2") || strings.Contains(log, made.Token) || strings.Contains(log, "without credentials") {
		t.Errorf("logged:\n%s", log)
	}
	_, shown, _ := command(t, env, "config")
	if strings.Contains(shown, "hunter2") || !strings.Contains(shown, redacted) {
		t.Errorf("shown:\n%s", shown)
	}
}

// MQTT has no tokens: beyond this machine it wants --open all the same.
func TestTokensDoNotOpenMQTT(t *testing.T) {
	code, _, stderr := command(t, emptyEnv(t), "serve", "--http-token", "0123456789abcdef", "--mqtt-listen", "0.0.0.0:0", "--http-listen", "127.0.0.1:0")
	if code != int(exitUsage) || !strings.Contains(stderr, "--mqtt-listen") || !strings.Contains(stderr, "--open") || strings.Contains(stderr, "token") {
		t.Errorf("%d %q", code, stderr)
	}
	code, _, stderr = command(t, emptyEnv(t), "serve", "--http-listen", "0.0.0.0:0", "--mqtt-listen", "127.0.0.1:0")
	if code != int(exitUsage) || !strings.Contains(stderr, "--http-token") || !strings.Contains(stderr, "--open") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestTokenCommand(t *testing.T) {
	_, first, _ := command(t, emptyEnv(t), "token")
	_, second, _ := command(t, emptyEnv(t), "token")
	if !like(first, "token  *\nhash   *\n") || first == second {
		t.Errorf("%q, then %q", first, second)
	}
}
