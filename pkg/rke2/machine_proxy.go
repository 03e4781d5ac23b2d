package rke2

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/remote"
)

// The proxy settings of RKE2: a file of variables, which may contain a password, and the drop-ins of the units.
const (
	proxyEnvFile = "/etc/rancher/rke2/skyctl-proxy.env"
	proxyDropIn  = "50-skyctl-proxy.conf"
)

// neverProxied are the addresses that machines, pods and Services reach directly. RKE2 adds the ranges of pods and
// Services itself, but not the nodes'; its documentation asks for these (docs.rke2.io/advanced, "Configuring an HTTP
// proxy").
var neverProxied = []string{
	"localhost", "127.0.0.0/8", "::1/128", // the machine itself
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", // private networks
	"169.254.0.0/16", "fc00::/7", "fe80::/10",
	"10.42.0.0/16", "10.43.0.0/16", ".svc", ".cluster.local", // pods and Services
}

// noProxyHosts returns neverProxied and the addresses of a node and its head, which may be public.
func noProxyHosts(n Node) string {
	hosts := slices.Clone(neverProxied)
	server, _ := url.Parse(n.Server)
	for _, address := range []string{n.NodeIP, n.ExternalIP, server.Hostname()} {
		if net.ParseIP(address) != nil && !slices.Contains(hosts, address) {
			hosts = append(hosts, address)
		}
	}
	return strings.Join(hosts, ",")
}

// renderProxyScript passes the proxy of the machine's environment to $unit, so that images are pulled through it, with
// the addresses that must not use it: RKE2's supervisor, API server and kubelets also use these variables for each
// other's addresses. It removes a proxy that is no longer set. It sets changed=1 if the unit must restart.
func renderProxyScript(n Node) string {
	return "direct=" + remote.QuoteShell(noProxyHosts(n)) + "\nunit=" + unitName(n.Role) + `
dropin=/etc/systemd/system/$unit.service.d/` + proxyDropIn + `
direct="$direct,$(ip -o addr show scope global 2>/dev/null | awk '{printf "%s,", $4}')"
files="/etc/environment /etc/default/$unit /etc/sysconfig/$unit"
wanted=$({ systemctl show-environment; env; cat $files; } 2>/dev/null </dev/null |
  awk -v direct="$direct" '
    { sub(/^[ \t]*(export[ \t]+)?/, ""); at = index($0, "="); name = toupper(substr($0, 1, at - 1)) }
    name !~ /^(HTTP|HTTPS|NO)_PROXY$/ { next }
    { value = substr($0, at + 1); gsub(/[" \t\r\047\\]/, "", value) }
    name == "NO_PROXY" { excluded = excluded "," value; next }
    value != "" { set[name] = value }
    END {
      if (!("HTTP_PROXY" in set) && !("HTTPS_PROXY" in set)) exit
      n = split(excluded "," direct, host, ",")
      for (i = 1; i <= n; i++) if (host[i] != "" && !(host[i] in seen)) { seen[host[i]]; all = all "," host[i] }
      if ("HTTP_PROXY" in set) print "HTTP_PROXY=" set["HTTP_PROXY"]
      if ("HTTPS_PROXY" in set) print "HTTPS_PROXY=" set["HTTPS_PROXY"]
      print "NO_PROXY=" substr(all, 2)
    }')
if [ "$wanted" != "$(cat ` + proxyEnvFile + ` 2>/dev/null)" ]; then
  if [ -n "$wanted" ]; then
    mkdir -p "${dropin%/*}"
    (umask 077; printf '%s\n' "$wanted" >` + proxyEnvFile + `.new)
    mv -f ` + proxyEnvFile + `.new ` + proxyEnvFile + `
    printf '[Service]\nEnvironmentFile=-%s\n' ` + proxyEnvFile + ` >"$dropin"
  else rm -f ` + proxyEnvFile + ` "$dropin"; fi
  systemctl daemon-reload
  changed=1
fi
`
}
