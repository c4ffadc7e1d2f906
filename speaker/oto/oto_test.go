//go:build !darwin && !windows

package oto

import (
	"errors"
	"testing"
)

func TestElsewhere(t *testing.T) {
	if d, err := New(); d != nil || !errors.Is(err, ErrUnavailable) {
		t.Errorf("New is %v, %v", d, err)
	}
}
