// Package preflight checks machines before they become nodes: their systems, their clocks and disks, and the ports on
// which they must reach each other. It mends what it can.
package preflight

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
)

// Requirements say what a machine is checked for.
type Requirements struct {
	Role api.Role
	// Release is the version of RKE2 that the machine gets, such as v1.35.7+rke2r1; "" if it is unknown.
	Release string
	// Cloud is the machine's cloud, and Address its private address.
	Cloud, Address string
	// SourceURL is a file that the machine will download; "" if skyd copies the release. Env are the variables of
	// rke2.env, whose proxy it uses for that.
	SourceURL string
	Env       map[string]string
	// VXLAN and WireGuard say what the pod network uses, Overlay is its port; 0 if it is unknown.
	VXLAN, WireGuard bool
	Overlay          Port
	// Registries are the hosts from which the machine pulls the images of RKE2, if it has to resolve their names.
	Registries []string
	// Archives are the archives of images that are copied to it.
	Archives []Archive
	// PodMTU is the size of packets of pods, in bytes; 0 if it is unknown or does not matter.
	PodMTU int
	// Peers are other machines of the cluster that this one must reach.
	Peers []Peer
	// Proven: a machine of the same pool has been a node.
	Proven bool
	// CloudProven: a machine of the same cluster and cloud has been a node.
	CloudProven bool
}

// Archive is an archive of images.
type Archive struct {
	// Arch is the architecture of the machines that get it; "" if all do.
	Arch string
	// Bytes is its size; 0 if it is unknown.
	Bytes int64
	// OfRKE2: it has RKE2's own images.
	OfRKE2 bool
}

// Peer is another machine, with a port on which something is expected to listen already, such as its SSH server.
type Peer struct {
	Name, Address string
	Port          int
}

// Facts are what a machine says about itself.
type Facts struct {
	rke2.Facts
	// Unsupported is why RKE2 has no release for the machine; "" if it has.
	Unsupported string
	Clock       time.Time
	// HasRun reports whether RKE2 has run on the machine, so that its images are there and its ports in use.
	HasRun bool
	// CopiedRelease and CopiedArchives are the disk space, in bytes, of what an earlier attempt to prepare the machine
	// has put there already.
	CopiedRelease, CopiedArchives int64
	Disks                         []disk
	// Distribution is its ID of os-release(5), followed by those that it is like; Name is for people.
	Distribution []string
	Name         string
	// Container is the kind of container that the machine is, such as docker; "" if it is none.
	Container string
	// Modules are kernel modules: true if they are loaded or can be, false if not; unknown ones are left out.
	Modules map[string]bool
	// Controllers are the available cgroup controllers.
	Controllers []string
	// Capabilities is the capability bounding set; 0 if it is unknown.
	Capabilities uint64
	SELinux      bool // it is enforced
	// Units are systemd's units that are loaded: true if they are active.
	Units map[string]bool
	// UFW reports whether that firewall is enabled, and InputRules are iptables' rules for what the machine receives,
	// as iptables -S prints them.
	UFW        bool
	InputRules []string
	Listeners  []listener
	// NameServers is how many name servers are configured. Resolved says whether names of registries could be resolved;
	// names that were not tried are left out, such as all behind a proxy.
	NameServers int
	Resolved    map[string]bool
	// InotifyInstances and InotifyWatches are the kernel's limits; 0 if they are unknown.
	InotifyInstances, InotifyWatches int
	// Source is curl's exit status for the source, with its message; nil if it was not tried.
	Source *sourceContact
	// Contacts say by address how an attempt to reach a peer ended.
	Contacts map[string]peerContact
}

type sourceContact struct {
	status  int
	message string
}

// listener is a socket that receives data, and the program that has it.
type listener struct {
	udp     bool
	address string
	port    int
	program string
}

