package main

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"hkw/speaker"
	"hkw/speaker/decode"
	"hkw/speaker/library"
	"hkw/speaker/speech"
)

// The kinds of speech engines.
const (
	speechAuto    = "auto"
	speechNone    = "none"
	speechEspeak  = "espeak"
	speechWyoming = "wyoming"
	speechHTTP    = "http"

	espeakProgram = "espeak-ng"
	speechCache   = "speech" // folder below the data
	speechAllowed = "auto, none, espeak[:PATH], wyoming:tcp://host:port or http:URL"
)

// speechConfig is what shall say texts, and how.
type speechConfig struct {
	engine speech.Engine // nil for none; for auto what was found now
	auto   bool
	voice  string
	chime  speaker.Opener // nil for none
}

// parseSpeech chooses the engine. Neither key nor URL are repeated in errors.
func (c *config) parseSpeech() error {
	one := func(name string) sourced {
		g := c.values[name]
		return sourced{g.text(), g.origin}
	}
	var err error
	where := one(setSpeech)
	if c.speech.engine, err = c.speechEngine(where); err != nil {
		return err
	}
	c.speech.auto = where.text == speechAuto
	voice, chime := one(setVoice), one(setChime)
	c.speech.voice = voice.text
	if c.speech.engine != nil && voice.text != "" {
		s := speech.New(speech.Config{Engine: c.speech.engine, Voice: voice.text})
		defer func() { _ = s.Close() }()
		if err := s.Accepts(speech.Request{Text: "ready"}); err != nil {
			return usageError("%s: %w", voice.label, err)
		}
	}
	if chime.text == "" {
		return nil
	}
	var names []string
	for _, m := range library.Chimes() {
		names = append(names, m.ID)
		if strings.EqualFold(m.ID, chime.text) {
			c.speech.chime = m
			return nil
		}
	}
	return usageError("%s: there is no chime %q; %s", chime.label, chime.text, nearest(chime.text, names))
}

func (c *config) speechEngine(where sourced) (speech.Engine, error) {
	kind, rest, given := strings.Cut(where.text, ":")
	switch {
	case where.text == speechNone:
		return nil, nil
	case where.text == speechAuto:
		// Where there is none, a text is refused at once instead of failing when its turn comes.
		if _, err := exec.LookPath(espeakProgram); err == nil {
			return speech.Espeak(""), nil
		}
		return nil, nil
	case kind == speechEspeak && (rest != "" || !given):
		return speech.Espeak(c.program(rest, where.base)), nil
	case kind == speechWyoming:
		e, err := speech.Wyoming(rest)
		if err != nil {
			return nil, usageError("%s: %w", where.label, err)
		}
		return e, nil
	case kind == speechHTTP || kind == "https":
		if strings.HasPrefix(rest, "//") {
			rest = where.text // the URL alone
		}
		key := c.values[setKey]
		e, err := speech.HTTP(speech.HTTPConfig{URL: rest, Model: c.values[setModel].text(), Key: key.text()})
		if err != nil {
			return nil, usageError("%s: %w", where.label, err)
		}
		return e, nil
	}
	return nil, where.refuse(speechAllowed, kind)
}

// program is a program's path made whole; a name alone is looked for on the search path.
func (c *config) program(name, base string) string {
	if !strings.ContainsRune(filepath.ToSlash(name), '/') {
		return name
	}
	return c.env.path(name, base)
}

// openSpeech makes what says texts for all hubs. Nothing of it starts before
// something is to be said.
func (a *app) openSpeech(life *lifecycle, data string) *speech.Speech {
	cfg := a.cfg.speech
	log := a.log.With().Str("component", "speech").Logger()
	switch {
	case cfg.engine != nil:
		log.Debug().Str("engine", cfg.engine.Name()).Msg("texts can be said")
	case cfg.auto:
		log.Info().Msg("texts cannot be said: there is no " + espeakProgram + "; install it and start again, or name another engine with --speech")
	}
	dir := ""
	if data != "" {
		dir = filepath.Join(data, speechCache)
	}
	s := speech.New(speech.Config{Engine: cfg.engine, Voice: cfg.voice, Chime: cfg.chime, CacheDir: dir, Log: log})
	life.opened("speech", s.Close)
	return s
}

// showSpeech is the setting without what may be secret in its URL.
func showSpeech(text string) string {
	prefix := ""
	if rest, ok := strings.CutPrefix(text, speechHTTP+":"); ok && !strings.HasPrefix(rest, "//") {
		prefix, text = speechHTTP+":", rest
	}
	if !strings.Contains(text, "://") || strings.HasPrefix(text, speechWyoming) {
		return prefix + text
	}
	return prefix + redactURL(text)
}

// parseReach reads the networks from which media may come although they lead inward.
func (c *config) parseReach() error {
	for _, t := range c.values[setReach].texts {
		p, err := netip.ParsePrefix(t.text)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(t.text); err == nil {
				ip = ip.Unmap()
				p, err = ip.Prefix(ip.BitLen())
			}
		}
		if err != nil || p.Addr().Zone() != "" {
			return t.refuse("networks and addresses such as 127.0.0.1, 192.168.7.0/24 or fd00::/8", t.text)
		}
		if !slices.Contains(c.reach, p.Masked()) {
			c.reach = append(c.reach, p.Masked())
		}
	}
	return nil
}

// ownWeb is how URLs are opened that were named on the bus or in the configuration:
// this machine may be named, but nothing that is asked may lead there by itself.
func (c *config) ownWeb() decode.Web {
	return decode.Web{Reach: &decode.Reach{Named: true, Allow: c.reach}}
}

// strictWeb is how URLs are opened that a page may have named.
func (c *config) strictWeb() decode.Web {
	return decode.Web{Reach: &decode.Reach{Allow: c.reach}}
}
