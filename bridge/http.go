package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"hkw/session"
)

// heartbeat is how often an idle event stream says that it is alive.
const heartbeat = 15 * time.Second

// streamWrite is how long a reader of an event stream may take to accept a message.
const streamWrite = 10 * time.Second

// HTTPConfig says what is served over HTTP and to whom.
type HTTPConfig struct {
	Version   string
	Hubs      []*Hub       // the first is the default hub, which the HKWHub dialects speak to
	WebSocket http.Handler // MQTT over WebSocket on /mqtt; nil for none
	Bus       BusAddress   // what the page shows to who wants to reach the bus
	Guard     Guard
}

// NewHandler serves hubs over HTTP. The path is the topic:
//
//	GET  /                      the page; its parts are below /page/
//	POST /hkw/<hub>/<command>   a command, as on the bus; its result
//	GET  /hkw/<hub>/status…     what is retained there
//	GET  /hkw/<hub>/events      status and events as they come
//	GET  /openapi.json          the description of all this; /docs shows it to people
//	GET  /healthz               whether every hub answers and has its broker
//	GET  /mqtt                  MQTT over WebSocket
//	GET  /v1/…, /api/v1/…       HKWHub's commands, for the default hub
//
// It adds no rule of its own: what a command may do is decided where it is
// decided for the bus. Who may ask at all is Guard's.
func NewHandler(cfg HTTPConfig) http.Handler {
	s := &server{cfg: cfg, hubs: map[string]*Hub{}}
	for _, h := range cfg.Hubs {
		s.hubs[h.ID()] = h
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /openapi.json", s.describe)
	mux.HandleFunc("GET /docs", s.docs)
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /page/{file}", s.page)
	mux.HandleFunc("GET "+busPath, s.bus)
	mux.HandleFunc("POST /hkw/{hub}/{topic...}", s.command)
	mux.HandleFunc("GET /hkw/{hub}/events", s.events)
	mux.HandleFunc("GET /hkw/{hub}/{topic...}", s.retained)
	if cfg.WebSocket != nil {
		mux.Handle("GET /mqtt", cfg.WebSocket)
	}
	return cfg.Guard.protect(s.dialects(mux))
}

// server answers HTTP requests for hubs.
type server struct {
	cfg  HTTPConfig
	hubs map[string]*Hub
}

// hub finds the hub of a request, or answers that there is none.
func (s *server) hub(w http.ResponseWriter, r *http.Request) (*Hub, bool) {
	h, ok := s.hubs[r.PathValue("hub")]
	if !ok {
		refuse(w, http.StatusNotFound, UnknownCommand, fmt.Sprintf("there is no hub %q; the hubs are %s",
			clip(r.PathValue("hub")), strings.Join(slices.Sorted(maps.Keys(s.hubs)), ", ")))
	}
	return h, ok
}

// command carries out a command and replies with its result.
func (s *server) command(w http.ResponseWriter, r *http.Request) {
	h, ok := s.hub(w, r)
	if !ok {
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPayload))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			refuse(w, http.StatusRequestEntityTooLarge, session.InvalidCommand, fmt.Sprintf("at most %d bytes are allowed", MaxPayload))
		}
		return // else the client is gone
	}
	res, err := h.Command(r.Context(), r.PathValue("topic"), payload)
	if err != nil {
		return // the client is gone; the command goes on
	}
	status := HTTPStatus(res.Error)
	if res.Outcome == session.OutcomeQueued {
		status = http.StatusAccepted
	}
	if res.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(res.RetryAfter))))
	}
	reply(w, status, marshal(res))
}

// retained replies with what stands on a retained topic.
func (s *server) retained(w http.ResponseWriter, r *http.Request) {
	h, ok := s.hub(w, r)
	if !ok {
		return
	}
	payload, ok := h.Retained(r.PathValue("topic"))
	if !ok {
		if route, _ := findRoute(r.PathValue("topic")); route != nil {
			w.Header().Set("Allow", "POST")
			refuse(w, http.StatusMethodNotAllowed, UnknownCommand, "commands are sent with POST")
			return
		}
		refuse(w, http.StatusNotFound, UnknownCommand, fmt.Sprintf("nothing is retained on %q", clip(r.PathValue("topic"))))
		return
	}
	sum := sha256.Sum256(payload)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:12])+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", contentType(payload))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(payload))
}

