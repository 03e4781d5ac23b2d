package e2e

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/eventually"
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
	i.checkLogs(cluster)
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

// checkLogs checks the logs of a real machine: its files and journal, new lines, and old ones.
func (i *installation) checkLogs(cluster string) {
	i.t.Helper()
	if r := i.run("logs", cluster, "--tail", "20"); !strings.Contains(r.stdout, "rke2") {
		i.t.Errorf("logs: %q", r.stdout)
	}
	machine := "sky-" + cluster + "-1"
	for unit, shows := range map[string]string{"kubelet": "kubelet", "containerd": "containerd", "system": "systemd"} {
		if r := i.run("logs", machine, "--unit", unit, "--tail", "0"); !strings.Contains(r.stdout, shows) {
			i.t.Errorf("%s: no %q in the last of %d characters: %q", unit, shows, len(r.stdout),
				r.stdout[max(0, len(r.stdout)-500):])
		}
	}
	// Docker hosts have no cloud-init, and so no log of it until one is written.
	if r := i.try("logs", machine, "--unit", "cloud-init"); r.code == 0 || !strings.Contains(r.stderr, "cloud-init") {
		i.t.Errorf("a log that the machine does not have: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	i.sh(machine, "echo the first start >/var/log/cloud-init-output.log")
	if r := i.run("logs", machine, "--unit", "cloud-init"); r.stdout != "the first start\n" {
		i.t.Errorf("cloud-init: %q", r.stdout)
	}

	const unit = "skyctl-e2e-lines"
	i.sh(machine, "systemd-run --quiet --unit "+unit+" sh -c 'echo begin; while :; do echo again; sleep 1; done'")
	i.followLog(machine, unit, "again", 3)
	i.sh(machine, "systemctl stop "+unit)
	if r := i.run("logs", machine, "--unit", unit, "--since", "1h"); !strings.Contains(r.stdout, "begin") {
		i.t.Errorf("logs of the last hour: %q", r.stdout)
	}
	i.holds("lines are older than a second", func() bool {
		return !strings.Contains(i.run("logs", machine, "--unit", unit, "--since", "1s").stdout, "begin")
	})
}

// followLog follows a unit's log, from its last line, until it has printed as many lines with these words.
func (i *installation) followLog(machine, unit, words string, lines int) {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), eventually.Patience(patience))
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(i.bin, "skyctl"), "logs", machine, "--unit", unit, "--follow",
		"--tail", "1")
	cmd.Env = i.env
	out, err := cmd.StdoutPipe()
	if err != nil {
		i.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	printed := 0
	for follow := bufio.NewScanner(out); printed < lines && follow.Scan(); {
		if strings.Contains(follow.Text(), words) {
			printed++
		}
	}
	_ = cmd.Process.Signal(os.Interrupt)
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); printed < lines || code != 130 {
		i.t.Errorf("%d lines, want %d; exit %d, want 130", printed, lines, code)
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
