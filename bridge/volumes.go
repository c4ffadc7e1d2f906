package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hkw/session"
)

// saveDelay gathers the changes of a volume slider into one write.
const saveDelay = time.Second

// volumeStore keeps the speakers' own volumes across restarts, in
// <data>/<hub>.volumes.json. It writes beside the loop, to a new file that then
// takes the old one's place, so that a power cut leaves one or the other.
type volumeStore struct {
	path string // "" for nowhere
	log  zerolog.Logger

	mu      sync.Mutex
	volumes map[string]int
	dirty   chan struct{}
}

func openVolumes(dir, hub string, log zerolog.Logger) *volumeStore {
	s := &volumeStore{log: log, volumes: map[string]int{}, dirty: make(chan struct{}, 1)}
	if dir == "" {
		return s
	}
	s.path = filepath.Join(dir, hub+".volumes.json")
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s
	}
	var volumes map[string]int
	if err == nil {
		err = json.Unmarshal(data, &volumes)
	}
	if err != nil {
		log.Warn().Err(err).Str("file", s.path).Msg("cannot read the saved volumes; beginning with the default")
		return s
	}
	for id, v := range volumes {
		if ValidID(id) && v >= 0 && v <= session.MaxVolume {
			s.volumes[id] = v
		}
	}
	return s
}

// volume is the volume that a speaker had last.
func (s *volumeStore) volume(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.volumes[id]; ok {
		return v
	}
	return session.DefaultVolume
}

// set remembers a volume; it is written soon.
func (s *volumeStore) set(id string, v int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.volumes[id]; ok && old == v {
		return
	}
	s.volumes[id] = v
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// run writes what has changed until ctx is done.
func (s *volumeStore) run(ctx context.Context) {
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

func (s *volumeStore) save() {
	s.mu.Lock()
	volumes := maps.Clone(s.volumes)
	s.mu.Unlock()
	if err := writeFile(s.path, append(marshal(volumes), '\n')); err != nil {
		s.log.Warn().Err(err).Msg("cannot save the volumes")
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
