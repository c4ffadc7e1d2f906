package speaker

import (
	"errors"
	"fmt"
)

// Why a playback failed; every ReportFailed wraps one of them.
var (
	ErrMedia   = errors.New("media unavailable")   // could not be opened or decoded
	ErrSpeaker = errors.New("speaker unavailable") // none of its speakers is left
)

// unplayable makes err one of media; most sources say so themselves.
func unplayable(err error) error {
	if errors.Is(err, ErrMedia) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMedia, err)
}
