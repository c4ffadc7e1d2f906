package pulse_test

import (
	"testing"

	"hkw/speaker/pulse"
	"hkw/speaker/speakertest"
)

func TestConformance(t *testing.T) {
	speakertest.Run(t, func(t *testing.T) speakertest.Fixture {
		server := speakertest.StartPulse(t, "one", "two")
		return speakertest.Fixture{
			Driver: pulse.New(server.Server()), Target: "two", Missing: "three", Break: server.Kill,
		}
	})
}
