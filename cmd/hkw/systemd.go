package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// statusTime is how often the status line of the unit is looked at.
const statusTime = time.Second

// supervised is what systemd is told about of a hub.
type supervised interface {
	ID() string
	Connected() bool
	Alive(ctx context.Context) error
}

// supervisor tells systemd how the program is: that it serves, that it ends, a
// line for `systemctl status`, and, to a watchdog, that every hub's loop goes
// round. What does not go round gets no ping, and is restarted.
type supervisor struct {
	notify   func(state string) error
	watchdog time.Duration // within which a ping is expected; 0: by nobody
	hubs     []supervised
	hung     string // the hub that did not answer last
	log      zerolog.Logger
}

// supervise makes the supervisor of a process that systemd started with
// Type=notify, or returns nil if nobody wants to be told.
func (a *app) supervise() *supervisor {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	s := &supervisor{log: a.log.With().Str("component", "systemd").Logger(), notify: func(state string) error { return notify(socket, state) }}
	if err := s.notify("STATUS=Starting"); err != nil {
		s.log.Warn().Err(err).Msg("systemd cannot be told how it is")
		return nil
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn().Err(err).Msg("no watchdog")
	}
	s.watchdog = watchdog
	for _, h := range a.hubs {
		s.hubs = append(s.hubs, h)
	}
	return s
}

// notifyLimit is how long the socket may take to accept a message: one that nobody
// reads is full after a few, and must hold up neither the start nor the end.
const notifyLimit = 100 * time.Millisecond

// notify sends a state to systemd's socket, as sd_notify(3) does.
func notify(socket, state string) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetWriteDeadline(time.Now().Add(notifyLimit)); err != nil {
		return err
	}
	_, err = c.Write([]byte(state))
	return err
}

// run tells until ctx is done. The program is ready when every hub is on the bus,
// or has tried for greetTime: that the broker is away is for the status line, and
// no reason to take the hub down with it.
func (s *supervisor) run(ctx context.Context) error {
	if err := s.becomeReady(ctx); err == nil {
		s.tell(daemon.SdNotifyReady)
		s.keepTelling(ctx)
	}
	s.tell(daemon.SdNotifyStopping + "\nSTATUS=Ending")
	return nil
}

func (s *supervisor) becomeReady(ctx context.Context) error {
	patience := time.After(greetTime)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := false
		for _, h := range s.hubs {
			missing = missing || !h.Connected()
		}
		if !missing {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-patience:
			return nil
		case <-tick.C:
		}
	}
}

func (s *supervisor) keepTelling(ctx context.Context) {
	status := time.NewTicker(statusTime)
	defer status.Stop()
	var ping <-chan time.Time // never, without a watchdog
	if s.watchdog > 0 {
		t := time.NewTicker(s.watchdog / 2)
		defer t.Stop()
		ping = t.C
		s.ping(ctx) // its time runs since the start, not since READY
	}
	last := ""
	for {
		if line := s.status(); line != last {
			s.tell("STATUS=" + line)
			last = line
		}
		select {
		case <-ctx.Done():
			return
		case <-status.C:
		case <-ping:
			s.ping(ctx)
		}
	}
}

// ping tells the watchdog that every hub answers. A hub has a quarter of the
// watchdog's time to do so, half of what is left after the last ping.
func (s *supervisor) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.watchdog/4)
	defer cancel()
	for _, h := range s.hubs {
		err := h.Alive(ctx)
		if err == nil {
			continue
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.log.Error().Err(err).Str("hub", h.ID()).Msg("a hub hangs; the watchdog is not told that all is well")
			s.hung = h.ID()
		}
		return
	}
	s.hung = ""
	s.tell(daemon.SdNotifyWatchdog)
}

// status is the line that `systemctl status` shows.
func (s *supervisor) status() string {
	if s.hung != "" {
		return "Hub " + s.hung + " hangs"
	}
	var on, off []string
	for _, h := range s.hubs {
		if h.Connected() {
			on = append(on, h.ID())
		} else {
			off = append(off, h.ID())
		}
	}
	switch {
	case len(off) == 0:
		return "Serving " + strings.Join(on, ", ")
	case len(on) == 0:
		return fmt.Sprintf("No connection to the broker (%s); trying on", strings.Join(off, ", "))
	}
	return fmt.Sprintf("Serving %s; no connection to the broker: %s, trying on", strings.Join(on, ", "), strings.Join(off, ", "))
}

func (s *supervisor) tell(state string) {
	if err := s.notify(state); err != nil {
		s.log.Warn().Err(err).Msg("systemd cannot be told how it is")
	}
}