func contentType(payload []byte) string {
	if len(payload) > 0 && payload[0] == '{' {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// events streams status and events, server-sent. It begins with everything that
// is retained, or, for a reader that comes back in time, with what it missed. A new
// reader may ask for the latest events and results to come before.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	h, ok := s.hub(w, r)
	if !ok {
		return
	}
	missed, known, last, live := h.feed.follow(r.Header.Get("Last-Event-ID"))
	defer h.feed.leave(live)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	out := stream{w, http.NewResponseController(w), h.feed}
	if err := out.write("retry: 2000\n\n"); err != nil {
		return
	}
	if !known {
		recent, _ := strconv.Atoi(r.URL.Query().Get("recent")) // nothing else than a number asks for any
		missed = h.feed.recent(last, recent)
		began := len(missed)
		for topic, payload := range h.out.all() {
			missed = append(missed, feedItem{last, topic, payload})
		}
		slices.SortFunc(missed[began:], func(a, b feedItem) int { return strings.Compare(a.topic, b.topic) })
	}
	for _, item := range missed {
		if out.send(item) != nil {
			return
		}
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			err = out.write(":\n\n")
		case item, ok := <-live:
			if !ok {
				return // too slow, or the hub ends
			}
			err = out.send(item)
		}
		if err != nil {
			return
		}
	}
}

// stream writes server-sent events, each within a deadline.
type stream struct {
	w    io.Writer
	ctl  *http.ResponseController
	feed *feed
}

func (s stream) send(item feedItem) error {
	var b strings.Builder
	fmt.Fprintf(&b, "id: %s\nevent: %s\n", s.feed.id(item.n), item.topic)
	for line := range strings.Lines(string(item.payload)) {
		fmt.Fprintf(&b, "data: %s\n", strings.TrimRight(line, "\r\n"))
	}
	if len(item.payload) == 0 {
		b.WriteString("data\n") // the topic was removed
	}
	return s.write(b.String() + "\n")
}

func (s stream) write(text string) error {
	_ = s.ctl.SetWriteDeadline(time.Now().Add(streamWrite)) // where it isn't supported there is none
	if _, err := io.WriteString(s.w, text); err != nil {
		return err
	}
	return s.ctl.Flush()
}

// Retained reads what stands on a retained topic, below hkw/<hub>/.
func (h *Hub) Retained(topic string) ([]byte, bool) {
	if topic == availabilityTopic {
		if h.Connected() {
			return []byte(Online), true
		}
		return []byte(Offline), true
	}
	return h.out.get(topic)
}

// Command carries out a command from beside the bus, as if its payload had come on
// topic (below hkw/<hub>/), and waits for its result. It returns an error only when
// ctx is done first; the command goes on then.
func (h *Hub) Command(ctx context.Context, topic string, payload []byte) (Result, error) {
	return h.await(ctx, request{topic: topic, payload: payload, overHTTP: true})
}

// await enqueues a command and waits for its result, as Command does.
func (h *Hub) await(ctx context.Context, command request) (Result, error) {
	select {
	case r := <-h.submit(command):
		return r, nil
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// submit enqueues a command, and returns where its one result will be.
func (h *Hub) submit(r request) <-chan Result {
	reply := make(chan Result, 1)
	r.at, r.reply = time.Now(), reply
	h.enqueue(r)
	return reply
}

func reply(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// refusalReply is the body of a request that never became a command.
type refusalReply struct {
	Error   session.Code `json:"error"`
	Message string       `json:"message"`
}

func refuse(w http.ResponseWriter, status int, code session.Code, message string) {
	reply(w, status, marshal(refusalReply{code, message}))
}
