//go:build unix

package library

import (
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TestFIFO holds that nothing but files is opened: a named pipe would wait for ever.
func TestFIFO(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "in.wav", wav(10, "", "", ""))
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.wav"), 0o600); err != nil {
		t.Skip(err)
	}
	l := open(t, dir, nil)
	if got := paths(l); !slices.Equal(got, []string{"in.wav"}) {
		t.Errorf("%v", got)
	}
	if _, err := openFile(l.root.Load(), "pipe.wav"); err == nil {
		t.Error("a pipe was opened")
	}
}
