package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/mdns/v2"
	"golang.org/x/net/bpf"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// How a name is claimed: RFC 6762, 8.1.
const (
	probeInterval = 250 * time.Millisecond
	probeTime     = 3 * probeInterval
	mostNames     = 20 // that are tried
)

// Times to live, in seconds: RFC 6762, 10.
const (
	hostTTL  = 120
	otherTTL = 4500
)

// mdnsGroups are where multicast DNS is spoken.
var (
	mdnsGroup4 = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	mdnsGroup6 = &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353}
)

// service is an offer under the names that it has got, answered for by the
// library. The library answers questions and no more: what RFC 6762 wants said
// without being asked, at the beginning and at the end, is said here.
type service struct {
	offer
	links    []link
	instance string // "hkw on attic"
	host     string // "attic.local."
	conn     *mdns.Conn
	v4       *ipv4.PacketConn // nil if there is none
	v6       *ipv6.PacketConn
}

// openService looks which names are free and answers for them. It returns nil if
// ctx is done before.
func openService(ctx context.Context, machine string, o offer, on []link) (*service, error) {
	host, instance, err := freeNames(ctx, machine, o, on)
	if err != nil || ctx.Err() != nil {
		return nil, err
	}
	s := &service{offer: o, links: on, instance: instance, host: host + "."}
	s.conn, s.v4, s.v6, err = openMDNS(o, on, mdns.WithLocalNames(host),
		mdns.WithService(mdns.ServiceInstance{Instance: instance, Service: o.kind, Host: s.host, Port: o.addr.Port(), Text: o.text}))
	if err != nil {
		return nil, err
	}
	s.hearQuestions()
	return s, nil
}

// maxQuestions is how many questions a message may have to be heard. The library
// answers each with a packet of its own, at once and to whoever seems to have asked;
// without a bound one packet of a stranger is answered with a thousand.
const maxQuestions = 16

// questions lets only questions through: for the UDP header with what follows, which
// is what a socket's filter sees. The library keeps what it hears answered, and has
// to look through all that it has kept for each record more.
var questions = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 8 + 2, Size: 1}, // flags; the first is that of a response
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1 << 7, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 8 + 6, Size: 2}, // how many answers
	bpf.TAX{},
	bpf.LoadAbsolute{Off: 8 + 4, Size: 2}, // how many questions
	bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: maxQuestions, SkipTrue: 2},
	bpf.JumpIfX{Cond: bpf.JumpLessOrEqual, SkipTrue: 1}, // the library takes it for a response
	bpf.RetConstant{Val: 1 << 16},
	bpf.RetConstant{Val: 0},
}

// hearQuestions keeps everything else away from the library, where the system can.
func (s *service) hearQuestions() {
	filter, err := bpf.Assemble(questions)
	if err != nil {
		return // a test assembles it
	}
	if s.v4 != nil {
		_ = s.v4.SetBPF(filter)
	}
	if s.v6 != nil {
		_ = s.v6.SetBPF(filter)
	}
}

// openMDNS opens the library on links.
func openMDNS(o offer, on []link, options ...mdns.ServerOption) (*mdns.Conn, *ipv4.PacketConn, *ipv6.PacketConn, error) {
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled // it tells of every packet that it does not understand
	options = append(options, mdns.WithLoggerFactory(quiet), mdns.WithQueryInterval(probeInterval), mdns.WithCacheRefresh(false))
	if !o.addr.Addr().IsUnspecified() {
		options = append(options, mdns.WithLocalAddress(o.addr.Addr().AsSlice()))
	}
	var interfaces []net.Interface
	has4, has6 := false, false
	for _, l := range on {
		interfaces = append(interfaces, l.Interface)
		has4 = has4 || slices.ContainsFunc(l.addrs, netip.Addr.Is4)
		has6 = has6 || slices.ContainsFunc(l.addrs, netip.Addr.Is6)
	}
	options = append(options, mdns.WithInterfaces(interfaces...))
	var v4 *ipv4.PacketConn
	var v6 *ipv6.PacketConn
	var errs []error
	// An address of multicast makes net share the port with the machine's other responders.
	if has4 {
		if c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(224, 0, 0, 0), Port: mdnsGroup4.Port}); err == nil {
			v4 = ipv4.NewPacketConn(c)
			_ = v4.SetMulticastTTL(255) // RFC 6762, 11
		} else {
			errs = append(errs, err)
		}
	}
	if has6 {
		if c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.ParseIP("ff02::"), Port: mdnsGroup6.Port}); err == nil {
			v6 = ipv6.NewPacketConn(c)
			_ = v6.SetMulticastHopLimit(255)
		} else {
			errs = append(errs, err)
		}
	}
	if v4 == nil && v6 == nil {
		return nil, nil, nil, fmt.Errorf("listen for multicast DNS: %w", errors.Join(errs...))
	}
	conn, err := mdns.NewServer(v4, v6, options...)
	if err != nil {
		if v4 != nil {
			_ = v4.Close()
		}
		if v6 != nil {
			_ = v6.Close()
		}
		return nil, nil, nil, fmt.Errorf("answer multicast DNS: %w", err)
	}
	return conn, v4, v6, nil
}

