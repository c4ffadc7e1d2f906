package bridge

import (
	"net/http"
)

// Health is the reply of /healthz.
type Health struct {
	Healthy bool        `json:"healthy"` // every hub has its broker
	Version string      `json:"version"`
	Hubs    []HubHealth `json:"hubs"`
}

// HubHealth is one hub in the reply of /healthz.
type HubHealth struct {
	Hub       string `json:"hub"`
	Connected bool   `json:"connected"` // to its broker
	Boot      string `json:"boot"`
}

// NewHandler serves HTTP for hubs: /healthz, and MQTT over WebSocket on /mqtt if
// ws is not nil.
func NewHandler(version string, hubs []*Hub, ws http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		health := Health{Healthy: true, Version: version}
		for _, h := range hubs {
			up := h.Connected()
			health.Hubs = append(health.Hubs, HubHealth{Hub: h.ID(), Connected: up, Boot: h.Boot()})
			health.Healthy = health.Healthy && up
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !health.Healthy {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(append(marshal(health), '\n'))
	})
	if ws != nil {
		mux.Handle("GET /mqtt", ws)
	}
	return mux
}
