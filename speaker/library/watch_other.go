//go:build !linux

package library

// remote reports that the folder lies where others change files and nobody is told. Only Linux tells.
func remote(string) bool { return false }
