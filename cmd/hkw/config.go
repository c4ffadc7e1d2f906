package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"hkw/bridge"
	"hkw/session"
)

// origin says where a value was given.
type origin struct {
	label string // begins an error about it: "--hub", "HKW_HUB", "config.yaml:3: hub"
	shown string // in `hkw config`
	base  string // folder that relative paths are meant from; "" for the working directory
}

// given is what one source says about one setting, still as text.
type given struct {
	texts []sourced // one, or several of a repeatable setting
	hubs  []hubText
	// presets are those of kindPresets.
	presets []presetText
	// quiet is a mapping of kindQuiet, quietSpeakers those of kindQuiets.
	quiet         *quietText
	quietSpeakers []speakerQuiet
	origin
}

// sourced is one text with its own place.
type sourced struct {
	text string
	origin
}

// integer reads a number within bounds.
func (t sourced) integer(least, most int) (int, error) {
	n, err := strconv.Atoi(t.text)
	if err != nil || n < least || n > most {
		return 0, t.refuse(fmt.Sprintf("an integer from %d to %d", least, most), t.text)
	}
	return n, nil
}

// hubText is one entry of the file's list of hubs.
type hubText struct {
	name     sourced
	speakers []sourced
	presets  []presetText

	quiet         *quietText // nil: that of all hubs
	quietSpeakers []speakerQuiet
}

func (g given) text() string {
	if len(g.texts) == 0 {
		return ""
	}
	return g.texts[len(g.texts)-1].text
}

// refuse is the error about a value: which setting, what is allowed, what was given.
func (o origin) refuse(allowed, got string) error {
	return usageError("%s must be %s, not %q", o.label, allowed, got)
}

// config is the effective configuration.
type config struct {
	env       environment
	values    map[string]given // by name of the setting, defaults too
	file      string           // that was read; "" if none
	hub       string           // that commands speak to; the first of hubs
	hubs      []hubConfig
	broker    string // a URL; "" for the embedded one
	user      string
	pass      string
	ca        string
	mqtt      string
	http      string
	hosts     []string
	origins   []string
	tokens    []bridge.TokenHash // given as tokens and as hashes, without those of tokenFile
	tokenFile string
	open      bool
	mdns      bool
	media     string
	reach     []netip.Prefix // where URLs may lead all the same
	speech    speechConfig
	home      string // prefix of Home Assistant's discovery; "" for none
	player    bool   // announce a media player there too
	data      string
	timeout   time.Duration
	level     zerolog.Level

	zone         *time.Location
	common       house         // quiet hours of hubs that have none of their own
	quietDefault session.Quiet // what quiet hours leave open
}

// hubConfig is one hub that serve runs.
type hubConfig struct {
	name     string
	speakers []speakerSpec // nil: whatever is found
	presets  map[string]bridge.Preset
	quiet    house
}

// strange tells whether a hub with configured speakers does not have this one.
func (h hubConfig) strange(speaker string) bool {
	return h.speakers != nil && !slices.ContainsFunc(h.speakers, func(s speakerSpec) bool { return s.name == speaker })
}

// loadConfig puts the configuration together: defaults < file < environment < flags.
func loadConfig(env environment, flags *pflag.FlagSet) (*config, error) {
	c := &config{env: env, values: map[string]given{}}
	fromEnv, err := readEnvironment(env)
	if err != nil {
		return nil, err
	}
	fromFlags := readFlags(flags)
	fromFile, err := c.readFile(fromEnv, fromFlags)
	if err != nil {
		return nil, err
	}
	for _, s := range settings {
		byDefault := s.byDefault
		if s.name == setData {
			byDefault = env.dataFolder()
		}
		o := origin{label: s.key(), shown: "default"}
		c.values[s.name] = given{texts: []sourced{{byDefault, o}}, origin: o}
		if s.several() || s.kind == kindHubs || s.kind == kindPresets || s.kind == kindQuiets {
			c.values[s.name] = given{origin: o}
		}
		for _, source := range []map[string]given{fromFile, fromEnv, fromFlags} {
			if g, ok := source[s.name]; ok {
				c.values[s.name] = g
			}
		}
	}
	return c, c.parse(fromFile)
}

