package main

import (
	"github.com/rs/zerolog"

	"hkw/speaker"
	"hkw/speaker/null"
	"hkw/speaker/pulse"
	"hkw/speaker/snapcast"
	"hkw/speaker/wavfile"
)

// driverKind is one kind of output.
type driverKind struct {
	name     string
	argument string                      // what the argument is; "" if there is none
	example  string                      // of the argument
	needs    bool                        // an argument
	isPath   bool                        // the argument is a file
	discover bool                        // each output that it has becomes a speaker, if none are configured
	check    func(argument string) error // nil if any will do
	advice   string                      // when it cannot be opened; "" if the argument is all there is to correct
	open     func(zerolog.Logger) speaker.Driver
}

// The drivers that hkw itself chooses among.
const (
	driverPulse = "pulse"
	driverNull  = "null"
)

// drivers is the one list of them.
var drivers = append([]driverKind{
	{name: driverPulse, argument: "a sink of the server, else its default one", example: "kitchen_sink", discover: true,
		open: func(zerolog.Logger) speaker.Driver { return pulse.New("") }},
	{name: "wav", argument: "a file to write", example: "kitchen.wav", needs: true, isPath: true,
		open: func(zerolog.Logger) speaker.Driver { return wavfile.New() }},
	{name: "snapcast", argument: "where a snapserver takes sound", example: "snapserver.lan:4953", needs: true,
		check:  func(a string) error { _, err := snapcast.ParseTarget(a); return err },
		advice: "start snapserver with `" + snapcast.Source + "` in its snapserver.conf, or correct the host and port of its --speaker",
		open:   func(zerolog.Logger) speaker.Driver { return snapcast.New() }},
	{name: driverNull,
		open: func(zerolog.Logger) speaker.Driver { return null.New() }},
}, platformDrivers...)
