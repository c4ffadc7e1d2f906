package bridge

import (
	"bytes"
	"net/url"
	"strconv"
	"time"

	"hkw/session"
	"hkw/speaker"
)

// carryOut does what the core decided: the orders first, because sound is what
// is waited for (only what changes loudness can wait for the result); then the snapshot, the events and the results, in this order,
// because whoever has a result is to find everything true; and last the small
// topics, which repeat the snapshot piece by piece and would only make the result
// wait.
func (h *Hub) carryOut(now time.Time, effects []session.Effect) {
	var orders []speaker.Order
	urgent := false
	for _, e := range effects {
		if o, ok := e.(session.Order); ok {
			orders = append(orders, h.order(o))
			urgent = urgent || o.Verb != session.VerbMix
		}
	}
	if urgent {
		h.engine.Do(orders)
	} else if len(orders) > 0 {
		defer h.engine.Do(orders)
	}
	changed := false
	for _, e := range effects {
		switch e := e.(type) {
		case session.Changed:
			changed = true
		case session.SessionChanged:
			h.publishSession(now, e.Session)
		case session.SessionGone:
			h.out.retain("status/session/"+e.Ref, nil)
		}
	}
	var view session.View
	if changed {
		view = h.core.View()
		h.publishSnapshot(now, view)
	}
	for _, e := range effects {
		if ev, ok := e.(session.Event); ok {
			h.publishEvent(now, ev)
		}
	}
	for _, e := range effects {
		if r, ok := e.(session.Result); ok {
			h.finish(r.ID, r)
		}
	}
	if changed {
		h.publishDetails(view)
	}
}

var verbs = map[session.Verb]speaker.Verb{
	session.VerbPrepare: speaker.Prepare,
	session.VerbStart:   speaker.Start,
	session.VerbHold:    speaker.Hold,
	session.VerbResume:  speaker.Resume,
	session.VerbSeek:    speaker.Seek,
	session.VerbMix:     speaker.Mix,
	session.VerbRelease: speaker.Release,
}

func (h *Hub) order(o session.Order) speaker.Order {
	out := speaker.Order{Verb: verbs[o.Verb], Playback: o.Playback, Ducked: o.Ducked, Position: o.Position}
	for _, s := range o.Outputs {
		out.Outputs = append(out.Outputs, speaker.Output(s))
	}
	switch o.Verb {
	case session.VerbPrepare:
		it := o.Media.(*item)
		h.items[o.Playback] = it
		out.Opener = it
	case session.VerbRelease:
		delete(h.items, o.Playback)
	}
	return out
}

func (h *Hub) stamp(now time.Time) Stamp {
	h.seq++
	return Stamp{Boot: h.boot, Seq: h.seq, At: wall(now)}
}

// finish gives a command its one result.
func (h *Hub) finish(key string, r session.Result) {
	p, ok := h.pending[key]
	if !ok {
		return
	}
	delete(h.pending, key)
	if p.refused != nil && r.Code == "" {
		r = session.Result{Outcome: session.OutcomeRejected, Code: p.refused.code, Message: p.refused.message, Ref: r.Ref}
	}
	res := Result{ID: p.cmd.id, Command: p.cmd.name, Outcome: r.Outcome, Error: r.Code, Message: r.Message,
		Session: r.Token, SessionRef: r.Ref, Playback: r.Playback, Expires: timeOrNil(r.Expires), Notes: p.cmd.notes}
	if r.Playback != "" || p.plays != nil || r.Code == session.PriorityTooLow {
		res.Priority = &r.Priority
	}
	if p.plays != nil && r.Code != "" {
		res.Title = p.plays.shownTitle()
	}
	if r.Outcome == session.OutcomeDone && p.cmd.name == "stop" {
		res.Count = &r.Count
	}
	if r.Current != nil {
		current := h.playback(*r.Current)
		res.Current = &current
	}
	if p.wait > 0 {
		res.RetryAfter = seconds(max(p.wait, time.Millisecond))
	}
	if p.decorate != nil && r.Code == "" {
		p.decorate(&res)
		res.fit()
	}
	if p.key != (dedupeKey{}) {
		h.seen.answered(p.key, res)
	}
	h.reply(p, res)
	level := h.log.Info()
	switch {
	case r.Code == Internal:
		level = h.log.Error()
	case p.unlogged, p.cmd.route != nil && p.cmd.route.reads:
		level = h.log.Debug()
	}
	level.Str("cmd", p.cmd.name).Str("id", p.cmd.id).Str("outcome", string(r.Outcome)).Str("code", string(r.Code)).
		Str("session", r.Ref).Int("priority", r.Priority).Float64("dur_ms", float64(time.Since(p.started).Microseconds())/1000).Msg("command")
}

