package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/spf13/cobra"

	"hkw/bridge"
	"hkw/session"
)

// talk is a command that speaks to a hub: its connection and what all of them have.
type talk struct {
	*program
	json    bool
	timeout time.Duration
}

// client makes a command that speaks to a hub.
func (p *program) client(cmd *cobra.Command, run func(ctx context.Context, t *talk, b *bus, args []string) error) *cobra.Command {
	t := &talk{program: p}
	addSettings(cmd.Flags(), false)
	cmd.Flags().BoolVar(&t.json, "json", false, "print what the hub answers as JSON")
	cmd.Flags().DurationVar(&t.timeout, "timeout", answerTime, "how long to wait for the hub's answer")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := p.config(cmd)
		if err != nil {
			return err
		}
		b, err := openBus(cmd.Context(), cfg, cfg.hub)
		if err != nil {
			return err
		}
		defer b.close()
		return run(cmd.Context(), t, b, args)
	}
	return cmd
}

// fieldFlags are flags that become fields of the command's payload as they are.
type fieldFlags struct {
	cmd    *cobra.Command
	fields map[string]func() any
}

func (f *fieldFlags) text(field, usage string) {
	v := f.cmd.Flags().String(flagOf(field), "", usage)
	f.fields[field] = func() any { return *v }
}

func (f *fieldFlags) integer(field, usage string) {
	v := f.cmd.Flags().Int(flagOf(field), 0, usage)
	f.fields[field] = func() any { return *v }
}

func (f *fieldFlags) boolean(field, usage string) {
	v := f.cmd.Flags().Bool(flagOf(field), false, usage)
	f.fields[field] = func() any { return *v }
}

func (f *fieldFlags) seconds(field, usage string) {
	v := f.cmd.Flags().Duration(flagOf(field), 0, usage)
	f.fields[field] = func() any { return v.Seconds() }
}

func flagOf(field string) string { return strings.ReplaceAll(field, "_", "-") }

// given are the fields whose flags were given.
func (f *fieldFlags) given() map[string]any {
	given := map[string]any{}
	for field, value := range f.fields {
		if f.cmd.Flags().Changed(flagOf(field)) {
			given[field] = value()
		}
	}
	return given
}

func newFields(cmd *cobra.Command) *fieldFlags {
	return &fieldFlags{cmd: cmd, fields: map[string]func() any{}}
}

// touch are the flags of commands that reach what plays.
func touch(f *fieldFlags) {
	f.text("session", "the token of an open session")
	f.integer("priority", "the command's priority, 0 to 9999")
	f.text("playback", "the playback that is meant")
}

// commands are those that carry out something.
func (p *program) commands() []*cobra.Command {
	return []*cobra.Command{
		p.playCommand(&cobra.Command{Use: "play MEDIA", Short: "Play a chime, a preset, media of the library or a web stream", Args: arguments(1, 1),
			Example: "  hkw play chime\n  hkw play http://radio.example/stream --volume 20\n  hkw play doorbell --on-busy announce --wait"}, "media"),
		p.playCommand(&cobra.Command{Use: "say TEXT…", Short: "Speak a text", Args: arguments(1, 1<<10),
			Example: "  hkw say The washing machine is done\n  hkw say --voice de --wait Es klingelt"}, "say"),
		p.touchCommand("stop", "Stop what plays"),
		p.touchCommand("pause", "Pause what plays"),
		p.touchCommand("resume", "Continue what was paused"),
		p.seekCommand(), p.volumeCommand(), p.muteCommand(), p.quietCommand(), p.sessionCommand(),
	}
}

