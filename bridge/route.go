package bridge

import (
	"strings"

	"hkw/session"
)

// Route is one command: where it arrives and what it may carry. MQTT
// subscriptions, the decoder and the tables of topics.md are all made from
// Routes or checked against it.
type Route struct {
	Command string // its name in results
	Topic   string // below hkw/<hub>/; "+" stands for one level, whose text fills the field Wild
	Wild    string // name of the field that the "+" fills
	Bare    string // name of the field that a payload which is not JSON fills; "" if such a payload says nothing
	Empty   bool   // an empty payload is a command
	Fields  []Field
	Summary string
	reads   bool                // it only asks; programs ask often
	latest  bool                // only its newest value counts: what comes too fast waits instead of being lost
	rings   func(*command) bool // done twice it is heard twice; nil for never
	ends    func(*command) bool // it silences, which must always be possible; nil for never
	input   func(*Hub, *command) (session.Input, *refusal)
}

// Kind is the type of a field.
type Kind string

// The kinds of fields.
const (
	KindText     Kind = "string"
	KindInt      Kind = "integer"
	KindSeconds  Kind = "seconds"      // JSON number ≥ 0, fractions allowed
	KindBool     Kind = "boolean"      //
	KindTime     Kind = "time"         // RFC 3339
	KindMedia    Kind = "media"        // string, or an integer id of the library
	KindSpeakers Kind = "speaker list" // array of ids, comma-separated ids, or "all"
	KindMode     Kind = "on_busy"      // interrupt, announce, queue, drop
	KindPower    Kind = "ON or OFF"    // as Home Assistant writes it, in any case
	KindFraction Kind = "fraction"     // JSON number from 0 to 1
	KindSwitch   Kind = "switch"       // on, off, toggle, true or false
	KindQuiet    Kind = "quiet mode"   // on, off or auto
)

// Field is one field of a command's JSON object.
type Field struct {
	Name     string
	Aliases  []string // other spellings, HKWHub's among them
	Kind     Kind
	Min, Max int // of integers and seconds; bytes of text
	Required bool
	Default  string // for a reader
	Doc      string
}

