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
	Boot string    `json:"boot"` // random, new at each start
	Seq  uint64    `json:"seq"`  // grows by one with each payload
	At   time.Time `json:"at"`
}

// Media is what a client sees of something that can be played.
type Media struct {
	ID       string  `json:"id,omitempty"` // of the library, or a chime's name
	Kind     string  `json:"kind"`         // hub, chime or web
	Title    string  `json:"title"`
	Artist   string  `json:"artist,omitempty"`
	Album    string  `json:"album,omitempty"`
	Duration float64 `json:"duration,omitempty"` // seconds; absent if unknown
	Path     string  `json:"path,omitempty"`     // below the library's folder
	URL      string  `json:"url,omitempty"`      // without credentials and query
}

// Playback is one playback, in status, events and results.
type Playback struct {
	ID         string              `json:"playback"`
	Command    string              `json:"id,omitempty"` // of the command that asked for it
	SessionRef string              `json:"session_ref"`
	Media      Media               `json:"media"`
	Priority   int                 `json:"priority"`
	OnBusy     session.OnBusy      `json:"on_busy"`
	Phase      session.Phase       `json:"phase"`
	State      session.PlayerState `json:"player_state"`
	Volume     *int                `json:"volume,omitempty"` // its own, if it has one
	Speakers   []string            `json:"speakers"`
	Position   *float64            `json:"position,omitempty"`    // seconds
	PositionAt *time.Time          `json:"position_at,omitempty"` // when that was true
	Stalled    bool                `json:"stalled,omitempty"`     // a stream that waits for data
	Expires    *time.Time          `json:"expires,omitempty"`     // not started later than this
}

// Status is the retained snapshot of a hub.
type Status struct {
	Hub       string              `json:"hub"`
	State     session.PlayerState `json:"player_state"`
	Playing   *Playback           `json:"playing"`   // what is heard; null if nothing
	Suspended *Playback           `json:"suspended"` // the music beneath an announcement
	Paused    []Playback          `json:"paused"`
	Queue     []Playback          `json:"queue"`    // what prepares or waits, next first
	Priority  *int                `json:"priority"` // at which the hub is held; null while it is free
	Speakers  []SpeakerStatus     `json:"speakers"`
	Volume    int                 `json:"volume"`   // mean of the speakers' own
	Sessions  int                 `json:"sessions"` // open
	Media     int                 `json:"media"`    // pieces in the library, chimes included
	Stamp
}

// SpeakerStatus is one speaker, in the snapshot and under status/speaker/<id>.
type SpeakerStatus struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Driver    string `json:"driver"`
	Target    string `json:"target,omitempty"`
	Available bool   `json:"available"`
	Error     string `json:"error,omitempty"` // why it is not available
	Warning   string `json:"warning,omitempty"`
	Volume    int    `json:"volume"`             // its own
	Override  *int   `json:"override,omitempty"` // volume of what plays there for itself alone
	Active    bool   `json:"active"`             // something is heard there
}

// SessionStatus is one open session, under status/session/<ref>.
type SessionStatus struct {
	Ref      string              `json:"session_ref"`
	State    session.PlayerState `json:"player_state"`
	Priority int                 `json:"priority"`
	Speakers []string            `json:"speakers"`
	Expires  *time.Time          `json:"expires"` // null while it plays: its clock stands still
	Playback string              `json:"playback,omitempty"`
	Stamp
}

// Event tells of one change of a playback, on event/playback.
type Event struct {
	Event session.EventKind `json:"event"`
	Playback
	Reason  string       `json:"reason,omitempty"`
	By      string       `json:"by,omitempty"` // the playback that caused it
	Error   session.Code `json:"error,omitempty"`
	Message string       `json:"message,omitempty"`
	Stamp
}

// Result answers one command, on result/<id>.
type Result struct {
	ID         string          `json:"id"`
	Command    string          `json:"command"`
	Outcome    session.Outcome `json:"outcome"`
	Error      session.Code    `json:"error,omitempty"`
	Message    string          `json:"message,omitempty"`
	Session    string          `json:"session,omitempty"` // token; of session/open, once
	SessionRef string          `json:"session_ref,omitempty"`
	Playback   string          `json:"playback,omitempty"`
	Priority   *int            `json:"priority,omitempty"`
	Count      *int            `json:"count,omitempty"`    // of stop: the playbacks it ended
	Expires    *time.Time      `json:"expires,omitempty"`  // of the session
	Current    *Playback       `json:"current,omitempty"`  // who holds the hub, in a rejection
	List       []Media         `json:"media,omitempty"`    // of media
	Total      *int            `json:"total,omitempty"`    // of media
	Instance   string          `json:"instance,omitempty"` // of ping: where the hub runs
	Notes      []string        `json:"notes,omitempty"`    // fields that were ignored
	Repeated   bool            `json:"repeated,omitempty"` // the first result again
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
