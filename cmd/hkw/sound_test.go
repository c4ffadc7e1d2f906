package main

import (
	"encoding/binary"
	"math"
	"os"
	"testing"
)

// samples are those of a WAV file of 16, 24 or 32 bits that may still grow, as -1 to 1.
func samples(t *testing.T, path string) []float64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || len(data) < 44 {
		return nil
	}
	var format, bits int
	for at := 12; at+8 <= len(data); {
		size := int(binary.LittleEndian.Uint32(data[at+4:]))
		body := data[at+8 : min(len(data), at+8+size)]
		switch string(data[at : at+4]) {
		case "fmt ":
			format, bits = int(binary.LittleEndian.Uint16(body)), int(binary.LittleEndian.Uint16(body[14:]))
			if format == 0xfffe {
				format = int(binary.LittleEndian.Uint16(body[24:]))
			}
		case "data":
			return decodePCM(t, body, format, bits)
		}
		at += 8 + size + size%2
	}
	return nil
}

func decodePCM(t *testing.T, body []byte, format, bits int) []float64 {
	t.Helper()
	var out []float64
	width := bits / 8
	for ; len(body) >= width; body = body[width:] {
		switch {
		case format == 3 && bits == 32:
			out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(body))))
		case format == 1 && bits == 16:
			out = append(out, float64(int16(binary.LittleEndian.Uint16(body)))/(1<<15))
		case format == 1 && bits == 24:
			out = append(out, float64(int32(uint32(body[0])<<8|uint32(body[1])<<16|uint32(body[2])<<24))/(1<<31))
		default:
			t.Fatalf("format %d with %d bits", format, bits)
		}
	}
	return out
}

// loudest is the largest sample of a WAV file.
func loudest(t *testing.T, path string) float64 {
	t.Helper()
	return peak(samples(t, path))
}

func peak(samples []float64) float64 {
	most := 0.0
	for _, s := range samples {
		most = max(most, math.Abs(s))
	}
	return most
}
