package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// flagValue is a setting on the command line, as text.
type flagValue struct {
	setting
	texts []string
}

func (v *flagValue) String() string {
	if len(v.texts) == 0 {
		return v.byDefault
	}
	return strings.Join(v.texts, ",")
}

// Set takes the flag once more; the last one holds, but for those that have several values.
func (v *flagValue) Set(text string) error {
	if !v.several() {
		v.texts = nil
	}
	v.texts = append(v.texts, text)
	return nil
}

// Type is shown in the help.
func (v *flagValue) Type() string { return string(v.kind) }

// addSettings gives a command the flags of settings: of all, or of those that a
// client of a hub needs.
func addSettings(flags *pflag.FlagSet, all bool) {
	for _, s := range settings {
		if s.noFlag || !all && !s.bus {
			continue
		}
		f := flags.VarPF(&flagValue{setting: s}, s.name, "", fmt.Sprintf("%s [%s]", s.doc, s.env()))
		f.DefValue = s.byDefault
		if s.kind == kindBool {
			f.NoOptDefVal = "true"
		}
	}
}

// readFlags reads the flags that were given.
func readFlags(flags *pflag.FlagSet) map[string]given {
	found := map[string]given{}
	flags.Visit(func(f *pflag.Flag) {
		v, ok := f.Value.(*flagValue)
		if !ok {
			return // a flag of the command, not a setting
		}
		o := origin{label: "--" + f.Name, shown: "flag --" + f.Name}
		g := given{origin: o}
		for _, t := range v.texts {
			if v.kind == kindList {
				g.texts = append(g.texts, split(t, o)...)
			} else {
				g.texts = append(g.texts, sourced{t, o})
			}
		}
		found[f.Name] = g
	})
	return found
}

// usages is the help on flags, without pflag's [=true|false] at each that is a switch.
func usages(flags *pflag.FlagSet) string {
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.VisitAll(func(f *pflag.Flag) {
		plain := *f
		if f.Value.Type() == "bool" {
			plain.Value = struct{ pflag.Value }{f.Value}
		}
		shown.AddFlag(&plain)
	})
	return shown.FlagUsages()
}
