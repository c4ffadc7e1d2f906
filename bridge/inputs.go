package bridge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"hkw/session"
	"hkw/speaker"
	audio "hkw/speaker/decode"
	"hkw/speaker/library"
	"hkw/speaker/speech"
)

// item is what the hub knows of the sound of one playback. The core carries it
// as its Media.
type item struct {
	library.Media
	command string // id of the command that asked for it
	info    speaker.Info
	title   string // what a stream says it is playing
	stalled bool
	siren   bool   // it is the siren's
	preset  string // by whose name it was asked for

	// Where the last seek leads, and when that is heard: in a moment.
	sought   time.Duration
	soughtAt time.Time
}

// shownTitle is what a stream says it is playing, else the title of its media.
func (it *item) shownTitle() string {
	if it.title != "" {
		return it.title
	}
	return it.Title
}

// request is the part of an input that every command has.
func (c *command) request() session.Request {
	return session.Request{ID: c.key, Session: c.text("session"), Priority: c.integer("priority")}
}

func (h *Hub) playInput(c *command) (session.Input, *refusal) {
	h.applyPreset(c)
	m, why := h.resolve(c.text("media"))
	if why != nil {
		return nil, why
	}
	return h.play(c, m), nil
}

// playNamedInput plays what the topic names. A chime by itself is an
// announcement: a doorbell gives the music back.
func (h *Hub) playNamedInput(c *command) (session.Input, *refusal) {
	h.applyPreset(c)
	m, why := h.resolve(c.text("media"))
	if why != nil {
		return nil, why
	}
	if m.Kind == library.KindChime {
		c.leftOpen("on_busy", string(session.Announce))
	}
	return h.play(c, m), nil
}

// applyPreset lets a preset's name stand for its media, and its settings for what
// the command leaves open.
func (h *Hub) applyPreset(c *command) {
	p, ok := h.cfg.Presets[c.text("media")]
	if !ok {
		return
	}
	c.preset, c.owners = c.text("media"), true
	c.values["media"] = p.Media
	if p.Priority != nil {
		c.leftOpen("priority", *p.Priority)
	}
	if p.Volume != nil {
		c.leftOpen("volume", *p.Volume)
	}
	if p.OnBusy != "" {
		c.leftOpen("on_busy", string(p.OnBusy))
	}
	if p.Duck {
		c.leftOpen("duck", true)
	}
	if p.Speakers != nil {
		c.leftOpen("speakers", speakerList{ids: p.Speakers})
	}
}

// leftOpen fills a field that the command did not give.
func (c *command) leftOpen(field string, value any) {
	if _, given := c.values[field]; !given {
		c.values[field] = value
	}
}

// sayInput speaks. What is said is an announcement, unless it says otherwise: it
// gives the music back.
func (h *Hub) sayInput(c *command) (session.Input, *refusal) {
	r := speech.Request{Text: c.text("say"), Voice: c.text("voice")}
	var err error
	if h.cfg.Speech == nil {
		err = speech.ErrNoEngine
	} else {
		err = h.cfg.Speech.Accepts(r)
	}
	switch {
	case errors.Is(err, speech.ErrRequest):
		return nil, invalid("%v", err)
	case err != nil:
		return nil, &refusal{session.MediaUnavailable, err.Error()}
	}
	c.leftOpen("on_busy", string(session.Announce))
	title := []rune(r.Text)
	if len(title) > maxSpeechTitle {
		title = append(title[:maxSpeechTitle], '…')
	}
	return h.play(c, library.NewMedia(library.Media{Kind: library.KindSpeech, Title: string(title)}, h.cfg.Speech.Opener(r))), nil
}

// maxSpeechTitle is how much of a spoken text is shown, in characters.
const maxSpeechTitle = 80

// strictWeb is a URL of which nobody knows who named it.
type strictWeb struct {
	url string
	web audio.Web
}

// Open opens the URL, if it may be reached.
func (s strictWeb) Open(ctx context.Context) (speaker.Source, error) {
	return audio.OpenURL(ctx, s.url, s.web)
}

func (h *Hub) play(c *command, m library.Media) session.Play {
	if m.Kind == library.KindWeb && !c.fromBus && !c.owners {
		m = library.NewMedia(m, strictWeb{m.URL, h.cfg.StrictWeb})
	}
	if limit, limited := c.seconds("duration"); limited || c.flag("repeat") {
		lasting := speaker.Lasting(m, c.flag("repeat"), limit)
		m.Duration = 0 // that of the whole is known when it is opened
		m = library.NewMedia(m, lasting)
	}
	ids, all := c.speakers("speakers")
	it := &item{Media: m, command: c.id, preset: c.preset}
	h.pending[c.key].plays = it
	p := session.Play{
		Request: c.request(), Playback: newPlaybackID(), Ref: newSessionRef(),
		Media:     it,
		Resumable: m.Kind == library.KindHub || m.Kind == library.KindChime,
		OnBusy:    session.OnBusy(c.text("on_busy")), Duck: c.flag("duck"), Volume: c.integer("volume"),
		Speakers: ids, AllSpeakers: all,
	}
	if ttl, ok := c.seconds("ttl"); ok {
		p.Expires = c.at.Add(ttl)
	}
	if t, ok := c.values["expires"].(time.Time); ok {
		// Carried over to the monotonic clock at arrival, so that a step of the wall clock moves nothing.
		if at := c.at.Add(t.Sub(c.at)); p.Expires.IsZero() || at.Before(p.Expires) {
			p.Expires = at
		}
	}
	return p
}

