package skypilot

import (
	"slices"
	"strings"
	"testing"
)

// SkyPilot's setup_commands do not run for skyctl's machines. What of them a node needs is in mend_machine.go of
// pkg/rke2/preflight: this test fails if SkyPilot does more.
func TestWhatSetupCommandsWouldDoIsDone(t *testing.T) {
	mended := []string{"apt-daily", "apt-daily-upgrade", "apt-daily-upgrade.timer", "apt-daily.timer", "firewalld",
		"unattended-upgrades"}
	unneeded := []string{"jupyter", "jupyterhub"} // they use ports that SkyPilot needs, and no node
	var found map[string]struct{ Units, Rules []string }
	askSource(t, &found, "setup")
	var upgrading, closed []string
	for cloud, does := range found {
		for _, unit := range does.Units {
			if !slices.Contains(mended, unit) && !slices.Contains(unneeded, unit) {
				t.Errorf("on %s SkyPilot stops %s, skyctl does not", cloud, unit)
			}
		}
		if slices.Contains(does.Units, "unattended-upgrades") {
			upgrading = append(upgrading, cloud)
		}
		if len(does.Rules) > 0 || slices.Contains(does.Units, "firewalld") {
			closed = append(closed, cloud)
		}
	}
	if !slices.Contains(upgrading, "gcp") || !slices.Contains(upgrading, "aws") {
		t.Errorf("SkyPilot stops unattended upgrades on %v", upgrading)
	}
	const rule = "iptables -I INPUT -i ens3 -m state --state ESTABLISHED,RELATED,NEW -j ACCEPT"
	if strings.Join(closed, " ") != "oci" || !slices.Equal(found["oci"].Rules, []string{rule}) {
		t.Errorf("SkyPilot opens the firewall on %v, on OCI with %q", closed, found["oci"].Rules)
	}
}
