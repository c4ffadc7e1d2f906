package snapcast

import (
	"strings"
	"testing"
	"time"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Target
		err  string
	}{
		{"snapserver.lan", Target{Address: "snapserver.lan:4953"}, ""},
		{"snapserver.lan:5000", Target{Address: "snapserver.lan:5000"}, ""},
		{"[fd00::2]", Target{Address: "[fd00::2]:4953"}, ""},
		{"[fd00::2]:1", Target{Address: "[fd00::2]:1"}, ""},
		{"127.0.0.1?latency=400ms", Target{"127.0.0.1:4953", 400 * time.Millisecond}, ""},
		{"a:4953?latency=3s", Target{"a:4953", 3 * time.Second}, ""},
		{"a?latency=0", Target{Address: "a:4953"}, ""},
		{"", Target{}, "names no host"},
		{":4953", Target{}, "names no host"},
		{"tcp://a:4953", Target{}, "no HOST:PORT"},
		{"a/b", Target{}, "names no host"},
		{"fd00::2", Target{}, "in brackets"},
		{"[x:y]", Target{}, "no HOST:PORT"},
		{"a:", Target{}, "1 to 65535"},
		{"a:0", Target{}, "1 to 65535"},
		{"a:65536", Target{}, "1 to 65535"},
		{"a:http", Target{}, "1 to 65535"},
		{"a?buffer=1s", Target{}, "no option"},
		{"a?", Target{}, "no option"},
		{"a?latency=", Target{}, "a time from 0s to 3s"},
		{"a?latency=1000", Target{}, "a time from 0s to 3s"},
		{"a?latency=-1s", Target{}, "a time from 0s to 3s"},
		{"a?latency=4s", Target{}, "a time from 0s to 3s"},
	} {
		got, err := ParseTarget(c.in)
		switch {
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("%q: %+v, %v, want %+v", c.in, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: %+v, %v, want an error that says %q", c.in, got, err, c.err)
		}
	}
}
