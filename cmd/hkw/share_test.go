package main

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
)

// queueListener accepts what is put into it.
type queueListener struct {
	net.Listener
	conns chan net.Conn
}

func (l queueListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

// remoteConn comes from somewhere.
type remoteConn struct {
	net.Conn
	from string
}

func (c remoteConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 40000))
}

func TestNoMachineHasAllConnections(t *testing.T) {
	q := queueListener{conns: make(chan net.Conn, 100)}
	l := share(q, 2)
	var others []net.Conn
	come := func(from string) {
		ours, other := net.Pipe()
		others = append(others, other)
		q.conns <- remoteConn{ours, from}
	}
	take := func(from string) net.Conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil || c.RemoteAddr().(*net.TCPAddr).IP.String() != from {
			t.Fatalf("accepted %v, %v, want one of %s", c.RemoteAddr(), err, from)
		}
		return c
	}
	for _, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:1::1", "127.0.0.1", "127.0.0.1", "::1", "127.0.0.1"} {
		come(from)
	}
	first := take("192.0.2.1")
	take("192.0.2.1")
	for _, from := range []string{"192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:1::1", "127.0.0.1", "127.0.0.1", "::1", "127.0.0.1"} {
		take(from)
	}
	if _, err := others[2].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the third of a machine: %v", err)
	}
	_ = first.Close()
	_ = first.Close() // counts once
	come("192.0.2.1")
	take("192.0.2.1")
	come("192.0.2.1")
	close(q.conns)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("one more than its share was accepted: %v", err)
	}
}
