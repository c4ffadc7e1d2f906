package broker

import (
	"context"
	"log/slog"

	"github.com/rs/zerolog"
)

// logHandler passes what the library logs on to ours. The library is talkative
// about clients that come and go, so each of its levels counts as one lower.
type logHandler struct {
	log   zerolog.Logger
	attrs []slog.Attr
}

func level(l slog.Level) zerolog.Level {
	switch {
	case l >= slog.LevelError:
		return zerolog.WarnLevel
	case l >= slog.LevelInfo:
		return zerolog.DebugLevel
	}
	return zerolog.TraceLevel
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool {
	return level(l) >= h.log.GetLevel()
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	e := h.log.WithLevel(level(r.Level))
	add := func(a slog.Attr) bool {
		if a.Key != "packet" && a.Key != "pk" && a.Key != "will" { // they hold payloads
			e = e.Str(a.Key, a.Value.String())
		}
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	e.Msg(r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{log: h.log, attrs: append(append([]slog.Attr{}, h.attrs...), attrs...)}
}

// WithGroup implements slog.Handler; the library uses no groups.
func (h *logHandler) WithGroup(string) slog.Handler { return h }
