package bridge

import (
	"net/http"
	"path"
	"strings"
)

// dialects serves HKWHub's two REST dialects, for the default hub, and leaves the
// rest to next. They stand before the mux: old clients double slashes, and do not
// follow where the mux would send them.
func (s *server) dialects(next http.Handler) http.Handler {
	if len(s.cfg.Hubs) == 0 {
		return next
	}
	hub := s.cfg.Hubs[0]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := path.Clean("/" + r.URL.Path)
		if name, ok := strings.CutPrefix(at, "/v1/"); ok {
			hub.serveDialect(w, r, dialectLocal, name)
		} else if name, ok := strings.CutPrefix(at, "/api/v1/"); ok {
			hub.serveDialect(w, r, dialectCloud, name)
		} else {
			next.ServeHTTP(w, r)
		}
	})
}

// serveDialect carries out one call.
func (h *Hub) serveDialect(w http.ResponseWriter, r *http.Request, d *dialect, name string) {
	args := dialectQuery(r.URL.RawQuery, d.knows(findDialectCommand(name)))
	c, refusal := h.newCall(d, name, args)
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		refusal = c.refuse(http.StatusMethodNotAllowed, "commands are sent with GET")
	case refusal == nil:
		topic, payload, refused := c.order()
		res, err := h.await(r.Context(), request{topic: topic, payload: payload, overHTTP: true, dialect: true})
		if err != nil {
			return // the client is gone; the command goes on
		}
		refusal = c.answer(res, refused)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(refusal.status)
	_, _ = w.Write(refusal.body)
}
