package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
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

// bashrc writes the startup file of a host's login user, whose shell is bash.
func (i *installation) bashrc(host, text string) error {
	_, err := i.onHost(host, "sh", "-c", fmt.Sprintf("printf %%s %s >/home/sky/.bashrc", quoted(text)))
	return err
}

func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func TestLoginShellThatPrintsDoesNoHarm(t *testing.T) {
	t.Parallel()
	i := newWatched(t)
	if r := i.create("noisy", "--num_nodes", "2"); r.code != 0 {
		t.Fatalf("create: exit %d\n%s", r.code, r.stderr)
	}
	for _, host := range []string{"sky-noisy-0", "sky-noisy-1"} {
		eventually.Holds(t, host+" exists", func() bool { return i.bashrc(host, greets) == nil })
	}
	c := i.awaitReady("noisy")
	if n := strings.Count(i.kubectl("noisy", "get", "nodes", "--no-headers"), " Ready "); n != 2 {
		t.Errorf("%d nodes Ready", n)
	}
	for _, m := range c.Status.Machines {
		if mode, err := i.onHost(m.Name, "stat", "-c", "%a", "/etc/rancher/rke2"); err != nil ||
			strings.TrimSpace(mode) != "755" {
			t.Errorf("the shell's umask applies on %s: %s, %v", m.Name, mode, err)
		}
	}
	// A shell that runs no command is quoted once a repair needs it.
	if err := i.bashrc("sky-noisy-1", mute); err != nil {
		t.Fatal(err)
	}
	if _, err := i.onHost("sky-noisy-1", "systemctl", "stop", "rke2-agent"); err != nil {
		t.Fatal(err)
	}
	i.await("noisy", "drift or a repair that quotes the shell", func(c api.Cluster) bool {
		said := func(s string) bool { return strings.Contains(s, "maintenance until noon") }
		return slices.ContainsFunc(c.Status.Drift, func(d api.Drift) bool { return said(d.Message) }) ||
			slices.ContainsFunc(c.Status.Repairs, func(r api.Repair) bool { return said(r.Error) })
	})
}
