package bridge

import (
	"encoding/json"
	"math"
	"time"

	"hkw/session"
	"hkw/speaker/library"
)

// Stamp says which run of the hub wrote a payload and in what order.
type Stamp struct {
	Boot string    `json:"boot"` // names this run of the hub; random, new at each start
	Seq  uint64    `json:"seq"`  // grows with each payload of this run; 0 in an answer given out of order because the hub was overrun
	At   time.Time `json:"at"`   // when it was written
}

// Media is what a client sees of something that can be played.
type Media struct {
	ID       string  `json:"id,omitempty"`       // id in the library, a chime's or preset's name; none for web media
	Kind     string  `json:"kind"`               // `hub` (a file of the library), `chime` (built in), `web` (a URL), `speech`, or in a list `preset` (a name that the hub's owner gave)
	Title    string  `json:"title"`              // from its tags, else its file name; of a stream what it says it is playing
	Artist   string  `json:"artist,omitempty"`   // from its tags
	Album    string  `json:"album,omitempty"`    // from its tags
	Duration float64 `json:"duration,omitempty"` // seconds; absent if unknown or endless
	Path     string  `json:"path,omitempty"`     // below the library's folder
	URL      string  `json:"url,omitempty"`      // without credentials and query, shortened if it is long
}

// Playback is one playback, in status, events and results.
type Playback struct {
	ID         string              `json:"playback"`              // names the playback
	Command    string              `json:"id,omitempty"`          // id of the command that asked for it
	SessionRef string              `json:"session_ref"`           // its session, implicit ones too
	Preset     string              `json:"preset,omitempty"`      // the preset by whose name it was asked for
	Media      Media               `json:"media"`                 // what it plays
	Priority   int                 `json:"priority"`              // 0 to 9999
	OnBusy     session.OnBusy      `json:"on_busy"`               // how it meets a busy hub
	Phase      session.Phase       `json:"phase"`                 // where it is on its way
	State      session.PlayerState `json:"player_state"`          // the same in HKWHub's four states
	Volume     *int                `json:"volume,omitempty"`      // its own volume, if it has one
	Speakers   []string            `json:"speakers"`              // where it is heard
	Position   *float64            `json:"position,omitempty"`    // seconds from the beginning
	PositionAt *time.Time          `json:"position_at,omitempty"` // when the position was true
	Stalled    bool                `json:"stalled,omitempty"`     // a stream that waits for data; its position stands still
	Expires    *time.Time          `json:"expires,omitempty"`     // it is not started at or after this time
}

// Status is the retained snapshot of a hub.
type Status struct {
	Hub       string              `json:"hub"`                  // id of the hub
	State     session.PlayerState `json:"player_state"`         // of the hub as a whole
	Playing   *Playback           `json:"playing"`              // what is heard, on top
	Suspended *Playback           `json:"suspended"`            // the music beneath an announcement, held or ducked
	Paused    []Playback          `json:"paused"`               // what was paused and can be resumed, oldest first
	Queue     []Playback          `json:"queue"`                // what prepares or waits, next first
	More      int                 `json:"more,omitempty"`       // how many of `paused` and `queue` have no room here: the first of the one, the last of the other
	Priority  *int                `json:"priority"`             // at which the hub is held; null while it is free
	Speakers  []SpeakerStatus     `json:"speakers"`             // every speaker of the hub, by id
	Volume    int                 `json:"volume"`               // 0 to 50, the mean of the speakers' own volumes
	Speech    SpeechStatus        `json:"speech"`               // what says texts
	Muted     bool                `json:"muted"`                // the hub as a whole plays unheard
	MuteBelow int                 `json:"mute_below,omitempty"` // while it is muted: the priority from which sounds are heard all the same
	Quiet     QuietStatus         `json:"quiet"`                // quiet hours of the hub as a whole
	Sessions  int                 `json:"sessions"`             // how many are open
	Media     int                 `json:"media"`                // how much can be played by name, presets and chimes included
	Stamp
}

