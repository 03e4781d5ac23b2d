package preflight

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/remote"
)

// Units of systemd that matter to a node.
const (
	unitFirewalld = "firewalld"
	checkedUnits  = unitFirewalld + " fapolicyd nm-cloud-setup nm-cloud-setup.timer " + upgradeServices
	// The units that upgrade the system unattended. SkyPilot 0.14.1 stops them on every cloud (aws-ray.yml.j2 masks
	// these, the setup_commands of others only some), but its setup_commands do not run for skyctl's machines.
	upgradeTimers   = "apt-daily.timer apt-daily-upgrade.timer"
	upgradeServices = "apt-daily.service apt-daily-upgrade.service unattended-upgrades.service"
)

// mend is a change to a machine that it needs to be a good node.
type mend string

const (
	// mendInotify raises the limits of inotify, now and at each boot.
	mendInotify mend = "raising its inotify limits"
	// mendUpgrades stops unattended upgrades: they replace drivers under running pods, and hold apt's locks.
	mendUpgrades mend = "stopping unattended upgrades"
	// mendFirewalld stops firewalld.
	mendFirewalld mend = "stopping firewalld"
	// mendInput accepts what the machine receives through its network interface, now and at each boot: the cloud's own
	// rules decide what that is.
	mendInput mend = "accepting what the cloud's firewall lets through"
)

// closedImages are the clouds whose images reject what their own firewall lets through. SkyPilot opens them in its
// setup_commands (0.14.1 oci-ray.yml.j2), which do not run for skyctl's machines.
var closedImages = []string{"oci"}

// planMends decides what to change on a machine. A container is not changed: its kernel is that of a person's computer.
func planMends(f Facts, r Requirements) []mend {
	if f.Container != "" {
		return nil
	}
	var mends []mend
	if hasLowInotifyLimits(f) {
		mends = append(mends, mendInotify)
	}
	if slices.ContainsFunc(strings.Fields(upgradeServices), f.hasUnit) {
		mends = append(mends, mendUpgrades)
	}
	if !slices.Contains(closedImages, r.Cloud) {
		return mends
	}
	if f.Units[unitFirewalld] {
		mends = append(mends, mendFirewalld)
	}
	if rejectsInput(f.InputRules) {
		mends = append(mends, mendInput)
	}
	return mends
}

// hasUnit reports whether systemd has loaded a unit.
func (f Facts) hasUnit(name string) bool {
	_, loaded := f.Units[name]
	return loaded
}

// assumeMended returns the facts as they are after planMends.
func (f Facts) assumeMended(r Requirements) Facts {
	f.Units = maps.Clone(f.Units)
	for _, m := range planMends(f, r) {
		switch m {
		case mendInotify:
			f.InotifyInstances, f.InotifyWatches = inotifyInstances, inotifyWatches
		case mendFirewalld:
			f.Units[unitFirewalld] = false
		case mendInput:
			f.InputRules = nil
		}
	}
	return f
}

// mendScripts carry out the mends. Each can run again.
var mendScripts = map[mend]string{
	mendInotify: fmt.Sprintf(`
file=/etc/sysctl.d/90-skyctl-inotify.conf; mkdir -p /etc/sysctl.d
raise() {
  [ "$(cat "/proc/sys/fs/inotify/$1" 2>/dev/null || echo $2)" -ge $2 ] && return
  echo $2 >"/proc/sys/fs/inotify/$1" || return 0
  grep -qs "^fs.inotify.$1 = " "$file" || echo "fs.inotify.$1 = $2" >>"$file"
}
raise max_user_instances %d
raise max_user_watches %d
`, inotifyInstances, inotifyWatches),
	// An upgrade that runs goes on to its end: the unit that is stopped only waits for it at a shutdown. A unit with a
	// file of its own in /etc/systemd/system cannot be masked.
	mendUpgrades: `
for u in ` + upgradeTimers + `; do if is_loaded $u; then systemctl disable -q --now $u || true; fi; done
for u in ` + upgradeServices + `; do if is_loaded $u; then systemctl mask -q $u || true; fi; done
if is_loaded unattended-upgrades.service; then systemctl stop --no-block unattended-upgrades.service || true; fi
if [ -f /etc/apt/apt.conf.d/20auto-upgrades ]; then
  sed -i 's/Unattended-Upgrade "1"/Unattended-Upgrade "0"/' /etc/apt/apt.conf.d/20auto-upgrades || true
fi
`,
	mendFirewalld: `
systemctl disable -q --now firewalld
`,
	mendInput: `
nic=$(awk '$2 == "00000000" && $8 == "00000000" && (nic == "" || $7 < metric) {nic = $1; metric = $7}
  END {print nic}' /proc/net/route)
[ -n "$nic" ] || { echo "the machine has no default route" >&2; exit 1; }
rule="INPUT -i $nic -m state --state ESTABLISHED,RELATED,NEW -m comment --comment skyctl -j ACCEPT"
mkdir -p /etc/systemd/system
cat >/etc/systemd/system/skyctl-accept.service <<unit
[Unit]
Description=Accept what the cloud's firewall lets through (skyctl)
After=netfilter-persistent.service iptables.service
Before=rke2-server.service rke2-agent.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'iptables -w 30 -C $rule || iptables -w 30 -I $rule'
[Install]
WantedBy=multi-user.target
unit
iptables -w 30 -C $rule 2>/dev/null || iptables -w 30 -I $rule
systemctl daemon-reload
systemctl enable -q --now skyctl-accept.service
`,
}

// MendMachine changes what skyctl can change about a machine so that it is a good node. progress may be nil.
func MendMachine(ctx context.Context, h *remote.Host, f Facts, r Requirements, progress func(string)) error {
	mends := planMends(f, r)
	if len(mends) == 0 {
		return nil
	}
	script := "set -e\nis_loaded() { [ \"$(systemctl show -p LoadState --value \"$1\")\" = loaded ]; }\n"
	var names []string
	for _, m := range mends {
		names = append(names, string(m))
		script += mendScripts[m]
	}
	doing := strings.Join(names, ", ")
	if progress != nil {
		progress(doing)
	}
	_, err := h.RunScript(ctx, doing, script)
	return err
}
