//go:build unix

package speakertest

import "syscall"

// Freeze lets the server hang: it keeps its connections and says nothing.
func (p *PulseServer) Freeze() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw is the end of Freeze.
func (p *PulseServer) Thaw() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }
