package embedded

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// loopbackNames are the names under which a person opens what listens on loopback, on this machine or through an SSH
// tunnel.
var loopbackNames = []string{"localhost", "127.0.0.1", "::1"}

// loopbackOnly answers requests for a loopback name alone. A page from anywhere may have its own name point to
// 127.0.0.1 and then read what is served here as if it were its own (DNS rebinding): the name that it was asked for
// gives it away. Nor may a page of another origin ask for anything by script.
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

// isLoopbackName says whether a Host header names loopback; its port may be that of a tunnel.
func isLoopbackName(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	return slices.Contains(loopbackNames, strings.ToLower(name))
}
