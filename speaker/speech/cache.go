package speech

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"hkw/speaker"
)

// cache keeps what was spoken, one WAV file for each text. A file says, in a chunk
// after the samples, what their SHA-256 is: one that was cut off by a power cut,
// or that the disk has spoiled, is not there. Nothing but the folder itself says
// what is kept, so two hubs may share it, and an owner may delete from it.
//
// A cache that does not work costs time, never speech.
type cache struct {
	dir   string
	limit int64 // bytes
	log   zerolog.Logger

	mu sync.Mutex // held while making room
}

const (
	cacheExt    = ".wav"
	tempPattern = ".new-*"
	tempAge     = time.Hour // what is older was left behind

	wavHead = 44
	sumSize = 8 + sha256.Size // of the chunk with the sum
	sumID   = "hkws"
)

func (c *cache) path(key string) string { return filepath.Join(c.dir, key+cacheExt) }

// load returns what was kept: samples, interleaved if there are two channels.
func (c *cache) load(key string) (pcm []int16, channels int, ok bool) {
	path := c.path(key)
	b, err := c.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, false
	}
	if err == nil {
		pcm, channels, err = decodeWAV(b)
	}
	if err != nil {
		c.log.Warn().Err(err).Str("file", filepath.Base(path)).Msg("kept speech is unusable and is spoken again")
		return nil, 0, false
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // that it was used; without it, it goes earlier
	return pcm, channels, true
}

// read reads a file that is not larger than the cache may be.
func (c *cache) read(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the name is a hash
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > c.limit {
		return nil, fmt.Errorf("not a file of at most %d bytes", c.limit)
	}
	var b bytes.Buffer
	b.Grow(int(info.Size()) + bytes.MinRead)
	_, err = b.ReadFrom(io.LimitReader(f, c.limit))
	return b.Bytes(), err
}

// store keeps a whole rendering.
func (c *cache) store(key string, r *rendering) {
	pcm, channels := r.samples()
	size := int64(wavHead + 2*len(pcm) + sumSize)
	if size > c.limit {
		return
	}
	if err := c.write(c.path(key), encodeWAV(pcm, channels)); err != nil {
		c.log.Warn().Err(err).Msg("speech could not be kept")
		return
	}
	c.makeRoom()
}

// write makes a file appear at once and whole.
func (c *cache) write(path string, b []byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, tempPattern)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	// Not synced: what a power cut spoils is told by its sum.
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// makeRoom removes what was used longest ago, until the rest is within the limit.
func (c *cache) makeRoom() {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.log.Warn().Err(err).Msg("the kept speech cannot be listed")
		return
	}
	var files []fs.FileInfo
	var total int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		switch name := info.Name(); {
		case isCacheName(name):
			files = append(files, info)
			total += info.Size()
		case strings.HasPrefix(name, strings.TrimSuffix(tempPattern, "*")) && time.Since(info.ModTime()) > tempAge:
			_ = os.Remove(filepath.Join(c.dir, name))
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		if total <= c.limit {
			return
		}
		if err := os.Remove(filepath.Join(c.dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn().Err(err).Msg("kept speech cannot be removed")
			continue
		}
		total -= f.Size()
	}
}

// isCacheName tells the cache's files from what else may lie in its folder.
func isCacheName(name string) bool {
	key, ok := strings.CutSuffix(name, cacheExt)
	sum, err := hex.DecodeString(key)
	return ok && err == nil && len(sum) == sha256.Size
}

// encodeWAV makes a file that every player plays, with its sum behind the samples.
func encodeWAV(pcm []int16, channels int) []byte {
	le := binary.LittleEndian
	data := 2 * len(pcm)
	frame := 2 * channels
	b := append(make([]byte, 0, wavHead+data+sumSize), "RIFF"...)
	b = le.AppendUint32(b, uint32(wavHead+data+sumSize-8))
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, 1) // PCM
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, speaker.SampleRate)
	b = le.AppendUint32(b, uint32(speaker.SampleRate*frame))
	b = le.AppendUint16(b, uint16(frame))
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = le.AppendUint32(b, uint32(data))
	for _, v := range pcm {
		b = le.AppendUint16(b, uint16(v))
	}
	sum := sha256.Sum256(b)
	b = append(b, sumID...)
	b = le.AppendUint32(b, uint32(len(sum)))
	return append(b, sum[:]...)
}

// decodeWAV reads what encodeWAV made, and nothing else.
func decodeWAV(b []byte) (pcm []int16, channels int, err error) {
	if len(b) < wavHead+sumSize {
		return nil, 0, errors.New("the file is too short")
	}
	body, tail := b[:len(b)-sumSize], b[len(b)-sumSize:]
	if sum := sha256.Sum256(body); string(tail[:4]) != sumID || !bytes.Equal(tail[8:], sum[:]) {
		return nil, 0, errors.New("its sum is wrong")
	}
	le := binary.LittleEndian
	channels = int(le.Uint16(body[22:]))
	data := body[wavHead:]
	if channels != 1 && channels != 2 || len(data) == 0 || len(data)%(2*channels) != 0 {
		return nil, 0, errors.New("it is not of this format")
	}
	pcm = make([]int16, len(data)/2)
	for i := range pcm {
		pcm[i] = int16(le.Uint16(data[2*i:]))
	}
	return pcm, channels, nil
}
