package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
	"hkw/speaker/null"
)

// npmRoot is where npm keeps what it installed for everybody, "" without npm.
func npmRoot() string {
	out, err := exec.Command("npm", "root", "--global").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// pageHouse is a house to look at: two speakers, a song of a minute, speech, presets.
func pageHouse(t *testing.T, more ...furnish) *house {
	t.Helper()
	media := t.TempDir()
	if err := os.Mkdir(filepath.Join(media, "album"), 0o700); err != nil {
		t.Fatal(err)
	}
	toneFile(t, media, "Evening song.wav", toneA, time.Minute)
	for i := range 40 {
		toneFile(t, media, fmt.Sprintf("album/Track %02d.wav", i), toneA, 20*time.Millisecond)
	}
	lib, err := library.Open(t.Context(), library.Config{Dir: media, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lib.Close() })
	<-lib.Ready()
	driver := null.New()
	t.Cleanup(func() { _ = driver.Close() })
	high := 200
	return newHouse(t, append([]furnish{func(c *Config) {
		c.Media, c.Speech = lib, parrot{}
		c.Speakers = []speaker.Setup{{ID: "kitchen", Name: "Kitchen", Driver: driver}, {ID: "hall", Name: "Hall", Driver: driver}}
		c.Warnings = map[string]string{"hall": "nothing is heard there: the null driver"}
		c.Presets = map[string]Preset{"doorbell": {Media: "alarm", Priority: &high, OnBusy: session.Announce}}
	}}, more...)...)
}

// TestPage uses the page as people do, in a real browser.
func TestPage(t *testing.T) {
	b := browser(t)
	axe := axe(t)
	t.Run("play", func(t *testing.T) { testPagePlay(t, b, axe) })
	t.Run("volume", func(t *testing.T) { testPageVolume(t, b, axe) })
	t.Run("flow lines", func(t *testing.T) { testPageFlows(t, b) })
	t.Run("restart", func(t *testing.T) { testPageRestart(t, b, axe) })
	t.Run("token", func(t *testing.T) { testPageToken(t, b, axe) })
	t.Run("hubs", func(t *testing.T) { testPageHubs(t, b) })
}

func testPagePlay(t *testing.T, b context.Context, axe string) {
	h := pageHouse(t)
	d := newDoor(t, Guard{}, h.hub)
	p := newTab(t, b, d.url())
	p.as(1280, 900, "light")
	p.shows("#link", "Live")
	p.shows("#now-title", "Nothing is playing")
	p.shows("#media li:first-child .title", "doorbell") // presets first
	p.accessible(axe, "free, light")
	p.picture("free-light")

	// Search, and play what was found with the keyboard alone.
	p.write("#query", "evening")
	p.until("one is found", `document.querySelectorAll("#media li").length === 1`)
	p.keys(kb.Tab)
	p.keys(kb.Enter)
	p.shows("#now-title", "Evening song")
	p.shows("#now-state", "Playing")
	p.shows("#now-facts", "Priority 100")
	p.shows("#log", "Evening song (priority 100) started.")
	p.until("its time runs", `document.querySelector("#now-position").textContent > "0:00"`)

	// Seek by keyboard.
	p.run(chromedp.Focus("#seek", chromedp.ByQuery))
	p.keys(kb.PageDown + kb.PageUp + kb.ArrowRight)
	p.until("the slider says where it is", `/^0:[3-5]\d of 1:00$/.test(document.querySelector("#seek").getAttribute("aria-valuetext"))`)
	until(t, h.listen("status"), "the hub went there", func(m busMessage) bool {
		var s Status
		_ = json.Unmarshal(m.payload, &s)
		return s.Playing != nil && s.Playing.Position != nil && *s.Playing.Position >= 30
	})
	if got := d.latest(); !strings.HasPrefix(got, `hkw/home/seek {"position":`) {
		t.Errorf("sought with %s", got)
	}

	// Pause and resume.
	p.click("#pause")
	p.shows("#now-state", "Paused")
	p.shows("#now-title", "Evening song")
	p.run(chromedp.Focus("#seek", chromedp.ByQuery))
	p.keys(kb.Home)
	p.keys(kb.PageUp)
	p.until("it stands elsewhere", `document.querySelector("#now-position").textContent === "0:30"`)
	eventually(t, "the hub went there", func() bool {
		s := retainedStatus(t, h.hub)
		return len(s.Paused) == 1 && *s.Paused[0].Position == 30
	})
	p.accessible(axe, "paused")
	p.picture("paused-light")
	p.run(chromedp.Focus("#resume", chromedp.ByQuery))
	p.keys(" ")
	p.shows("#now-state", "Playing")
	p.shows("#log", "Evening song (priority 100) was resumed.")

	// An announcement holds the music and gives it back; its text is text.
	p.click("#text")
	p.keys(`Dinner <img src=x onerror=alert(1)> & more` + kb.Enter)
	p.shows("#now-state", "Announcing")
	p.shows("#now-title", "Dinner <img src=x onerror=alert(1)> & more")
	p.shows("#beneath", "Evening song")
	p.shows("#log", "is announced; Evening song (100) gives way and comes back.")
	p.as(1280, 900, "dark")
	p.accessible(axe, "announcing, dark")
	p.picture("announcing-dark")
	p.as(1280, 900, "light")
	p.shows("#log", "Evening song (priority 100) came back.")
	p.until("the music is back", `!document.querySelector("#beneath").checkVisibility()`)

	// Who asks with less is refused, in a sentence.
	h.publish("play", `{"media":"Evening song","priority":300,"id":"alarm-7"}`)
	p.shows("#log", "Evening song (priority 300) interrupted Evening song (100).")
	p.shows("#now-facts", "alarm-7")
	h.must("play", `"media":"chime","on_busy":"queue","priority":150`, session.OutcomeQueued)
	p.shows("#queue", "Priority 150")
	p.shows("#log", "Chime (priority 150) waits: Evening song (300) holds the hub.")
	p.write("#query", "ding")
	p.shows("#media li", "Ding")
	p.click("#media li button")
	p.shows("#log", "Ding (100) was refused: Evening song (300) holds the hub.")
	p.shows("#notice", "Evening song (300) holds the hub.")
	p.accessible(axe, "refused")
	p.picture("refused-light")
	p.as(360, 740, "dark")
	p.fits("refused, phone")
	p.accessible(axe, "refused, phone, dark")
	p.picture("refused-phone-dark")
	p.as(360, 740, "light")
	p.picture("refused-phone-light")
	p.targets("phone", 28)
	p.as(1280, 900, "light")
	p.targets("desktop", 24)

	// What is offered instead does it.
	p.click("#stop")
	p.shows("#notice", "Stop (100) was refused")
	p.click("#notice-act")
	p.shows("#now-title", "Nothing is playing")
	if got := d.latest(); got != `hkw/home/stop {"priority":300}` {
		t.Errorf("stopped with %s", got)
	}
	p.shows("#log", "was stopped.")

	// More of the library, a page at a time.
	p.write("#query", "track")
	p.shows("#found", "24 of 40")
	p.click("#more")
	p.shows("#found", "40 of 40")
	p.until("there is no more", `!document.querySelector("#more").checkVisibility()`)
	p.write("#query", "no such thing")
	p.shows("#found", "Nothing is called “no such thing”.")
	p.write("#query", "http://radio.example/live")
	p.shows("#media li .title", "http://radio.example/live")
	p.shows("#play-flows .payload", `{"media":"http://radio.example/live"}`)

	// All that a page shows after a reload is told by the hub, the past too.
	p.run(chromedp.Reload())
	p.shows("#log", "Ding (100) was refused: Evening song (300) holds the hub.")
}

func testPageVolume(t *testing.T, b context.Context, axe string) {
	h := pageHouse(t)
	d := newDoor(t, Guard{}, h.hub)
	p := newTab(t, b, d.url())
	slider := `document.querySelector("#speakers li:last-child .volume input")`
	p.until("the slider is there", slider+`?.value === "35"`)
	p.shows("#speakers li:last-child", "Kitchen")
	p.shows("#speakers li:first-child", "nothing is heard there")

	// From here.
	p.run(chromedp.Focus("#speakers li:last-child .volume input", chromedp.ByQuery))
	p.keys(kb.ArrowRight + kb.ArrowRight + kb.ArrowRight)
	p.until("it says so", slider+`.getAttribute("aria-valuetext") === "38 of 50"`)
	volumes := func(hall, kitchen int) func(busMessage) bool {
		return func(m busMessage) bool {
			var s Status
			_ = json.Unmarshal(m.payload, &s)
			return len(s.Speakers) == 2 && s.Speakers[0].Volume == hall && s.Speakers[1].Volume == kitchen
		}
	}
	until(t, h.listen("status"), "the kitchen is at 38", volumes(35, 38))
	p.shows("#speakers li:last-child .payload", "38")

	// From elsewhere.
	h.must("volume", `"volume":12`, session.OutcomeDone)
	p.until("the sliders follow", slider+`.value === "12" && document.querySelector("#hub-volume input").value === "12"`)
	p.run(chromedp.Focus("#hub-volume input", chromedp.ByQuery))
	p.keys(kb.End)
	until(t, h.listen("status"), "both are at 50", volumes(50, 50))

	// Mute and quiet hours, from here and from elsewhere.
	p.shows("#hub-volume .flows", "hkw/home/mute")
	p.run(chromedp.Focus("#hub-switches input", chromedp.ByQuery))
	p.keys(" ")
	p.shows("#quiet-note", "Muted: what plays is not heard.")
	p.shows("#now-by", "The hub is free, but muted.")
	h.must("play", `"media":"chime","repeat":true`, session.OutcomeStarted)
	p.shows("#now-by", "unheard: the hub is muted")
	p.shows("#speakers li:last-child", "playing unheard")
	h.must("stop", "", session.OutcomeDone)
	p.shows("#log", "The hub was muted.")
	if got := d.latest(); got != "hkw/home/mute on" {
		t.Errorf("muted with %s", got)
	}
	h.must("mute", `"mute":false`, session.OutcomeDone)
	p.until("the switch follows", `!document.querySelector("#hub-switches input").checked`)
	p.click("#speakers li:last-child .toggle")
	eventually(t, "the kitchen is muted", func() bool { return retainedStatus(t, h.hub).Speakers[1].Muted })
	p.run(chromedp.Focus("#hub-switches select", chromedp.ByQuery))
	p.keys("O") // On
	p.shows("#quiet-note", "Quiet hours are in force")
	p.shows("#log", "Quiet hours are in force.")
	if got := d.latest(); got != "hkw/home/quiet on" {
		t.Errorf("quiet with %s", got)
	}
	h.must("quiet", `"quiet":"off"`, session.OutcomeDone)
	p.until("the choice follows", `document.querySelector("#hub-switches select").value === "off"`)
	p.accessible(axe, "with switches")
	p.as(360, 740, "light")
	p.fits("switches, phone")
	p.picture("volumes-phone-light")
}

// What stands under an action is what the page sends, and what is copied.
func testPageFlows(t *testing.T, b context.Context) {
	h := pageHouse(t)
	d := newDoor(t, Guard{}, h.hub)
	p := newTab(t, b, d.url())
	p.shows("#media li", "doorbell")
	line := func(selector string) (s string) {
		t.Helper()
		p.eval(fmt.Sprintf(`[...document.querySelector(%s).querySelectorAll(".topic, .payload:not(.empty)")].map(e => e.textContent).join(" ")`, marshal(selector)), &s)
		return s
	}
	p.click("#play-options summary")
	p.write("#query", "chime")
	p.until("the chime is chosen", `document.querySelector("#media .chosen .title")?.textContent === "Chime"`)
	p.write(`#play-options input[max="9999"]`, "200")
	p.write(`#play-options input[max="50"]`, "7")
	p.run(chromedp.SetValue("#play-options select", "announce", chromedp.ByQuery))
	p.eval(`document.querySelector("#play-options select").dispatchEvent(new Event("input", {bubbles: true}))`, nil)
	p.click(`#play-options .where input[value="hall"]`)
	want := `hkw/home/play {"media":"chime","priority":200,"on_busy":"announce","volume":7,"speakers":["hall"]}`
	if got := line("#play-flows"); got != want {
		t.Errorf("the line is\n%s, want\n%s", got, want)
	}
	p.picture("options-light")

	// Copied by the clipboard's interface, and where a browser has none.
	p.eval(`navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }`, nil)
	topic, payload, _ := strings.Cut(want, " ")
	p.click("#play-flows .topic")
	p.until("the topic was copied", `window.copied === `+string(marshal(topic)))
	p.click("#play-flows .payload")
	p.until("the payload was copied", `window.copied === `+string(marshal(payload)))
	p.shows("#play-flows .payload", payload)
	p.eval(`Object.defineProperty(window, "isSecureContext", {value: false});
		document.addEventListener("copy", () => { window.copied = document.activeElement.value; }); window.copied = ""`, nil)
	p.click("#play-flows .payload")
	p.until("it was copied the old way", `window.copied === `+string(marshal(payload)))
	p.click("#play-flows summary")
	shell := `mosquitto_pub -h 127.0.0.1 -p 1883 -t hkw/home/play -m '` + payload + `'`
	p.shows("#play-flows .shell", shell)

	for _, c := range []struct{ line, press string }{
		{"#play-flows .flow", "#media li button"},
		{"#now-flows .flow:nth-child(1)", "#pause"},
		{"#now-flows .flow:nth-child(3)", "#stop"},
		{"#say-flows .flow", "#say"},
	} {
		if c.press == "#say" {
			p.write("#text", `It's "ready"`)
		}
		shown := line(c.line)
		n := d.count()
		p.click(c.press)
		eventually(t, c.press+" sends", func() bool { return d.count() > n })
		if got := d.latest(); got != shown {
			t.Errorf("%s sent\n%s\nand the line was\n%s", c.press, got, shown)
		}
	}
}

// A hub that goes away is said to be away, and nothing plays meanwhile; the next
// one on its port is shown as it is.
func testPageRestart(t *testing.T, b context.Context, axe string) {
	first, second := pageHouse(t), pageHouse(t)
	d := newDoor(t, Guard{}, first.hub)
	p := newTab(t, b, d.url())
	p.shows("#link", "Live")
	first.must("play", `"media":"Evening song"`, session.OutcomeStarted)
	p.shows("#now-title", "Evening song")
	d.close()
	p.shows("#link", "Hub is away")
	p.shows("#now-state", "Hub is away")
	p.until("nothing plays", `!document.querySelector("#now").innerText.includes("Evening song")`)
	p.accessible(axe, "away")
	p.picture("away-light")
	d.open(Guard{}, second.hub)
	p.shows("#link", "Live")
	p.shows("#now-title", "Nothing is playing")
	p.shows("#log", "The hub has started anew.")
	p.click("#media li button")
	p.shows("#now-title", "Alarm")
}

func testPageToken(t *testing.T, b context.Context, axe string) {
	h := pageHouse(t)
	guard := Guard{Tokens: []TokenHash{HashToken("open sesame")}}
	d := newDoor(t, guard, h.hub)
	p := newTab(t, b, d.url())
	p.shows("#token-dialog", "asks for a token")
	p.accessible(axe, "token")
	p.as(360, 740, "dark")
	p.accessible(axe, "token, phone, dark")
	p.picture("token-phone-dark")
	p.as(1280, 900, "light")
	p.keys("wrong" + kb.Enter)
	p.shows("#token-error", "does not take this token")
	p.keys("open sesame" + kb.Enter)
	p.shows("#link", "Live")
	p.shows("#media li", "doorbell")
	p.click("#media li button")
	p.shows("#now-title", "Alarm")
	p.run(chromedp.Reload())
	p.shows("#link", "Live") // it is kept

	// The owner takes it back.
	d.close()
	d.open(Guard{Tokens: []TokenHash{HashToken("another")}}, h.hub)
	p.shows("#token-dialog", "is not taken any more")
	p.keys("another" + kb.Enter)
	p.shows("#link", "Live")
}

// With several hubs there is a choice; one without a broker says so.
func testPageHubs(t *testing.T, b context.Context) {
	h := pageHouse(t)
	lib, err := library.Open(t.Context(), library.Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lib.Close() })
	attic, err := New(Config{Hub: "attic", Media: lib, Broker: BrokerConfig{URL: "tcp://127.0.0.1:1"}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() { left <- attic.Run(ctx) }()
	t.Cleanup(func() {
		leave()
		if err := <-left; err != nil {
			t.Error(err)
		}
	})
	d := newDoor(t, Guard{}, h.hub, attic)
	p := newTab(t, b, d.url())
	p.shows("#link", "Live")
	p.run(chromedp.Focus("#hub", chromedp.ByQuery))
	p.keys("a") // a select takes the first letter
	p.shows("#link", "Broker is away")
	p.until("the attic is shown", `document.querySelector("#hub").value === "attic" && document.querySelector("#hub-name").textContent === "attic"`)
	p.shows("#condition", "not connected")
	p.shows("#play-flows .topic", "hkw/attic/play")
	p.shows("#say-note", "speech")
	p.picture("attic-light")
	p.run(chromedp.Reload())
	p.until("the attic is shown", `document.querySelector("#hub").value === "attic" && document.querySelector("#hub-name").textContent === "attic"`)
}

// The page is small, and says of itself what a browser needs to know.
func TestPageFiles(t *testing.T) {
	guard := Guard{Tokens: []TokenHash{HashToken("x")}, Origins: []string{"http://panel.example:8123"}}
	w := newWeb(t, guard)
	if policy := guard.pagePolicy(); !strings.HasSuffix(policy, "; frame-ancestors 'self' http://panel.example:8123") {
		t.Errorf("the page may be shown by %s", policy)
	}
	total := 0
	for path, f := range page {
		total += len(f.data)
		res, body := w.ask("GET", path, "")
		if res.StatusCode != 200 || body != string(f.data) {
			t.Errorf("%s: %s", path, res.Status)
		}
		for name, want := range map[string]string{"Content-Type": f.ctype, "Content-Security-Policy": guard.pagePolicy(), "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-cache", "ETag": f.etag} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if res, _ := w.ask("GET", path, "", "If-None-Match", f.etag); res.StatusCode != 304 {
			t.Errorf("%s unchanged: %s", path, res.Status)
		}
		if strings.Contains(body, "innerHTML") || strings.Contains(body, "insertAdjacentHTML") || strings.Contains(body, "document.write") {
			t.Errorf("%s makes markup of text", path)
		}
	}
	if total >= 100_000 {
		t.Errorf("the page weighs %d bytes, more than 100 kB", total)
	}
	t.Logf("%d files, %d bytes", len(page), total)
	files, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(page) {
		t.Errorf("%d files are served of %d", len(page), len(files))
	}
	// Everything else stays guarded.
	for _, c := range []struct {
		path   string
		status int
		header []string
	}{
		{"/page/bus.json", 401, nil},
		{"/page/nothing.js", 401, nil},
		{"/page/", 401, nil},
		{"/docs", 401, nil},
		{"/hkw/home/status", 401, nil},
		{"/page/bus.json", 200, []string{"Authorization", "Bearer x"}},
		{"/page/nothing.js", 404, []string{"Authorization", "Bearer x"}},
		{"/", 421, []string{"Host", "evil.example"}},
		{"/", 200, []string{"Referer", "http://homeassistant.example:8123/", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}},
		{"/", 200, []string{"Referer", "http://homeassistant.example:8123/"}},
		{"/", 403, []string{"Origin", "http://evil.example"}},
		{"/page/page.js", 403, []string{"Referer", "http://evil.example/"}},
		{"/page/page.js", 403, []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}},
	} {
		if res, body := w.ask("GET", c.path, "", c.header...); res.StatusCode != c.status {
			t.Errorf("GET %s %v: %s, want %d %s", c.path, c.header, res.Status, c.status, body[:min(100, len(body))])
		}
	}
	if res, _ := w.ask("POST", "/", ""); res.StatusCode != 401 {
		t.Errorf("POST /: %s", res.Status)
	}
}

// A list of commands of the door may be counted while others come.
func (d *door) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sent)
}

// eventually waits for something that no message tells of.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
