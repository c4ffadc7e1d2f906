package decode

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// Reach says where web media may not come from: this machine itself and what is
// only reached without a router. Otherwise whoever may name a URL could have the
// hub read services that answer this machine alone, and so could a server that
// redirects, a playlist, or a name that resolves to here.
type Reach struct {
	// Allow are networks that may be reached all the same.
	Allow []netip.Prefix
	// Named lets a URL that itself names this machine (localhost or an address of
	// loopback) lead there, redirects included.
	Named bool
}

// control judges each address after its name was resolved, for net.Dialer.
func (r *Reach) control(u *url.URL) func(network, address string, _ syscall.RawConn) error {
	if r == nil {
		return nil
	}
	named := r.Named && namesLoopback(u.Hostname())
	return func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("an address that cannot be judged: %w", err)
		}
		ip := at.Addr().Unmap().WithZone("")
		for _, p := range r.Allow {
			if p.Contains(ip) {
				return nil
			}
		}
		if named && ip.IsLoopback() {
			return nil
		}
		if why := inward(ip); why != "" {
			return fmt.Errorf("it leads to %s, %s, where media may not come from", ip, why)
		}
		return nil
	}
}

func namesLoopback(host string) bool {
	if h := strings.ToLower(strings.TrimSuffix(host, ".")); h == "localhost" || strings.HasSuffix(h, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// inward says what makes an address this machine's own business; "" if nothing does.
func inward(ip netip.Addr) string {
	switch {
	case ip.IsLoopback():
		return "this machine"
	case ip.IsUnspecified():
		return "an unspecified address"
	case ip.IsLinkLocalUnicast():
		return "a link-local address"
	case ip.IsMulticast():
		return "a multicast address"
	case ownAddress(ip):
		return "an address of this machine"
	}
	return ""
}

// ownAddress tells whether an interface of this machine has the address. They are
// read anew each time: they come and go.
func ownAddress(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == ip {
			return true
		}
	}
	return false
}
