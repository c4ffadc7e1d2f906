package bridge

import (
	"time"

	"hkw/session"
)

// The siren is one alarm of the hub: whoever switches it on again changes it, and
// whoever switches it off needs no priority for that. Its payload is what Home
// Assistant's MQTT siren sends by itself.

// The states of the siren, as its commands and status/siren spell them.
const (
	powerOn  = "ON"
	powerOff = "OFF"
)

// What the siren does unless told otherwise.
const (
	sirenTone     = "alarm"
	sirenPriority = 300
	sirenTime     = time.Minute
)

func (h *Hub) sirenInput(c *command) (session.Input, *refusal) {
	running := h.sirens()
	if c.text("state") == powerOff {
		return h.sirenOff(c, running), nil
	}
	c.leftOpen("tone", sirenTone)
	c.values["media"] = c.text("tone")
	if level, given := c.values["volume_level"].(float64); given {
		c.values["volume"] = volumeOf(level)
	}
	h.applyPreset(c)
	c.leftOpen("priority", sirenPriority)
	m, why := h.resolve(c.text("media"))
	if why != nil {
		return nil, why
	}
	// What the preset says of a busy hub is for a doorbell; an alarm takes the hub.
	c.values["on_busy"], c.values["duck"] = string(session.Interrupt), false
	c.values["repeat"] = true
	c.leftOpen("duration", sirenTime.Seconds())
	p := h.play(c, m)
	p.Media.(*item).siren = true
	p.Resumable = false // an alarm that was paused is over
	if len(running) > 0 {
		p.Beside = running[0]
	}
	return p, nil
}

// sirenOff silences the siren: what sounds, and what was on its way to replace it.
func (h *Hub) sirenOff(c *command, running []string) session.Input {
	top := session.MaxPriority
	if len(running) == 0 {
		return nil // nothing to do is done
	}
	for _, id := range running[1:] {
		h.step(session.Stop{Request: session.Request{Priority: &top}, Playback: id})
	}
	return session.Stop{Request: session.Request{ID: c.key, Priority: &top}, Playback: running[0]}
}

// sirens are the siren's playbacks: what sounds, before what is on its way.
func (h *Hub) sirens() []string {
	v := h.core.View()
	all := v.Waiting
	if v.Beneath != nil {
		all = append([]session.PlaybackView{*v.Beneath}, all...)
	}
	if v.Current != nil {
		all = append([]session.PlaybackView{*v.Current}, all...)
	}
	var ids []string
	for _, p := range all {
		if p.Media.(*item).siren {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// sirenState is what status/siren says.
func sirenState(v session.View) string {
	for _, p := range []*session.PlaybackView{v.Current, v.Beneath} {
		if p != nil && p.Media.(*item).siren {
			return powerOn
		}
	}
	return powerOff
}
