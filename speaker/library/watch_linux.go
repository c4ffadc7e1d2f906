package library

import "syscall"

// remote reports that the folder lies where others change files and nobody is told.
func remote(dir string) bool {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return false
	}
	switch uint32(st.Type) {
	case 0x6969, // NFS
		0x517B, 0xFF534D42, 0xFE534D42, // SMB
		0x65735546, // FUSE
		0x01021997, // 9P
		0x5346414F: // AFS
		return true
	}
	return false
}
