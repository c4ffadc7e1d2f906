package speech

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"hkw/speaker"
	"hkw/speaker/decode"
)

const (
	wyomingPort    = "10200" // where Piper's server listens
	connectTimeout = 5 * time.Second
)

type wyoming struct{ addr string }

// Wyoming is the engine behind a Wyoming server: the protocol with which Home
// Assistant speaks to Piper and others. The address is tcp://host:port or
// host:port; the port is 10200 if there is none.
func Wyoming(address string) (Engine, error) {
	addr, found := strings.CutPrefix(address, "tcp://")
	if !found && strings.Contains(addr, "://") {
		return nil, fmt.Errorf("the address of a Wyoming server is tcp://host:port, not %q", printable(address))
	}
	addr = strings.TrimSuffix(addr, "/")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"), wyomingPort
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			host = ""
		}
	}
	if host == "" || port == "" || strings.ContainsAny(host, "/@?# ") {
		return nil, fmt.Errorf("the address of a Wyoming server is tcp://host:port, not %q", printable(address))
	}
	return wyoming{net.JoinHostPort(host, port)}, nil
}

// Name implements Engine.
func (w wyoming) Name() string { return "wyoming " + w.addr }

// connect opens a connection that ctx closes.
func (w wyoming) connect(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", w.addr)
	if err != nil {
		return nil, fmt.Errorf("the Wyoming server cannot be reached, is it running and the address right? %w", err)
	}
	return conn, nil
}

// Synthesize implements Engine.
func (w wyoming) Synthesize(ctx context.Context, r Request) (speaker.Source, error) {
	conn, err := w.connect(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	order := map[string]any{"text": r.Text}
	if r.Voice != "" {
		order["voice"] = map[string]string{"name": r.Voice}
	}
	if err := writeEvent(conn, "synthesize", order); err != nil {
		stop()
		return nil, errors.Join(err, conn.Close())
	}
	body := &feed{Reader: newWyomingAudio(conn), close: func() error { stop(); return conn.Close() }}
	return decode.Open(ctx, body, decode.Options{Name: w.Name(), FFmpeg: "-"})
}

// wyomingInfo is of what a server tells of itself what we want to know.
type wyomingInfo struct {
	TTS []wyomingProgram `json:"tts"`
}

type wyomingProgram struct {
	Name      string          `json:"name"`
	Installed *bool           `json:"installed"`
	Voices    json.RawMessage `json:"voices"`
}

// Check implements Engine: it asks the server what it can do.
func (w wyoming) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	conn, err := w.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	info, err := describe(conn)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s accepts connections and does not answer, is it a Wyoming server? %w", w.addr, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("%s is not a working Wyoming server: %w", w.addr, err)
	}
	for _, p := range info.TTS {
		if p.Installed == nil || *p.Installed {
			return nil
		}
	}
	return fmt.Errorf("the Wyoming server at %s does not speak (it has no tts service): configure the address of one that does, such as Piper's", w.addr)
}

// describe asks for the server's info.
func describe(conn net.Conn) (info wyomingInfo, err error) {
	if err := writeEvent(conn, "describe", nil); err != nil {
		return info, err
	}
	events := newEventReader(conn)
	for {
		e, err := events.next()
		if err != nil {
			return info, atEnd(err)
		}
		if e.Type == "info" {
			return info, e.decode(&info)
		}
	}
}
