package rke2

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/sky-shift/skyctl/pkg/remote"
)

// proxySettings are the variables of rke2.env that say how a machine reaches the outside. RKE2 reads these names in
// upper and in lower case, curl some in one case only.
type proxySettings struct{ http, https, no string }

// findProxySettings returns the proxy in variables. Of a name in both cases the one in lower case counts, which stands
// later in the file that RKE2 gets.
func findProxySettings(env map[string]string) proxySettings {
	var s proxySettings
	for _, name := range slices.Sorted(maps.Keys(env)) {
		field := map[string]*string{"HTTP_PROXY": &s.http, "HTTPS_PROXY": &s.https,
			"NO_PROXY": &s.no}[strings.ToUpper(name)]
		if field != nil && env[name] != "" {
			*field = env[name]
		}
	}
	return s
}

// RenderProxyVariables renders the proxy that the variables of rke2.env set, for a script that reads from an address
// with curl: as exports, since another user of the machine can read arguments. They win over those of the login's
// environment, except that NO_PROXY has the hosts of both and the private networks, as the NO_PROXY of RKE2 has. curl
// before 7.86 does not know networks there, so the address's own host is added if one of them has it. It renders
// nothing if the variables set no proxy. A script can name the owner of the proxy by $proxy_owner;
// $goes_directly is not empty if the address needs no proxy.
func RenderProxyVariables(env map[string]string, address string) string {
	s := findProxySettings(env)
	if s == (proxySettings{}) {
		return ""
	}
	direct := strings.Join(append([]string{s.no}, neverProxied...), ",")
	u, err := url.Parse(address)
	isDirect := err == nil && u.Host != "" && goesDirectly(u, direct)
	if isDirect {
		direct += "," + u.Hostname()
	}
	var script strings.Builder
	for _, v := range []struct{ name, value string }{{"http_proxy", s.http}, {"https_proxy", s.https}} {
		if v.value != "" {
			script.WriteString("export " + v.name + "=" + remote.QuoteShell(v.value) + " " +
				strings.ToUpper(v.name) + "=" + remote.QuoteShell(v.value) + "\n")
		}
	}
	script.WriteString(`no_proxy="${no_proxy:-${NO_PROXY:-}},"` + remote.QuoteShell(strings.TrimPrefix(direct, ",")) +
		"\nno_proxy=${no_proxy#,}; NO_PROXY=$no_proxy; export no_proxy NO_PROXY\n")
	switch {
	case isDirect:
		script.WriteString("goes_directly=1\n")
	case err == nil && (u.Scheme == "http" && s.http != "" || u.Scheme == "https" && s.https != ""):
		script.WriteString("proxy_owner=rke2.env\n")
	}
	return script.String()
}

// goesDirectly reports whether a value of NO_PROXY excludes an address, in the way of RKE2 and containerd.
func goesDirectly(u *url.URL, direct string) bool {
	const proxied = "http://proxy.invalid"
	proxy, err := (&httpproxy.Config{HTTPProxy: proxied, HTTPSProxy: proxied, NoProxy: direct}).ProxyFunc()(u)
	return err == nil && proxy == nil
}