func readEnvironment(env environment) (map[string]given, error) {
	found := map[string]given{}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envOfTests {
			continue
		}
		s, ok := settingByEnv(name)
		if !ok {
			return nil, usageError("environment: there is no %s; %s", name, nearest(name, knownEnv()))
		}
		if value == "" {
			continue // as compose files set what they do not have
		}
		o := origin{label: name, shown: "environment " + name}
		g := given{texts: []sourced{{value, o}}, origin: o}
		if s.several() {
			g.texts = split(value, o)
		}
		found[s.name] = g
	}
	return found, nil
}

// split takes a list of values apart.
func split(text string, o origin) []sourced {
	var list []sourced
	for part := range strings.SplitSeq(text, ",") {
		list = append(list, sourced{strings.TrimSpace(part), o})
	}
	return list
}

// readFile reads the file that is named, else the first that exists of those looked for.
func (c *config) readFile(fromEnv, fromFlags map[string]given) (map[string]given, error) {
	for _, source := range []map[string]given{fromFlags, fromEnv} {
		if g, ok := source[setConfig]; ok {
			c.file = c.env.path(g.text(), "")
			data, err := os.ReadFile(c.file)
			if err != nil {
				return nil, usageError("%s: cannot read the configuration file: %w", g.label, err)
			}
			return parseFile(c.file, data)
		}
	}
	for _, file := range c.env.configFiles() {
		data, err := os.ReadFile(file) //nolint:gosec // the owner's own configuration
		switch {
		case err == nil:
			c.file = file
			return parseFile(file, data)
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			return nil, usageError("cannot read the configuration file: %w", err)
		}
	}
	return nil, nil
}

// parse turns the texts into what they mean.
func (c *config) parse(fromFile map[string]given) error {
	var err error
	fail := func(e error) {
		if err == nil {
			err = e
		}
	}
	one := func(name string) (string, origin) { g := c.values[name]; return g.text(), g.origin }
	address := func(name string) string {
		text, o := one(name)
		host, port, e := net.SplitHostPort(text)
		n, atoi := strconv.Atoi(port)
		if e != nil || atoi != nil || n < 0 || n > math.MaxUint16 || strings.ContainsAny(host, " /") {
			fail(o.refuse("host:port such as "+settingByName(name).byDefault, text))
		}
		return text
	}
	path := func(name string) string { text, o := one(name); return c.env.path(text, o.base) }

	c.mqtt, c.http = address(setMQTT), address(setHTTP)
	c.media, c.data, c.ca = path(setMedia), path(setData), path(setCA)
	c.user, _ = one(setUser)
	c.pass, _ = one(setPassword)
	text, o := one(setBroker)
	fail(c.parseBroker(text, o))
	boolean := func(name string) bool {
		text, o := one(name)
		b, e := strconv.ParseBool(text)
		if e != nil {
			fail(o.refuse("true or false", text))
		}
		return b
	}
	c.open, c.mdns, c.player = boolean(setOpen), boolean(setMDNS), boolean(setPlayer)
	text, o = one(setHome)
	if text != homeOff {
		c.home = text
		if !bridge.ValidDiscoveryPrefix(text) {
			fail(o.refuse("a topic such as homeassistant that is not below hkw, or "+homeOff, text))
		}
	}
	var e error
	text, o = one(setTimeout)
	if c.timeout, e = parseDuration(text); e != nil || c.timeout <= 0 {
		fail(o.refuse("a duration above zero such as 90s or 60m", text))
	}
	text, o = one(setLevel)
	if c.level, e = zerolog.ParseLevel(text); e != nil || !slices.Contains(levels, text) {
		fail(o.refuse("one of "+strings.Join(levels, ", "), text))
	}
	for _, t := range c.values[setHosts].texts {
		if t.text == "" || t.text != bridge.AnyName && strings.ContainsAny(t.text, "/:* ") {
			fail(t.refuse("names such as hub.local, without port, or *", t.text))
		}
		c.hosts = append(c.hosts, t.text)
	}
	for _, t := range c.values[setOrigins].texts {
		u, e := url.Parse(t.text)
		if t.text != bridge.AnyName && (e != nil || u.Host == "" || u.Scheme+"://"+u.Host != t.text) {
			fail(t.refuse("origins such as http://panel.example:8080, or *", t.text))
		}
		c.origins = append(c.origins, t.text)
	}
	c.tokenFile = path(setTokenFile)
	fail(c.parseTokens())
	fail(c.parseReach())
	fail(c.parseSpeech())
	fail(c.parseQuiet())
	fail(c.parseHubs(fromFile))
	return err
}

