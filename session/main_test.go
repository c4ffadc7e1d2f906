package session

import (
	"flag"
	"os"
	"testing"
)

// TestMain keeps the property tests from leaving files among the scripts: what
// fails is printed with the seed that shows it again.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.nofailfile"); f != nil {
		_ = f.Value.Set("true")
	}
	os.Exit(m.Run())
}
