// Package null is a driver whose one speaker takes sound at the pace at which it would be heard,
// and lets nobody hear it: for machines without any output, and for tests.
package null

import (
	"context"

	"hkw/speaker"
	"hkw/speaker/paced"
)

// Driver implements speaker.Driver. Any target is the one that it has.
type Driver struct{}

// New makes the driver.
func New() *Driver { return &Driver{} }

// Name is "null".
func (*Driver) Name() string { return "null" }

// Targets is the one speaker, "null".
func (*Driver) Targets(context.Context) ([]speaker.Target, error) {
	return []speaker.Target{{ID: "null", Description: "No sound output", Default: true}}, nil
}

// Open opens a speaker; it never fails.
func (*Driver) Open(context.Context, string) (speaker.Sink, error) {
	return paced.New(func([]float32) error { return nil }, paced.Hooks{}), nil
}

// Events is nil: nothing ever changes.
func (*Driver) Events() <-chan speaker.TargetEvent { return nil }

// Close has nothing to do.
func (*Driver) Close() error { return nil }
