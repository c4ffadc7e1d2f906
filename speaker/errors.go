package speaker

import "errors"

// Why a playback failed; every ReportFailed wraps one of them.
var (
	ErrMedia   = errors.New("media unavailable")   // could not be opened or decoded
	ErrSpeaker = errors.New("speaker unavailable") // none of its speakers is left
)