// SpeakerStatus is one speaker, in the snapshot and under status/speaker/<id>.
type SpeakerStatus struct {
	ID        string       `json:"id"`                   // its id in topics and fields
	Name      string       `json:"name"`                 // its name for a person
	Driver    string       `json:"driver"`               // `pulse`, `wav`, `null`, …
	Target    string       `json:"target,omitempty"`     // what the driver calls it
	Available bool         `json:"available"`            // it can be heard now
	Error     string       `json:"error,omitempty"`      // why it cannot
	Warning   string       `json:"warning,omitempty"`    // what its owner should know
	Volume    int          `json:"volume"`               // 0 to 50, its own
	Override  *int         `json:"override,omitempty"`   // volume of what plays there, for itself alone
	Active    bool         `json:"active"`               // something plays there
	Muted     bool         `json:"muted"`                // itself: what plays there is unheard; the hub's mute silences it too
	MuteBelow int          `json:"mute_below,omitempty"` // while it is muted: the priority from which sounds are heard all the same
	Quiet     *QuietStatus `json:"quiet,omitempty"`      // quiet hours of its own, if it has any
}

// QuietStatus are the quiet hours of the hub or a speaker.
type QuietStatus struct {
	Active   bool              `json:"active"`          // in force now
	Mode     session.QuietMode `json:"mode"`            // `on` or `off` as switched, `auto` by their times
	Volume   int               `json:"volume"`          // 0 to 50: no louder than this; with 0 nothing starts that would be heard nowhere else
	Priority int               `json:"priority"`        // sounds of this priority and above are not concerned
	From     string            `json:"from,omitempty"`  // when they begin by the hub's clock, such as `22:00`
	To       string            `json:"to,omitempty"`    // when they end, such as `07:00`; the next day unless it is after from
	Days     []string          `json:"days,omitempty"`  // on which they begin, such as `mon`; every day if absent
	Until    *time.Time        `json:"until,omitempty"` // when `active` or `mode` change by themselves next
}

// SpeechStatus is what says texts, in the snapshot.
type SpeechStatus struct {
	Engine    string `json:"engine"`          // `espeak`, `wyoming`, `http` or `none`
	Available bool   `json:"available"`       // it could speak when it was looked at last
	Error     string `json:"error,omitempty"` // why it could not, and what to do
}

// SessionStatus is one open session, under status/session/<ref>.
type SessionStatus struct {
	Ref      string              `json:"session_ref"`        // names the session; it cannot command with it
	State    session.PlayerState `json:"player_state"`       // of what it played last
	Priority int                 `json:"priority"`           // of its commands that name none
	Speakers []string            `json:"speakers"`           // its selection
	Expires  *time.Time          `json:"expires"`            // when it ends by itself; null while its clock stands still
	Playback string              `json:"playback,omitempty"` // what it plays, or holds
	Stamp
}

// SessionState is what who has a session's token may know of it, in the result of session/get.
type SessionState struct {
	State    session.PlayerState `json:"player_state"` // of what it played last
	Priority int                 `json:"priority"`     // of its commands that name none
	Speakers []string            `json:"speakers"`     // its selection
	Playing  *Playback           `json:"playing"`      // what it plays, or holds paused or suspended: see its phase
}

// Event tells of one change of a playback, on event/playback.
type Event struct {
	Event session.EventKind `json:"event"` // what happened
	Playback
	Reason  string       `json:"reason,omitempty"`  // why, in a word such as `closed`, `expired` or `announcement`
	By      string       `json:"by,omitempty"`      // the playback that caused it
	Error   session.Code `json:"error,omitempty"`   // of a failure, see [Errors](#errors)
	Message string       `json:"message,omitempty"` // of a failure, for a person
	Stamp
}

