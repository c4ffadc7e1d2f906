package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
)

// saveDelay gathers the changes of a volume slider into one write.
const saveDelay = time.Second

// store keeps how the hub and its speakers were left across restarts, in
// <data>/<hub>.state.json. It writes beside the loop, to a new file that then
// takes the old one's place, so that a power cut leaves one or the other.
type store struct {
	path string // "" for nowhere
	log  zerolog.Logger

	mu    sync.Mutex
	state state
	dirty chan struct{}
}

// state is the content of the file.
type state struct {
	Hub      kept                   `json:"hub"`
	Speakers map[string]keptSpeaker `json:"speakers"`
}

// kept is how the switches of the hub or a speaker were left.
type kept struct {
	Muted      bool              `json:"muted,omitempty"`
	MuteBelow  int               `json:"mute_below,omitempty"`
	Quiet      session.QuietMode `json:"quiet,omitempty"` // "" is auto
	QuietUntil time.Time         `json:"quiet_until,omitzero"`
}

type keptSpeaker struct {
	Volume int `json:"volume"`
	kept
}

func keptOf(v session.SpeakerView) keptSpeaker {
	l := keptSpeaker{Volume: v.Volume, kept: kept{Muted: v.Muted, MuteBelow: v.MuteBelow}}
	if v.Quiet != nil {
		l.quiet(*v.Quiet)
	}
	return l
}

func keptOfHub(v session.View) kept {
	l := kept{Muted: v.Muted, MuteBelow: v.MuteBelow}
	l.quiet(v.Quiet)
	return l
}

func (l *kept) quiet(v session.QuietView) {
	if v.Mode != session.QuietAuto {
		l.Quiet, l.QuietUntil = v.Mode, v.Until.UTC()
	}
}

func (l kept) mute() session.Mute { return session.Mute{On: l.Muted, Below: l.MuteBelow} }

func (l kept) override() session.QuietOverride {
	return session.QuietOverride{Mode: l.Quiet, Until: l.QuietUntil}
}

// valid tells whether the file says what a hub would have written.
func (l kept) valid() bool {
	return l.MuteBelow >= 0 && l.MuteBelow <= session.MaxPriority &&
		(l.Quiet == "" || l.Quiet == session.QuietOn || l.Quiet == session.QuietOff)
}

func openStore(dir, hub string, log zerolog.Logger) *store {
	s := &store{log: log, state: state{Speakers: map[string]keptSpeaker{}}, dirty: make(chan struct{}, 1)}
	if dir == "" {
		return s
	}
	s.path = filepath.Join(dir, hub+".state.json")
	read, err := readState(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		read, err = readVolumes(filepath.Join(dir, hub+".volumes.json"))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s
	case err != nil:
		log.Warn().Err(err).Str("file", s.path).Msg("cannot read how the hub was left; beginning with the defaults")
		return s
	}
	if read.Hub.valid() {
		s.state.Hub = read.Hub
	}
	for id, l := range read.Speakers {
		if ValidID(id) && l.valid() && l.Volume >= 0 && l.Volume <= session.MaxVolume {
			s.state.Speakers[id] = l
		}
	}
	return s
}

func readState(path string) (read state, err error) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &read)
	}
	return read, err
}

// readVolumes reads the file that earlier versions wrote: volumes by speaker.
func readVolumes(path string) (state, error) {
	read := state{Speakers: map[string]keptSpeaker{}}
	volumes := map[string]int{}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &volumes)
	}
	for id, v := range volumes {
		read.Speakers[id] = keptSpeaker{Volume: v}
	}
	return read, err
}

// hub is how the hub was left.
func (s *store) hub() kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.Hub
}

// speaker is how a speaker was left; a new one has the default volume.
func (s *store) speaker(id string) keptSpeaker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.state.Speakers[id]; ok {
		return l
	}
	return keptSpeaker{Volume: session.DefaultVolume}
}

// set remembers how a speaker is; it is written soon.
func (s *store) set(id string, l keptSpeaker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.state.Speakers[id]; ok && old == l {
		return
	}
	s.state.Speakers[id] = l
	s.soon()
}

// setHub remembers how the hub is; it is written soon.
func (s *store) setHub(l kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Hub == l {
		return
	}
	s.state.Hub = l
	s.soon()
}

func (s *store) soon() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// run writes what has changed until ctx is done.
func (s *store) run(ctx context.Context) {
	if s.path == "" {
		return
	}
	for {
		select {
		case <-ctx.Done():
			select {
			case <-s.dirty:
				s.save()
			default:
			}
			return
		case <-s.dirty:
			select {
			case <-ctx.Done():
			case <-time.After(saveDelay):
			}
			s.save()
		}
	}
}

func (s *store) save() {
	s.mu.Lock()
	data := marshal(s.state)
	s.mu.Unlock()
	if err := writeFile(s.path, append(data, '\n')); err != nil {
		s.log.Warn().Err(err).Msg("cannot save how the hub is")
	}
}

// writeFile replaces a file as a whole or not at all.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
