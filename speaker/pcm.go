package speaker

import (
	"encoding/binary"
	"math"
)

// AppendPCM16 appends samples as 16 bit, signed, little-endian; what is outside of
// -1..1 is clipped. A sample that was made of 16 bit, by a division by 32768, comes out as it was.
func AppendPCM16(b []byte, samples []float32) []byte {
	for _, x := range samples {
		v := math.RoundToEven(float64(x) * 32768)
		v = min(max(v, math.MinInt16), math.MaxInt16)
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(v)))
	}
	return b
}