// playCommand makes play and say.
func (p *program) playCommand(cmd *cobra.Command, field string) *cobra.Command {
	f := newFields(cmd)
	f.integer("priority", "0 to 9999 (default the session's, else 100)")
	f.text("session", "the token of an open session")
	f.text("on_busy", "how it meets a busy hub: interrupt, announce, queue or drop")
	f.boolean("duck", "with --on-busy announce: lower the music instead of suspending it")
	f.integer("volume", "0 to 50, for this sound alone")
	f.text("speakers", "where it is heard: names separated by commas, or all")
	f.seconds("ttl", "never start later than this from now")
	f.boolean("repeat", "begin again whenever it ends")
	f.seconds("duration", "end by itself after so much sound")
	if field == "say" {
		f.text("voice", "who says it, as the speech engine calls it")
	}
	wait := cmd.Flags().Bool("wait", false, "wait until it has ended")
	return p.client(cmd, func(ctx context.Context, t *talk, b *bus, args []string) error {
		fields, what := f.given(), strings.Join(args, " ")
		fields[field] = what
		a, err := b.command(ctx, t.timeout, cmd.Name(), fields, *wait)
		if err != nil {
			return err
		}
		if err := t.tell(a, func() string {
			if a.Outcome == session.OutcomeQueued {
				return fmt.Sprintf("%q waits its turn (%s)", what, a.Playback)
			}
			return fmt.Sprintf("%q plays (%s)", what, a.Playback)
		}); err != nil || !*wait {
			return err
		}
		return t.follow(ctx, b, a)
	})
}

// follow tells the events of a play until it has ended.
func (t *talk) follow(ctx context.Context, b *bus, a answer) error {
	pending := a.events
	for {
		var m mqtt.Message
		if len(pending) > 0 {
			m, pending = pending[0], pending[1:]
		} else {
			var err error
			if m, err = b.next(ctx); err != nil {
				return err
			}
		}
		if m.Topic() == b.topic(topicAvailability) && string(m.Payload()) != bridge.Online {
			return b.offline()
		}
		e := eventOf(m)
		if m.Topic() != b.topic(topicEvents) || e.ID != a.Playback {
			continue
		}
		if t.json {
			t.say("%s", m.Payload())
		} else if e.Event != session.EventStarted { // that was told by the result
			t.say("%s", describeEvent(e))
		}
		switch e.Event {
		case session.EventFinished:
			return nil
		case session.EventInterrupted, session.EventStopped, session.EventDropped, session.EventFailed, session.EventExpired:
			return &exitError{code: exitFailed, err: fmt.Errorf("the sound %s", e.Event), silent: true}
		}
	}
}

// touchCommand makes stop, pause and resume.
func (p *program) touchCommand(name, short string) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: noArguments}
	f := newFields(cmd)
	touch(f)
	if name == "resume" {
		f.text("speakers", "where it is heard: names separated by commas, or all")
	}
	return p.client(cmd, func(ctx context.Context, t *talk, b *bus, _ []string) error {
		a, err := b.command(ctx, t.timeout, name, f.given(), false)
		if err != nil {
			return err
		}
		return t.tell(a, func() string {
			switch {
			case a.Count != nil && *a.Count == 0:
				return name + ": there was nothing to " + name
			case a.Count != nil:
				return fmt.Sprintf("%s: %s", name, counted(*a.Count, "playback"))
			case a.Playback != "":
				return fmt.Sprintf("%s: done (%s)", name, a.Playback)
			}
			return name + ": done"
		})
	})
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (p *program) seekCommand() *cobra.Command {
	var position time.Duration
	cmd := &cobra.Command{Use: "seek POSITION", Short: "Move what plays to a position: 90, 1:30 or 1m30s"}
	cmd.Args = func(cmd *cobra.Command, args []string) (err error) {
		if err := arguments(1, 1)(cmd, args); err != nil {
			return err
		}
		position, err = parsePosition(args[0])
		return err
	}
	f := newFields(cmd)
	touch(f)
	return p.client(cmd, func(ctx context.Context, t *talk, b *bus, _ []string) error {
		fields := f.given()
		fields["position"] = position.Seconds()
		a, err := b.command(ctx, t.timeout, "seek", fields, false)
		if err != nil {
			return err
		}
		return t.tell(a, func() string { return "plays on from " + clock(position) })
	})
}

// parsePosition reads seconds, m:ss, h:mm:ss or a duration.
func parsePosition(text string) (time.Duration, error) {
	if d, err := parseDuration(text); err == nil && d >= 0 {
		return d, nil
	}
	var total float64
	parts := strings.Split(text, ":")
	for i, part := range parts {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil || !(n >= 0) || n > 1e6 || i > 0 && n >= 60 || len(parts) > 3 {
			return 0, usageError("a position must be seconds, m:ss, h:mm:ss or a duration such as 1m30s, not %q", text)
		}
		total = total*60 + n
	}
	return time.Duration(total * float64(time.Second)), nil
}

