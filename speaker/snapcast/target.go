package snapcast

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	// DefaultPort is where snapserver's tcp sources listen if their URI names no port.
	DefaultPort = 4953
	// MaxLatency is the longest latency that a target may name.
	MaxLatency = 3 * time.Second
)

// Target is where a stream of a snapserver takes its sound.
type Target struct {
	Address string // host and port of the source
	// Latency is how long the server's clients take from the source to the ear; 0 if sound counts
	// as heard when it was handed over.
	Latency time.Duration
}

// ParseTarget reads HOST[:PORT][?latency=DURATION], for example "snapserver.lan",
// "[fd00::2]:4953" or "127.0.0.1:4953?latency=1s".
func ParseTarget(s string) (Target, error) {
	where, query, hasQuery := strings.Cut(s, "?")
	host, port, err := net.SplitHostPort(where)
	if err != nil { // without a port, then
		host, port = strings.TrimSuffix(strings.TrimPrefix(where, "["), "]"), strconv.Itoa(DefaultPort)
		if strings.Contains(host, ":") && (net.ParseIP(host) == nil || host == where) {
			return Target{}, fmt.Errorf("%q is no HOST:PORT; an IPv6 address stands in brackets", where)
		}
	}
	if host == "" || strings.ContainsAny(host, "/ @=&[]") {
		return Target{}, fmt.Errorf("%q names no host, as snapserver.lan:%d does", where, DefaultPort)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Target{}, fmt.Errorf("the port of %q must be 1 to 65535, not %q", where, port)
	}
	t := Target{Address: net.JoinHostPort(host, port)}
	if !hasQuery {
		return t, nil
	}
	key, value, _ := strings.Cut(query, "=")
	if key != "latency" {
		return Target{}, fmt.Errorf("there is no option %q, only latency, as in ?latency=1s", key)
	}
	t.Latency, err = time.ParseDuration(value)
	if err != nil || t.Latency < 0 || t.Latency > MaxLatency {
		return Target{}, fmt.Errorf("latency must be a time from 0s to %v, such as 1s or 400ms, not %q", MaxLatency, value)
	}
	return t, nil
}