// reply publishes a result and hands it to who waits beside the bus. The token
// of a new session goes to the asker alone.
func (h *Hub) reply(p *pending, res Result) {
	res.Stamp = h.stamp(time.Now())
	full := marshal(res)
	public := full
	if res.Session != "" {
		res := res
		res.Session = ""
		public = marshal(res)
	}
	for _, w := range p.waiters {
		w <- res // buffered: each waiter takes one
	}
	if p.named || p.cmd.fromBus {
		h.out.send("result/"+res.ID, full) // an id that the hub made is known to nobody else
	}
	if !p.untold && (p.cmd.route == nil || !p.cmd.route.reads) { // a page that polls would hide what was decided
		h.out.retain("status/result", public)
	}
}

func (h *Hub) publishEvent(now time.Time, e session.Event) {
	ev := Event{Event: e.Kind, Playback: h.playback(e.Playback), Reason: e.Reason, By: e.By, Error: e.Code, Message: e.Message, Stamp: h.stamp(now)}
	h.out.send("event/playback", marshal(ev))
	h.log.Info().Str("event", string(e.Kind)).Str("id", ev.Command).Str("playback", e.Playback.ID).Str("title", ev.Media.Title).
		Int("priority", e.Playback.Priority).Str("session", e.Playback.Ref).Str("reason", e.Reason).Str("code", string(e.Code)).Msg("playback")
}

func (h *Hub) publishSession(now time.Time, s session.SessionView) {
	h.out.retain("status/session/"+s.Ref, marshal(SessionStatus{Ref: s.Ref, State: s.State, Priority: s.Priority,
		Speakers: notNil(s.Speakers), Expires: timeOrNil(s.Expires), Playback: s.Playback, Stamp: h.stamp(now)}))
}

// publishStatus publishes all that is retained about the hub as a whole.
func (h *Hub) publishStatus(now time.Time) {
	v := h.core.View()
	h.publishSnapshot(now, v)
	h.publishDetails(v)
}

// publishSnapshot publishes the hub as it is, whole.
func (h *Hub) publishSnapshot(now time.Time, v session.View) {
	s := Status{Hub: h.cfg.Hub, State: v.State, Volume: v.Volume, Sessions: v.Sessions,
		Muted: v.Muted, MuteBelow: v.MuteBelow, Quiet: quietStatus(v.Quiet),
		Paused: []Playback{}, Queue: []Playback{}, Speakers: []SpeakerStatus{}, Stamp: h.stamp(now)}
	s.Playing = h.playbackOrNil(v.Current)
	s.Suspended = h.playbackOrNil(v.Beneath)
	for _, p := range v.Paused {
		s.Paused = append(s.Paused, h.playback(p))
	}
	for _, p := range v.Waiting {
		s.Queue = append(s.Queue, h.playback(p))
	}
	if v.HeldAt >= 0 {
		s.Priority = &v.HeldAt
	}
	s.Media = h.cfg.Media.Count() + len(h.cfg.Presets)
	s.Speech = h.voice
	for _, sv := range v.Speakers {
		s.Speakers = append(s.Speakers, h.speakerStatus(sv))
	}
	h.out.retain("status", s.fitted())
}

