package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// sessionCommand makes session open, close and speakers.
func (p *program) sessionCommand() *cobra.Command {
	group := &cobra.Command{
		Use: "session", Short: "Open, close and change sessions",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("there is no command %q; %s", "session "+args[0], nearest(args[0], []string{"open", "close", "speakers"}))
			}
			return cmd.Help()
		},
	}
	group.AddCommand(p.sessionOpen(), p.sessionClose(), p.sessionSpeakers())
	return group
}

func (p *program) sessionOpen() *cobra.Command {
	cmd := &cobra.Command{Use: "open", Short: "Open a session and print its token", Args: noArguments}
	f := newFields(cmd)
	f.integer("priority", "of the session's commands that name none, 0 to 9999 (default 100)")
	f.text("speakers", "where the session is heard: names separated by commas (default all)")
	return p.client(cmd, func(ctx context.Context, t *talk, b *bus, _ []string) error {
		a, err := b.command(ctx, t.timeout, "session/open", f.given(), false)
		if err != nil {
			return err
		}
		return t.tell(a, func() string {
			line := fmt.Sprintf("%s is the token of session %s", a.Session, a.SessionRef)
			if a.Expires != nil {
				line += ", which ends at " + a.Expires.Local().Format(time.TimeOnly) + " if it is not used"
			}
			return line
		})
	})
}

func (p *program) sessionClose() *cobra.Command {
	cmd := &cobra.Command{Use: "close TOKEN", Short: "Close a session and stop everything of it", Args: arguments(1, 1)}
	return p.client(cmd, func(ctx context.Context, t *talk, b *bus, args []string) error {
		a, err := b.command(ctx, t.timeout, "session/close", map[string]any{"session": args[0]}, false)
		if err != nil {
			return err
		}
		return t.tell(a, func() string { return "session closed" })
	})
}

func (p *program) sessionSpeakers() *cobra.Command {
	cmd := &cobra.Command{Use: "speakers TOKEN [SPEAKERS]", Short: "Change where a session is heard: names separated by commas, or all", Args: arguments(1, 2)}
	f := newFields(cmd)
	f.text("add", "speakers to add")
	f.text("remove", "speakers to take away")
	return p.client(cmd, func(ctx context.Context, t *talk, b *bus, args []string) error {
		fields := f.given()
		fields["session"] = args[0]
		if len(args) == 2 {
			fields["speakers"] = args[1]
		}
		a, err := b.command(ctx, t.timeout, "session/speakers", fields, false)
		if err != nil {
			return err
		}
		return t.tell(a, func() string { return "session speakers: done" })
	})
}
