package e2e

import (
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// greets is a bad .bashrc: it prints on both streams before and after every command, traces, and changes the exit
// status.
const greets = `echo hi; echo hi >&2
printf 'arch=sparc cpus=none send'
trap 'echo bye; echo bye >&2; exit 9' EXIT
umask 077; set -x
`

// mute is a .bashrc that prevents every command.
const mute = "echo 'maintenance until noon'; exit 0\n"

// writeStartupFile is a script that writes the .bashrc of a host's login user, whose shell is bash.
func writeStartupFile(text string) string { return "printf %s " + quoted(text) + " >/home/sky/.bashrc" }

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func loginShellDidNoHarm(i *installation) {
	if n := strings.Count(i.kubectl("fitted", "get", "nodes", "--no-headers"), " Ready "); n != 2 {
		i.t.Errorf("%d nodes Ready", n)
	}
	for _, m := range i.cluster("fitted").Status.Machines {
		if mode := i.sh(m.Name, "stat -c %a /etc/rancher/rke2"); strings.TrimSpace(mode) != "755" {
			i.t.Errorf("the shell's umask applies on %s: %s", m.Name, mode)
		}
	}
}

// loginShellRunsNothing has a shell that runs no command, when a repair needs it.
func loginShellRunsNothing(i *installation) {
	i.sh("sky-fitted-1", writeStartupFile(mute))
	i.sh("sky-fitted-1", "systemctl stop rke2-agent")
	i.await("fitted", "drift or a repair that quotes the shell", func(c api.Cluster) bool {
		said := func(s string) bool { return strings.Contains(s, "maintenance until noon") }
		return slices.ContainsFunc(c.Status.Drift, func(d api.Drift) bool { return said(d.Message) }) ||
			slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool { return said(r.Error) })
	})
}
