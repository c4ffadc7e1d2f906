// Command hkw turns a machine with a sound output into a hub: an address on an
// MQTT bus that plays what it is told. `hkw` (or `hkw serve`) runs hubs; its other
// commands talk to one.
//
// The chapters, in reading order:
//
//	program.go     the command line and what every run of it has
//	exit.go        errors and the exit codes that scripts can use
//	settings.go    every setting, declared once
//	config.go      defaults < file < environment < flags
//	file.go        the YAML file
//	speakers.go    the drivers, and which speakers a hub has
//	app.go         what `serve` runs
//	serve.go       and how it greets
//	systemd.go     what systemd is told, its watchdog above all
//	mdns.go        what the LAN is told
//	dnssd.go       and how
//	bus.go         a client's connection to a hub
//	commands.go    play, say, stop, …
//	watch.go       the live view
//	doctor.go      what is there and what to do about the rest
//	health.go      whether what runs is well
package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// called is how a person starts this program.
var called = "hkw"

func main() {
	if path, err := os.Executable(); err == nil && strings.Contains(path, "go-build") {
		called = "go run ./cmd/hkw" // which leaves no hkw behind
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; a second one finds the system's
	// own handling again and ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(newProgram().run(ctx, os.Args[1:]))
}
