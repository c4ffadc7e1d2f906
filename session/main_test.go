package session

import (
	"flag"
	"os"
	"testing"
)

// TestMain makes the property tests thorough, and keeps them from leaving
// files among the scripts: what fails is printed with the seed that shows it again.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "rapid.checks" })
	set := func(name, value string) {
		if f := flag.Lookup(name); f != nil {
			_ = f.Value.Set(value)
		}
	}
	set("rapid.nofailfile", "true")
	if !chosen {
		set("rapid.checks", "300") // rare meetings of rules are what the model is for
	}
	os.Exit(m.Run())
}