// gatherScript prints one fact per line, the first word says which. It changes nothing. fitness has the sizes and free
// spaces of the disks of kubelet and containerd in KiB, as the kubelet measures them.
const gatherScript = `
measure_disk() {
  p=$2; while [ ! -d "$p" ]; do p=${p%/*}; [ -n "$p" ] || p=/; done
  df -Pk "$p" | awk -v name="$1" 'NR == 2 {print name "_kib=" $2 " " name "_free_kib=" $4}'
}
ran=0; [ ! -d /var/lib/rancher/rke2/agent/containerd ] || ran=1
echo "fitness clock=$(date +%s) ran=$ran" \
  "$(measure_disk kubelet /var/lib/kubelet) $(measure_disk rancher /var/lib/rancher)"
echo "copied $(` + rke2.CopiedScript + `)"
for f in /etc/os-release /usr/lib/os-release; do
  if [ -r "$f" ]; then (ID= ID_LIKE= PRETTY_NAME=; . "$f"; echo "os $ID $ID_LIKE"; echo "name $PRETTY_NAME"); break; fi
done
echo "container $(systemd-detect-virt --container 2>/dev/null)"
kernel=/lib/modules/$(uname -r)
for m in overlay br_netfilter vxlan wireguard; do
  if [ -d "/sys/module/$m" ]; then echo "module $m yes"
  elif [ -r "$kernel/modules.dep" ]; then
    if grep -qs "/$m\.ko" "$kernel/modules.builtin" "$kernel/modules.dep"; then echo "module $m yes"
    elif [ -r "$kernel/modules.builtin" ]; then echo "module $m no"; fi
  fi
done
if [ -r /sys/fs/cgroup/cgroup.controllers ]; then echo "controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
else echo "controllers $(ls /sys/fs/cgroup 2>/dev/null | tr '\n' ' ')"; fi
echo "capabilities $(awk '$1 == "CapBnd:" {print $2}' /proc/self/status)"
echo "selinux $(cat /sys/fs/selinux/enforce 2>/dev/null)"
for u in ` + checkedUnits + `; do
  echo "unit $u $(systemctl show -p LoadState -p ActiveState "$u" 2>/dev/null | tr '\n' ' ')"
done
if grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf; then echo "ufw yes"; fi
iptables -w 5 -S INPUT 2>/dev/null | head -n 100 | sed 's/^/input /'
ss -Hlntup 2>/dev/null | head -n 300 | sed 's/^/listener /'
echo "nameservers $(grep -c '^nameserver' /etc/resolv.conf 2>/dev/null)"
echo "inotify $(cat /proc/sys/fs/inotify/max_user_instances /proc/sys/fs/inotify/max_user_watches 2>/dev/null |
  tr '\n' ' ')"
resolve() {
  timeout 5 getent ahosts "$1" >/dev/null 2>&1
  echo "resolved $1 $?"
}
has_proxy() {
  [ -n "$(use_proxy; echo "${https_proxy:-${HTTPS_PROXY:-}}")" ] ||
    { systemctl show-environment; cat /etc/environment /etc/default/rke2-* /etc/sysconfig/rke2-*; } 2>/dev/null |
      grep -qiE '^[[:space:]]*(export[[:space:]]+)?https_proxy=["'"'"']?[^"'"'"'[:space:]]'
}
if command -v getent >/dev/null && ! has_proxy; then
  for n in $names; do resolve "$n" & done
fi
reach() {
  error=$(timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>&1); status=$?
  if [ $status = 124 ] && ping -c 1 -W 1 "$1" >/dev/null 2>&1; then status=0; fi
  echo "peer $1 $status $(echo "$error" | tail -n 1)"
}
if command -v bash >/dev/null; then for p in $peers; do reach "${p%,*}" "${p#*,}" & done; fi
if [ -n "$source" ] && command -v curl >/dev/null; then
  error=$(use_proxy; curl --head -sS -o /dev/null --connect-timeout 8 -m 12 "$source" 2>&1); status=$?
  echo "source $status $(echo "$error" | sed 's|//[^/@]*@|//|g' | tail -n 1)"
fi
wait
true`

// formatPeers writes peers as words of ADDRESS,PORT.
func formatPeers(peers []Peer) string {
	var words []string
	for _, p := range peers {
		words = append(words, fmt.Sprintf("%s,%d", p.Address, p.Port))
	}
	return strings.Join(words, " ")
}

// GatherFacts reads the facts of a machine. It changes nothing there.
func GatherFacts(ctx context.Context, h *remote.Host, r Requirements) (Facts, error) {
	variables := "peers=" + remote.QuoteShell(formatPeers(r.Peers)) + "\nsource=" + remote.QuoteShell(r.SourceURL) +
		"\nnames=" + remote.QuoteShell(strings.Join(r.Registries, " ")) + "\nuse_proxy() {\n:\n" +
		rke2.RenderProxyVariables(r.Env, r.SourceURL) + "}\n"
	out, err := h.RunScript(ctx, "gathering facts", rke2.FactsScript+variables+gatherScript)
	if err != nil {
		return Facts{}, err
	}
	return parseFacts(h.Name(), string(out))
}

