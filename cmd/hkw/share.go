package main

import (
	"net"
	"net/netip"
	"sync"
)

// maxConnections is how many HTTP connections one machine may have at a time. A
// browser has six, a proxy some for each of its readers; what is beyond that would
// take the memory and the file handles that sound needs.
const maxConnections = 256

// share lets no machine have more than most of the listener's connections; more are
// closed at once. This machine has as many as it likes: whoever asks for the health
// of the program is not to be kept out by others.
func share(l net.Listener, most int) net.Listener {
	return &sharedListener{Listener: l, most: most, has: map[netip.Prefix]int{}}
}

type sharedListener struct {
	net.Listener
	most int

	mu  sync.Mutex
	has map[netip.Prefix]int
}

func (l *sharedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who, limited := machineOf(c.RemoteAddr())
		if !limited {
			return c, nil
		}
		if l.enter(who) {
			return &sharedConn{Conn: c, leave: sync.OnceFunc(func() { l.left(who) })}, nil
		}
		_ = c.Close()
	}
}

// machineOf is the machine behind an address: of IPv6 the network, since each
// machine has as many addresses there as it wants. It is not limited if it is this one.
func machineOf(addr net.Addr) (machine netip.Prefix, limited bool) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	machine, err := ip.Prefix(bits)
	return machine, err == nil && !ip.IsLoopback()
}

func (l *sharedListener) enter(who netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.has[who] >= l.most {
		return false
	}
	l.has[who]++
	return true
}

func (l *sharedListener) left(who netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.has[who]--; l.has[who] == 0 {
		delete(l.has, who)
	}
}

type sharedConn struct {
	net.Conn
	leave func()
}

func (c *sharedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// CloseWrite ends what is sent, where the connection can.
func (c *sharedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
