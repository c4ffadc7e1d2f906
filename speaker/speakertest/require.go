package speakertest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Require skips a test that needs a foreign peer which is not here, or fails it if
// the environment variable HKW_REQUIRE, a list separated by commas, names the
// peer. What it needs are programs on the path; without any, the one of the peer's
// name. It returns the path of the first.
func Require(t testing.TB, peer string, programs ...string) string {
	t.Helper()
	if len(programs) == 0 {
		programs = []string{peer}
	}
	var first string
	for _, p := range programs {
		path, err := exec.LookPath(p)
		if err != nil {
			Missing(t, peer, err)
		}
		if first == "" {
			first = path
		}
	}
	return first
}

// Required tells whether HKW_REQUIRE names a peer.
func Required(peer string) bool {
	return slices.Contains(strings.Split(os.Getenv("HKW_REQUIRE"), ","), peer)
}

// Missing skips a test because a peer is not here, or fails it if HKW_REQUIRE names it.
func Missing(t testing.TB, peer string, why error) {
	t.Helper()
	if Required(peer) {
		t.Fatalf("HKW_REQUIRE names %s: %v", peer, why)
	}
	t.Skipf("no %s here: %v", peer, why)
}
