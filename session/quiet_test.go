package session

import (
	"testing"
	"time"
)

// TestQuietClock sets the wall clock under the core: at boot, when it is put
// back, and after a sleep of the machine.
func TestQuietClock(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2026, 6, day, hour, 0, 0, 0, time.UTC) }
	q := newQuiet(&Quiet{Hours: &Hours{From: 22 * 60, To: 7 * 60, Zone: time.UTC}, Volume: 5, Priority: 200}, QuietOverride{})
	for _, step := range []struct {
		what   string
		mode   QuietMode // to switch to before; "" not to
		at     time.Time
		active bool
		after  QuietMode
		until  time.Time
	}{
		{"a clock without a battery", "", time.Date(1970, 1, 1, 0, 0, 1, 0, time.UTC), true, QuietAuto, time.Date(1970, 1, 1, 7, 0, 0, 0, time.UTC)},
		{"it is set", "", at(2, 12), false, QuietAuto, at(2, 22)},
		{"the machine slept", "", at(3, 23), true, QuietAuto, at(4, 7)},
		{"put back", "", at(3, 20), false, QuietAuto, at(3, 22)},
		{"switched off", QuietOff, at(3, 21), false, QuietOff, at(4, 7)},
		{"put back, and still off", "", at(3, 20), false, QuietOff, at(4, 7)},
		{"slept over the end", "", at(5, 3), true, QuietAuto, at(5, 7)},
		{"switched on by day", QuietOn, at(5, 12), true, QuietOn, at(6, 7)},
		{"and back", QuietAuto, at(5, 13), false, QuietAuto, at(5, 22)},
		{"a clock that is years ahead", "", time.Date(2046, 6, 5, 12, 0, 0, 0, time.UTC), false, QuietAuto, time.Date(2046, 6, 5, 22, 0, 0, 0, time.UTC)},
		{"switched off meanwhile", QuietOff, time.Date(2046, 6, 5, 12, 0, 0, 0, time.UTC), false, QuietOff, time.Date(2046, 6, 6, 7, 0, 0, 0, time.UTC)},
		{"put right, and off until tomorrow", "", at(6, 12), false, QuietOff, at(7, 7)},
	} {
		if step.mode != "" {
			q.mode, q.until = step.mode, time.Time{}
		}
		q.look(step.at)
		if v := q.view(); v.Active != step.active || v.Mode != step.after || !v.Until.Equal(step.until) {
			t.Errorf("%s: %+v", step.what, v)
		}
	}
}

// TestQuietRestart begins as an earlier run has ended.
func TestQuietRestart(t *testing.T) {
	hours := &Quiet{Hours: &Hours{From: 22 * 60, To: 7 * 60, Zone: time.UTC}, Volume: 99, Priority: -1}
	now := time.Date(2026, 6, 2, 23, 0, 0, 0, time.UTC)
	c := New(Config{Quiet: hours, Mute: Mute{On: true, Below: 300}, QuietOverride: QuietOverride{Mode: QuietOff, Until: now.Add(time.Minute)}})
	c.Step(now, Speaker{ID: "hall", Available: true, Mute: Mute{On: true}, Quiet: QuietOverride{Mode: QuietOn}})
	v := c.View()
	if !v.Muted || v.MuteBelow != 300 || v.Quiet.Active || v.Quiet.Mode != QuietOff || v.Quiet.Volume != MaxVolume || v.Quiet.Priority != MinPriority {
		t.Errorf("%+v", v)
	}
	if s := v.Speakers[0]; !s.Muted || s.Quiet == nil || !s.Quiet.Active || s.Quiet.Volume != DefaultQuietVolume || s.Quiet.Priority != DefaultQuietPriority {
		t.Errorf("%+v", s)
	}
	c.Step(now.Add(time.Minute), Tick{})
	if v := c.View(); !v.Quiet.Active || v.Quiet.Mode != QuietAuto {
		t.Errorf("the switch outlives its time: %+v", v.Quiet)
	}

	// A switch without an end, kept from before there was a schedule, gets one.
	c = New(Config{Quiet: hours, QuietOverride: QuietOverride{Mode: QuietOff}})
	c.Step(now, Tick{})
	if v := c.View(); v.Quiet.Active || !v.Quiet.Until.Equal(now.Add(8*time.Hour)) {
		t.Errorf("%+v", v.Quiet)
	}
}
