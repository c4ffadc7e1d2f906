package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"hkw/session"
)

// kind is what a setting's text must be.
type kind string

const (
	kindName     kind = "name"
	kindText     kind = "text"
	kindPath     kind = "path"
	kindAddress  kind = "host:port"
	kindBroker   kind = "embedded|URL"
	kindDuration kind = "duration"
	kindBool     kind = "bool"
	kindLevel    kind = "level"
	kindSpeakers kind = "NAME=DRIVER[:ARGUMENT]" // several
	kindList     kind = "list"                   // several, separated by commas
	kindHubs     kind = "hubs"                   // only in the file
	kindPresets  kind = "presets"                // only in the file
	kindQuiet    kind = "FROM-TO|off"            // in the file a mapping too
	kindQuiets   kind = "quiet_speakers"         // only in the file
	kindNumber   kind = "number"
	kindSpeech   kind = "auto|none|ENGINE[:WHERE]"
)

// setting is one thing that can be configured. Flags, environment, file and
// `hkw config` are all made from the table below.
type setting struct {
	name      string // of the flag; environment and file spell it HKW_… and with _ for -
	aliases   []string
	kind      kind
	byDefault string
	doc       string
	bus       bool // the commands that talk to a hub want it too
	noFlag    bool
	noEnv     bool
	noFile    bool
	secret    bool // never shown
}

const (
	setHub       = "hub"
	setHubs      = "hubs"
	setBroker    = "broker"
	setUser      = "broker-user"
	setPassword  = "broker-password"
	setCA        = "broker-ca"
	setMQTT      = "mqtt-listen"
	setHTTP      = "http-listen"
	setHosts     = "http-hosts"
	setOrigins   = "http-origins"
	setTokens    = "http-token"
	setTokenFile = "http-token-file" //nolint:gosec // a name
	setHashes    = "http-token-hashes"
	setOpen      = "open"
	setMDNS      = "mdns"
	setSpeakers  = "speaker"
	setMedia     = "media"
	setReach     = "media-allow"
	setPresets   = "presets"
	setSpeech    = "speech"
	setVoice     = "speech-voice"
	setModel     = "speech-model"
	setKey       = "speech-key"
	setChime     = "speech-chime"
	setData      = "data"
	setQuiet     = "quiet"
	setHome      = "home-assistant"
	setPlayer    = "home-assistant-media-player"
	setTimeout   = "session-timeout"
	setLevel     = "log-level"
	setConfig    = "config"
	embedded     = "embedded"
	envPrefix    = "HKW_"

	setQuietVolume   = "quiet-volume"
	setQuietPriority = "quiet-priority"
	setQuietSpeakers = "quiet-speakers"
	setZone          = "timezone"

	envOfTests   = "HKW_REQUIRE" // names what the tests must find; no setting
	configFolder = "hkw"
	configName   = "config.yaml"
)

