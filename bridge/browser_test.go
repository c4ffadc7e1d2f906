package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hkw/speaker/speakertest"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	cdp "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience is how long a tab may take to show something, on a loaded machine.
const patience = 20 * time.Second

// browser starts a real Chromium; each tab of it is a page of its own.
func browser(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(speakertest.Require(t, "chromium")), chromedp.UserDataDir(t.TempDir()),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900))
	t.Cleanup(cancel)
	ctx, end := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // what it does not know of a newer browser
	t.Cleanup(end)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // a browser that is killed leaves processes that still write into its folder
	if err := chromedp.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// tab is one page in the browser. What it complains about fails the test.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func newTab(t *testing.T, browser context.Context, address string, first ...chromedp.Action) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser)
	t.Cleanup(end)
	var mu sync.Mutex
	complain := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() == nil {
			t.Errorf(format, args...)
		}
	}
	chromedp.ListenTarget(ctx, func(e any) {
		switch e := e.(type) {
		case *cdp.EventExceptionThrown:
			complain("the page threw: %s", e.ExceptionDetails.Error())
		case *cdp.EventConsoleAPICalled:
			if e.Type == cdp.APITypeError || e.Type == cdp.APITypeWarning {
				var said []string
				for _, a := range e.Args {
					said = append(said, string(a.Value)+a.Description)
				}
				complain("the console says: %s", strings.Join(said, " "))
			}
		case *log.EventEntryAdded:
			// A command that is refused and a hub that is away are network errors too.
			if e.Entry.Level == log.LevelError && e.Entry.Source != log.SourceNetwork {
				complain("the browser says: %s %s", e.Entry.Source, e.Entry.Text)
			}
		}
	})
	if err := chromedp.Run(ctx); err != nil { // the tab lives as long as this context
		t.Fatal(err)
	}
	p := &tab{t, ctx}
	p.run(append(first, chromedp.Navigate(address))...)
	return p
}

func (p *tab) run(actions ...chromedp.Action) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// eval evaluates an expression in the page.
func (p *tab) eval(expression string, into any) {
	p.t.Helper()
	p.run(chromedp.Evaluate(expression, into, func(e *cdp.EvaluateParams) *cdp.EvaluateParams { return e.WithAwaitPromise(true) }))
}

// until waits for an expression to be true.
func (p *tab) until(what, expression string) {
	p.t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		var ok bool
		p.eval("Boolean("+expression+")", &ok)
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			var text string
			p.eval("document.body.innerText", &text)
			p.t.Fatalf("waited in vain until %s: %s\n%s", what, expression, text)
		}
	}
}

// shows waits until an element says something.
func (p *tab) shows(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%s shows %q", selector, text), fmt.Sprintf("document.querySelector(%s)?.checkVisibility() && document.querySelector(%s).innerText.includes(%s)",
		marshal(selector), marshal(selector), marshal(text)))
}

func (p *tab) click(selector string) { p.t.Helper(); p.run(chromedp.Click(selector, chromedp.ByQuery)) }

// keys types into what has the focus.
func (p *tab) keys(keys string) { p.t.Helper(); p.run(chromedp.KeyEvent(keys)) }

// write types a text into a field, in the place of what stands there.
func (p *tab) write(selector, text string) {
	p.t.Helper()
	p.run(chromedp.Focus(selector, chromedp.ByQuery), chromedp.Evaluate("document.activeElement.select?.()", nil))
	p.keys(kb.Delete)
	p.run(input.InsertText(text))
}