// freeNames finds names for the machine and for the service that nobody else on
// the LAN answers to, counting up from the ones that are wanted.
func freeNames(ctx context.Context, machine string, o offer, on []link) (host, instance string, err error) {
	conn, _, _, err := openMDNS(o, on)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = conn.Close() }()
	pause(ctx, rand.N(probeInterval)) // so that not all of a house that has its power back ask at once
	var mu sync.Mutex
	taken := map[string]bool{} // instances of others
	conn.OnServiceDiscovered(func(e mdns.ServiceEvent) {
		mu.Lock()
		defer mu.Unlock()
		if strings.EqualFold(e.Instance.Service, o.kind) {
			taken[strings.ToLower(e.Instance.Instance)] = true
		}
	})
	browsing, stop := context.WithTimeout(ctx, probeTime)
	defer stop()
	if err := conn.Browse(browsing, o.kind); err != nil {
		return "", "", fmt.Errorf("ask for others: %w", err)
	}
	for n := 1; host == ""; n++ {
		name := numbered(machine, "%s-%d", n) + ".local"
		if n == mostNames || !foreign(ctx, conn, name) {
			host = name
		}
	}
	<-browsing.Done()
	mu.Lock()
	defer mu.Unlock()
	for n := 1; instance == ""; n++ {
		name := numbered("hkw on "+machine, "%s (%d)", n)
		if n == mostNames || !taken[strings.ToLower(name)] {
			instance = name
		}
	}
	return host, instance, nil
}

// numbered is a name as it is, or, from 2 on, with its number.
func numbered(name, format string, n int) string {
	if n == 1 {
		return name
	}
	return fmt.Sprintf(format, name, n)
}

// foreign tells whether another machine answers to a name. This machine may well
// answer to it itself, by Avahi, say: with the same addresses that is allowed.
func foreign(ctx context.Context, conn *mdns.Conn, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_, addr, err := conn.QueryAddr(ctx, host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	return err == nil && !slices.ContainsFunc(own, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr().WithZone("") == addr.Unmap().WithZone("")
	})
}

// announce tells everyone on the links, unasked.
func (s *service) announce() { s.send(hostTTL, otherTTL) }

// close says goodbye and ends.
func (s *service) close() {
	s.send(0, 0)
	_ = s.conn.Close()
}

// send sends the records on each link, with its own addresses. What cannot be sent
// is lost, as any datagram may be: whoever wants to know asks.
func (s *service) send(ofHost, ofOthers uint32) {
	for _, l := range s.links {
		packet, err := s.records(l, ofHost, ofOthers)
		if err != nil {
			continue
		}
		if s.v4 != nil {
			_, _ = s.v4.WriteTo(packet, &ipv4.ControlMessage{IfIndex: l.Index}, mdnsGroup4)
		}
		if s.v6 != nil {
			_, _ = s.v6.WriteTo(packet, &ipv6.ControlMessage{IfIndex: l.Index}, mdnsGroup6)
		}
	}
}

// records are all that there is to know of the service on one link, as a response
// that nobody asked for. With a time to live of 0 it is no longer so; that leaves
// out the addresses, which stay the machine's.
func (s *service) records(l link, ofHost, ofOthers uint32) ([]byte, error) {
	var errs []error
	name := func(text string) dnsmessage.Name {
		n, err := dnsmessage.NewName(text)
		errs = append(errs, err)
		return n
	}
	kind, instance, host := name(s.kind+".local."), name(s.instance+"."+s.kind+".local."), name(s.host)
	var texts []string
	for _, t := range s.text {
		texts = append(texts, t.Key+"="+string(t.Value))
	}
	const in, flush = dnsmessage.ClassINET, dnsmessage.ClassINET | 1<<15 // ours alone: others forget what they had
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true, Authoritative: true})
	b.EnableCompression()
	errs = append(errs, b.StartAnswers(),
		b.PTRResource(dnsmessage.ResourceHeader{Name: kind, Class: in, TTL: ofOthers}, dnsmessage.PTRResource{PTR: instance}),
		b.SRVResource(dnsmessage.ResourceHeader{Name: instance, Class: flush, TTL: ofHost}, dnsmessage.SRVResource{Port: s.addr.Port(), Target: host}),
		b.TXTResource(dnsmessage.ResourceHeader{Name: instance, Class: flush, TTL: ofOthers}, dnsmessage.TXTResource{TXT: texts}))
	for _, a := range l.addrs {
		switch header := (dnsmessage.ResourceHeader{Name: host, Class: in, TTL: ofHost}); {
		case ofHost == 0:
		case a.Is4():
			errs = append(errs, b.AResource(header, dnsmessage.AResource{A: a.As4()}))
		default:
			errs = append(errs, b.AAAAResource(header, dnsmessage.AAAAResource{AAAA: a.As16()}))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b.Finish()
}
