package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"hkw/bridge"
)

// exitCode is what a script can tell outcomes apart by.
type exitCode int

// The exit codes. They are only ever added to.
const (
	exitOK       exitCode = iota
	exitRuntime           // serve failed; doctor or health found something wrong
	exitUsage             // command line, environment or file
	exitRejected          // the hub refused the command and changed nothing
	exitFailed            // the hub tried and failed, or a sound waited for did not end by itself
	exitNoAnswer          // no broker, no hub, or no answer in time
	exitInUse             // an address to listen on is taken
	exitTaken             // another instance serves the hub
)

// exitCodes is the table that `hkw help` shows.
var exitCodes = []struct {
	code    exitCode
	meaning string
}{
	{exitOK, "done"},
	{exitRuntime, "it failed while running; doctor: the hub could not serve or be heard; health: it is not well"},
	{exitUsage, "the command line, the environment or the configuration file is wrong"},
	{exitRejected, "the hub refused the command and changed nothing"},
	{exitFailed, "the hub tried and failed; play --wait: the sound did not end by itself"},
	{exitNoAnswer, "the broker cannot be reached, the hub is not there, or no answer came in time"},
	{exitInUse, "an address to listen on is in use"},
	{exitTaken, "another hkw serves the hub"},
}

// exitError is an error that ends the program with a code of its own.
type exitError struct {
	code   exitCode
	err    error
	silent bool // it has been told already
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exitWith(code exitCode, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

func usageError(format string, args ...any) error { return exitWith(exitUsage, format, args...) }

// codeOf is the exit code that an error ends the program with.
func codeOf(err error) exitCode {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, bridge.ErrHubTaken):
		return exitTaken
	}
	return exitRuntime
}

// oneLine is an error as it is told on the terminal.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// plainNetError strips an error of the network of what only repeats the address.
func plainNetError(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	case errors.As(err, &dns):
		return fmt.Errorf("no such host %q", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.As(err, &op):
		return op.Err
	}
	return err
}
