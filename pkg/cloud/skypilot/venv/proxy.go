package venv

import (
	"slices"
	"strings"
)

// unproxiedHosts are reached without a proxy, whatever the environment says: Python's libraries use a proxy even for
// 127.0.0.1, where the parts of the API server call each other, and for a cloud's metadata service, which answers only
// the machine itself.
var unproxiedHosts = []string{"localhost", "127.0.0.1", "::1", "169.254.169.254", "metadata.google.internal"}

// bypassLocalProxy adds unproxiedHosts to an environment's NO_PROXY, in both spellings: a program that finds one does
// not read the other. It does not change an environment without a proxy.
func bypassLocalProxy(env []string) []string {
	var hosts []string
	proxied := false
	rest := slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, value, _ := strings.Cut(kv, "=")
		switch strings.ToLower(name) {
		case "http_proxy", "https_proxy", "all_proxy":
			proxied = proxied || value != ""
		case "no_proxy":
			for host := range strings.SplitSeq(value, ",") {
				if host = strings.TrimSpace(host); host != "" && !slices.Contains(hosts, host) {
					hosts = append(hosts, host)
				}
			}
			return true
		}
		return false
	})
	if !proxied {
		return env
	}
	for _, host := range unproxiedHosts {
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	if slices.Contains(hosts, "*") {
		hosts = []string{"*"} // for curl and Python this means all hosts only if it is alone
	}
	value := strings.Join(hosts, ",")
	return append(rest, "NO_PROXY="+value, "no_proxy="+value)
}
