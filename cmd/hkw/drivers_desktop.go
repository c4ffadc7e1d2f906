//go:build darwin || windows

package main

import (
	"sync"

	"github.com/rs/zerolog"

	"hkw/speaker"
	"hkw/speaker/oto"
)

// platformDriver is the driver to choose where no sound server is.
const platformDriver = "oto"

var platformDrivers = []driverKind{
	{name: platformDriver, open: func(zerolog.Logger) speaker.Driver { return device() }},
}

// device is the one way to the output that a process may have; all hubs share it.
var device = sync.OnceValue(func() speaker.Driver {
	d, err := oto.New()
	if err != nil {
		panic(err) // it fails only on other systems
	}
	return d
})