func (p *program) volumeCommand() *cobra.Command {
	var speaker string // "" for all
	var volume *int    // nil to print it
	cmd := &cobra.Command{Use: "volume [SPEAKER] [0-50]", Short: "Set the volume of all speakers or of one; without a number print it"}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := arguments(0, 2)(cmd, args); err != nil {
			return err
		}
		if len(args) > 0 {
			if n, err := strconv.Atoi(args[len(args)-1]); err == nil {
				volume, args = &n, args[:len(args)-1]
			}
		}
		if len(args) == 2 {
			return usageError("the volume must be an integer from 0 to %d, not %q", session.MaxVolume, args[len(args)-1])
		}
		if len(args) == 1 {
			speaker = args[0]
		}
		return nil
	}
	f := newFields(cmd)
	f.text("session", "the token of an open session, to keep it alive")
	return p.client(cmd, func(ctx context.Context, t *talk, b *bus, _ []string) error {
		if volume == nil {
			return t.showVolume(ctx, b, speaker)
		}
		fields, whose := f.given(), "volume"
		fields["volume"] = *volume
		if speaker != "" {
			fields["speaker"], whose = speaker, "volume of "+speaker
		}
		a, err := b.command(ctx, t.timeout, "volume", fields, false)
		if err != nil {
			return err
		}
		return t.tell(a, func() string { return fmt.Sprintf("%s: %d", whose, *volume) })
	})
}

// showVolume prints the volumes that the hub's status tells.
func (t *talk) showVolume(ctx context.Context, b *bus, speaker string) error {
	s, err := b.status(ctx, t.timeout)
	if err != nil {
		return err
	}
	volumes := map[string]int{}
	var each []string
	for _, sp := range s.Speakers {
		volumes[sp.ID] = sp.Volume
		each = append(each, fmt.Sprintf("%s %d", sp.ID, sp.Volume))
	}
	shown, line := any(map[string]any{"volume": s.Volume, "speakers": volumes}), fmt.Sprintf("volume: %d (%s)", s.Volume, strings.Join(each, ", "))
	if speaker != "" {
		v, ok := volumes[speaker]
		if !ok {
			return noSpeaker(s, speaker)
		}
		shown, line = map[string]any{"speaker": speaker, "volume": v}, fmt.Sprintf("volume of %s: %d", speaker, v)
	}
	if t.json {
		payload, err := json.Marshal(shown)
		line = string(payload)
		if err != nil {
			return err
		}
	}
	t.say("%s", line)
	return nil
}

// noSpeaker says which speakers a hub has that lacks the one named.
func noSpeaker(s bridge.Status, speaker string) error {
	return exitWith(exitRejected, "the hub has no speaker %q; it has %s", speaker, strings.Join(speakerIDs(s), ", "))
}

func speakerIDs(s bridge.Status) []string {
	var ids []string
	for _, sp := range s.Speakers {
		ids = append(ids, sp.ID)
	}
	return ids
}

// tell prints the result of a command: for a person in one line, or as it came.
// A command that was not carried out is an error.
func (t *talk) tell(a answer, done func() string) error {
	var err error
	if a.Error != "" || a.Outcome == session.OutcomeRejected || a.Outcome == session.OutcomeFailed {
		code := exitRejected
		if a.Outcome == session.OutcomeFailed {
			code = exitFailed
		}
		err = &exitError{code: code, err: fmt.Errorf("%s", describeRefusal(a.Result)), silent: t.json}
	}
	switch {
	case t.json:
		t.say("%s", a.raw)
	case err == nil:
		t.say("%s", done())
	}
	if !t.json {
		for _, note := range a.Notes {
			t.complain("the hub notes: %s", note)
		}
	}
	return err
}

// describeRefusal says in one line why a command was not carried out.
func describeRefusal(r bridge.Result) string {
	line := fmt.Sprintf("%s: %s", r.Command, r.Outcome)
	if r.Error != "" {
		line += ", " + string(r.Error)
	}
	if r.Message != "" {
		line += ": " + r.Message
	}
	if r.Current != nil {
		line += fmt.Sprintf(" (%q plays at priority %d)", r.Current.Media.Title, r.Current.Priority)
	}
	return line
}
