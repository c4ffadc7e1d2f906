package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/spf13/cobra"

	"hkw/bridge"
	"hkw/session"
)

// rewatchTime is how long watch waits before it tries a lost broker again.
const rewatchTime = time.Second

func (p *program) watchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "watch", Short: "Show live what a hub does, one line each", Args: noArguments,
		Long: "Show live what a hub does: each event, each change of its volume, mute, quiet hours, speakers and availability,\n" +
			"and each command that it refuses, one line each. With --json the payloads as they are published, one a line:\n" +
			"a status has \"hub\", an event \"event\", a result \"outcome\", an availability \"availability\".",
	}
	addSettings(cmd.Flags(), false)
	asJSON := cmd.Flags().Bool("json", false, "print the payloads as they are published, one a line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := p.config(cmd)
		if err != nil {
			return err
		}
		w := &watcher{program: p, json: *asJSON}
		err = w.run(cmd.Context(), cfg)
		if errors.Is(err, context.Canceled) {
			return nil // it was asked to end
		}
		return err
	}
	return cmd
}

// watcher turns what a hub publishes into lines.
type watcher struct {
	*program
	json  bool
	last  *bridge.Status
	known string // availability
}

// run watches until ctx is done. Only the first connection must succeed: one that
// is lost later is made again.
func (w *watcher) run(ctx context.Context, cfg *config) error {
	for first := true; ; first = false {
		err := w.connection(ctx, cfg, first)
		if ctx.Err() != nil || err != nil && first && w.last == nil && w.known == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rewatchTime):
		}
	}
}

func (w *watcher) connection(ctx context.Context, cfg *config, first bool) error {
	b, err := openBus(ctx, cfg, cfg.hub)
	if err != nil {
		return err
	}
	defer b.close()
	// Events are asked for before the status, so that none falls between the two.
	if err := b.subscribe(ctx, b.topic(topicEvents)); err != nil {
		return err
	}
	if err := b.subscribe(ctx, b.topic(topicStatus), b.topic(topicAvailability), b.topic(topicLastResult)); err != nil {
		return err
	}
	if first && !w.json {
		w.complain("watching the hub %q on %s; ctrl-c ends", b.hub, b.broker)
	}
	quiet := time.AfterFunc(presenceTime, func() {
		w.complain("no hub %q has been seen on %s yet", b.hub, b.broker)
	})
	defer quiet.Stop()
	for {
		m, err := b.next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				w.complain("%s; trying again", oneLine(err))
			}
			return err
		}
		quiet.Stop()
		w.show(b, m)
	}
}

// show prints one message.
func (w *watcher) show(b *bus, m mqtt.Message) {
	if w.json {
		w.showJSON(b, m)
		return
	}
	switch m.Topic() {
	case b.topic(topicEvents):
		e := eventOf(m)
		w.line(e.At, "%s", describeEvent(e))
	case b.topic(topicAvailability):
		if now := string(m.Payload()); now != w.known {
			w.known = now
			w.line(time.Now(), "%s is %s", b.hub, now)
		}
	case b.topic(topicStatus):
		var s bridge.Status
		if json.Unmarshal(m.Payload(), &s) != nil {
			return
		}
		for _, line := range describeChange(w.last, s) {
			w.line(s.At, "%s", line)
		}
		w.last = &s
	case b.topic(topicLastResult):
		var r bridge.Result
		if m.Retained() || json.Unmarshal(m.Payload(), &r) != nil || r.Error == "" {
			return // what succeeds is told by its event
		}
		w.line(r.At, "%s", describeRefusal(r))
	}
}

func (w *watcher) showJSON(b *bus, m mqtt.Message) {
	switch {
	case m.Topic() == b.topic(topicAvailability):
		w.known = string(m.Payload())
		payload, _ := json.Marshal(map[string]string{"availability": w.known})
		w.say("%s", payload)
	case m.Topic() == b.topic(topicLastResult) && m.Retained(), len(m.Payload()) == 0:
	default:
		w.say("%s", m.Payload())
	}
}

