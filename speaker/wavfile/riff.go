package wavfile

import (
	"encoding/binary"
	"math"

	"hkw/speaker"
)

const (
	sampleBytes = 2
	frameBytes  = sampleBytes * speaker.Channels
	headerBytes = 44
)

// header is the head of a file that holds so many bytes of samples.
func header(data int64) []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, headerBytes), "RIFF"...)
	b = le.AppendUint32(b, uint32(headerBytes-8+data))
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, 1) // PCM
	b = le.AppendUint16(b, speaker.Channels)
	b = le.AppendUint32(b, speaker.SampleRate)
	b = le.AppendUint32(b, speaker.SampleRate*frameBytes)
	b = le.AppendUint16(b, frameBytes)
	b = le.AppendUint16(b, 8*sampleBytes)
	b = append(b, "data"...)
	return le.AppendUint32(b, uint32(data))
}

// appendPCM appends samples as 16 bit. A sample that was made of 16 bit, by a
// division by 32768, comes out as it was.
func appendPCM(b []byte, samples []float32) []byte {
	for _, x := range samples {
		v := math.RoundToEven(float64(x) * 32768)
		v = min(max(v, math.MinInt16), math.MaxInt16)
		b = binary.LittleEndian.AppendUint16(b, uint16(int16(v)))
	}
	return b
}
