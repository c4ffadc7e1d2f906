//go:build unix

package child

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the child in a process group of its own, which is killed as a whole.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// endGroup kills what the child has left behind in its group. A number is not used
// again while a member of its group lives.
func endGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
