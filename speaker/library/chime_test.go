package library

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"hkw/speaker"
)

func play(t *testing.T, src speaker.Source) (all []float32) {
	t.Helper()
	buf := make([]float32, 4099)
	for {
		n, err := src.Read(buf)
		all = append(all, buf[:2*n]...)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestChimes holds what a chime promises: its length, its level, samples of 16 bits, a beginning and an end without a click.
func TestChimes(t *testing.T) {
	var names []string
	for _, m := range Chimes() {
		names = append(names, m.ID)
		src, err := m.Open(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		all := play(t, src)
		if d := time.Duration(len(all)/2) * time.Second / speaker.SampleRate; d != m.Duration || src.Info().Duration != d || m.Kind != KindChime || m.Title == "" {
			t.Errorf("%+v lasts %v", m, d)
		}
		peak := 0.0
		var power float64
		for _, v := range all {
			if s := float64(v) * 32768; s != math.Trunc(s) {
				t.Fatalf("%s: %v is no sample of 16 bits", m.ID, v)
			}
			peak = max(peak, math.Abs(float64(v)))
			power += float64(v) * float64(v)
		}
		if db := 20 * math.Log10(peak); math.Abs(db+9) > 0.01 {
			t.Errorf("%s: its peak is at %.2f dBFS", m.ID, db)
		}
		for _, i := range []int{0, 1, len(all) - 2, len(all) - 1} {
			if math.Abs(float64(all[i])) > 0.001 {
				t.Errorf("%s: it clicks", m.ID)
			}
		}
		// It is heard from the first 20 ms on and until its last quarter.
		loud := func(part []float32) bool {
			return slices.ContainsFunc(part, func(v float32) bool { return math.Abs(float64(v)) > 0.005 })
		}
		if !loud(all[:2*960]) || !loud(all[len(all)*3/4:]) {
			t.Errorf("%s: too much of it is silence", m.ID)
		}
		if err := src.SeekTo(1000); err != nil {
			t.Fatal(err)
		}
		if again := play(t, src); !slices.Equal(again, all[2000:]) {
			t.Errorf("%s: after a seek it differs", m.ID)
		}
		if err := src.SeekTo(1 << 40); err != nil {
			t.Fatal(err)
		}
		if n, err := src.Read(make([]float32, 2)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d, %v", m.ID, n, err)
		}
	}
	for _, want := range []string{"chime", "doorbell", "alert", "alarm", "ding", "success", "error"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("out of order: %v", names)
	}
}

// TestChimeContext holds that a chime is dead with its context.
func TestChimeContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	src, err := Chimes()[0].Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := src.Read(make([]float32, 2)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Chimes()[0].Open(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkChime(b *testing.B) {
	for _, r := range recipes() {
		if r.name == "chime" || r.name == "alarm" {
			b.Run(r.name, func(b *testing.B) {
				for b.Loop() {
					r.render()
				}
			})
		}
	}
}
