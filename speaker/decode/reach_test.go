package decode

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"hkw/speaker"
)

func TestReachJudgesAddresses(t *testing.T) {
	strict := &Reach{}
	lan := &Reach{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32"), netip.MustParsePrefix("fe80::/10")}}
	named := &Reach{Named: true}
	for _, c := range []struct {
		reach   *Reach
		url     string
		address string
		ok      bool
	}{
		{strict, "http://radio.example/", "93.184.216.34:80", true},
		{strict, "http://radio.example/", "[2606:2800:220:1::1]:80", true},
		{strict, "http://nas.lan/", "192.168.77.5:80", true},
		{strict, "http://radio.example/", "127.0.0.1:80", false}, // a name that resolves to here
		{strict, "http://radio.example/", "127.200.3.4:80", false},
		{strict, "http://radio.example/", "[::1]:80", false},
		{strict, "http://radio.example/", "[::ffff:127.0.0.1]:80", false},
		{strict, "http://radio.example/", "0.0.0.0:80", false},
		{strict, "http://radio.example/", "[::]:80", false},
		{strict, "http://radio.example/", "169.254.169.254:80", false},
		{strict, "http://radio.example/", "[fe80::1%eth0]:80", false},
		{strict, "http://radio.example/", "[ff02::1]:80", false},
		{strict, "http://127.0.0.1/", "127.0.0.1:80", false},
		{strict, "http://radio.example/", "nonsense", false},
		{lan, "http://radio.example/", "127.0.0.9:80", true},
		{lan, "http://radio.example/", "127.0.0.1:80", false},
		{lan, "http://radio.example/", "[fe80::1%eth0]:80", true},
		{named, "http://127.0.0.1:8000/", "127.0.0.1:8000", true},
		{named, "http://[::1]/", "[::1]:80", true},
		{named, "http://LOCALHOST./", "127.0.0.1:80", true},
		{named, "http://radio.example/", "127.0.0.1:80", false},
		{named, "http://127.0.0.1/", "169.254.169.254:80", false},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.reach.control(u)("tcp", c.address, nil); (err == nil) != c.ok {
			t.Errorf("%+v: %s to %s: %v", *c.reach, c.url, c.address, err)
		}
	}
}

// This machine is itself by each of its addresses.
func TestReachKnowsOwnAddresses(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		ip := netip.MustParsePrefix(a.String()).Addr()
		if inward(ip.Unmap().WithZone("")) == "" {
			t.Errorf("%s counts as another machine", ip)
		}
	}
}

// A server that is allowed leads to one that is not: by a redirect, by a playlist.
func TestReachHoldsAtEachStep(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the inner server was asked") }))
	defer inner.Close()
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skipf("this system has one address of loopback only: %v", err)
	}
	outer := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, inner.URL, http.StatusFound)
		case "/playlist.m3u":
			_, _ = fmt.Fprintln(w, "#EXTM3U\n"+inner.URL+"/a.mp3")
		case "/tone.wav":
			_, _ = w.Write(toneWAV(speaker.SampleRate, 2, 4800))
		}
	}))
	outer.Listener = ln
	outer.Start()
	defer outer.Close()
	web := Web{Reach: &Reach{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}}
	for _, path := range []string{"/redirect", "/playlist.m3u"} {
		_, err := OpenURL(t.Context(), outer.URL+path, web)
		if !errors.Is(err, speaker.ErrMedia) || !strings.Contains(err.Error(), "this machine") {
			t.Errorf("%s: %v", path, err)
		}
	}
	src, err := OpenURL(t.Context(), outer.URL+"/tone.wav", web)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := src.Read(make([]float32, 960)); n == 0 || err != nil && !errors.Is(err, io.EOF) {
		t.Errorf("%d frames, %v", n, err)
	}
	_ = src.Close()
}
