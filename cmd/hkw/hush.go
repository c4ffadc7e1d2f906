package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hkw/bridge"
	"hkw/session"
)

// muteCommand and quietCommand are switches: of the hub, or of one speaker.

func (p *program) muteCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "mute [SPEAKER] [on|off|toggle]", Short: "Silence the hub or a speaker while what plays plays on; without a word print it",
		Example: "  hkw mute on --below 300\n  hkw mute kitchen toggle"}
	f := newFields(cmd)
	f.integer("below", "sounds of this priority and above are heard all the same, 1 to 9999")
	return p.switchCommand(cmd, f, []string{string(session.SwitchOn), string(session.SwitchOff), string(session.SwitchToggle)}, shownMute)
}

func (p *program) quietCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "quiet [SPEAKER] [on|off|auto]", Short: "Switch quiet hours on, off, or back to their times; without a word print them",
		Long: "Switch quiet hours of the hub or a speaker on, off, or back to their times; without a word print them.\n" +
			"on and off last until the hours end the next time; where there are no hours, until auto.",
		Example: "  hkw quiet off\n  hkw quiet nursery on"}
	return p.switchCommand(cmd, newFields(cmd), []string{string(session.QuietOn), string(session.QuietOff), string(session.QuietAuto)}, shownQuietHours)
}

// switchCommand makes mute and quiet. show tells how a speaker's switch stands, or
// with "" the hub's.
func (p *program) switchCommand(cmd *cobra.Command, f *fieldFlags, words []string, show func(s bridge.Status, speaker string) (string, any)) *cobra.Command {
	var speaker, word string
	name := cmd.Name()
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := arguments(0, 2)(cmd, args); err != nil {
			return err
		}
		if n := len(args); n > 0 && slices.Contains(words, args[n-1]) {
			word, args = args[n-1], args[:n-1]
		}
		if len(args) == 2 {
			return usageError("%s must be one of %s, not %q", name, strings.Join(words, ", "), args[1])
		}
		if len(args) == 1 {
			speaker = args[0]
		}
		return nil
	}
	f.text("session", "the token of an open session, to keep it alive")
	return p.client(cmd, func(ctx context.Context, t *talk, b *bus, _ []string) error {
		if word == "" {
			return t.showSwitch(ctx, b, speaker, show)
		}
		fields, whose := f.given(), name
		fields[name] = word
		if speaker != "" {
			fields["speaker"], whose = speaker, name+" of "+speaker
		}
		a, err := b.command(ctx, t.timeout, name, fields, false)
		if err != nil {
			return err
		}
		return t.tell(a, func() string { return whose + ": " + word })
	})
}

// showSwitch prints how a switch stands by the hub's status.
func (t *talk) showSwitch(ctx context.Context, b *bus, speaker string, show func(bridge.Status, string) (string, any)) error {
	s, err := b.status(ctx, t.timeout)
	if err != nil {
		return err
	}
	if speaker != "" && !slices.Contains(speakerIDs(s), speaker) {
		return noSpeaker(s, speaker)
	}
	line, value := show(s, speaker)
	if t.json {
		payload, err := json.Marshal(value)
		if err != nil {
			return err
		}
		line = string(payload)
	}
	t.say("%s", line)
	return nil
}

func shownMute(s bridge.Status, speaker string) (string, any) {
	speakers := map[string]bool{}
	for _, sp := range s.Speakers {
		speakers[sp.ID] = sp.Muted
		if sp.ID == speaker {
			return "mute of " + speaker + ": " + describeMute(sp.Muted, sp.MuteBelow), map[string]any{"speaker": speaker, "muted": sp.Muted}
		}
	}
	line := "mute: " + describeMute(s.Muted, s.MuteBelow)
	for _, sp := range s.Speakers {
		if sp.Muted {
			line += fmt.Sprintf("; %s: %s", sp.ID, describeMute(true, sp.MuteBelow))
		}
	}
	return line, map[string]any{"muted": s.Muted, "speakers": speakers}
}

func describeMute(on bool, below int) string {
	switch {
	case on && below > 0:
		return fmt.Sprintf("on below priority %d", below)
	case on:
		return "on"
	}
	return "off"
}

func shownQuietHours(s bridge.Status, speaker string) (string, any) {
	line, speakers := "quiet: "+describeQuiet(s.Quiet), map[string]bridge.QuietStatus{}
	for _, sp := range s.Speakers {
		switch {
		case sp.ID == speaker && sp.Quiet == nil:
			return "quiet of " + speaker + ": as the hub", map[string]any{"speaker": speaker, "quiet": nil}
		case sp.ID == speaker:
			return "quiet of " + speaker + ": " + describeQuiet(*sp.Quiet), map[string]any{"speaker": speaker, "quiet": sp.Quiet}
		case sp.Quiet != nil:
			speakers[sp.ID] = *sp.Quiet
			line += fmt.Sprintf("; %s: %s", sp.ID, describeQuiet(*sp.Quiet))
		}
	}
	return line, map[string]any{"quiet": s.Quiet, "speakers": speakers}
}

// describeQuiet are quiet hours for a person: how they stand, and what is configured.
func describeQuiet(q bridge.QuietStatus) string {
	return fmt.Sprintf("%s (%s)", describeNow(q), describeRule(q))
}

// describeNow tells whether it is quiet, and until when.
func describeNow(q bridge.QuietStatus) string {
	line := "off"
	if q.Active {
		line = "on"
	}
	if q.Mode != session.QuietAuto {
		line += ", switched"
	}
	if q.Until != nil {
		line += " until " + shortTime(*q.Until, time.Now())
	}
	return line
}

// describeRule tells what holds in quiet hours, and when they are.
func describeRule(q bridge.QuietStatus) string {
	line := fmt.Sprintf("at most %d below priority %d", q.Volume, q.Priority)
	if q.From != "" {
		line = q.From + "–" + q.To + strings.Join(append([]string{""}, q.Days...), " ") + ", " + line
	}
	return line
}

// shortTime is a time of the coming day as on a clock, a later one with its day.
func shortTime(at, now time.Time) string {
	layout := "15:04"
	if at.Sub(now) >= 24*time.Hour {
		layout = "Mon 15:04"
	}
	return at.Local().Format(layout)
}

// describeHush tells what has changed in mute and quiet hours. owner is " of
// kitchen" or nothing; was is nil for a speaker, or a hub, that is new: there
// only what is unusual is told.
func describeHush(owner string, was *hush, now hush) []string {
	if was == nil {
		was = &hush{}
		if now.quiet == nil || !now.quiet.Active && now.quiet.Mode == session.QuietAuto {
			was.quiet = now.quiet
		}
	}
	var lines []string
	if was.muted != now.muted || was.below != now.below {
		lines = append(lines, "mute"+owner+": "+describeMute(now.muted, now.below))
	}
	switch {
	case now.quiet == nil && was.quiet == nil:
	case now.quiet == nil:
		lines = append(lines, "quiet hours"+owner+": as the hub")
	case was.quiet == nil || was.quiet.Active != now.quiet.Active || was.quiet.Mode != now.quiet.Mode:
		line := "quiet hours" + owner + ": " + describeNow(*now.quiet)
		if now.quiet.Active {
			line += " (" + describeRule(*now.quiet) + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

// hush is mute and quiet hours of a hub or a speaker.
type hush struct {
	muted bool
	below int
	quiet *bridge.QuietStatus
}

func hushOf(s bridge.Status) hush { return hush{s.Muted, s.MuteBelow, &s.Quiet} }

func hushOfSpeaker(s bridge.SpeakerStatus) hush { return hush{s.Muted, s.MuteBelow, s.Quiet} }
