package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// checkMedia tells whether the media folder can be read.
func checkMedia(cfg *config) error {
	if cfg.media == "" {
		return nil
	}
	label := cfg.values[setMedia].label
	info, err := os.Stat(cfg.media)
	if err == nil && !info.IsDir() {
		return usageError("%s must be a folder, and %s is none", label, cfg.media)
	}
	var dir *os.File
	if err == nil {
		dir, err = os.Open(cfg.media)
	}
	if err == nil {
		_, err = dir.Readdirnames(1)
		_ = dir.Close()
		if err == nil || isEOF(err) {
			return nil
		}
	}
	return usageError("%s must be a folder that can be read: %w", label, err)
}

// checkData tells whether a folder, which need not exist yet, can be written.
func checkData(dir string) error {
	if dir == "" {
		return errors.New("there is no home folder to keep it in")
	}
	existing, err := nearestFolder(dir)
	if err != nil {
		return err
	}
	return tryWriting(existing)
}

// checkFile tells whether a file, which need not exist yet, can be written.
func checkFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder, not a file", path)
	case err == nil:
		f, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // the file that the owner configured
		if err != nil {
			return err
		}
		return f.Close()
	}
	return checkData(filepath.Dir(path))
}

// nearestFolder is dir, or the folder above it in which it would be made.
func nearestFolder(dir string) (string, error) {
	existing, err := filepath.Abs(dir)
	for err == nil {
		var info os.FileInfo
		if info, err = os.Stat(existing); err == nil {
			if !info.IsDir() {
				err = fmt.Errorf("%s is no folder", existing)
			}
			return existing, err
		}
		if parent := filepath.Dir(existing); errors.Is(err, os.ErrNotExist) && parent != existing {
			existing, err = parent, nil
		}
	}
	return "", err
}

// tryWriting is the only test that holds on every system.
func tryWriting(dir string) error {
	probe, err := os.MkdirTemp(dir, ".hkw-")
	if err != nil {
		return err
	}
	return os.Remove(probe)
}
