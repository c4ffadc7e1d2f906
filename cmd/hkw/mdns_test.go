package main

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func tcp(address string) net.Addr {
	if address == "" {
		return nil
	}
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
}

// Only what listens beyond loopback is announced.
func TestOffers(t *testing.T) {
	long := make([]string, 20)
	for i := range long {
		long[i] = strings.Repeat("x", 40) + fmt.Sprint(i)
	}
	tests := []struct {
		name, mqtt, http string
		hubs             []string
		want             []string
	}{
		{"loopback", "127.0.0.1:1883", "[::1]:8080", nil, nil},
		{"the other loopback", "127.1.2.3:1883", "[::ffff:127.0.0.1]:8080", nil, nil},
		{"everywhere", "0.0.0.0:1883", "[::]:8080", []string{"home", "attic"},
			[]string{"_mqtt._tcp 0.0.0.0:1883 hubs=home,attic version=1.2.3", "_http._tcp [::]:8080 hubs=home,attic version=1.2.3 path=/"}},
		{"one address", "127.0.0.1:1883", "192.168.7.5:80", []string{"home"}, []string{"_http._tcp 192.168.7.5:80 hubs=home version=1.2.3 path=/"}},
		{"a broker elsewhere", "", "192.168.7.5:80", []string{"home"}, []string{"_http._tcp 192.168.7.5:80 hubs=home version=1.2.3 path=/"}},
		{"more hubs than fit", "[::]:1883", "127.0.0.1:80", long, []string{"_mqtt._tcp [::]:1883 hubs=" + strings.Join(long[:5], ",") + " version=1.2.3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, o := range offers(tcp(tt.mqtt), tcp(tt.http), tt.hubs, "1.2.3") {
				line := o.kind + " " + o.addr.String()
				for _, e := range o.text {
					line += " " + e.Key + "=" + string(e.Value)
				}
				got = append(got, line)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// What listens on one address is announced with that one, and on its interface.
func TestReaches(t *testing.T) {
	for _, tt := range []struct {
		listens, by string
		want        bool
	}{
		{"0.0.0.0", "192.168.7.5", true}, {"0.0.0.0", "fe80::1", false}, {"::", "192.168.7.5", true}, {"::", "fe80::1", true},
		{"192.168.7.5", "192.168.7.5", true}, {"192.168.7.5", "10.0.0.1", false}, {"fe80::1%eth0", "fe80::1", true},
	} {
		if got := reaches(netip.MustParseAddr(tt.listens), netip.MustParseAddr(tt.by)); got != tt.want {
			t.Errorf("%s by %s: %v", tt.listens, tt.by, got)
		}
	}
	for _, l := range links(offer{addr: netip.MustParseAddrPort("[::]:1")}) {
		if l.Flags&net.FlagLoopback != 0 || slices.ContainsFunc(l.addrs, netip.Addr.IsLoopback) {
			t.Errorf("%+v", l)
		}
	}
}

// By default nothing listens beyond loopback, and nothing is announced; where it
// does, it can be left unsaid.
func TestAnnounceWhen(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want int
	}{
		{nil, 0},
		{[]string{"--mdns"}, 0},
		{[]string{"--http-listen", "0.0.0.0:0", "--open", "--mdns=false"}, 0},
		{[]string{"--http-listen", "0.0.0.0:0", "--open"}, 1},
		{[]string{"--http-listen", "0.0.0.0:0", "--mqtt-listen", "0.0.0.0:0", "--open"}, 2},
	} {
		// Not run: a test has nothing to say to the LAN.
		cfg, err := load(t, "", emptyEnv(t), tt.args...)
		if err != nil {
			t.Fatal(err)
		}
		a := &app{cfg: cfg, mqttAddr: tcp(strings.Replace(cfg.mqtt, ":0", ":1", 1)), httpAddr: tcp(strings.Replace(cfg.http, ":0", ":2", 1))}
		if got := len(a.announce()); got != tt.want {
			t.Errorf("%q: %d announcements, want %d", tt.args, got, tt.want)
		}
	}
}

var escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// The records of one link, when it begins and when it ends.
func TestRecords(t *testing.T) {
	o := offers(nil, tcp("[::]:8080"), []string{"home"}, "1.2.3")[0]
	s := &service{offer: o, instance: "hkw on attic (2)", host: "attic.local."}
	on := link{addrs: []netip.Addr{netip.MustParseAddr("192.168.7.5"), netip.MustParseAddr("fe80::5")}}
	read := func(host, other uint32) (lines []string) {
		packet, err := s.records(on, host, other)
		if err != nil {
			t.Fatal(err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(packet); err != nil || !m.Response || !m.Authoritative || len(m.Questions) > 0 {
			t.Fatalf("%+v: %v", m, err)
		}
		for _, a := range m.Answers {
			body := escaped.ReplaceAllStringFunc(strings.NewReplacer("dnsmessage.", "", "&", "").Replace(a.Body.GoString()), func(e string) string {
				n, _ := strconv.ParseUint(e[2:], 16, 8)
				return string(rune(n))
			})
			lines = append(lines, fmt.Sprintf("%s %d %v %s", a.Header.Name, a.Header.TTL, a.Header.Class&(1<<15) != 0, body))
		}
		return lines
	}
	const instance = "hkw on attic (2)._http._tcp.local."
	want := []string{
		"_http._tcp.local. 4500 false PTRResource{PTR: MustNewName(\"" + instance + "\")}",
		instance + " 120 true SRVResource{Priority: 0, Weight: 0, Port: 8080, Target: MustNewName(\"attic.local.\")}",
		instance + ` 4500 true TXTResource{TXT: []string{"hubs=home", "version=1.2.3", "path=/"}}`,
		"attic.local. 120 false AResource{A: [4]byte{192, 168, 7, 5}}",
		"attic.local. 120 false AAAAResource{AAAA: [16]byte{254, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5}}",
	}
	if got := read(hostTTL, otherTTL); !slices.Equal(got, want) {
		t.Errorf("announced\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	goodbye := read(0, 0)
	if len(goodbye) != 3 || !strings.Contains(goodbye[0], " 0 false PTR") || !strings.Contains(goodbye[1], " 0 true SRV") {
		t.Errorf("goodbye:\n%s", strings.Join(goodbye, "\n"))
	}
}
