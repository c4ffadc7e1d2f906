package bridge

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"hkw/session"
)

// tell publishes the dialect's two events, while a session is open that was used
// in it: once a second how far the sound is, and what happens to speakers. While
// there is none it does not even listen.
func (b *dialectBus) tell(ctx context.Context) {
	second := time.NewTicker(time.Second)
	second.Stop()
	defer second.Stop()
	users := map[string]bool{} // by ref of the session
	var news chan feedItem
	known := map[string]*SpeakerStatus{}
	quiet := func() {
		second.Stop()
		if news != nil {
			b.hub.feed.leave(news)
			news = nil
		}
	}
	defer quiet()
	for {
		select {
		case <-ctx.Done():
			return
		case ref := <-b.used:
			if len(users) == 0 {
				second.Reset(time.Second)
				_, _, _, news = b.hub.feed.follow("")
				known = b.speakers()
			}
			users[ref] = true
		case <-second.C:
			maps.DeleteFunc(users, func(ref string, _ bool) bool {
				_, open := b.hub.out.get("status/session/" + ref)
				return !open
			})
			if len(users) == 0 {
				quiet()
			} else {
				b.tellTime()
			}
		case item, ok := <-news:
			switch id, isSpeaker := strings.CutPrefix(item.topic, "status/speaker/"); {
			case !ok && b.hub.feed.over():
				news = nil
			case !ok: // it fell behind
				_, _, _, news = b.hub.feed.follow("")
				b.tellSpeakers(known)
			case isSpeaker:
				b.tellSpeaker(known, id, speakerIn(item.payload))
			}
		}
	}
}

// tellSpeakers publishes what has happened to all speakers since they were known.
func (b *dialectBus) tellSpeakers(known map[string]*SpeakerStatus) {
	is := b.speakers()
	for id := range is {
		b.tellSpeaker(known, id, is[id])
	}
	for _, id := range slices.Collect(maps.Keys(known)) {
		b.tellSpeaker(known, id, is[id])
	}
}

// speakerIn decodes the status of a speaker; nil if there is none.
func speakerIn(payload []byte) *SpeakerStatus {
	var s SpeakerStatus
	if len(payload) == 0 || json.Unmarshal(payload, &s) != nil {
		return nil
	}
	return &s
}

// speakers are the hub's, by id.
func (b *dialectBus) speakers() map[string]*SpeakerStatus {
	all := map[string]*SpeakerStatus{}
	for _, s := range b.hub.Status().Speakers {
		all[s.ID] = &s
	}
	return all
}

// tellSpeaker publishes what happened to a speaker, and keeps in known what is told.
func (b *dialectBus) tellSpeaker(known map[string]*SpeakerStatus, id string, is *SpeakerStatus) {
	reason := deviceReason(known[id], is)
	if is == nil {
		delete(known, id)
	} else {
		known[id] = is
	}
	if reason != "" {
		b.event(dialectObject{{"Event", "DeviceStateUpdated"}, {"Reason", reason}, {"DeviceID", deviceID(id)}})
	}
}

// deviceReason is HKWHub's word for what made a speaker's status of another; "" for
// what it has none for. Of what plays there it says nothing.
func deviceReason(was, is *SpeakerStatus) string {
	could := was != nil && was.Available
	can := is != nil && is.Available
	switch {
	case can && !could:
		return "DeviceAvailable"
	case could && !can:
		return "DeviceUnavailable"
	case was == nil || is == nil:
		return ""
	case is.Error != was.Error:
		return "DeviceError"
	case is.Name != was.Name || is.Driver != was.Driver || is.Volume != was.Volume:
		return "SpeakerInfoUpdated"
	}
	return ""
}

// event publishes an event, if there is anybody to hear it: it is about now.
func (b *dialectBus) event(fields dialectObject) {
	if b.hub.Connected() {
		fields = append(fields, dialectField{"HKWHubUUID", b.hub.ID()})
		b.hub.out.send(dialectReplies, fields.encode(true))
	}
}

func (b *dialectBus) tellTime() {
	if p := b.hub.Status().Playing; p != nil && p.State == session.PlayerStatePlaying {
		b.event(dialectObject{{"Event", "PlaybackTimeChanged"}, {"PlaybackTime", p.elapsed(time.Now())}})
	}
}