// Result answers one command, on result/<id>.
type Result struct {
	ID         string          `json:"id"`                    // of the command; made by the hub if it had none, or none that could be read
	Command    string          `json:"command"`               // its name; the topic if it is unknown
	Outcome    session.Outcome `json:"outcome"`               // what became of it
	Error      session.Code    `json:"error,omitempty"`       // of a rejected or failed command, see [Errors](#errors)
	Message    string          `json:"message,omitempty"`     // the same for a person; names the field and what is allowed
	Session    string          `json:"session,omitempty"`     // token of the session that was opened, here and nowhere else
	SessionRef string          `json:"session_ref,omitempty"` // the session, implicit ones too
	Playback   string          `json:"playback,omitempty"`    // the playback that the command concerned
	Title      string          `json:"title,omitempty"`       // of a play that was refused or failed: what it was to play
	Priority   *int            `json:"priority,omitempty"`    // that it was judged with
	Count      *int            `json:"count,omitempty"`       // of `stop`: how many playbacks it ended
	RetryAfter float64         `json:"retry_after,omitempty"` // of `RateLimited`: seconds after which it would have passed
	Expires    *time.Time      `json:"expires,omitempty"`     // when the session ends by itself
	Current    *Playback       `json:"current,omitempty"`     // of a refusal: who holds the hub
	List       []Media         `json:"list,omitempty"`        // of `media`: what was found
	Total      *int            `json:"total,omitempty"`       // of `media`: how many match in all
	State      *SessionState   `json:"state,omitempty"`       // of `session/get`: how the session stands
	Instance   string          `json:"instance,omitempty"`    // of `ping`: where the hub runs
	Notes      []string        `json:"notes,omitempty"`       // fields that were ignored
	Repeated   bool            `json:"repeated,omitempty"`    // the command had come before; this is its first result again
	Stamp
}

// The availability payloads.
const (
	Online  = "online"
	Offline = "offline"
)

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // no payload type has anything that cannot be marshalled
		return []byte(`{"error":"Internal"}`)
	}
	return b
}

// seconds rounds to the millisecond, so that payloads stay short.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

func mediaOf(m library.Media) Media {
	return Media{ID: m.ID, Kind: string(m.Kind), Title: m.Title, Artist: m.Artist, Album: m.Album,
		Duration: seconds(m.Duration), Path: m.Path, URL: publicURL(m.URL)}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	w := wall(t)
	return &w
}

// wall is how a time is shown: without its monotonic reading, in UTC, to the
// millisecond. The core never sees such a time.
func wall(t time.Time) time.Time { return t.Round(0).UTC().Truncate(time.Millisecond) }

// RetainedTopic is one topic on which the hub keeps a retained payload.
type RetainedTopic struct {
	Topic string // below hkw/<hub>/
	JSON  string // name of its payload's type; "" for bare text
	Doc   string
}

// Retained is the table of retained topics; topics.md is checked against it and
// every retained publish against both.
var Retained = []RetainedTopic{
	{"status", "Status", "JSON, the [snapshot](#the-snapshot)."},
	{"status/availability", "", "`online` or `offline`, see [Availability](#availability)."},
	{"status/player_state", "", "`PlayerStateInitialized` (nothing has played yet), `PlayerStatePlaying`, `PlayerStatePaused` or `PlayerStateStopped`."},
	{"status/title", "", "Title of what is heard, at most 128 bytes and `…`; no payload while there is none."},
	{announcedTopic, "", "Prefix below which the hub [announces itself to Home Assistant](#home-assistant), and ` media_player` if that is announced too."},
	{playerStateTopic, "", "With `--home-assistant-media-player`: `playing`, `paused` or `idle`."},
	{playerLevelTopic, "", "With `--home-assistant-media-player`: the volume, from `0.00` to `1.00`."},
	{"status/siren", "", "`ON` while the siren sounds or is about to, else `OFF`."},
	{"status/volume", "", "`0` to `50`, the mean of the speakers' own volumes."},
	{"status/mute", "", "`on` or `off`, of the hub as a whole."},
	{"status/quiet", "", "`on` while quiet hours of the hub as a whole are in force, else `off`."},
	{"status/speaker/<id>", "SpeakerStatus", "JSON, a [speaker](#a-speaker)."},
	{"status/session/<session_ref>", "SessionStatus", "JSON, a [session](#a-session)."},
	{"status/result", "Result", "JSON, the latest [result](#results) of a command that did more than ask, without a token."},
}
