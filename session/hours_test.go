package session

import (
	"slices"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"
)

func zone(t fataler, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return z
}

// TestHours shows what becomes of hours in the nights in which clocks change.
func TestHours(t *testing.T) {
	night := Hours{From: 22 * 60, To: 7 * 60}
	gap := Hours{From: 2*60 + 30, To: 5 * 60}
	inside := Hours{From: 2*60 + 10, To: 2*60 + 40}
	untilGap := Hours{From: 1 * 60, To: 2*60 + 30}
	fri := Hours{From: 23 * 60, To: 9 * 60, Days: []time.Weekday{time.Friday}}
	for _, test := range []struct {
		name  string
		hours Hours
		zone  string
		at    string
		in    bool
		next  string
	}{
		{"an evening", night, "Europe/Berlin", "2026-01-10T21:59:00+01:00", false, "2026-01-10T22:00:00+01:00"},
		{"from is in, to is out", night, "Europe/Berlin", "2026-01-10T22:00:00+01:00", true, "2026-01-11T07:00:00+01:00"},
		{"to is out", night, "Europe/Berlin", "2026-01-11T07:00:00+01:00", false, "2026-01-11T22:00:00+01:00"},
		{"the short night", night, "Europe/Berlin", "2026-03-28T22:00:00+01:00", true, "2026-03-29T07:00:00+02:00"},
		{"the long night", night, "Europe/Berlin", "2026-10-24T22:00:00+02:00", true, "2026-10-25T07:00:00+01:00"},
		{"begins in what is skipped", gap, "Europe/Berlin", "2026-03-29T01:00:00+01:00", false, "2026-03-29T03:00:00+02:00"},
		{"skipped whole", inside, "Europe/Berlin", "2026-03-29T01:00:00+01:00", false, "2026-03-30T02:10:00+02:00"},
		{"ends in what is skipped", untilGap, "Europe/Berlin", "2026-03-29T01:00:00+01:00", true, "2026-03-29T03:00:00+02:00"},
		{"begins where it is shown first", gap, "Europe/Berlin", "2026-10-25T02:00:00+02:00", false, "2026-10-25T02:30:00+02:00"},
		{"and goes on when it is shown again", gap, "Europe/Berlin", "2026-10-25T02:00:00+01:00", true, "2026-10-25T05:00:00+01:00"},
		{"ends where it is shown first", untilGap, "Europe/Berlin", "2026-10-25T01:00:00+02:00", true, "2026-10-25T02:30:00+02:00"},
		{"and does not begin again", untilGap, "Europe/Berlin", "2026-10-25T02:00:00+01:00", false, "2026-10-26T01:00:00+01:00"},
		{"a midnight that does not exist", Hours{From: 0, To: 6 * 60}, "America/Sao_Paulo", "2018-11-03T23:59:00-03:00", false, "2018-11-04T01:00:00-02:00"},
		{"an hour before midnight, twice", Hours{From: 0, To: 6 * 60}, "America/Sao_Paulo", "2018-02-17T23:30:00-02:00", false, "2018-02-18T00:00:00-03:00"},
		{"half an hour", gap, "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30", false, "2026-10-04T02:30:00+11:00"},
		{"one night a week", fri, "Europe/Berlin", "2026-01-10T09:00:00+01:00", false, "2026-01-16T23:00:00+01:00"},
		{"a whole day", Hours{Days: []time.Weekday{time.Sunday}}, "UTC", "2026-01-04T00:00:00Z", true, "2026-01-05T00:00:00Z"},
		{"always", Hours{}, "Europe/Berlin", "2026-01-04T00:00:00Z", true, ""},
		{"never", Hours{Days: []time.Weekday{}}, "Europe/Berlin", "2026-01-04T00:00:00Z", false, ""},
		{"a week that is swallowed", Hours{From: inside.From, To: inside.To, Days: []time.Weekday{time.Sunday}}, "Europe/Berlin", "2026-03-22T02:40:00+01:00", false, "2026-04-05T02:10:00+02:00"},
		{"the last day of a leap year", night, "Europe/Berlin", "2028-12-31T12:00:00+01:00", false, "2028-12-31T22:00:00+01:00"},
		{"a day that a country left out", night, "Pacific/Apia", "2011-12-29T23:00:00-10:00", true, "2011-12-31T07:00:00+14:00"},
	} {
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		h := test.hours
		h.Zone = zone(t, test.zone)
		in, next := h.At(at)
		got := ""
		if !next.IsZero() {
			got = next.Format(time.RFC3339)
		}
		if in != test.in || got != test.next {
			t.Errorf("%s: at %s: %v until %q, want %v until %q", test.name, test.at, in, got, test.in, test.next)
		}
	}
}