// as gives the window a size and the page its colours, without motion.
func (p *tab) as(width, height int64, scheme string) {
	p.t.Helper()
	p.run(emulation.SetDeviceMetricsOverride(width, height, 1, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}

// picture keeps what the tab shows where PAGE_PICTURES names a folder, for a person to look at.
func (p *tab) picture(name string) {
	p.t.Helper()
	dir := os.Getenv("PAGE_PICTURES")
	if dir == "" {
		return
	}
	var png []byte
	p.run(chromedp.FullScreenshot(&png, 100))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		p.t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		p.t.Error(err)
	}
}

// door serves hubs on a port that stays the same, and writes down the commands.
type door struct {
	t       *testing.T
	address string
	server  *http.Server

	mu   sync.Mutex
	sent []string // "topic payload"
}

func newDoor(t *testing.T, guard Guard, hubs ...*Hub) *door {
	t.Helper()
	d := &door{t: t, address: "127.0.0.1:0"}
	d.open(guard, hubs...)
	t.Cleanup(d.close)
	return d
}

func (d *door) open(guard Guard, hubs ...*Hub) {
	d.t.Helper()
	ln, err := net.Listen("tcp", d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.address = ln.Addr().String()
	handler := NewHandler(HTTPConfig{Version: "test", Hubs: hubs, Guard: guard, Bus: BusAddress{Host: "127.0.0.1", Port: 1883}})
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/media") {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			d.mu.Lock()
			d.sent = append(d.sent, strings.TrimSpace(strings.TrimPrefix(r.URL.Path, "/")+" "+string(body)))
			d.mu.Unlock()
		}
		handler.ServeHTTP(w, r)
	})}
	d.server = server
	go func() { _ = server.Serve(ln) }()
}

func (d *door) close() { _ = d.server.Close() }

func (d *door) url() string { return "http://" + d.address + "/" }

// latest is the last command that came in.
func (d *door) latest() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sent) == 0 {
		return ""
	}
	return d.sent[len(d.sent)-1]
}

// axe is the source of axe-core, "" where it is not installed.
func axe(t *testing.T) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("NODE_PATH")), npmRoot()) {
		if source, err := os.ReadFile(filepath.Join(dir, "axe-core", "axe.min.js")); dir != "" && err == nil {
			return string(source)
		}
	}
	if speakertest.Required("axe") {
		t.Fatal("HKW_REQUIRE names axe, which is not installed: npm install --global axe-core")
	}
	t.Log("without axe-core: npm install --global axe-core lets this test look for barriers too")
	return ""
}

// accessible fails on whatever axe-core finds.
func (p *tab) accessible(axe, when string) {
	p.t.Helper()
	if axe == "" {
		return
	}
	p.run(chromedp.Evaluate(axe, nil))
	var found []struct {
		ID    string
		Help  string
		Nodes []struct {
			HTML           string
			FailureSummary string
		}
	}
	p.eval(`axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations)`, &found)
	for _, v := range found {
		for _, n := range v.Nodes {
			p.t.Errorf("%s: %s (%s)\n%s\n%s", when, v.ID, v.Help, n.HTML, n.FailureSummary)
		}
	}
}

// fits fails if the page is wider than its window.
func (p *tab) fits(when string) {
	p.t.Helper()
	var wide []string
	p.eval(`[...document.body.querySelectorAll("*")].filter(e => e.checkVisibility() && !e.closest(".hidden, .skip") && e.getBoundingClientRect().right > innerWidth + 1)
		.map(e => e.tagName + "#" + e.id + "." + e.className + " " + e.getBoundingClientRect().right).slice(0, 5)`, &wide)
	var scroll int
	p.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth", &scroll)
	if scroll > 0 || len(wide) > 0 {
		p.t.Errorf("%s: %d px too wide: %v", when, scroll, wide)
	}
}

// targets fails on what is too small to be touched.
func (p *tab) targets(when string, least int) {
	p.t.Helper()
	var small []string
	p.eval(fmt.Sprintf(`[...document.querySelectorAll("button, summary, select, input, textarea, label.toggle")].filter(e => e.checkVisibility() && !(e.closest("label.toggle") && e.matches("input")))
		.map(e => [e, e.getBoundingClientRect()]).filter(([e, r]) => r.height < %d || r.width < 24).map(([e, r]) => e.outerHTML.slice(0, 80) + " " + r.width + "x" + r.height)`, least), &small)
	for _, s := range small {
		p.t.Errorf("%s: too small to touch: %s", when, s)
	}
}

// retainedStatus is the hub's snapshot.
func retainedStatus(t *testing.T, h *Hub) (s Status) {
	t.Helper()
	payload, _ := h.Retained("status")
	if err := json.Unmarshal(payload, &s); err != nil {
		t.Fatal(err)
	}
	return s
}
