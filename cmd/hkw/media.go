package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (p *program) mediaCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "media [WORDS…]", Short: "List what the hub can play by name", Args: arguments(0, 64)}
	f := newFields(cmd)
	f.integer("offset", "how many to skip")
	f.integer("limit", "how many to give, 1 to 500 (default 50)")
	return p.client(cmd, func(ctx context.Context, t *talk, b *bus, args []string) error {
		fields := f.given()
		if len(args) > 0 {
			fields["query"] = strings.Join(args, " ")
		}
		a, err := b.command(ctx, t.timeout, "media", fields, false)
		if err != nil {
			return err
		}
		return t.tell(a, func() string { return mediaTable(a) })
	})
}

// mediaTable is a list of media for a person.
func mediaTable(a answer) string {
	var s strings.Builder
	if len(a.List) > 0 {
		w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, "ID\tTITLE\tARTIST\tALBUM\tLENGTH")
		for _, m := range a.List {
			length := ""
			if m.Duration > 0 {
				length = clock(time.Duration(m.Duration*float64(time.Second)) + time.Second/2)
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.ID, cell(m.Title), cell(m.Artist), cell(m.Album), length)
		}
		_ = w.Flush()
	}
	total := len(a.List)
	if a.Total != nil {
		total = *a.Total
	}
	if total == 0 {
		return "nothing found; `hkw media` without words lists all"
	}
	return fmt.Sprintf("%s%d of %d", s.String(), len(a.List), total)
}

// cell keeps what a file says about itself from breaking the table.
func cell(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	const most = 48
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
