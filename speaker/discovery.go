package speaker

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

const (
	targetsLimit = 3 * time.Second
	targetsRetry = 2 * time.Second
	settleTime   = 20 * time.Millisecond // a sink that is plugged makes several events
)

// discover lets each target of a driver be a speaker for as long as it exists.
func (e *Engine) discover(d Driver) {
	ctx := e.ctx
	e.spawn(func() {
		events := d.Events()
		for {
			targets, err := targetsOf(ctx, d)
			if ctx.Err() != nil {
				return
			}
			e.inbox.put(func() { e.targets(d, targets, err) })
			var retry <-chan time.Time
			var timer *time.Timer
			if err != nil {
				timer = time.NewTimer(targetsRetry)
				retry = timer.C
			}
			select {
			case <-ctx.Done():
				return
			case <-retry:
			case _, ok := <-events:
				if !ok {
					events = nil
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(settleTime):
				}
			}
			if timer != nil {
				timer.Stop()
			}
		}
	})
}

func targetsOf(ctx context.Context, d Driver) (targets []Target, err error) {
	ctx, cancel := context.WithTimeout(ctx, targetsLimit)
	defer cancel()
	err = contained(func() error {
		targets, err = d.Targets(ctx)
		return err
	})
	return targets, err
}

// targets makes speakers of what a driver can reach. If it can't tell, those that are
// known stay: their sinks say themselves whether they work.
func (e *Engine) targets(d Driver, targets []Target, err error) {
	if err != nil {
		e.cfg.Log.Debug().Str("driver", d.Name()).Err(err).Msg("the driver can't list its speakers")
		return
	}
	known := map[string]*station{}
	for _, id := range e.order {
		if st := e.stations[id]; st.discovered && st.setup.Driver == d {
			known[st.setup.Target] = st
		}
	}
	for _, t := range targets {
		st := known[t.ID]
		delete(known, t.ID)
		if st == nil {
			id := e.speakerID(d.Name(), t.ID)
			st = e.addStation(Setup{ID: id, Name: t.Description, Driver: d, Target: t.ID}, true)
			st.isDefault = t.Default
			continue
		}
		if st.setup.Name != t.Description && t.Description != "" || st.isDefault != t.Default {
			st.setup.Name, st.isDefault = t.Description, t.Default
			if st.state != closed {
				e.show(st)
			}
		}
		if st.state == lost {
			st.tryAgain()
		}
	}
	for _, st := range known {
		e.removeStation(st)
	}
}

// speakerID makes a name for topics of a driver's name for a target: the same
// one each time, and another one for each.
func (e *Engine) speakerID(driver, target string) string {
	id := escapeID(target)
	if id == "" {
		id = escapeID(driver)
	}
	if e.stations[id] == nil {
		return id
	}
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s:%s", driver, target)
	tail := fmt.Sprintf("-%08x", h.Sum32())
	id = id[:min(len(id), maxID-len(tail))] + tail
	for base, n := id, 2; e.stations[id] != nil; n++ {
		tail := fmt.Sprintf("-%d", n)
		id = base[:min(len(base), maxID-len(tail))] + tail
	}
	return id
}

// maxID is how long an id may be.
const maxID = 64

// escapeID makes a string match [A-Za-z0-9_-]{0,64}.
func escapeID(s string) string {
	id := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return '_'
	}, s)
	return id[:min(len(id), maxID)]
}
