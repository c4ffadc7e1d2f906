package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/mattn/go-colorable"
	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

// release is the version that is being worked toward; a release build names its own
// with -ldflags "-X main.release=1.2.3".
var release = "0.1.0-dev"

// program is what every run has of the world around it.
type program struct {
	stdout   io.Writer
	stderr   io.Writer
	env      environment
	terminal bool // someone reads stdout on a terminal
	version  string
	serving  func(*app) // told when serve has an app; for tests
}

func newProgram() *program {
	return &program{
		stdout: os.Stdout, stderr: os.Stderr, env: os.Environ(),
		terminal: isatty.IsTerminal(os.Stdout.Fd()), version: version(),
	}
}

// version is the release and, where the build knows it, the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	v, dirty := release, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			v += "+" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ".changed"
		}
	}
	return v + dirty
}

// run carries out one command line and returns its exit code.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return int(exitOK)
	}
	var e *exitError
	switch {
	case errors.As(err, &e) && e.silent:
	case errors.Is(err, context.Canceled):
		p.complain("interrupted")
	case errors.As(err, &e) && e.code == exitUsage:
		p.complain("%s (see `%s --help`)", oneLine(err), cmd.CommandPath())
	default:
		p.complain("%s", oneLine(err))
	}
	return int(codeOf(err))
}

func (p *program) complain(format string, args ...any) {
	_, _ = fmt.Fprintf(p.stderr, "hkw: "+format+"\n", args...)
}

func (p *program) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.stdout, format+"\n", args...)
}

// root is the tree of commands.
func (p *program) root() *cobra.Command {
	var codes strings.Builder
	for _, c := range exitCodes {
		fmt.Fprintf(&codes, "  %d  %s\n", c.code, c.meaning)
	}
	root := &cobra.Command{
		Use:   "hkw",
		Short: "An MQTT hub that plays what it is told",
		Long: "hkw turns this machine into a hub: an address on an MQTT bus that plays what it is told.\n" +
			"Without a command it serves, like `hkw serve`.\n\n" +
			"Settings come from defaults < file < HKW_* environment < flags; `hkw config` shows them all.\n\n" +
			"Exit codes:\n" + codes.String(),
		Args:          noArguments,
		RunE:          p.serve,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	addSettings(root.Flags(), true)
	serve := &cobra.Command{Use: "serve", Short: "Run the hub (the default)", Args: noArguments, RunE: p.serve}
	addSettings(serve.Flags(), true)
	root.AddCommand(serve)
	root.AddCommand(p.commands()...)
	root.AddCommand(p.watchCommand(), p.mediaCommand(), p.doctorCommand(), p.healthCommand(), p.configCommand(), p.tokenCommand(), p.versionCommand())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError("%w", err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	cobra.AddTemplateFunc("usages", usages)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".LocalFlags.FlagUsages", "usages .LocalFlags"))
	return root
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasParent() {
		return usageError("%s takes no arguments, not %q", cmd.CommandPath(), args[0])
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usageError("there is no command %q; %s", args[0], nearest(args[0], names))
}

// arguments checks the number of arguments.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usageError("the command is %s", cmd.UseLine())
		}
		return nil
	}
}

func (p *program) config(cmd *cobra.Command) (*config, error) {
	return loadConfig(p.env, cmd.Flags())
}

// logger writes for a person if stderr is a terminal, else JSON.
func (p *program) logger(level zerolog.Level) zerolog.Logger {
	w := p.stderr
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		w = zerolog.ConsoleWriter{Out: colorable.NewColorable(f), TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			p.say("hkw %s", p.version)
			return nil
		},
	}
}
