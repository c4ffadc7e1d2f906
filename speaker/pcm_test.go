package speaker_test

import (
	"encoding/binary"
	"math"
	"testing"

	"hkw/speaker"
)

func TestAppendPCM16(t *testing.T) {
	for _, c := range []struct {
		in   float32
		want int16
	}{{0, 0}, {1.0 / 32768, 1}, {-1, -32768}, {1, 32767}, {2, 32767}, {-2, -32768}, {0.5, 16384}, {0.4 / 32768, 0}} {
		if got := int16(binary.LittleEndian.Uint16(speaker.AppendPCM16(nil, []float32{c.in}))); got != c.want {
			t.Errorf("%v is written as %d, want %d", c.in, got, c.want)
		}
	}
	for v := math.MinInt16; v <= math.MaxInt16; v++ {
		if got := int16(binary.LittleEndian.Uint16(speaker.AppendPCM16(nil, []float32{float32(v) / 32768}))); int(got) != v {
			t.Fatalf("the 16 bit sample %d is written as %d", v, got)
		}
	}
}
