package bridge

import (
	"context"

	"github.com/rs/zerolog"

	"hkw/session"
	"hkw/speaker"
	audio "hkw/speaker/decode"
	"hkw/speaker/library"
	"hkw/speaker/speech"
)

// Catalogue is where media is found by name.
type Catalogue interface {
	Resolve(name string) (library.Media, error)
	List(query string, offset, limit int) (items []library.Media, total int)
	Count() int // of all media; asked for at each change of the status
}

// Speech turns text into sound.
type Speech interface {
	// Accepts tells, at once, why a text cannot be said.
	Accepts(r speech.Request) error
	// Opener opens the spoken text.
	Opener(r speech.Request) speaker.Opener
	// State tells which kind of engine speaks, and why nothing could be said now. It may take a while.
	State(ctx context.Context) (engine string, err error)
}

// Config is what a hub is made of.
type Config struct {
	Hub      string           // its id, [A-Za-z0-9_-]{1,64}
	Session  session.Config   // limits of the core
	Speakers []speaker.Setup  // configured speakers
	Discover []speaker.Driver // drivers each of whose targets becomes a speaker
	Media    Catalogue
	Speech   Speech // nil: nothing is said
	// StrictWeb is how URLs are opened that come over HTTP, where a page may have
	// named them. Those of the bus are opened as the catalogue does.
	StrictWeb audio.Web
	Presets   map[string]Preset // by name
	Broker    BrokerConfig      // where the bus is
	DataDir   string            // keeps volumes, mutes and switched quiet hours across restarts; "" for nowhere
	Warnings  map[string]string // by speaker id: what its status says as a warning
	Pace      Pace              // how fast commands may come
	Log       zerolog.Logger

	// HomeAssistant is how the hub announces itself there; the zero value is not at all.
	HomeAssistant HomeAssistant
}

// Preset is a name for something to play, with defaults of its own for what a
// command leaves open.
type Preset struct {
	Media    string // as in a play
	Priority *int   // 0 to 9999
	Volume   *int   // 0 to 50
	OnBusy   session.OnBusy
	Duck     bool
	Speakers []string
}
