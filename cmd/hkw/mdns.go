package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/mdns/v2"
	"github.com/rs/zerolog"
)

// The kinds of service that are announced, as RFC 6763 spells them.
const (
	kindMQTTService = "_mqtt._tcp"
	kindHTTPService = "_http._tcp"
)

// interfacesTime is how often it is looked whether the machine has other
// addresses than before: a hub starts before the WLAN is there.
const interfacesTime = 10 * time.Second

// offer is a service that the LAN is told about.
type offer struct {
	kind string
	addr netip.AddrPort // it listens there; unspecified for all addresses
	text []mdns.TXTEntry
}

// offers are what there is to announce: what listens beyond loopback.
func offers(mqtt, http net.Addr, hubs []string, version string) []offer {
	text := []mdns.TXTEntry{mdns.NewTXTString("hubs", upTo(250, hubs)), mdns.NewTXTString("version", upTo(240, []string{version}))}
	var all []offer
	for _, o := range []offer{
		{kind: kindMQTTService, addr: addrPort(mqtt), text: text},
		{kind: kindHTTPService, addr: addrPort(http), text: append(slices.Clone(text), mdns.NewTXTString("path", "/"))},
	} {
		if o.addr.IsValid() && !o.addr.Addr().IsLoopback() {
			all = append(all, o)
		}
	}
	return all
}

// upTo joins texts with commas as far as they fit: an entry of a TXT record has at
// most 255 bytes, its key among them.
func upTo(limit int, texts []string) string {
	joined := ""
	for _, t := range texts {
		if len(joined)+1+len(t) > limit {
			break
		}
		joined = strings.TrimPrefix(joined+","+t, ",")
	}
	return joined
}

// addrPort is the address of a TCP listener, invalid for any other.
func addrPort(addr net.Addr) netip.AddrPort {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// machineName is what this machine is called on the LAN, without ".local". A label
// of the DNS has no more than 63 bytes; 12 are for what is put before and behind it.
func machineName() string {
	name, _ := os.Hostname()
	name, _, _ = strings.Cut(name, ".")
	name = strings.Map(func(r rune) rune {
		if r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, name)
	if name = strings.Trim(name[:min(len(name), 51)], "-"); name == "" {
		return "hkw"
	}
	return name
}

// link is a network interface with those of its addresses that are announced.
type link struct {
	net.Interface
	addrs []netip.Addr
}

// links are the interfaces through which an offer is reached: up, able to carry
// multicast, not loopback; of an offer on one address only that address's.
func links(o offer) []link {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var found []link
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagMulticast == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		l := link{Interface: i}
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			if reaches(o.addr.Addr(), prefix.Addr().Unmap()) {
				l.addrs = append(l.addrs, prefix.Addr().Unmap())
			}
		}
		if len(l.addrs) > 0 {
			found = append(found, l)
		}
	}
	return found
}

// reaches tells whether what listens on an address is reached by another one.
func reaches(listens, by netip.Addr) bool {
	switch {
	case !listens.IsUnspecified():
		return listens.WithZone("") == by
	case listens.Is4():
		return by.Is4()
	}
	return true // [::] takes IPv4 too
}

// sameLinks tells whether nothing has changed about the interfaces.
func sameLinks(a, b []link) bool {
	return slices.EqualFunc(a, b, func(a, b link) bool { return a.Index == b.Index && a.Name == b.Name && slices.Equal(a.addrs, b.addrs) })
}

// hostNames are the names under which the machine has been announced with HTTP, in
// lower case. It keeps those that it had to give up: a browser may still know them.
type hostNames struct {
	mu    sync.Mutex
	known map[string]bool
}

func (n *hostNames) add(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = map[string]bool{}
	}
	n.known[strings.ToLower(host)] = true
}

func (n *hostNames) has(host string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[host]
}

// announcer keeps one offer known on the LAN.
type announcer struct {
	offer
	machine string
	links   func(offer) []link
	named   func(host string) // told under which name, without a dot at its end, the machine is announced
	log     zerolog.Logger
}

// announce makes the announcers of what this program offers to the LAN.
func (a *app) announce() []*announcer {
	if !a.cfg.mdns {
		return nil
	}
	var hubs []string
	for _, h := range a.hubs {
		hubs = append(hubs, h.ID())
	}
	var all []*announcer
	for _, o := range offers(a.mqttAddr, a.httpAddr, hubs, a.version) {
		named := func(string) {}
		if o.kind == kindHTTPService {
			named = a.names.add
		}
		all = append(all, &announcer{offer: o, machine: machineName(), links: links, named: named,
			log: a.log.With().Str("component", "mdns").Str("service", o.kind).Logger()})
	}
	return all
}

// run announces until ctx is done, anew whenever the machine has other addresses.
// What stands in the way is told once; nobody stops hearing for it.
func (a *announcer) run(ctx context.Context) error {
	told := ""
	for ctx.Err() == nil {
		now := a.links(a.offer)
		if len(now) > 0 {
			err := a.announceOn(ctx, now)
			if err != nil && err.Error() != told {
				told = err.Error()
				a.log.Warn().Err(err).Msg("cannot be announced on the LAN; trying on")
			}
			if err == nil {
				told = ""
				continue // other addresses, or the end
			}
		}
		pause(ctx, interfacesTime)
	}
	return nil
}

// announceOn announces on some links, until they change.
func (a *announcer) announceOn(ctx context.Context, on []link) error {
	s, err := openService(ctx, a.machine, a.offer, on)
	if err != nil || s == nil {
		return err
	}
	defer s.close()
	a.named(strings.TrimSuffix(s.host, "."))
	a.log.Info().Str("name", s.instance).Str("host", s.host).Uint16("port", a.addr.Port()).Msg("announced on the LAN")
	s.announce()
	if !pause(ctx, time.Second) {
		return nil
	}
	s.announce() // twice, a second apart: RFC 6762, 8.3
	for pause(ctx, interfacesTime) && sameLinks(on, a.links(a.offer)) {
	}
	return nil
}
