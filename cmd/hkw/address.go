package main

import (
	"net"
	"strconv"

	"hkw/bridge"
)

// pageURL is where other machines find the page, "" if they can't: the first name
// by which HTTP may be called, else an address of this machine.
func (a *app) pageURL() string {
	addr, ok := a.httpAddr.(*net.TCPAddr)
	if !ok || addr.IP.IsLoopback() {
		return ""
	}
	host := addr.IP.String()
	switch {
	case len(a.cfg.hosts) > 0 && a.cfg.hosts[0] != bridge.AnyName:
		host = a.cfg.hosts[0]
	case addr.IP.IsUnspecified():
		if host = ownAddress(); host == "" {
			return ""
		}
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(addr.Port)) + "/"
}

// ownAddress is an address of this machine in its network, IPv4 before others; ""
// if there is none.
func ownAddress() string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	first := ""
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if !ok || !n.IP.IsGlobalUnicast() {
			continue
		}
		if n.IP.To4() != nil {
			return n.IP.String()
		}
		if first == "" {
			first = n.IP.String()
		}
	}
	return first
}
