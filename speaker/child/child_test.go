package child

import (
	"context"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestCommand starts a shell that starts another program and looks at what they
// are given and what is left of them.
func TestCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no process groups here")
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	t.Setenv("SECRET", "s3cr3t")
	t.Setenv("WANTED", "yes")
	var said Complaints
	ctx, cancel := context.WithCancel(t.Context())
	cmd := Command(ctx, []string{"WANTED", "UNSET_HERE", "LC_ALL=C", "PATH"}, sh, "-c",
		`echo "$SECRET/$WANTED/$LC_ALL/${UNSET_HERE-none}" >&2; i=0; while [ $i -lt 2000 ]; do echo complaint >&2; i=$((i+1)); done; sleep 1000 & echo up; wait`)
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up := make([]byte, 3)
	if _, err := io.ReadFull(out, up); err != nil {
		t.Fatal(err)
	}
	cancel()
	// The grandchild holds the pipe until it dies too.
	gone := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, out); gone <- err }()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("what the program has started outlives it")
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended well although it was killed")
	}
	EndGroup(cmd)
	first, _, _ := strings.Cut(said.String(), "\n")
	if first != "/yes/C/none" {
		t.Errorf("of the environment it has %q", first)
	}
	if n := len(said.String()); n != kept {
		t.Errorf("%d bytes of its complaints are kept, want %d", n, kept)
	}
}