// TestHoursEnd shows how long a switch of quiet hours lasts.
func TestHoursEnd(t *testing.T) {
	h := Hours{From: 22 * 60, To: 7 * 60, Zone: time.UTC}
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, hour := range []int{7, 15, 22, 30} {
		if end := h.End(day.Add(time.Duration(hour) * time.Hour)); !end.Equal(day.Add(31 * time.Hour)) {
			t.Errorf("at %d h: %s", hour, end)
		}
	}
	if end := (Hours{}).End(day); !end.IsZero() {
		t.Errorf("what never ends ends at %s", end)
	}
}

// TestHoursAgainstTheWall holds Hours against somebody who looks at the wall
// clock every minute of three weeks, remembers how far it has got, and then asks
// whether that is between from and to. The weeks lie around the changes of the
// clocks of several places and years.
func TestHoursAgainstTheWall(t *testing.T) {
	const before, minutes = 8 * minutesOfDay, 21 * minutesOfDay
	rapid.Check(t, func(t *rapid.T) {
		place := rapid.SampledFrom([]string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
			"America/Sao_Paulo", "UTC", "America/St_Johns", "Pacific/Apia", "Africa/Casablanca"}).Draw(t, "place")
		z := zone(t, place)
		some := time.Date(rapid.IntRange(1950, 2060).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 15, 0, 0, 0, 0, time.UTC)
		around := some
		if _, change := some.In(z).ZoneBounds(); !change.IsZero() {
			around = change
		}
		begin := around.Truncate(time.Minute).Add(-before * time.Minute)

		minute := rapid.OneOf(rapid.IntRange(0, minutesOfDay-1), rapid.IntRange(0, 4*60), rapid.IntRange(23*60, minutesOfDay-1))
		h := Hours{From: minute.Draw(t, "from"), To: minute.Draw(t, "to"), Zone: z}
		if rapid.Bool().Draw(t, "some days") {
			h.Days = rapid.SliceOfNDistinct(rapid.SampledFrom([]time.Weekday{0, 1, 2, 3, 4, 5, 6}), 0, 6, rapid.ID).Draw(t, "days")
			h.Days = append([]time.Weekday{}, h.Days...)
		}

		in := make([]bool, minutes)
		var got time.Time // how far the wall clock has got, as if it were UTC
		for n := -2 * minutesOfDay; n < minutes; n++ {
			y, mo, d := begin.Add(time.Duration(n) * time.Minute).In(z).Date()
			hour, mi, _ := begin.Add(time.Duration(n) * time.Minute).In(z).Clock()
			if wall := time.Date(y, mo, d, hour, mi, 0, 0, time.UTC); wall.After(got) {
				got = wall
			}
			if n >= 0 {
				in[n] = h.naive(got)
			}
		}
		for range 50 {
			n := rapid.IntRange(0, minutes-1).Draw(t, "minute")
			at := begin.Add(time.Duration(n)*time.Minute + time.Duration(rapid.IntRange(0, 59_999).Draw(t, "ms"))*time.Millisecond)
			want := slices.Index(in[n:], !in[n])
			is, next := h.At(at)
			switch {
			case is != in[n]:
				t.Fatalf("%v at %s: %v", h, at.In(z), is)
			case want >= 0 && !next.Equal(begin.Add(time.Duration(n+want)*time.Minute)):
				t.Fatalf("%v at %s: next %s, want %s", h, at.In(z), next, begin.Add(time.Duration(n+want)*time.Minute).In(z))
			case want < 0 && !next.IsZero() && next.Before(begin.Add(minutes*time.Minute)):
				t.Fatalf("%v at %s: next %s, the wall says later", h, at.In(z), next)
			case next.IsZero() && want >= 0:
				t.Fatalf("%v at %s: no end", h, at.In(z))
			}
		}
	})
}

// naive tells whether a reading of the wall clock lies within the hours.
func (h Hours) naive(wall time.Time) bool {
	begins := func(day time.Weekday) bool { return h.Days == nil || slices.Contains(h.Days, day) }
	minute, today := wall.Hour()*60+wall.Minute(), wall.Weekday()
	if h.From < h.To {
		return begins(today) && h.From <= minute && minute < h.To
	}
	return begins(today) && minute >= h.From || begins((today+6)%7) && minute < h.To
}