// Fields that several commands share.
var (
	fieldID       = Field{Name: "id", Kind: KindText, Min: 1, Max: 64, Default: "made by the hub", Doc: "Names the command; its result comes on `result/<id>`. Letters, digits, `_` and `-`."}
	fieldSession  = Field{Name: "session", Aliases: []string{"SessionID", "SessionToken"}, Kind: KindText, Min: 1, Max: 64, Default: "none", Doc: "Token of an open session."}
	fieldPriority = Field{Name: "priority", Aliases: []string{"Priority"}, Kind: KindInt, Min: session.MinPriority, Max: session.MaxPriority, Default: "the session's, else 100", Doc: "The command's priority."}
	fieldPlayback = Field{Name: "playback", Kind: KindText, Min: 1, Max: 64, Default: "what the command reaches by itself", Doc: "The playback meant."}
	fieldSpeakers = Field{Name: "speakers", Aliases: []string{"DeviceIDList"}, Kind: KindSpeakers, Default: "the session's selection, else all", Doc: "Where this playback is heard."}
	fieldVolume   = Field{Name: "volume", Aliases: []string{"Volume"}, Kind: KindInt, Min: 0, Max: session.MaxVolume, Default: "each speaker's own", Doc: "Volume of this playback alone."}
	fieldTTL      = Field{Name: "ttl", Kind: KindSeconds, Min: 0, Max: 86400, Default: "no limit", Doc: "Never start later than this after the command arrived."}
	fieldExpires  = Field{Name: "expires", Kind: KindTime, Default: "no limit", Doc: "Never start at or after this time."}

	fieldMute  = Field{Name: "mute", Kind: KindSwitch, Required: true, Doc: "Whether it is to be silent; `true` is `on`. What plays plays on, unheard."}
	fieldBelow = Field{Name: "below", Kind: KindInt, Min: session.MinPriority + 1, Max: session.MaxPriority, Default: "nothing is heard", Doc: "When it goes on: sounds of this priority and above are heard all the same."}
	fieldQuiet = Field{Name: "quiet", Kind: KindQuiet, Required: true, Doc: "`on` and `off` last until the hours end the next time, `auto` keeps the hours."}
	fieldWhere = Field{Name: "speaker", Aliases: []string{"DeviceID"}, Kind: KindText, Min: 1, Max: 64, Default: "the hub as a whole", Doc: "One speaker."}

	touchFields = []Field{fieldID, fieldSession, fieldPriority, fieldPlayback}
	playFields  = []Field{
		fieldID, fieldSession, fieldPriority,
		{Name: "on_busy", Kind: KindMode, Default: "`interrupt`; `announce` for speech and for a chime by its topic", Doc: "How the sound meets a busy hub."},
		{Name: "duck", Kind: KindBool, Default: "`false`", Doc: "With `announce`: lower the music instead of suspending it."},
		fieldVolume, fieldSpeakers,
		fieldTTL,
		fieldExpires,
		{Name: "repeat", Kind: KindBool, Default: "`false`", Doc: "Begins again whenever it ends, until it is stopped."},
		{Name: "duration", Kind: KindSeconds, Min: 1, Max: 86400, Default: "its own", Doc: "Ends by itself after so much sound."},
	}
	sirenFields = []Field{
		{Name: "state", Kind: KindPower, Default: "`ON`", Doc: "`ON` sounds, and replaces what sounds already; `OFF` silences the siren and nothing else."},
		{Name: "tone", Kind: KindMedia, Min: 1, Max: 4096, Default: "`alarm`", Doc: "A preset's name, or media as in `play`, which is repeated."},
		{Name: "duration", Kind: KindSeconds, Min: 1, Max: 3600, Default: "60", Doc: "Ends by itself after so much sound."},
		{Name: "volume_level", Kind: KindFraction, Min: 0, Max: 1, Default: "the preset's, else each speaker's own", Doc: "Volume of the siren alone, 1 is the loudest."},
		described(fieldPriority, "the preset's, else 300", "The siren's priority."),
		described(fieldSpeakers, "the preset's, else all", "Where the siren is heard."),
		fieldID, fieldTTL, fieldExpires,
	}
)

func with(fields []Field, more ...Field) []Field {
	return append(append([]Field{}, more...), fields...)
}

func required(f Field) Field { f.Required = true; return f }

func described(f Field, byDefault, doc string) Field { f.Default, f.Doc = byDefault, doc; return f }

