package rke2

import (
	"os"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/nsmachine"
)

// newHardenedMachine is a machine with a release whose kernel parameters are given. useradd records its calls.
func newHardenedMachine(t *testing.T, parameters string) *machine {
	t.Helper()
	m := &machine{Machine: nsmachine.Start(t, append([]string{"/etc/sysctl.d"}, machineDirs...)), t: t}
	m.InstallProgram("systemd-detect-virt", "#!/bin/sh\nexit 1\n")
	m.InstallProgram("useradd", "#!/bin/sh\necho \"$@\" >>/var/lib/skyctl/useradd\n")
	m.Write("/opt/rke2/"+hardenedParameters, parameters, 0o644)
	return m
}

func TestHardenedMachinesGetParametersAndTheEtcdUser(t *testing.T) {
	now, err := os.ReadFile("/proc/sys/kernel/panic") // so that the test changes nothing
	if err != nil {
		t.Fatal(err)
	}
	parameters := "# of RKE2\nkernel.panic=" + string(now)
	m := newHardenedMachine(t, parameters)
	for _, config := range []map[string]api.ConfigValue{nil, {"profile": {"etcd"}}} {
		if err := ApplyProfile(t.Context(), m.Host, config); err != nil {
			t.Fatal(err)
		}
		if left := m.RunShell("ls /etc/sysctl.d"); left != "" {
			t.Errorf("%v writes %s", config, left)
		}
	}
	for _, config := range []map[string]api.ConfigValue{{"protect-kernel-defaults": {"true"}}, {"profile": {"cis"}}} {
		if err := ApplyProfile(t.Context(), m.Host, config); err != nil {
			t.Fatal(err)
		}
		if got := m.RunShell("cat " + parametersFile + "; rm " + parametersFile); got != strings.TrimSpace(parameters) {
			t.Errorf("%v: the parameters are %q", config, got)
		}
	}
	if err := ApplyProfile(t.Context(), m.Host, map[string]api.ConfigValue{"profile": {"cis"}}); err != nil {
		t.Fatal(err)
	}
	if got := m.RunShell("cat " + parametersFile); got != strings.TrimSpace(parameters) {
		t.Errorf("the parameters are %q", got)
	}
	got := m.RunShell("grep -q ^etcd: /etc/passwd && echo there || cat /var/lib/skyctl/useradd")
	if got != "there" && (!strings.HasSuffix(got, " etcd") || !strings.Contains(got, "--user-group")) {
		t.Errorf("users were added with %q", got)
	}
}

func TestParametersThatCannotBeSetEndTheStep(t *testing.T) {
	m := newHardenedMachine(t, "kernel.ostype=Other\n")
	hardened := map[string]api.ConfigValue{"profile": {"cis"}}
	err := ApplyProfile(t.Context(), m.Host, hardened)
	if err == nil || !strings.Contains(err.Error(), "kernel.ostype cannot be set to Other") {
		t.Errorf("got %v", err)
	}
	m.InstallProgram("systemd-detect-virt", "#!/bin/sh\nexit 0\n")
	if err := ApplyProfile(t.Context(), m.Host, hardened); err == nil || !strings.Contains(err.Error(), "container") {
		t.Errorf("in a container: %v", err)
	}
	m.RunShell("rm /opt/rke2/" + hardenedParameters)
	m.InstallProgram("systemd-detect-virt", "#!/bin/sh\nexit 1\n")
	if err := ApplyProfile(t.Context(), m.Host, hardened); err == nil ||
		!strings.Contains(err.Error(), "profile needs") {
		t.Errorf("without the file of the release: %v", err)
	}
}
