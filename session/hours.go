package session

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hours are hours of the day that come back every day, or on some days of the
// week, by the clock on the wall of a place. The zero value is the whole of
// every day.
//
// Where a place changes its clocks they are still what the wall says. A clock
// that is put forward takes with it the minutes that it skips: hours that begin
// or end in there do so at the first instant after. A clock that is put back
// shows an hour twice: hours begin or end when it is shown first, and nothing
// changes until the clock has caught up. In one sentence: it counts how far the
// wall clock has got, and putting it back takes nothing away.
type Hours struct {
	From, To int            // minutes after midnight, 0–1439; To is the next day unless it is after From
	Days     []time.Weekday // on which they begin; nil is every day
	Zone     *time.Location // nil is time.Local
}

const (
	minutesOfDay = 24 * 60

	// horizon is how many days the search for a border looks ahead. Hours come
	// back after a week, two if the clocks swallow them once; what runs longer
	// than that has no border.
	horizon = 16
)

// At tells whether it is within the hours at t, and when that changes next;
// never is the zero time. Only the wall clock of t counts, and next has no
// monotonic reading: it is a moment of the calendar.
func (h Hours) At(t time.Time) (in bool, next time.Time) {
	local := t.In(h.zone())
	year, month, day := local.Date()
	// The day before yesterday, because a clock that was put back over midnight
	// shows yesterday again.
	for n := -2; n < horizon; n++ {
		date := time.Date(year, month, day+n, 0, 0, 0, 0, time.UTC)
		if h.Days != nil && !slices.Contains(h.Days, date.Weekday()) {
			continue
		}
		from := h.reached(date.Add(time.Duration(h.From) * time.Minute))
		to := date.Add(time.Duration(h.To) * time.Minute)
		if h.To <= h.From {
			to = to.AddDate(0, 0, 1)
		}
		end := h.reached(to)
		switch {
		case !from.Before(end) || !t.Before(end):
			// Swallowed whole, or over.
		case in && from.After(next):
			return true, next
		case in || !t.Before(from):
			in, next = true, end // and on, if the following begin where these end
		default:
			return false, from
		}
	}
	return in, time.Time{}
}

// End is the next moment after t at which the hours end, the zero time if they
// never do.
func (h Hours) End(t time.Time) time.Time {
	in, next := h.At(t)
	if !in && !next.IsZero() {
		_, next = h.At(next)
	}
	return next
}

func (h Hours) zone() *time.Location {
	if h.Zone == nil {
		return time.Local
	}
	return h.Zone
}

// reached is the first instant at which the wall clock of the zone has got as
// far as wall, which is written as if it were UTC.
func (h Hours) reached(wall time.Time) time.Time {
	// No clock is as much as 16 hours ahead of UTC, nor was ever: the search
	// begins before the wall can have shown it.
	t := wall.Add(-26 * time.Hour).In(h.zone())
	for {
		_, offset := t.Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if at.Before(t) { // skipped, when this offset began
			at = t
		}
		_, end := t.ZoneBounds()
		if !end.IsZero() && !end.After(t) {
			// On the last day of a leap year Go (1.26) names its first instant.
			end = t.Add(15 * time.Minute)
		}
		if end.IsZero() || at.Before(end) {
			return at.In(h.zone())
		}
		t = end
	}
}

// Clock writes minutes after midnight as a clock shows them, 00:00 to 23:59.
func Clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// ParseClock reads what Clock writes, 7:30 too.
func ParseClock(text string) (minutes int, err error) {
	at, err := time.Parse("15:04", text)
	return at.Hour()*60 + at.Minute(), err
}

// DayName writes a day of the week in three letters, mon to sun.
func DayName(day time.Weekday) string { return strings.ToLower(day.String()[:3]) }

// ParseDay reads what DayName writes, and the day's whole English name.
func ParseDay(text string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(text, DayName(day)) || strings.EqualFold(text, day.String()) {
			return day, true
		}
	}
	return 0, false
}
