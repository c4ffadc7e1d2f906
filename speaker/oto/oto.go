// Package oto is a driver for the default output of a machine with macOS or
// Windows. Elsewhere New says that it is not available.
//
// It has only been built for these systems, by cross-compilation, and never been
// heard: there was no such machine to run it on. In particular when exactly a frame is
// heard is estimated from what the library has queued, and nobody has
// measured how well.
package oto

import "errors"

// ErrUnavailable is returned by New where there is no such output.
var ErrUnavailable = errors.New("the oto driver works on macOS and Windows only")