// maxTitle is how much of a title status/title has, in bytes: what microcontrollers
// read has to fit into a packet of 256, whose topic may have a hub's id of 64. The
// snapshot has the whole title.
const maxTitle = 128

// publishDetails publishes of the small topics those that changed.
func (h *Hub) publishDetails(v session.View) {
	for _, sv := range v.Speakers {
		h.retainIfNew("status/speaker/"+sv.ID, marshal(h.speakerStatus(sv)))
		h.saved.set(sv.ID, keptOf(sv))
	}
	h.saved.setHub(keptOfHub(v))
	title := ""
	if v.Current != nil {
		title = v.Current.Media.(*item).shownTitle()
	}
	h.retainIfNew("status/player_state", []byte(v.State))
	h.retainIfNew("status/siren", []byte(sirenState(v)))
	h.retainIfNew("status/volume", []byte(strconv.Itoa(v.Volume)))
	h.retainIfNew("status/mute", []byte(onOff(v.Muted)))
	h.retainIfNew("status/quiet", []byte(onOff(v.Quiet.Active)))
	h.retainIfNew("status/title", []byte(shorten(title, maxTitle)))
	if h.cfg.HomeAssistant.serves() {
		h.retainIfNew(playerStateTopic, []byte(playerStates[v.State]))
		h.retainIfNew(playerLevelTopic, []byte(strconv.FormatFloat(float64(v.Volume)/session.MaxVolume, 'f', 2, 64)))
	}
}

// retainIfNew spares the bus a retained payload that stands there already.
func (h *Hub) retainIfNew(topic string, payload []byte) {
	if old, ok := h.out.get(topic); !ok && len(payload) > 0 || ok && !bytes.Equal(old, payload) {
		h.out.retain(topic, payload)
	}
}

func (h *Hub) speakerStatus(v session.SpeakerView) SpeakerStatus {
	info := h.speakers[v.ID]
	s := SpeakerStatus{ID: v.ID, Name: info.Name, Driver: info.Driver, Target: info.Target, Available: v.Available,
		Error: info.Error, Warning: h.cfg.Warnings[v.ID], Volume: v.Volume, Override: v.Override, Active: v.Active,
		Muted: v.Muted, MuteBelow: v.MuteBelow}
	if v.Quiet != nil {
		quiet := quietStatus(*v.Quiet)
		s.Quiet = &quiet
	}
	return s
}

func (h *Hub) playbackOrNil(v *session.PlaybackView) *Playback {
	if v == nil {
		return nil
	}
	p := h.playback(*v)
	return &p
}

func (h *Hub) playback(v session.PlaybackView) Playback {
	it := v.Media.(*item)
	p := Playback{ID: v.ID, Command: it.command, SessionRef: v.Ref, Preset: it.preset, Media: mediaOf(it.Media), Priority: v.Priority, OnBusy: v.OnBusy,
		Phase: v.Phase, State: v.State, Volume: v.Volume, Speakers: notNil(v.Speakers), Stalled: it.stalled, Expires: timeOrNil(v.Expires)}
	if p.Media.Duration == 0 {
		p.Media.Duration = seconds(it.info.Duration)
	}
	p.Media.Title = it.shownTitle()
	if pos, at, ok := h.engine.Position(v.ID); ok {
		held := v.Phase == session.PhasePaused || v.Phase == session.PhaseSuspended
		if at.Before(it.soughtAt) || held && !it.soughtAt.IsZero() {
			pos, at = it.sought, it.soughtAt // nothing would tell of it once it is heard
		}
		s, t := seconds(pos), wall(at)
		p.Position, p.PositionAt = &s, &t
	}
	return p
}

func notNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// publicURL is a URL as others may see it: credentials and queries often hold secrets.
func publicURL(s string) string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return shorten(u.String(), maxURL)
}
