//go:build hosts

// Package check holds the built release to what RKE2 promises a provisioner, on
// Docker hosts with systemd. Run it by `make check HOST_IMAGE=<image>`.
package check

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	patience = 60 * time.Second
	dataDir  = "/var/lib/rancher/rke2"
)

// hostArgs make a machine of a container that is not privileged.
var hostArgs = []string{
	"--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--security-opt=seccomp=unconfined",
	"--security-opt=apparmor=unconfined",
	"--security-opt=systempaths=unconfined", "--device-cgroup-rule=a *:* rwm", "--cgroupns=private",
	"--tmpfs=/run:exec,mode=755", "--tmpfs=/run/lock", "--volume=/var/lib/rancher", "--volume=/var/lib/kubelet",
}

// boot makes its own cgroups writable, where the engine did not, and becomes systemd. Hosts share the machine's inotify
// instances, of which there are too few for more than a handful.
const boot = `
limit=/proc/sys/fs/inotify/max_user_instances
[ "$(cat $limit)" -ge 1024 ] || echo 8192 >$limit
awk '$3 ~ /^cgroup2?$/ {print $2}' /proc/mounts | while read -r m; do mount -o remount,bind,rw "$m"; done
exec /sbin/init`

// host is one machine.
type host struct {
	t        *testing.T
	name, ip string
}

// cluster is the hosts of one test.
type cluster struct {
	t       *testing.T
	network string
	prefix  string
	image   string
	release string
	count   int
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, image: os.Getenv("HOST_IMAGE"), release: os.Getenv("RELEASE")}
	if c.image == "" || c.release == "" {
		t.Fatal("set HOST_IMAGE to an image of a systemd host with containerd, and RELEASE to a release directory: " +
			"make check does")
	}
	c.prefix = fmt.Sprintf("rke2kit-check-%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)
	c.network = c.prefix
	docker(t, "network", "create", c.network)
	t.Cleanup(func() { _ = exec.Command("docker", "network", "rm", c.network).Run() })
	return c
}

// add starts one host and unpacks the release on it.
func (c *cluster) add() *host {
	c.t.Helper()
	h := &host{t: c.t, name: fmt.Sprintf("%s-%d", c.prefix, c.count)}
	c.count++
	args := append([]string{"run", "--detach", "--name", h.name, "--hostname", h.name, "--network", c.network},
		hostArgs...)
	docker(c.t, append(args, "--entrypoint", "/bin/sh", c.image, "-c", boot)...)
	c.t.Cleanup(func() {
		if c.t.Failed() {
			out, _ := exec.Command("docker", "exec", h.name, "journalctl", "--no-pager", "-n", "40", "-u",
				"rke2-*").CombinedOutput()
			c.t.Logf("%s:\n%s", h.name, out)
		}
		_ = exec.Command("docker", "rm", "--force", "--volumes", h.name).Run()
	})
	h.ip = strings.TrimSpace(docker(c.t, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
		h.name))
	h.wait("systemd", func() bool {
		out, _ := exec.Command("docker", "exec", h.name, "systemctl", "is-system-running").Output()
		state := strings.TrimSpace(string(out))
		return state == "running" || state == "degraded"
	})
	h.unpack(c.release)
	return h
}

func (h *host) unpack(release string) {
	h.t.Helper()
	tarballs, err := filepath.Glob(filepath.Join(release, "rke2.linux-*.tar.gz"))
	if err != nil || len(tarballs) != 1 {
		h.t.Fatalf("want one tarball in %s, got %v, %v", release, tarballs, err)
	}
	file, err := os.Open(tarballs[0])
	if err != nil {
		h.t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("docker", "exec", "-i", h.name, "tar", "-xz", "-C", "/usr/local")
	cmd.Stdin = file
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("unpack on %s: %v: %s", h.name, err, out)
	}
	h.run("systemctl daemon-reload")
}

// start writes the configuration and starts the unit, without waiting.
func (h *host) start(role, config string) {
	h.t.Helper()
	h.input("umask 077; mkdir -p /etc/rancher/rke2; cat >/etc/rancher/rke2/config.yaml", config)
	h.run("systemctl start --no-block rke2-" + role)
}

// try runs a shell command on the host.
func (h *host) try(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "exec", h.name, "sh", "-c", command).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (h *host) run(command string) string {
	h.t.Helper()
	out, err := h.try(command)
	if err != nil {
		h.t.Fatalf("%s: %s: %v: %s", h.name, command, err, out)
	}
	return out
}

func (h *host) input(command, stdin string) {
	h.t.Helper()
	cmd := exec.Command("docker", "exec", "-i", h.name, "sh", "-c", command)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %s: %v: %s", h.name, command, err, out)
	}
}

// kubectl runs on a server.
func (h *host) kubectl(args string) (string, error) {
	return h.try(dataDir + "/bin/kubectl --kubeconfig /etc/rancher/rke2/rke2.yaml " + args)
}

// wait polls until ok, and fails the test at its deadline.
func (h *host) wait(what string, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	h.t.Fatalf("%s: no %s after %s", h.name, what, patience)
}

// waitLog waits for a text in a unit's journal.
func (h *host) waitLog(unit, text string) {
	h.t.Helper()
	h.wait(fmt.Sprintf("log line %q", text), func() bool {
		out, _ := h.try("journalctl --no-pager -o cat -u " + unit)
		return strings.Contains(out, text)
	})
}

// waitNodes waits until exactly these nodes are there and Ready.
func (h *host) waitNodes(nodes ...string) {
	h.t.Helper()
	h.wait(fmt.Sprintf("ready nodes %v", nodes), func() bool {
		out, err := h.kubectl("get nodes --no-headers")
		lines := strings.Split(out, "\n")
		if err != nil || len(lines) != len(nodes) {
			return false
		}
		for _, node := range nodes {
			found := false
			for _, line := range lines {
				fields := strings.Fields(line)
				found = found || len(fields) > 1 && fields[0] == node && fields[1] == "Ready"
			}
			if !found {
				return false
			}
		}
		return true
	})
}

// active is the unit's state.
func (h *host) active(unit string) string {
	out, _ := h.try("systemctl is-active " + unit)
	return out
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
