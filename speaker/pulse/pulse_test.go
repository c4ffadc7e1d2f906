package pulse_test

import (
	"testing"

	"hkw/speaker/pulse"
	"hkw/speaker/speakertest"
)

func TestConformance(t *testing.T) { conforms(t, speakertest.StartPulse) }

func TestConformanceOnPipeWire(t *testing.T) { conforms(t, speakertest.StartPipeWire) }

func conforms(t *testing.T, start func(testing.TB, ...string) *speakertest.PulseServer) {
	speakertest.Run(t, func(t *testing.T) speakertest.Fixture {
		server := start(t, "one", "two")
		return speakertest.Fixture{
			Driver: pulse.New(server.Server()), Target: "two", Missing: "three", Break: server.Kill,
		}
	})
}
