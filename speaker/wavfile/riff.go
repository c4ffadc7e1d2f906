package wavfile

import (
	"encoding/binary"

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
