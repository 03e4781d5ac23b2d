package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/client"
)

// TestAllProblemsOfAMachineAreToldBeforeTheInstall keeps the machines of a failed create, to look at what is on them.
func TestAllProblemsOfAMachineAreToldBeforeTheInstall(t *testing.T) {
	w := newWorld(t)
	const worker = "sky-unfit-1"
	w.cloud.Misconfigure(worker, "fapolicyd", time.Hour)
	ref := w.create("unfit", 2, client.CreateOptions{KeepOnFailure: true})
	f := w.awaitFailed(ref).Status.Failure
	for _, says := range []string{"it has 2 problems: (1) its clock is 1h0m0s ahead", "timedatectl",
		"(2) fapolicyd runs", "systemctl disable --now fapolicyd"} {
		if !strings.Contains(f.Message, says) {
			t.Errorf("the failure does not say %q: %s", says, f.Message)
		}
	}
	for _, file := range []string{"/opt/rke2/bin/rke2", "/opt/rke2/share/rke2/.skyctl", "/etc/rancher/rke2/config.yaml",
		"/etc/systemd/system/rke2-agent.service"} {
		if text, _, err := w.cloud.ReadMachineFile(worker, file); err == nil {
			t.Errorf("%s is on the machine: %.100q", file, text)
		}
	}
	if _, _, err := w.cloud.ReadMachineFile(worker, "/etc/os-release"); err != nil {
		t.Errorf("the machine was not kept: %v", err)
	}
	w.delete(ref, false)
	w.awaitGone(ref)
}