// Routes is the table of commands.
var Routes = []Route{
	{
		Command: "play", Topic: "play", Bare: "media", input: (*Hub).playInput, rings: always,
		Summary: "Plays media of the library, a chime or a web stream.",
		Fields: with(playFields, Field{Name: "media", Aliases: []string{"PersistentID", "MediaUrl", "media_id"}, Kind: KindMedia, Min: 1, Max: 4096, Required: true,
			Doc: "A preset's name, an `http(s)://` URL, else the id, chime name, path or title of media in the library."}),
	},
	{
		Command: "play", Topic: "play/+", Wild: "media", Empty: true, input: (*Hub).playNamedInput, rings: always,
		Summary: "Plays the preset or media named in the topic, whatever the payload; chimes announce themselves unless `on_busy` says otherwise.",
		Fields:  playFields,
	},
	{
		Command: "say", Topic: "say", Bare: "say", input: (*Hub).sayInput, rings: always,
		Summary: "Speaks a text, as an announcement unless `on_busy` says otherwise.",
		Fields: with(playFields,
			Field{Name: "say", Aliases: []string{"Text"}, Kind: KindText, Min: 1, Max: 4096, Required: true, Doc: "The text to speak."},
			Field{Name: "voice", Kind: KindText, Min: 1, Max: 64, Default: "the engine's", Doc: "The voice, as the speech engine calls it."}),
	},
	{
		Command: "siren", Topic: "siren", Bare: "state", input: (*Hub).sirenInput, rings: switchesOn, ends: switchesOff,
		Summary: "Lets an alarm sound until it is switched off, or its time is over; the payload is that of Home Assistant's sirens.",
		Fields:  sirenFields,
	},
	{
		Command: "stop", Topic: "stop", Empty: true, input: (*Hub).stopInput, ends: always,
		Summary: "Stops the session's sounds; without a session, everything whose priority is not above the command's.",
		Fields:  touchFields,
	},
	{
		Command: "pause", Topic: "pause", Empty: true, input: (*Hub).pauseInput, ends: always,
		Summary: "Pauses what plays; what cannot be resumed is stopped.",
		Fields:  touchFields,
	},
	{
		Command: "resume", Topic: "resume", Empty: true, input: (*Hub).resumeInput,
		Summary: "Continues what was paused, if it may be heard now.",
		Fields: append(append([]Field{}, touchFields...), fieldSpeakers,
			Field{Name: "media", Aliases: []string{"PersistentID"}, Kind: KindMedia, Min: 1, Max: 4096, Default: "whatever is paused",
				Doc: "Continue this media only; else `NothingToResume`."}),
	},
	{
		Command: "seek", Topic: "seek", Bare: "position", input: (*Hub).seekInput,
		Summary: "Moves what plays to another position.",
		Fields: with(touchFields, Field{Name: "position", Kind: KindSeconds, Min: 0, Max: 1 << 20, Required: true,
			Doc: "Where to go, from the beginning."}),
	},
	{
		Command: "volume", Topic: "volume", Bare: "volume", input: (*Hub).volumeInput, latest: true,
		Summary: "Sets the own volume of every speaker.",
		Fields: []Field{required(described(fieldVolume, "", "The volume; 0 is mute.")), fieldID, fieldSession,
			{Name: "speaker", Aliases: []string{"DeviceID"}, Kind: KindText, Min: 1, Max: 64, Default: "all", Doc: "One speaker instead of all."}},
	},
	{
		Command: "volume", Topic: "speaker/+/volume", Wild: "speaker", Bare: "volume", input: (*Hub).volumeInput, latest: true,
		Summary: "Sets the own volume of one speaker.",
		Fields:  []Field{required(described(fieldVolume, "", "The volume; 0 is mute.")), fieldID, fieldSession},
	},
	{
		Command: "volume", Topic: "media_player/volume", Bare: "level", input: (*Hub).levelInput, latest: true,
		Summary: "Sets the own volume of every speaker, as the community's media player of Home Assistant does.",
		Fields:  []Field{{Name: "level", Kind: KindFraction, Min: 0, Max: 1, Required: true, Doc: "The volume, 1 is the loudest."}, fieldID, fieldSession},
	},
	{
		Command: "mute", Topic: "mute", Bare: "mute", input: (*Hub).muteInput, rings: toggles, ends: mutes,
		Summary: "Silences the hub, or lets it be heard again; nothing stops and no volume changes.",
		Fields:  []Field{fieldMute, fieldBelow, fieldWhere, fieldID, fieldSession},
	},
	{
		Command: "mute", Topic: "speaker/+/mute", Wild: "speaker", Bare: "mute", input: (*Hub).muteInput, rings: toggles, ends: mutes,
		Summary: "Silences one speaker, or lets it be heard again.",
		Fields:  []Field{fieldMute, fieldBelow, fieldID, fieldSession},
	},
	{
		Command: "quiet", Topic: "quiet", Bare: "quiet", input: (*Hub).quietInput,
		Summary: "Switches the quiet hours of the hub on or off, or back to their times.",
		Fields:  []Field{fieldQuiet, fieldWhere, fieldID, fieldSession},
	},
	{
		Command: "quiet", Topic: "speaker/+/quiet", Wild: "speaker", Bare: "quiet", input: (*Hub).quietInput,
		Summary: "Switches the quiet hours of one speaker.",
		Fields:  []Field{fieldQuiet, fieldID, fieldSession},
	},
	{
		Command: "session/open", Topic: "session/open", Empty: true, input: (*Hub).openInput,
		Summary: "Opens a session; the result carries its token, once.",
		Fields: []Field{fieldID, described(fieldPriority, "100", "Priority of commands of the session that name none."),
			described(fieldSpeakers, "all", "The session's selection.")},
	},
	{
		Command: "session/close", Topic: "session/close", input: (*Hub).closeInput, ends: always,
		Summary: "Closes a session and stops everything of it.",
		Fields:  []Field{required(fieldSession), fieldID},
	},
	{
		Command: "session/speakers", Topic: "session/speakers", input: (*Hub).speakersInput,
		Summary: "Changes where a session is heard, live.",
		Fields: []Field{required(fieldSession), fieldID,
			described(fieldSpeakers, "unchanged", "The new selection."),
			{Name: "add", Kind: KindSpeakers, Default: "none", Doc: "Speakers to add."},
			{Name: "remove", Kind: KindSpeakers, Default: "none", Doc: "Speakers to take away."}},
	},
	{
		Command: "session/get", Topic: "session/get", reads: true, input: (*Hub).getInput,
		Summary: "Tells how a session stands; the result carries `state`.",
		Fields:  []Field{required(fieldSession), fieldID},
	},
	{
		Command: "media", Topic: "media", Bare: "query", Empty: true, reads: true, input: (*Hub).mediaInput,
		Summary: "Lists what can be played by name, presets and chimes first; the result carries `list` and `total`.",
		Fields: []Field{fieldID, fieldSession,
			{Name: "query", Kind: KindText, Min: 0, Max: 256, Default: "everything", Doc: "Words that title, artist, album or path must contain."},
			{Name: "offset", Kind: KindInt, Min: 0, Max: 1 << 30, Default: "0", Doc: "How many to skip."},
			{Name: "limit", Kind: KindInt, Min: 1, Max: 500, Default: "50", Doc: "How many to give."}},
	},
	{
		Command: "ping", Topic: "ping", Empty: true, reads: true, input: (*Hub).pingInput,
		Summary: "Asks whether the hub is there; the result's `instance` says where it runs.",
		Fields:  []Field{fieldID},
	},
}

