package bridge

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// aliveTime is how long /healthz waits for a hub's loop.
const aliveTime = 2 * time.Second

// Health is the reply of /healthz.
type Health struct {
	Healthy bool        `json:"healthy"` // every hub answers and has its broker
	Version string      `json:"version"`
	Hubs    []HubHealth `json:"hubs"`
}

// HubHealth is one hub in the reply of /healthz.
type HubHealth struct {
	Hub       string `json:"hub"`
	Alive     bool   `json:"alive"`     // its loop answers
	Connected bool   `json:"connected"` // to its broker
	Boot      string `json:"boot"`
}

// Alive returns nil as soon as the hub's loop is free to take something up, or an
// error when ctx is done before. It goes past the inbox, so that a hub that is
// only busy is alive, and one that hangs in the middle of a command is not.
func (h *Hub) Alive(ctx context.Context) error {
	select {
	case <-h.alive:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the loop of hub %s does not answer: %w", h.cfg.Hub, ctx.Err())
	}
}

// health answers /healthz, after aliveTime at the latest.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), aliveTime)
	defer cancel()
	health := Health{Healthy: true, Version: s.cfg.Version}
	for _, h := range s.cfg.Hubs {
		is := HubHealth{Hub: h.ID(), Alive: h.Alive(ctx) == nil, Connected: h.Connected(), Boot: h.Boot()}
		health.Hubs = append(health.Hubs, is)
		health.Healthy = health.Healthy && is.Alive && is.Connected
	}
	status := http.StatusOK
	if !health.Healthy {
		status = http.StatusServiceUnavailable
	}
	reply(w, status, marshal(health))
}
