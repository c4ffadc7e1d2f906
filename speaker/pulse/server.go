package pulse

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// address is where a server may listen.
type address struct{ network, addr string }

// addresses lists where to look for the server, in the order of libpulse: what
// is configured, what PULSE_SERVER names, the sockets of this user's session, the
// socket of a system-wide server. Relative paths are never tried.
func addresses(configured string, env func(string) string, uid int) []address {
	if configured == "" {
		configured = env("PULSE_SERVER")
	}
	if configured != "" {
		return parseServers(configured)
	}
	var found []address
	for _, dir := range []string{
		env("PULSE_RUNTIME_PATH"),
		under(env("XDG_RUNTIME_DIR"), "pulse"),
		under("/run/user", strconv.Itoa(uid), "pulse"),
		"/var/run/pulse",
	} {
		if filepath.IsAbs(dir) {
			a := address{"unix", filepath.Join(dir, "native")}
			if len(found) == 0 || found[len(found)-1] != a {
				found = append(found, a)
			}
		}
	}
	return found
}

// under joins a path, or is empty if its root is.
func under(root string, parts ...string) string {
	if root == "" {
		return ""
	}
	return filepath.Join(append([]string{root}, parts...)...)
}

// parseServers reads a server string: addresses separated by blanks, each one
// "/path", "unix:/path", "tcp:host:port", "tcp4:…", "tcp6:…", "host" or
// "host:port", and "{machine}" before it if it holds on one machine only.
func parseServers(s string) []address {
	const port = "4713"
	var found []address
	for _, one := range strings.Fields(s) {
		if strings.HasPrefix(one, "{") {
			machine, rest, ok := strings.Cut(one[1:], "}")
			if host, err := os.Hostname(); !ok || err != nil || machine != host {
				continue
			}
			one = rest
		}
		network, addr, ok := strings.Cut(one, ":")
		switch {
		case filepath.IsAbs(one):
			network, addr = "unix", one
		case ok && network == "unix":
			if !filepath.IsAbs(addr) {
				continue
			}
		case ok && (network == "tcp" || network == "tcp4" || network == "tcp6"):
		case one == "":
			continue
		default:
			network, addr = "tcp", one
		}
		if network != "unix" {
			if _, _, err := net.SplitHostPort(addr); err != nil {
				addr = net.JoinHostPort(strings.Trim(addr, "[]"), port)
			}
		}
		found = append(found, address{network, addr})
	}
	return found
}

// cookieSize is how long the shared secret of a server is.
const cookieSize = 256

// cookie reads the secret that a server over TCP wants to see. A server of this user's own, on a
// Unix socket, looks at the user instead and takes any.
func cookie(env func(string) string) []byte {
	home := env("HOME")
	config := env("XDG_CONFIG_HOME")
	if config == "" {
		config = under(home, ".config")
	}
	for _, path := range []string{env("PULSE_COOKIE"), under(config, "pulse", "cookie"), under(home, ".pulse-cookie")} {
		if path == "" {
			continue
		}
		if c, err := os.ReadFile(path); err == nil && len(c) == cookieSize {
			return c
		}
	}
	return make([]byte, cookieSize)
}

func (a address) String() string { return fmt.Sprintf("%s:%s", a.network, a.addr) }
