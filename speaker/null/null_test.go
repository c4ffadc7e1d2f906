package null_test

import (
	"testing"

	"hkw/speaker/null"
	"hkw/speaker/speakertest"
)

func TestConformance(t *testing.T) {
	speakertest.Run(t, func(*testing.T) speakertest.Fixture {
		return speakertest.Fixture{Driver: null.New()}
	})
}
