package speech

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// On a full disk everything is said, and nothing is left half.
func TestCacheFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("mounting a small disk needs root")
		}
		t.Skipf("no tmpfs here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	e := counted(50000) // 100,084 bytes
	cfg := Config{Engine: e, CacheDir: dir}
	once(t, cfg, "hello", "hello")
	if n := e.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if got := cached(t, dir); len(got) > 0 {
		t.Errorf("left behind: %q", got)
	}
	cfg.Engine = counted(5000)
	once(t, cfg, "short")
	if got := cached(t, dir); len(got) != 1 {
		t.Errorf("there is room, and what is kept is %q", got)
	}
}
