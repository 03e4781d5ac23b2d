package embedded

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// loopbackNames are the host names for a server on loopback, opened on this computer or through an SSH tunnel.
var loopbackNames = []string{"localhost", "127.0.0.1", "::1"}

// loopbackOnly rejects requests whose Host is not a loopback name. A foreign page can point its own name to 127.0.0.1
// and then read these pages as its own origin (DNS rebinding); the Host header reveals it. It also rejects requests
// from scripts of other origins.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch origin := r.Header.Get("Origin"); {
		case !isLoopbackName(r.Host):
			http.Error(w, "This page is only served under the names localhost, 127.0.0.1 and [::1].",
				http.StatusMisdirectedRequest)
		case origin != "" && !strings.EqualFold(origin, "http://"+r.Host):
			http.Error(w, "This page takes no requests from pages of other origins.", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isLoopbackName reports whether a Host header names loopback, with any port: it may be the port of a tunnel.
func isLoopbackName(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	return slices.Contains(loopbackNames, strings.ToLower(name))
}
