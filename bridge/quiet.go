package bridge

import (
	"hkw/session"
)

// Mute and quiet hours: their commands, and what the status says of them.

func (h *Hub) muteInput(c *command) (session.Input, *refusal) {
	in := session.SetMute{Request: c.request(), Speaker: c.text("speaker"), Mute: session.Switch(c.text("mute"))}
	if in.Mute != session.SwitchOff {
		in.Below = c.integerOr("below", 0)
	}
	return in, nil
}

func (h *Hub) quietInput(c *command) (session.Input, *refusal) {
	return session.SetQuiet{Request: c.request(), Speaker: c.text("speaker"), Mode: session.QuietMode(c.text("quiet"))}, nil
}

// toggles tells whether a command does the opposite when it comes twice, as from
// the bouncing contact of a button.
func toggles(c *command) bool { return c.text("mute") == string(session.SwitchToggle) }

// mutes tells whether a command silences.
func mutes(c *command) bool { return c.text("mute") == string(session.SwitchOn) }

func quietStatus(v session.QuietView) QuietStatus {
	s := QuietStatus{Active: v.Active, Mode: v.Mode, Volume: v.Volume, Priority: v.Priority, Until: timeOrNil(v.Until)}
	if h := v.Hours; h != nil {
		s.From, s.To = session.Clock(h.From), session.Clock(h.To)
		for _, day := range h.Days {
			s.Days = append(s.Days, session.DayName(day))
		}
	}
	return s
}

func onOff(on bool) string {
	if on {
		return string(session.SwitchOn)
	}
	return string(session.SwitchOff)
}