// Filters are the MQTT subscriptions of a hub, below hkw/<hub>/. No two of them
// match the same topic, and together they match each topic of Routes and the
// unknown ones beside them, so that a mistyped command is answered too.
var Filters = []string{"+", "play/+", "session/+", "speaker/+/+", "media_player/+"}

// quiet are first levels that Filters match but that carry no commands: what
// the hub itself publishes there.
var quiet = map[string]bool{"status": true, "event": true, "result": true, "reply": true}

func always(*command) bool        { return true }
func switchesOn(c *command) bool  { return !switchesOff(c) }
func switchesOff(c *command) bool { return c.text("state") == powerOff }

// is tells whether one of the route's predicates holds for a command.
func is(predicate func(*command) bool, c *command) bool { return predicate != nil && predicate(c) }

// findRoute finds the route of a topic below hkw/<hub>/ and what its "+" stands for.
func findRoute(topic string) (*Route, string) {
	for i := range Routes {
		if wild, ok := match(Routes[i].Topic, topic); ok {
			return &Routes[i], wild
		}
	}
	return nil, ""
}

func match(pattern, topic string) (wild string, ok bool) {
	before, after, has := strings.Cut(pattern, "+")
	if !has {
		return "", pattern == topic
	}
	if len(topic) <= len(before)+len(after) || !strings.HasPrefix(topic, before) || !strings.HasSuffix(topic, after) {
		return "", false
	}
	wild = topic[len(before) : len(topic)-len(after)]
	return wild, !strings.Contains(wild, "/")
}