// homeOff is the prefix that announces nothing to Home Assistant.
const homeOff = "off"

var levels = []string{"trace", "debug", "info", "warn", "error"}

// parseDuration reads a duration, or seconds.
func parseDuration(text string) (time.Duration, error) {
	if s, err := strconv.ParseFloat(text, 64); err == nil && s >= 0 && s < 1e9 {
		return time.Duration(s * float64(time.Second)), nil
	}
	return time.ParseDuration(text)
}

// brokerPorts are the ports of a broker's URL that names none, by scheme.
var brokerPorts = map[string]string{"tcp": "1883", "tls": "8883", "ws": "80", "wss": "443"}

func (c *config) parseBroker(text string, o origin) error {
	if text == embedded {
		return nil
	}
	const allowed = "embedded, tcp://host[:port], tls://host[:port], ws://host[:port]/path or wss://host[:port]/path"
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || brokerPorts[u.Scheme] == "" {
		shown := text
		if err == nil {
			shown = u.Redacted()
		} else if strings.Contains(text, "@") {
			shown = "…"
		}
		return o.refuse(allowed, shown)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), brokerPorts[u.Scheme])
	}
	// Credentials of the URL are settings like the others, and shown as little.
	if u.User != nil {
		if c.user == "" {
			c.user = u.User.Username()
		}
		if p, ok := u.User.Password(); ok && c.pass == "" {
			c.pass = p
		}
		u.User = nil
	}
	c.broker = u.String()
	return nil
}

// parseHubs finds out which hubs there are and which one is spoken to.
func (c *config) parseHubs(fromFile map[string]given) error {
	hub, hubs, speakers := c.values[setHub], c.values[setHubs], c.values[setSpeakers]
	if !bridge.ValidID(hub.text()) {
		return hub.refuse("1 to 64 letters, digits, _ or -", hub.text())
	}
	c.hub = hub.text()
	common, err := parsePresets(c.values[setPresets].presets)
	if err != nil {
		return err
	}
	if len(hubs.hubs) == 0 {
		specs, err := parseSpeakers(speakers.texts)
		c.hubs = []hubConfig{{c.hub, specs, common, c.common}}
		return err
	}
	if g, ok := fromFile[setHub]; ok {
		return usageError("%s: a file gives either hub or hubs", g.label)
	}
	if g, ok := fromFile[setSpeakers]; ok {
		return usageError("%s: in a file with hubs the speakers stand with each hub", g.label)
	}
	for _, h := range hubs.hubs {
		if !bridge.ValidID(h.name.text) {
			return h.name.refuse("1 to 64 letters, digits, _ or -", h.name.text)
		}
		if slices.ContainsFunc(c.hubs, func(other hubConfig) bool { return other.name == h.name.text }) {
			return usageError("%s: the hub %q is listed twice", h.name.label, h.name.text)
		}
		specs, err := parseSpeakers(h.speakers)
		if err != nil {
			return err
		}
		own, err := parsePresets(h.presets)
		if err != nil {
			return err
		}
		presets := maps.Clone(common)
		maps.Copy(presets, own)
		quiet, err := c.quietOf(h)
		if err != nil {
			return err
		}
		c.hubs = append(c.hubs, hubConfig{h.name.text, specs, presets, quiet})
	}
	if hub.shown == "default" {
		c.hub = c.hubs[0].name
	} else {
		i := slices.IndexFunc(c.hubs, func(h hubConfig) bool { return h.name == c.hub })
		if i < 0 {
			var names []string
			for _, h := range c.hubs {
				names = append(names, h.name)
			}
			return hub.refuse("one of the hubs of "+c.file+" ("+strings.Join(names, ", ")+")", c.hub)
		}
		c.hubs = c.hubs[i : i+1]
	}
	if len(speakers.texts) == 0 {
		return nil
	}
	if len(c.hubs) > 1 {
		return usageError("%s: %s lists several hubs; --hub says which one the speakers are for", speakers.label, c.file)
	}
	specs, err := parseSpeakers(speakers.texts)
	c.hubs[0].speakers = specs
	return err
}

// brokerURL is where a client finds the broker.
func (c *config) brokerURL() string {
	if c.broker != "" {
		return c.broker
	}
	return "tcp://" + dialable(c.mqtt)
}

// dialable is an address to listen on as one that can be dialled from this machine.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}
