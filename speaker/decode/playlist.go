package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"

	"hkw/speaker"
)

// Limits of playlists.
const (
	maxPlaylist      = 64 << 10 // bytes
	maxPlaylistDepth = 3
	maxTries         = 8 // requests for one play, redirects not counted
)

// isPlaylist tells a list of addresses from sound, by its content first.
func isPlaylist(kind, name string, head []byte) bool {
	s := strings.TrimLeft(string(head), " \t\r\n\ufeff")
	if strings.HasPrefix(s, "#EXTM3U") || strings.HasPrefix(strings.ToLower(s), "[playlist]") {
		return true
	}
	if !isText(head) || isHTML(head) {
		return false
	}
	kind, _, _ = strings.Cut(strings.ToLower(kind), ";")
	switch strings.TrimSpace(kind) {
	case "audio/x-mpegurl", "audio/mpegurl", "application/x-mpegurl", "application/mpegurl", "application/vnd.apple.mpegurl",
		"audio/x-scpls", "audio/scpls", "application/pls+xml":
		return true
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".m3u", ".m3u8", ".pls":
		return true
	}
	return false
}

// follow opens the first entry of a playlist that can be played.
func (f *fetcher) follow(ctx context.Context, base *url.URL, r io.Reader, depth int) (speaker.Source, error) {
	if depth >= maxPlaylistDepth {
		return nil, fmt.Errorf("playlists within playlists, more than %d deep", maxPlaylistDepth)
	}
	b, err := io.ReadAll(io.LimitReader(r, maxPlaylist+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxPlaylist {
		return nil, fmt.Errorf("a playlist of more than %d KiB", maxPlaylist>>10)
	}
	entries, err := parsePlaylist(string(b))
	if err != nil {
		return nil, err
	}
	err = errors.New("the playlist is empty")
	for _, e := range entries {
		var u *url.URL
		if u, err = base.Parse(strings.ReplaceAll(e, " ", "%20")); err != nil {
			err = errors.New("the playlist holds no valid URL")
			continue
		}
		if u, err = parseURL(u.String()); err != nil {
			continue
		}
		var src speaker.Source
		if src, err = f.open(ctx, u, depth+1); err == nil {
			return src, nil
		}
		if ctx.Err() != nil || f.tries >= maxTries {
			break
		}
	}
	return nil, fmt.Errorf("playlist: %w", err)
}

// parsePlaylist returns the addresses in an M3U or PLS file.
func parsePlaylist(s string) (entries []string, err error) {
	s = strings.TrimLeft(s, "\ufeff \t\r\n")
	pls := strings.HasPrefix(strings.ToLower(s), "[playlist]")
	for line := range strings.Lines(strings.ReplaceAll(s, "\r", "\n")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasPrefix(line, "#EXT-X-"):
			return nil, errors.New("HLS streams are not supported")
		case strings.HasPrefix(line, "#"):
		case !pls:
			entries = append(entries, line)
		default:
			if key, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(strings.ToLower(strings.TrimSpace(key)), "file") {
				entries = append(entries, strings.TrimSpace(value))
			}
		}
	}
	return entries, nil
}