func (w *watcher) line(at time.Time, format string, args ...any) {
	w.say("%s  "+format, append([]any{at.Local().Format(time.TimeOnly)}, args...)...)
}

// describeEvent is an event for a person.
func describeEvent(e bridge.Event) string {
	line := fmt.Sprintf("%-11s %s", e.Event, title(e.Playback))
	var more []string
	if e.Position != nil && e.Event != session.EventStarted && *e.Position > 0 {
		more = append(more, "at "+clock(time.Duration(*e.Position*float64(time.Second))))
	}
	more = append(more, fmt.Sprintf("priority %d", e.Priority))
	switch e.Event {
	case session.EventStarted, session.EventResumed:
		more = append(more, "on "+strings.Join(e.Speakers, ", "))
		if e.Volume != nil {
			more = append(more, fmt.Sprintf("volume %d", *e.Volume))
		}
	}
	if e.Reason != "" {
		more = append(more, e.Reason)
	}
	if e.Error != "" {
		more = append(more, string(e.Error))
	}
	if e.Message != "" {
		more = append(more, e.Message)
	}
	return line + "  (" + strings.Join(more, "; ") + ")"
}

func title(p bridge.Playback) string {
	t := p.Media.Title
	if p.Media.Artist != "" {
		t = p.Media.Artist + " – " + t
	}
	if t == "" {
		t = p.Media.URL
	}
	return fmt.Sprintf("%q", t)
}

// describeChange tells what a status says that no event tells: everything at
// first, then volumes, speakers and the count of media.
func describeChange(before *bridge.Status, now bridge.Status) []string {
	var lines []string
	var hushed *hush
	if before != nil {
		was := hushOf(*before)
		hushed = &was
	}
	if before == nil {
		line := fmt.Sprintf("%s: %s", now.Hub, strings.ToLower(strings.TrimPrefix(string(now.State), "PlayerState")))
		if now.Playing != nil {
			line += " " + title(*now.Playing)
		}
		lines = append(lines, fmt.Sprintf("%s, volume %d, %s", line, now.Volume, counted(now.Media, "piece")+" of media"))
		before = &bridge.Status{Media: now.Media}
	}
	lines = append(lines, describeHush("", hushed, hushOf(now))...)
	for _, sp := range now.Speakers {
		i := slices.IndexFunc(before.Speakers, func(o bridge.SpeakerStatus) bool { return o.ID == sp.ID })
		switch {
		case i < 0 || before.Speakers[i].Available != sp.Available || before.Speakers[i].Error != sp.Error:
			lines = append(lines, describeSpeaker(sp))
		case before.Speakers[i].Volume != sp.Volume:
			lines = append(lines, fmt.Sprintf("volume of %s: %d", sp.ID, sp.Volume))
		}
		var hushed *hush
		if i >= 0 {
			was := hushOfSpeaker(before.Speakers[i])
			hushed = &was
		}
		lines = append(lines, describeHush(" of "+sp.ID, hushed, hushOfSpeaker(sp))...)
	}
	for _, sp := range before.Speakers {
		if !slices.ContainsFunc(now.Speakers, func(o bridge.SpeakerStatus) bool { return o.ID == sp.ID }) {
			lines = append(lines, fmt.Sprintf("speaker %s is gone", sp.ID))
		}
	}
	if before.Media != now.Media {
		lines = append(lines, counted(now.Media, "piece")+" of media")
	}
	return lines
}

func describeSpeaker(sp bridge.SpeakerStatus) string {
	line := fmt.Sprintf("speaker %s (%s)", sp.ID, sp.Driver)
	if sp.Name != "" && sp.Name != sp.ID {
		line = fmt.Sprintf("speaker %s (%s: %s)", sp.ID, sp.Driver, sp.Name)
	}
	if !sp.Available {
		return strings.TrimSuffix(line+" cannot be heard: "+sp.Error, ": ")
	}
	line += fmt.Sprintf(", volume %d", sp.Volume)
	if sp.Warning != "" {
		line += ": " + sp.Warning
	}
	return line
}

// clock is a position or length for a person, as in 3:05 or 1:02:03.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
