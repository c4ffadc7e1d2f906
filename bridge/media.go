package bridge

import (
	"maps"
	"slices"
	"strings"

	"hkw/speaker/library"
)

// kindPreset is the kind of a preset in a list of media. What plays has the kind
// of the preset's media.
const kindPreset = "preset"

// listMedia lists what can be played by name and matches all words of query, and
// how much there is of it: presets and chimes first, because those are few and what
// people look for, then the library.
func (h *Hub) listMedia(query string, offset, limit int) ([]Media, int) {
	list := h.listPresets(query)
	_, total := h.cfg.Media.List(query, 0, 1)
	// The catalogue has its chimes last.
	files := max(0, total-len(library.Chimes()))
	tail, _ := h.cfg.Media.List(query, files, 0)
	for _, m := range tail {
		if m.Kind == library.KindChime {
			list = append(list, mediaOf(m))
		} else {
			files++
		}
	}
	first := len(list)
	list = list[min(offset, first):min(offset+limit, first)]
	if more := min(limit-len(list), files-max(0, offset-first)); more > 0 {
		items, _ := h.cfg.Media.List(query, max(0, offset-first), more)
		for _, m := range items {
			list = append(list, mediaOf(m))
		}
	}
	return list, first + files
}

// listPresets lists the presets whose name or media contain all words of query.
func (h *Hub) listPresets(query string) []Media {
	list := []Media{}
	words := strings.Fields(strings.ToLower(query))
	for _, name := range slices.Sorted(maps.Keys(h.cfg.Presets)) {
		var m Media
		if found, err := h.cfg.Media.Resolve(h.cfg.Presets[name].Media); err == nil {
			m = mediaOf(found)
		}
		text := strings.ToLower(name + " " + m.Title)
		if slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			continue
		}
		m.ID, m.Kind, m.Title = name, kindPreset, name
		list = append(list, m)
	}
	return list
}
