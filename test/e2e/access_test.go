package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// checkAccess checks the ways into the machines of a cluster with three of them, with a real sshd and sudo.
func (i *installation) checkAccess(cluster string) {
	i.t.Helper()
	if r := i.run("ssh", cluster, "--", "whoami; exec sudo -n whoami"); r.stdout != "sky\nroot\n" {
		i.t.Errorf("ssh: %q", r.stdout)
	}
	if r := i.try("ssh", cluster, "-n", "--", "exit 42"); r.code != 42 {
		i.t.Errorf("ssh: exit %d, want 42: %s", r.code, r.stderr)
	}
	r := i.run("exec", cluster, "--all", "--root", "--", "echo $(hostname) $(id -u)")
	for _, name := range []string{"sky-" + cluster + "-0", "sky-" + cluster + "-1", "sky-" + cluster + "-2"} {
		if !strings.Contains(r.stdout, name+": sky-") || strings.Count(r.stdout, " 0\n") != 3 {
			i.t.Errorf("exec on %s: %q", name, r.stdout)
		}
	}
	i.checkCommandsEnd(cluster)
	i.checkCopy(cluster)
	if r := i.run("logs", cluster, "--tail", "20"); !strings.Contains(r.stdout, "rke2") {
		i.t.Errorf("logs: %q", r.stdout)
	}
	bundle := filepath.Join(i.t.TempDir(), "bundle.tar.gz")
	i.run("debug", "bundle", cluster, "-f", bundle)
	list, err := exec.Command("tar", "-xzOf", bundle, cluster+"/kubernetes/nodes.txt", cluster+"/operations.txt",
		cluster+"/machines/sky-"+cluster+"-2/state.txt", cluster+"/check.yaml").CombinedOutput()
	for _, want := range []string{"Ready", "Provision", "== uname -a"} {
		if err != nil || !strings.Contains(string(list), want) {
			i.t.Errorf("the bundle has no %q: %v\n%s", want, err, list)
		}
	}
}

// checkGateway checks the ways into the machines of a cluster through the worker.
func (i *installation) checkGateway(cluster string) {
	i.t.Helper()
	direct := i.env
	defer func() { i.env = direct }()
	i.env = append(slices.Clone(direct), "SKYCTL_GATEWAY_ADDRESS="+i.gateway)
	if r := i.run("ssh", cluster, "-n", "--", "whoami; exec sudo -n whoami"); r.stdout != "sky\nroot\n" {
		i.t.Errorf("ssh through the gateway: %q", r.stdout)
	}
	r := i.run("exec", cluster, "--all", "--", "hostname")
	for _, name := range []string{"sky-" + cluster + "-0", "sky-" + cluster + "-1"} {
		if !strings.Contains(r.stdout, name+": sky-") {
			i.t.Errorf("exec on %s through the gateway: %q", name, r.stdout)
		}
	}
	i.checkCopy(cluster)
	i.env = append(slices.Clone(direct), "SKYCTL_GATEWAY_ADDRESS=127.0.0.1:1")
	if r := i.try("ssh", cluster, "-n", "--", "true"); r.code != 5 {
		i.t.Errorf("ssh through a gateway that does not answer: exit %d: %s", r.code, r.stderr)
	}
}

// checkCommandsEnd checks that a command that takes too long ends on the machine, also what it started with sudo.
func (i *installation) checkCommandsEnd(cluster string) {
	i.t.Helper()
	isRunning := func() bool {
		_, err := i.onHost("sky-"+cluster+"-0", "pgrep", "-f", "sleep 777[1]")
		return err == nil
	}
	for what, args := range map[string][]string{
		"exec": {"exec", cluster, "--timeout", "3s", "--", "sudo sleep 7771"},
		"ssh":  {"ssh", cluster, "--timeout", "3s", "--", "sudo sleep 7771"},
	} {
		begin := time.Now()
		if r := i.try(args...); r.code != 6 || time.Since(begin) > time.Minute {
			i.t.Errorf("%s: exit %d after %s, want 6: %s", what, r.code, time.Since(begin), r.stderr)
		}
		i.holds(what+": the command has ended on the machine", func() bool { return !isRunning() })
	}
}

func (i *installation) checkCopy(cluster string) {
	i.t.Helper()
	dir := i.t.TempDir()
	local := filepath.Join(dir, "a 'file'")
	if err := os.WriteFile(local, []byte("content"), 0o640); err != nil {
		i.t.Fatal(err)
	}
	i.run("cp", "--root", local, "sky-"+cluster+"-1:/etc/skyctl/")
	i.run("cp", "--root", "sky-"+cluster+"-1:/etc/skyctl", filepath.Join(dir, "back"))
	info, err := os.Stat(filepath.Join(dir, "back", "a 'file'"))
	if err != nil || info.Mode().Perm() != 0o640 || info.Size() != 7 {
		i.t.Errorf("cp: %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "back", "installation")); err != nil {
		i.t.Errorf("cp of a directory: %v", err)
	}
}