// parseFacts parses the output of rke2.FactsScript and gatherScript.
func parseFacts(machine, output string) (Facts, error) {
	first, rest, _ := strings.Cut(output, "\n")
	f := Facts{Modules: map[string]bool{}, Units: map[string]bool{}, Contacts: map[string]peerContact{},
		Resolved: map[string]bool{}}
	var err error
	if f.Facts, f.Unsupported, err = rke2.ParseFacts(machine, first); err != nil {
		return Facts{}, err
	}
	for line := range strings.Lines(rest) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if parse := factParsers[word]; parse != nil {
			parse(&f, value)
		}
	}
	if f.Clock.IsZero() {
		return Facts{}, fmt.Errorf("machine %s: failed to read its clock from %.200q", machine, rest)
	}
	return f, nil
}

// factParsers parse the facts of gatherScript by their first word.
var factParsers = map[string]func(*Facts, string){
	"fitness":      parseFitness,
	"copied":       parseCopied,
	"os":           func(f *Facts, v string) { f.Distribution = strings.Fields(v) },
	"name":         func(f *Facts, v string) { f.Name = v },
	"controllers":  func(f *Facts, v string) { f.Controllers = splitControllers(v) },
	"capabilities": func(f *Facts, v string) { f.Capabilities, _ = strconv.ParseUint(v, 16, 64) },
	"selinux":      func(f *Facts, v string) { f.SELinux = v == "1" },
	"ufw":          func(f *Facts, v string) { f.UFW = v == "yes" },
	"input":        func(f *Facts, v string) { f.InputRules = append(f.InputRules, v) },
	"nameservers":  func(f *Facts, v string) { f.NameServers, _ = strconv.Atoi(v) },
	"resolved": func(f *Facts, v string) {
		name, status, _ := strings.Cut(v, " ")
		f.Resolved[name] = status == "0"
	},
	"listener": parseListener,
	"unit":     parseUnit,
	"peer":     parsePeer,
	"container": func(f *Facts, v string) {
		if f.Container = v; v == "none" {
			f.Container = ""
		}
	},
	"module": func(f *Facts, v string) {
		name, there, _ := strings.Cut(v, " ")
		f.Modules[name] = there == "yes"
	},
	"inotify": func(f *Facts, v string) { _, _ = fmt.Sscan(v, &f.InotifyInstances, &f.InotifyWatches) },
	"source": func(f *Facts, v string) {
		status, message, _ := strings.Cut(v, " ")
		if n, err := strconv.Atoi(status); err == nil {
			f.Source = &sourceContact{status: n, message: message}
		}
	},
}

func parseFitness(f *Facts, line string) {
	kv := rke2.ParseKeyValues(line)
	if seconds, err := strconv.ParseInt(kv["clock"], 10, 64); err == nil {
		f.Clock = time.Unix(seconds, 0)
	}
	f.HasRun = kv["ran"] == "1"
	for _, d := range []struct{ name, path string }{{"kubelet", "/var/lib/kubelet"}, {"rancher", "/var/lib/rancher"}} {
		size, err := strconv.ParseInt(kv[d.name+"_kib"], 10, 64)
		free, freeErr := strconv.ParseInt(kv[d.name+"_free_kib"], 10, 64)
		if err == nil && freeErr == nil && size > 0 { // the kubelet does not monitor one without a size either
			f.Disks = append(f.Disks, disk{path: d.path, size: size << 10, free: free << 10})
		}
	}
}

func parseCopied(f *Facts, line string) {
	kv := rke2.ParseKeyValues(line)
	for name, to := range map[string]*int64{"release_kib": &f.CopiedRelease, "archives_kib": &f.CopiedArchives} {
		if kib, err := strconv.ParseInt(kv[name], 10, 64); err == nil {
			*to = kib << 10
		}
	}
}

func parseUnit(f *Facts, line string) {
	name, state, _ := strings.Cut(line, " ")
	kv := rke2.ParseKeyValues(state)
	if kv["LoadState"] == "loaded" {
		f.Units[name] = kv["ActiveState"] == "active" || kv["ActiveState"] == "activating"
	}
}

// splitControllers splits the controllers of either version of cgroups; directories of version 1 may have several.
func splitControllers(line string) []string {
	return strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' })
}
