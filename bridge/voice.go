package bridge

import (
	"context"
	"strings"
	"time"
)

// How often it is looked whether the speech engine could speak: a server that is
// back should not be shown as gone for long.
const (
	voiceWell    = 5 * time.Minute
	voiceIll     = 20 * time.Second
	maxVoiceText = 300 // characters of an error in the snapshot
)

// voiceWatch looks, beside the loop, whether texts could be said.
type voiceWatch struct {
	ask  chan struct{}     // look now
	told chan SpeechStatus // what has changed
}

// look has the engine looked at soon.
func (v voiceWatch) look() {
	select {
	case v.ask <- struct{}{}:
	default:
	}
}

// run tells the loop what becomes of the engine, until ctx is done.
func (v voiceWatch) run(ctx context.Context, s Speech) {
	shown := SpeechStatus{Engine: noEngine} // with which a hub begins
	for {
		now := speechStatus(ctx, s)
		if ctx.Err() != nil {
			return
		}
		if now != shown {
			select {
			case v.told <- now:
				shown = now
			case <-ctx.Done():
				return
			}
		}
		if now.Engine == noEngine {
			return // it takes a restart to get one
		}
		wait := voiceWell
		if !now.Available {
			wait = voiceIll
		}
		select {
		case <-ctx.Done():
			return
		case <-v.ask:
		case <-time.After(wait):
		}
	}
}

// noEngine is what speaks where nothing does.
const noEngine = "none"

func speechStatus(ctx context.Context, s Speech) SpeechStatus {
	if s == nil {
		return SpeechStatus{Engine: noEngine}
	}
	engine, err := s.State(ctx)
	status := SpeechStatus{Engine: engine, Available: err == nil}
	if err != nil {
		text := []rune(strings.Join(strings.Fields(err.Error()), " "))
		status.Error = string(text[:min(len(text), maxVoiceText)])
	}
	return status
}
