package bridge

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// TokenHash is the SHA-256 of a bearer token; the token itself is kept nowhere.
type TokenHash [sha256.Size]byte

// HashToken hashes a bearer token.
func HashToken(token string) TokenHash { return sha256.Sum256([]byte(token)) }

// Guard decides who may ask over HTTP at all. Old HKWHub clients command with
// plain GETs, so that any page in any browser of the house could press every
// button: the browser is the attacker here, and it says where a request comes from.
type Guard struct {
	// Hosts are names by which this machine may be called, besides localhost and
	// addresses of loopback: a page that had its name resolve to here is refused.
	// "*" allows all; so does an IP address, which needs no name to be resolved.
	Hosts []string
	// Announced tells whether this machine has announced itself on the LAN under a
	// name, in lower case, and may so be called by it. Who could answer to that name
	// in its place is on the LAN already. nil: it has not.
	Announced func(host string) bool
	// Origins are the pages, such as "http://panel.example:8080", that may call from
	// another origin. "*" allows all.
	Origins []string
	// Tokens are the bearer tokens, one of which each request has to carry. None: nobody is asked.
	Tokens []TokenHash
}

// AnyName stands for every host or origin.
const AnyName = "*"

// protect lets next answer only what may be asked. /healthz tells nothing and is
// for everyone. The page's own files tell nothing either: they are there for whoever
// knows this machine by its name, so that the page can ask for a token.
func (g Guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			next.ServeHTTP(w, r)
			return
		}
		if !g.knownHost(r.Host) {
			refuse(w, http.StatusMisdirectedRequest, Unauthorized, "this machine is not known as "+clip(r.Host)+"; allow the name with http_hosts")
			return
		}
		if isPage(r) && followed(r) {
			next.ServeHTTP(w, r) // a link of another site may lead here
			return
		}
		w.Header().Add("Vary", "Origin")
		origin := originOf(r)
		foreign := origin != "" && !sameOrigin(origin, r)
		switch {
		case foreign && !g.listed(origin):
			refuse(w, http.StatusForbidden, Unauthorized, "pages of "+clip(origin)+" may not call; allow them with http_origins")
			return
		case !foreign && !ownPage(r) && !slices.Contains(g.Origins, AnyName):
			refuse(w, http.StatusForbidden, Unauthorized, "a page of another site may not call")
			return
		case foreign:
			h := w.Header()
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "ETag")
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, POST")
				h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match, Last-Event-ID")
				h.Set("Access-Control-Max-Age", "600")
				if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
					h.Set("Access-Control-Allow-Private-Network", "true")
				}
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		if !isPage(r) && !g.authorized(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="hkw"`)
			refuse(w, http.StatusUnauthorized, Unauthorized, "a bearer token is needed")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knownHost tells whether a Host header names this machine. A name that anybody
// could have made resolve to it does not.
func (g Guard) knownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host) != nil {
		return true
	}
	if g.Announced != nil && g.Announced(host) {
		return true
	}
	return slices.ContainsFunc(g.Hosts, func(known string) bool { return known == AnyName || strings.EqualFold(known, host) })
}

func (g Guard) listed(origin string) bool {
	return slices.Contains(g.Origins, AnyName) || slices.Contains(g.Origins, origin)
}

// originOf is the origin that a browser names: of a GET by an image or a form it
// may only show in the Referer.
func originOf(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" {
		return origin
	}
	u, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// sameOrigin tells whether an Origin header is the address that was called.
func sameOrigin(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return u.Scheme == scheme && strings.EqualFold(u.Host, r.Host)
}

// ownPage tells whether a request without a foreign Origin comes from a page of
// ours, from the address bar or from a program that is no browser. An image or
// a form of another site sends no Origin on a GET, but says cross-site. Another
// port of the same machine is another site's page too.
func ownPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin":
		return true
	case "none": // typed, or from a bookmark
		return true
	}
	return false
}

// followed tells whether a browser, or no browser, asks for / to show it, whatever
// page it comes from. Where it says nothing about that, it sends an Origin with
// what scripts ask for.
func followed(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return r.URL.Path == "/" && r.Header.Get("Origin") == "" && (mode == "" || mode == "navigate")
}

// authorized tells whether a request carries one of the tokens.
func (g Guard) authorized(r *http.Request) bool {
	if len(g.Tokens) == 0 {
		return true
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return false
	}
	sum, found := HashToken(token), 0
	for _, t := range g.Tokens {
		found |= subtle.ConstantTimeCompare(sum[:], t[:])
	}
	return found == 1
}
