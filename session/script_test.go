package session

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata/*.txt with what the core answers")

// TestScripts runs the scripts of testdata. A script is a list of commands,
// each followed by the indented effects that it must give; testdata/README.md
// explains the language. go test ./session -update rewrites the effects.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if got == string(want) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s: first difference %s", file, firstDifference(string(want), got))
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		line := func(l []string) string {
			if i < len(l) {
				return l[i]
			}
			return "(end)"
		}
		if line(w) != line(g) {
			return fmt.Sprintf("at line %d\nwant %s\ngot  %s", i+1, line(w), line(g))
		}
	}
	return "none"
}

// script is one run of a script.
type script struct {
	t      *testing.T
	core   *Core
	start  time.Time
	now    time.Time
	prompt bool            // the engine answers each order at once
	mute   map[string]bool // playbacks for which it does not
	only   bool            // leave out orders and reports
	out    strings.Builder
	cfg    Config
}

func runScript(t *testing.T, text string) string {
	start := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	s := &script{t: t, start: start, now: start, prompt: true, mute: map[string]bool{}}
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "  "):
			continue // an effect of the last run
		case line == "" || strings.HasPrefix(line, "#"):
			s.out.WriteString(line + "\n")
		default:
			s.out.WriteString(line + "\n")
			if err := s.do(line); err != nil {
				t.Fatalf("line %d: %s: %v", n+1, line, err)
			}
		}
	}
	return s.out.String()
}

// words are a command line: a verb, bare words, and key=value pairs.
type words struct {
	bare []string
	keys map[string]string
	err  error
}

func (w *words) number(key string) *int {
	text, ok := w.keys[key]
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		w.err = err
	}
	return &n
}

func (w *words) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		w.err = err
	}
	return d
}

func (w *words) list(key string) []string {
	text, ok := w.keys[key]
	switch {
	case !ok:
		return nil
	case text == "":
		return []string{}
	}
	return strings.Split(text, ",")
}

func (w *words) flag(name string) bool {
	for _, b := range w.bare {
		if b == name {
			return true
		}
	}
	return false
}

func (w *words) first() string {
	if len(w.bare) == 0 {
		return ""
	}
	return w.bare[0]
}

func (s *script) do(line string) error {
	fields := strings.Fields(line)
	verb := fields[0]
	w := &words{keys: map[string]string{}}
	for _, f := range fields[1:] {
		if k, v, ok := strings.Cut(f, "="); ok {
			w.keys[k] = v
		} else {
			w.bare = append(w.bare, f)
		}
	}
	if verb == "config" {
		for k, v := range w.keys {
			switch k {
			case "timeout":
				s.cfg.Timeout = w.duration(v)
			case "sessions":
				s.cfg.MaxSessions = *w.number(k)
			case "waiting":
				s.cfg.MaxWaiting = *w.number(k)
			case "paused":
				s.cfg.MaxPaused = *w.number(k)
			}
		}
		return w.err
	}
	switch verb {
	case "start":
		at, err := time.Parse(time.RFC3339, w.first())
		s.start, s.now = at, at
		return err
	case "quiet-hours":
		return s.quietHours(w)
	}
	if s.core == nil {
		s.core = New(s.cfg)
	}
	request := func() Request {
		id, ok := w.keys["id"]
		if !ok {
			id = verb
		}
		return Request{ID: id, Session: w.keys["session"], Priority: w.number("priority")}
	}
	switch verb {
	case "speaker":
		volume := w.number("volume")
		if volume == nil {
			volume = new(int)
			*volume = DefaultVolume
		}
		s.step(Speaker{ID: w.first(), Available: !w.flag("lost"), Volume: *volume})
	case "speaker-gone":
		s.step(SpeakerGone{ID: w.first()})
	case "engine":
		// "engine prompt", "engine silent", "engine silent about X"
		switch {
		case w.flag("prompt"):
			s.prompt, s.mute = true, map[string]bool{}
		case w.flag("about"):
			s.mute[w.bare[len(w.bare)-1]] = true
		default:
			s.prompt = false
		}
	case "show":
		s.only = w.flag("outcome")
	case "open":
		s.step(Open{Request: request(), Token: w.first(), Ref: w.first(),
			AllSpeakers: w.keys["speakers"] == "" && !w.flag("nowhere"), Speakers: w.list("speakers")})
	case "close":
		s.step(Close{Request: request()})
	case "read":
		s.step(Read{Request: request()})
	case "speakers":
		s.step(SetSpeakers{Request: request(), All: w.flag("all"), Set: w.list("set"), Add: w.list("add"), Remove: w.list("remove")})
	case "play":
		r := request()
		if _, ok := w.keys["id"]; !ok {
			r.ID = w.first()
		}
		in := Play{Request: r, Playback: w.first(), Ref: "~" + w.first(), Media: w.first(),
			Resumable: !w.flag("stream"), Duck: w.flag("duck"), Volume: w.number("volume"),
			Speakers: w.list("speakers"), AllSpeakers: w.flag("everywhere"), Beside: w.keys["beside"]}
		for _, mode := range []OnBusy{Interrupt, Announce, Queue, Drop} {
			if w.flag(string(mode)) {
				in.OnBusy = mode
			}
		}
		if mode, ok := w.keys["on_busy"]; ok {
			in.OnBusy = OnBusy(mode)
		}
		if ttl, ok := w.keys["ttl"]; ok {
			in.Expires = s.now.Add(w.duration(ttl))
		}
		s.step(in)
	case "stop":
		s.step(Stop{Request: request(), Playback: w.first()})
	case "pause":
		s.step(Pause{Request: request(), Playback: w.first()})
	case "resume":
		s.step(Resume{Request: request(), Playback: w.first(), Speakers: w.list("speakers")})
	case "seek":
		s.step(Seek{Request: request(), Playback: w.first(), Position: w.duration(w.keys["to"])})
	case "volume":
		s.step(SetVolume{Request: request(), Speaker: w.keys["speaker"], Volume: *w.number("to")})
	case "mute":
		in := SetMute{Request: request(), Speaker: w.keys["speaker"], Mute: Switch(w.first())}
		if below := w.number("below"); below != nil {
			in.Below = *below
		}
		s.step(in)
	case "quiet":
		s.step(SetQuiet{Request: request(), Speaker: w.keys["speaker"], Mode: QuietMode(w.first())})
	case "prepared":
		s.step(Prepared{Playback: w.first(), Seekable: !w.flag("stream")})
	case "started":
		s.step(Started{Playback: w.first()})
	case "paused":
		s.step(Paused{Playback: w.first()})
	case "ended":
		s.step(Ended{Playback: w.first()})
	case "failed":
		code := MediaUnavailable
		if w.flag("speaker") {
			code = SpeakerUnavailable
		}
		s.step(Failed{Playback: w.first(), Code: code, Message: "it broke", Kept: w.flag("kept")})
	case "wait":
		s.wait(w.duration(w.first()))
	case "view":
		s.view()
	default:
		return fmt.Errorf("no such command")
	}
	return w.err
}

// quietHours is "quiet-hours 22:00-07:00 volume=5 priority=300 days=fri,sat
// zone=Europe/Berlin speaker=hall".
func (s *script) quietHours(w *words) error {
	q := Quiet{Volume: DefaultQuietVolume, Priority: DefaultQuietPriority, Hours: &Hours{Zone: zone(s.t, w.keys["zone"])}}
	minute := func(text string) int {
		at, err := ParseClock(text)
		if err != nil {
			w.err = err
		}
		return at
	}
	from, to, _ := strings.Cut(w.first(), "-")
	q.Hours.From, q.Hours.To = minute(from), minute(to)
	if n := w.number("volume"); n != nil {
		q.Volume = *n
	}
	if n := w.number("priority"); n != nil {
		q.Priority = *n
	}
	for _, day := range w.list("days") {
		d, ok := ParseDay(day)
		if !ok {
			w.err = fmt.Errorf("no day %s", day)
		}
		q.Hours.Days = append(q.Hours.Days, d)
	}
	if id, ok := w.keys["speaker"]; ok {
		if s.cfg.QuietSpeakers == nil {
			s.cfg.QuietSpeakers = map[string]Quiet{}
		}
		s.cfg.QuietSpeakers[id] = q
	} else {
		s.cfg.Quiet = &q
	}
	return w.err
}

// step gives the core one input and writes down what it answers. A prompt
// engine then carries out the orders.
func (s *script) step(in Input) {
	type later struct {
		name string
		in   Input
	}
	queue := []later{{in: in}}
	for len(queue) > 0 {
		if queue[0].name != "" && !s.only {
			fmt.Fprintf(&s.out, "  engine: %s\n", queue[0].name)
		}
		effects := s.core.Step(s.now, queue[0].in)
		queue = queue[1:]
		for _, e := range effects {
			s.print(e)
			o, ok := e.(Order)
			if !ok || !s.prompt || s.mute[o.Playback] {
				continue
			}
			switch o.Verb {
			case VerbPrepare:
				queue = append(queue, later{"prepared " + o.Playback, Prepared{Playback: o.Playback, Seekable: true}})
			case VerbStart, VerbResume, VerbSeek:
				queue = append(queue, later{"started " + o.Playback, Started{Playback: o.Playback}})
			case VerbHold:
				queue = append(queue, later{"paused " + o.Playback, Paused{Playback: o.Playback}})
			}
		}
	}
}

// wait lets time pass; the core is woken when it asked for it and nowhere else.
func (s *script) wait(d time.Duration) {
	end := s.now.Add(d)
	for {
		at, ok := s.core.Deadline()
		if !ok || at.After(end) {
			break
		}
		s.now = at
		before := s.out.Len()
		s.step(Tick{})
		if s.out.Len() > before {
			text := s.out.String()
			s.out.Reset()
			fmt.Fprintf(&s.out, "%s  at %s\n%s", text[:before], s.offset(at), text[before:])
		}
	}
	s.now = end
}

func (s *script) offset(t time.Time) string {
	d := t.Sub(s.start).String()
	if strings.HasSuffix(d, "m0s") {
		d = strings.TrimSuffix(d, "0s")
	}
	return d
}

func (s *script) print(e Effect) {
	line := ""
	add := func(format string, args ...any) { line += " " + fmt.Sprintf(format, args...) }
	switch e := e.(type) {
	case Changed:
		return
	case Order:
		if s.only {
			return
		}
		add("order: %s %s", e.Verb, e.Playback)
		if e.Outputs != nil {
			add("on")
		}
		for _, o := range e.Outputs {
			add("%s=%d", o.Speaker, o.Volume)
		}
		if e.Ducked {
			add("ducked")
		}
		if e.Verb == VerbSeek {
			add("to %s", e.Position)
		}
	case SessionChanged:
		v := e.Session
		add("session %s: %s", v.Ref, v.State)
		if v.Playback != "" {
			add("playback=%s", v.Playback)
		}
		if v.Expires.IsZero() {
			add("clock stands still")
		} else {
			add("expires at %s", s.offset(v.Expires))
		}
	case SessionGone:
		add("session %s: gone", e.Ref)
	case Event:
		add("event: %s %s", e.Playback.ID, e.Kind)
		if e.By != "" {
			add("by=%s", e.By)
		}
		if e.Reason != "" {
			add("reason=%s", e.Reason)
		}
		if e.Code != "" {
			add("%s", e.Code)
		}
	case Result:
		add("result: %s %s", e.ID, e.Outcome)
		if e.Code != "" {
			add("%s", e.Code)
		}
		if e.Code == InvalidCommand || e.Code == SpeakerNotFound || e.Code == QuietHours {
			add("(%s)", e.Message)
		}
		if e.Count > 0 {
			add("count=%d", e.Count)
		}
		if e.Current != nil {
			add("current=%s", e.Current.ID)
		}
		if !e.Expires.IsZero() {
			add("expires at %s", s.offset(e.Expires))
		}
	}
	s.out.WriteString(" " + line + "\n")
}

func (s *script) view() {
	v := s.core.View()
	one := func(p PlaybackView) string {
		text := fmt.Sprintf("%s/%s", p.ID, p.Phase)
		if p.Volume != nil {
			text += fmt.Sprintf("@%d", *p.Volume)
		}
		return text
	}
	line := " " + string(v.State)
	if v.Current != nil {
		line += " current=" + one(*v.Current)
	}
	if v.Beneath != nil {
		line += " beneath=" + one(*v.Beneath)
	}
	for _, p := range v.Paused {
		line += " paused=" + one(p)
	}
	for _, p := range v.Waiting {
		line += " waiting=" + one(p)
	}
	if v.HeldAt >= 0 {
		line += fmt.Sprintf(" held at %d", v.HeldAt)
	}
	line += fmt.Sprintf(" volume=%d", v.Volume)
	muted := func(on bool, below int) {
		if on {
			line += " muted"
			if below > 0 {
				line += fmt.Sprintf(" below %d", below)
			}
		}
	}
	quiet := func(q QuietView) {
		line += map[bool]string{true: " quiet(", false: " loud("}[q.Active] + string(q.Mode)
		if !q.Until.IsZero() {
			line += " until " + s.offset(q.Until)
		}
		line += ")"
	}
	muted(v.Muted, v.MuteBelow)
	if q := v.Quiet; q.Hours != nil || q.Mode != QuietAuto {
		quiet(q)
	}
	for _, sp := range v.Speakers {
		line += fmt.Sprintf(" %s=%d", sp.ID, sp.Volume)
		if sp.Override != nil {
			line += fmt.Sprintf("(%d)", *sp.Override)
		}
		if sp.Active {
			line += "*"
		}
		if !sp.Available {
			line += "?"
		}
		muted(sp.Muted, sp.MuteBelow)
		if sp.Quiet != nil {
			quiet(*sp.Quiet)
		}
	}
	s.out.WriteString(" " + line + "\n")
}
