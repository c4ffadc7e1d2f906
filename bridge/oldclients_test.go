package bridge

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker/library"
	"hkw/speaker/speakertest"
)

// storyHouse is a house with a song of 20 s in a real library and two speakers
// that write down what is heard.
func storyHouse(t *testing.T, guard Guard) (w *web, dir string) {
	t.Helper()
	dir = t.TempDir()
	media := filepath.Join(dir, "media")
	if err := os.Mkdir(media, 0o700); err != nil {
		t.Fatal(err)
	}
	toneFile(t, media, "song.wav", toneA, 20*time.Second)
	lib, err := library.Open(t.Context(), library.Config{Dir: media, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lib.Close() })
	<-lib.Ready()
	return newWeb(t, guard, wavSpeakers(t, dir), func(c *Config) { c.Media = lib }), dir
}

// soundedIn fails unless the song was heard on both speakers, and nothing after it stopped.
func soundedIn(t *testing.T, dir string) {
	t.Helper()
	for _, file := range []string{"kitchen-out.wav", "hall-out.wav"} {
		names, length := runs(tones(heardOn(t, filepath.Join(dir, file))))
		var sounded time.Duration
		for i, n := range names {
			if n == toneA {
				sounded += length[i]
			} else if n != 0 {
				t.Errorf("%s: heard %d for %s", file, n, length[i])
			}
		}
		if sounded < 800*time.Millisecond { // the file is current to 200 ms
			t.Errorf("%s: the song was heard for %s (%v %v)", file, sounded, names, length)
		}
	}
}

// TestNodeClient runs a session as a Node script wrote it for HKWHub.
func TestNodeClient(t *testing.T) {
	node := speakertest.Require(t, "node")
	w, dir := storyHouse(t, Guard{})
	script := `import("./testdata/client.mjs").then(m => m.story(process.argv[1])).then(s => console.log(s.length), e => { console.error(e); process.exit(1) })`
	cmd := exec.Command(node, "-e", script, w.url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	soundedIn(t, dir)
}

// TestBrowserClient runs the same session in a page of another origin, in a real
// browser; and one whose origin is not listed presses nothing.
func TestBrowserClient(t *testing.T) {
	chromium := speakertest.Require(t, "chromium")
	reports := make(chan string, 1)
	pages := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/report" {
			var report struct{ Failed string }
			if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
				report.Failed = err.Error()
			}
			reports <- report.Failed
			return
		}
		http.FileServer(http.Dir("testdata")).ServeHTTP(rw, r)
	}))
	defer pages.Close()
	visit := func(w *web) string {
		t.Helper()
		cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(),
			"--remote-debugging-port=0", pages.URL+"/page.html?hub="+url.QueryEscape(w.url))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}()
		select {
		case failed := <-reports:
			return failed
		case <-time.After(60 * time.Second):
			t.Fatal("the page did not report")
			return ""
		}
	}
	w, dir := storyHouse(t, Guard{Origins: []string{pages.URL}})
	if failed := visit(w); failed != "" {
		t.Error(failed)
	}
	soundedIn(t, dir)

	stranger, _ := storyHouse(t, Guard{})
	if failed := visit(stranger); !strings.Contains(failed, "Failed to fetch") {
		t.Errorf("a page that is not listed: %q", failed)
	}
	if r := stranger.must("session/open", "", session.OutcomeDone); r.Session == "" {
		t.Errorf("%+v", r)
	}
	var s Status
	status, _ := stranger.hub.Retained("status")
	if err := json.Unmarshal(status, &s); err != nil || s.Sessions != 1 {
		t.Errorf("a page that is not listed opened a session: %s", status)
	}
}
