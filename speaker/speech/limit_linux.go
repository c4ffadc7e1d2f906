package speech

import "golang.org/x/sys/unix"

// limit bounds a process and what it starts from now on: addresses in bytes,
// processor time in seconds. Where the system refuses, the limits of time and
// output remain.
func limit(pid int, memory, cpu uint64) {
	for resource, most := range map[int]uint64{
		unix.RLIMIT_AS: memory, unix.RLIMIT_CPU: cpu, unix.RLIMIT_CORE: 0,
	} {
		_ = unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil)
	}
}
