//go:build !darwin && !windows

package oto

import "hkw/speaker"

// New returns ErrUnavailable.
func New() (speaker.Driver, error) { return nil, ErrUnavailable }
