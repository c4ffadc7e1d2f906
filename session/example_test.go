package session_test

import (
	"fmt"
	"time"

	"hkw/session"
)

// A caller hands in commands, reports and the time, and carries out what comes
// back. Here the engine is a loop that does everything at once.
func Example() {
	core := session.New(session.Config{})
	now := time.Now()

	var inbox []session.Input
	step := func(in session.Input) {
		for inbox = append(inbox, in); len(inbox) > 0; {
			in, inbox = inbox[0], inbox[1:]
			for _, effect := range core.Step(now, in) {
				switch e := effect.(type) {
				case session.Order:
					fmt.Println("order: ", e.Verb, e.Playback)
					switch e.Verb {
					case session.VerbPrepare:
						inbox = append(inbox, session.Prepared{Playback: e.Playback})
					case session.VerbStart, session.VerbResume:
						inbox = append(inbox, session.Started{Playback: e.Playback})
					case session.VerbHold:
						inbox = append(inbox, session.Paused{Playback: e.Playback})
					}
				case session.Result:
					fmt.Println("result:", e.ID, e.Outcome)
				}
			}
		}
	}

	step(session.Speaker{ID: "hall", Available: true, Volume: 20})
	step(session.Play{Request: session.Request{ID: "1"}, Playback: "music", Ref: "a", Media: "song.flac"})
	step(session.Play{Request: session.Request{ID: "2"}, Playback: "bell", Ref: "b", Media: "chime", OnBusy: session.Announce})
	step(session.Ended{Playback: "bell"})
	fmt.Println(core.View().Current.ID, core.View().Current.Phase)

	// Output:
	// order:  prepare music
	// order:  start music
	// result: 1 started
	// order:  prepare bell
	// order:  hold music
	// order:  start bell
	// result: 2 started
	// order:  release bell
	// order:  resume music
	// music playing
}
