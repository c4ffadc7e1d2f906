package bridge

import (
	"errors"
	"sync"
	"time"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
)

// handleReport takes what the engine tells.
func (h *Hub) handleReport(r speaker.Report) {
	it := h.items[r.Playback]
	switch r.Kind {
	case speaker.ReportPrepared:
		if it != nil {
			it.info = r.Info
		}
		h.step(session.Prepared{Playback: r.Playback, Seekable: r.Info.Seekable})
	case speaker.ReportStarted, speaker.ReportSeeked:
		if it != nil && r.Kind == speaker.ReportSeeked && r.Err == nil {
			it.sought, it.soughtAt = r.Position, r.At
		}
		h.step(session.Started{Playback: r.Playback})
		if it != nil && r.Kind == speaker.ReportSeeked {
			h.publishStatus(time.Now())
		}
	case speaker.ReportHeld:
		if it != nil {
			it.soughtAt = time.Time{}
		}
		h.step(session.Paused{Playback: r.Playback})
	case speaker.ReportEnded:
		h.step(session.Ended{Playback: r.Playback})
		delete(h.items, r.Playback)
	case speaker.ReportFailed:
		if it != nil && it.Kind == library.KindSpeech {
			h.voices.look()
		}
		h.step(failed(r))
		if !r.Kept {
			delete(h.items, r.Playback)
		}
	case speaker.ReportStalled, speaker.ReportContinued, speaker.ReportTitle:
		if it == nil {
			return
		}
		if r.Kind == speaker.ReportTitle {
			it.title = r.Title
		} else {
			it.stalled = r.Kind == speaker.ReportStalled
		}
		h.publishStatus(time.Now())
	case speaker.ReportSpeaker:
		h.speakers[r.Speaker.ID] = r.Speaker
		left := h.saved.speaker(r.Speaker.ID)
		h.step(session.Speaker{ID: r.Speaker.ID, Available: r.Speaker.Available, Volume: left.Volume, Mute: left.mute(), Quiet: left.override()})
		h.announce()
		h.publishStatus(time.Now()) // its error may be new although the core saw no change
	case speaker.ReportSpeakerGone:
		delete(h.speakers, r.Speaker.ID)
		h.step(session.SpeakerGone{ID: r.Speaker.ID})
		h.announce()
		h.out.retain("status/speaker/"+r.Speaker.ID, nil)
		h.publishStatus(time.Now())
	}
}

func failed(r speaker.Report) session.Failed {
	f := session.Failed{Playback: r.Playback, Code: session.MediaUnavailable, Message: "it could not be played", Kept: r.Kept}
	if errors.Is(r.Err, speaker.ErrSpeaker) {
		f.Code = session.SpeakerUnavailable
	}
	if r.Err != nil {
		f.Message = r.Err.Error()
	}
	return f
}

// mailbox is how the engine's reports reach the loop: without bound, because a
// report must neither block the engine nor be lost, and they are few.
type mailbox struct {
	mu    sync.Mutex
	in    []speaker.Report
	ready chan struct{}
}

func (m *mailbox) put(r speaker.Report) {
	m.mu.Lock()
	m.in = append(m.in, r)
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []speaker.Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := m.in
	m.in = nil
	return in
}