// settings is the one table.
var settings = []setting{
	{name: setHub, kind: kindName, byDefault: "home", bus: true, doc: "the hub's `name` on the bus"},
	{name: setHubs, kind: kindHubs, noFlag: true, noEnv: true, doc: "several hubs: a list of hub, speakers, presets, quiet and quiet_speakers"},
	{name: setBroker, kind: kindBroker, byDefault: embedded, bus: true, doc: "the MQTT `broker`: embedded, tcp://host:port, tls://host:port, ws:// or wss://"},
	{name: setUser, kind: kindText, bus: true, doc: "`user` at the broker"},
	{name: setPassword, kind: kindText, bus: true, noFlag: true, secret: true, doc: "password at the broker; by environment or file only"},
	{name: setCA, kind: kindPath, bus: true, doc: "PEM `file` of the authority that signed the broker's certificate"},
	{name: setMQTT, kind: kindAddress, byDefault: "127.0.0.1:1883", bus: true, doc: "where the embedded broker listens, `host:port`; clients find it there"},
	{name: setHTTP, kind: kindAddress, byDefault: "127.0.0.1:8080", doc: "where HTTP listens, `host:port`: the page at /, commands, status and events (see /docs), /healthz, and MQTT over WebSocket at /mqtt"},
	{name: setHosts, kind: kindList, doc: "`names` besides localhost by which HTTP may be called, separated by commas; * for all"},
	{name: setOrigins, kind: kindList, doc: "`origins` of pages that may call, and show the page of this hub inside them, as in http://panel.example:8080, separated by commas; over HTTP * for all"},
	{name: setTokens, kind: kindList, secret: true, doc: "a `token` that HTTP asks for, as in Authorization: Bearer TOKEN; repeatable; others on this machine can read a command line, so rather by environment (separated by commas) or file"},
	{name: setTokenFile, kind: kindPath, doc: "`file` of such tokens, one a line, # begins a comment"},
	{name: setHashes, kind: kindList, noFlag: true, doc: "SHA-256 of such tokens, in hexadecimal; `hkw token` makes one of each"},
	{name: setOpen, kind: kindBool, byDefault: "false", doc: "listen beyond this machine without asking anyone for credentials"},
	{name: setMDNS, kind: kindBool, byDefault: "true", doc: "announce on the LAN, by mDNS, what listens beyond this machine"},
	{name: setSpeakers, aliases: []string{"speakers"}, kind: kindSpeakers, doc: "a speaker, `NAME=DRIVER[:ARGUMENT]`; repeatable; without it every output that is found"},
	{name: setMedia, kind: kindPath, doc: "`folder` of music and sounds"},
	{name: setReach, kind: kindList, doc: "`networks` from which URLs may play although they lead to this machine or a link-local address, as in 127.0.0.1 or fd00::/8, separated by commas"},
	{name: setPresets, kind: kindPresets, noFlag: true, noEnv: true, doc: "names to play by: a mapping of names to media, priority, volume, on_busy, duck and speakers"},
	{name: setSpeech, kind: kindSpeech, byDefault: speechAuto, doc: "what says texts, `ENGINE`: auto (espeak-ng if it is installed), none, espeak[:PATH], wyoming:tcp://host:port, http:URL"},
	{name: setVoice, kind: kindText, doc: "`voice` for texts that name none, as the engine calls it"},
	{name: setModel, kind: kindText, doc: "`model` of an HTTP speech service"},
	{name: setKey, kind: kindText, noFlag: true, secret: true, doc: "key of an HTTP speech service; by environment or file only"},
	{name: setChime, kind: kindText, doc: "`chime` that sounds before each text"},
	{name: setQuiet, kind: kindQuiet, byDefault: quietOff, doc: "quiet hours, `FROM-TO` as in 22:00-07:00, or off; in the file also a mapping of from, to, days, volume and priority"},
	{name: setQuietVolume, kind: kindNumber, byDefault: strconv.Itoa(session.DefaultQuietVolume), doc: "the loudest `volume` in quiet hours, 0 to 50; 0 refuses what would be heard nowhere"},
	{name: setQuietPriority, kind: kindNumber, byDefault: strconv.Itoa(session.DefaultQuietPriority), doc: "the `priority` from which quiet hours are none of a sound's business, 0 to 9999"},
	{name: setQuietSpeakers, kind: kindQuiets, noFlag: true, noEnv: true, doc: "quiet hours of speakers: a mapping of their names to from, to, days, volume and priority"},
	{name: setZone, kind: kindText, byDefault: zoneLocal, doc: "the `zone` by whose clocks quiet hours go: local, UTC, or a name such as Europe/Berlin"},
	{name: setHome, kind: kindText, byDefault: "homeassistant", doc: "the `prefix` of Home Assistant's MQTT discovery, below which the hub announces itself; off announces nothing and takes back what was announced"},
	{name: setPlayer, kind: kindBool, byDefault: "false", doc: "announce a media player too, for the community's integration mqtt_media_player"},
	{name: setData, kind: kindPath, doc: "`folder` for what must survive a restart"},
	{name: setTimeout, kind: kindDuration, byDefault: "60m", doc: "how long a session lives after its last use, a `duration` such as 90s or 60m"},
	{name: setLevel, kind: kindLevel, byDefault: "info", doc: "`level` of the log: trace, debug, info, warn or error"},
	{name: setConfig, kind: kindPath, bus: true, noFile: true, doc: "the configuration `file`; else $XDG_CONFIG_HOME/hkw/config.yaml, else /etc/hkw/config.yaml"},
}

