package venv

import (
	"slices"
	"strings"
)

// unproxiedHosts is what SkyPilot's programs reach directly, whatever proxy the environment names: Python's libraries
// go through it even to 127.0.0.1, where the API server and its parts speak to each other, and to a cloud's
// metadata service, which answers the machine itself alone.
var unproxiedHosts = []string{"localhost", "127.0.0.1", "::1", "169.254.169.254", "metadata.google.internal"}

// bypassLocalProxy adds unproxiedHosts to an environment's NO_PROXY, in both spellings: a program that finds the one
// does not look at the other. An environment that names no proxy stays as it is.
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
		hosts = []string{"*"} // which curl and Python take for all only where it stands alone
	}
	value := strings.Join(hosts, ",")
	return append(rest, "NO_PROXY="+value, "no_proxy="+value)
}
