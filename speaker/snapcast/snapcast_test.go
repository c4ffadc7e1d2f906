package snapcast

import (
	"testing"

	"hkw/speaker/speakertest"
)

const missing = "127.0.0.1:1"

func TestConformance(t *testing.T) {
	for name, options := range map[string]string{"handed over": "", "heard": "?latency=200ms"} {
		t.Run(name, func(t *testing.T) {
			speakertest.Run(t, func(t *testing.T) speakertest.Fixture {
				f := newFakeServer(t)
				return speakertest.Fixture{Driver: New(), Target: f.address() + options, Missing: missing, Break: f.kill}
			})
		})
	}
}

func TestConformanceWithSnapserver(t *testing.T) {
	speakertest.Run(t, func(t *testing.T) speakertest.Fixture {
		s := speakertest.StartSnapserver(t, 200)
		return speakertest.Fixture{Driver: New(), Target: s.Source, Missing: missing, Break: s.Kill}
	})
}