// several tells whether a setting has more than one value.
func (s setting) several() bool { return s.kind == kindSpeakers || s.kind == kindList }

// key is the setting's name in the file.
func (s setting) key() string {
	if len(s.aliases) > 0 {
		return fileKey(s.aliases[0])
	}
	return fileKey(s.name)
}

func (s setting) env() string { return envPrefix + strings.ToUpper(fileKey(s.name)) }

// fileKey lets a file spell a key with - or _.
func fileKey(name string) string { return strings.ReplaceAll(name, "-", "_") }

func settingByName(name string) setting {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
	return settings[i]
}

func settingByKey(key string) (setting, bool) {
	for _, s := range settings {
		if !s.noFile && (fileKey(s.name) == fileKey(key) || slices.Contains(s.aliases, key)) {
			return s, true
		}
	}
	return setting{}, false
}

func settingByEnv(name string) (setting, bool) {
	for _, s := range settings {
		if !s.noEnv && s.env() == name {
			return s, true
		}
	}
	return setting{}, false
}

func knownKeys() []string {
	var keys []string
	for _, s := range settings {
		if !s.noFile {
			keys = append(keys, s.key())
		}
	}
	return keys
}

func knownEnv() []string {
	var names []string
	for _, s := range settings {
		if !s.noEnv {
			names = append(names, s.env())
		}
	}
	return names
}

// environment is the environment of the process, as a test may replace it.
type environment []string

func (e environment) get(name string) string {
	for i := len(e) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(e[i], name+"="); ok {
			return value
		}
	}
	return ""
}

func (e environment) home() string {
	if runtime.GOOS == "windows" {
		return e.get("USERPROFILE")
	}
	return e.get("HOME")
}

// configFiles are the files that are looked for, the first that exists is read.
func (e environment) configFiles() []string {
	var files []string
	switch dir := e.get("XDG_CONFIG_HOME"); {
	case dir != "":
		files = append(files, filepath.Join(dir, configFolder, configName))
	case runtime.GOOS == "windows" && e.get("APPDATA") != "":
		files = append(files, filepath.Join(e.get("APPDATA"), configFolder, configName))
	case e.home() != "":
		files = append(files, filepath.Join(e.home(), ".config", configFolder, configName))
	}
	if runtime.GOOS != "windows" {
		files = append(files, filepath.Join("/etc", configFolder, configName))
	}
	return files
}

// dataFolder is where data is kept if nothing else is said; "" if there is no home.
func (e environment) dataFolder() string {
	switch home := e.home(); {
	case e.get("XDG_STATE_HOME") != "":
		return filepath.Join(e.get("XDG_STATE_HOME"), configFolder)
	case runtime.GOOS == "windows" && e.get("LOCALAPPDATA") != "":
		return filepath.Join(e.get("LOCALAPPDATA"), configFolder)
	case home == "":
		return ""
	case runtime.GOOS == "darwin":
		return filepath.Join(home, "Library", "Application Support", configFolder)
	default:
		return filepath.Join(home, ".local", "state", configFolder)
	}
}

// path makes a path of a setting whole: "~/" is the home, and what stands in a
// file is meant from the file's folder.
func (e environment) path(p, base string) string {
	if p == "" {
		return ""
	}
	if rest, ok := strings.CutPrefix(p, "~"+string(os.PathSeparator)); ok && e.home() != "" {
		return filepath.Join(e.home(), rest)
	}
	if base != "" && !filepath.IsAbs(p) {
		return filepath.Join(base, p)
	}
	return p
}

// nearest names the known name that is most like a mistyped one.
func nearest(name string, known []string) string {
	best, least := "", len(name)+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if least > max(2, len(name)/2) {
		return fmt.Sprintf("known are %s", strings.Join(known, ", "))
	}
	return fmt.Sprintf("did you mean %s?", best)
}

// distance is the number of characters to insert, remove or replace between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		corner := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := corner
			if a[i-1] != b[j-1] {
				cost++
			}
			corner = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