func (h *Hub) resolve(name string) (library.Media, *refusal) {
	m, err := h.cfg.Media.Resolve(name)
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, library.ErrNotFound):
		return m, &refusal{MediaNotFound, fmt.Sprintf("the library has no %q", clip(name))}
	case errors.Is(err, library.ErrAmbiguous):
		return m, &refusal{MediaNotFound, err.Error()}
	}
	return m, invalid("%q: %v", "media", err)
}

func (h *Hub) stopInput(c *command) (session.Input, *refusal) {
	return session.Stop{Request: c.request(), Playback: c.text("playback")}, nil
}

func (h *Hub) pauseInput(c *command) (session.Input, *refusal) {
	return session.Pause{Request: c.request(), Playback: c.text("playback")}, nil
}

func (h *Hub) resumeInput(c *command) (session.Input, *refusal) {
	ids, all := c.speakers("speakers")
	in := session.Resume{Request: c.request(), Playback: c.text("playback"), Speakers: ids, AllSpeakers: all}
	if name := c.text("media"); name != "" {
		m, why := h.resolve(name)
		if why != nil {
			return nil, why
		}
		paused, ok := h.pausedWith(m, in)
		if !ok {
			return nil, &refusal{session.NothingToResume, fmt.Sprintf("%q is not paused", clip(name))}
		}
		in.Playback = paused
	}
	return in, nil
}

// pausedWith finds the paused playback of a media that a resume can be about, the
// one paused last.
func (h *Hub) pausedWith(m library.Media, in session.Resume) (playback string, ok bool) {
	own, _ := h.core.Session(time.Now(), in.Session)
	for _, p := range slices.Backward(h.core.View().Paused) {
		it := p.Media.(*item)
		if it.ID == m.ID && it.Kind == m.Kind && it.URL == m.URL && (in.Session == "" || p.Ref == own.Ref) &&
			(in.Playback == "" || p.ID == in.Playback) {
			return p.ID, true
		}
	}
	return "", false
}

func (h *Hub) seekInput(c *command) (session.Input, *refusal) {
	to, _ := c.seconds("position")
	return session.Seek{Request: c.request(), Playback: c.text("playback"), Position: to}, nil
}

func (h *Hub) volumeInput(c *command) (session.Input, *refusal) {
	return session.SetVolume{Request: c.request(), Speaker: c.text("speaker"), Volume: *c.integer("volume")}, nil
}

func (h *Hub) levelInput(c *command) (session.Input, *refusal) {
	return session.SetVolume{Request: c.request(), Volume: volumeOf(c.values["level"].(float64))}, nil
}

// volumeOf is the volume of a level from 0 to 1.
func volumeOf(level float64) int { return int(math.Round(level * session.MaxVolume)) }

func (h *Hub) openInput(c *command) (session.Input, *refusal) {
	in := session.Open{Request: c.request(), Token: newToken(), Ref: newSessionRef(), AllSpeakers: true}
	if ids, all := c.speakers("speakers"); ids != nil && !all {
		in.AllSpeakers, in.Speakers = false, ids
	}
	return in, nil
}

func (h *Hub) closeInput(c *command) (session.Input, *refusal) {
	return session.Close{Request: c.request()}, nil
}

func (h *Hub) speakersInput(c *command) (session.Input, *refusal) {
	in := session.SetSpeakers{Request: c.request()}
	in.Set, in.All = c.speakers("speakers")
	in.Add, _ = c.speakers("add")
	in.Remove, _ = c.speakers("remove")
	return in, nil
}

func (h *Hub) getInput(c *command) (session.Input, *refusal) {
	h.decorate(c, func(r *Result) { r.State = h.sessionState(c.text("session")) })
	return session.Read{Request: c.request()}, nil
}

// sessionState describes a session to who has its token; nil if it ends just now.
func (h *Hub) sessionState(token string) *SessionState {
	v, ok := h.core.Session(time.Now(), token)
	if !ok {
		return nil
	}
	s := &SessionState{State: v.State, Priority: v.Priority, Speakers: notNil(v.Speakers)}
	hub := h.core.View()
	its := hub.Paused
	for _, p := range []*session.PlaybackView{hub.Current, hub.Beneath} {
		if p != nil {
			its = append(its, *p)
		}
	}
	for _, p := range its {
		if p.ID == v.Playback {
			s.Playing = h.playbackOrNil(&p)
		}
	}
	return s
}

func (h *Hub) mediaInput(c *command) (session.Input, *refusal) {
	h.decorate(c, func(r *Result) {
		list, total := h.listMedia(c.text("query"), c.integerOr("offset", 0), c.integerOr("limit", 50))
		r.List, r.Total = list, &total
	})
	return readIfSession(c), nil
}

func (h *Hub) pingInput(c *command) (session.Input, *refusal) {
	h.decorate(c, func(r *Result) { r.Instance = h.where })
	return nil, nil
}

// readIfSession is the input of a command that only asks: it keeps its session
// alive, and without one the core is not asked.
func readIfSession(c *command) session.Input {
	if c.text("session") == "" {
		return nil
	}
	return session.Read{Request: c.request()}
}

// decorate adds what the core does not know to the result of a command that succeeds.
func (h *Hub) decorate(c *command, f func(*Result)) { h.pending[c.key].decorate = f }
