// Package child runs other programs for the sound: decoders, speech engines. They
// work in a process group of their own, with little of our environment, and when
// they end, or are ended, nothing of them is left.
package child

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// kept is how much of what a program complains of is kept, in bytes.
const kept = 4 << 10

// outlive is how long a grandchild may keep a pipe open after the program has ended.
const outlive = time.Second

// Command is a program that is killed, with all that it has started, when ctx is
// done. Of our environment it gets the variables named in env that are set, and
// those that env gives as NAME=VALUE.
func Command(ctx context.Context, env []string, file string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, file, args...)
	cmd.Dir = os.TempDir()
	cmd.WaitDelay = outlive
	cmd.Env = []string{}
	for _, v := range env {
		if !strings.Contains(v, "=") {
			value, ok := os.LookupEnv(v)
			if !ok {
				continue
			}
			v += "=" + value
		}
		cmd.Env = append(cmd.Env, v)
	}
	ownGroup(cmd)
	return cmd
}

// EndGroup kills what a program that has ended has left behind.
func EndGroup(cmd *exec.Cmd) { endGroup(cmd.Process.Pid) }

// Complaints keeps the beginning of what is written to it, 4 KiB: enough to tell
// why a program failed, however much it says.
type Complaints struct {
	mu  sync.Mutex
	buf []byte
}

// Write never fails.
func (c *Complaints) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = append(c.buf, p[:min(len(p), kept-len(c.buf))]...)
	return len(p), nil
}

// String is what was kept; whatever the program wrote, so not fit to be shown as it is.
func (c *Complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.buf)
}
