package service_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/needs"
)

// TestMain makes this test program skyctl or skyd, where it is called that.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "skyctl":
		os.Exit(cli.Run(context.Background(), cli.SystemEnvironment(), os.Args[1:]))
	case "skyd":
		os.Exit(runAsSkyd())
	}
	os.Exit(m.Run())
}

// runAsSkyd does what a service manager and skyctl see of skyd dev.
func runAsSkyd() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := config.Load(nil, os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	lock, err := daemon.AcquireLock(c.LockFile())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = lock.Release() }()
	fmt.Println("ready, with baseImage", c.Docker.BaseImage)
	if err := daemon.PublishState(c, daemon.State{PID: os.Getpid(), Started: time.Now()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	<-ctx.Done()
	if err := daemon.WithdrawState(c); err != nil {
		return 1
	}
	return 0
}

// host is a computer with systemd: a Docker host with this program as skyctl and as skyd.
type host struct {
	t    *testing.T
	name string
}

// userManager runs the service manager of the user sky from boot on. Hosts have no logind, which does that elsewhere.
// Its slice tells the journal whose units the manager runs.
const userManager = `[Service]
Slice=user-1000.slice
User=sky
Type=notify
Environment=XDG_RUNTIME_DIR=/run/user/1000
ExecStartPre=+/bin/sh -c 'install -d -o sky -g sky -m 0700 /run/user /run/user/1000'
ExecStart=/lib/systemd/systemd --user
Delegate=yes
[Install]
WantedBy=multi-user.target
`

func newHost(t *testing.T) *host {
	t.Helper()
	needs.Docker(t)
	c, err := docker.New(docker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	owner := cloud.Owner{Installation: "test-" + strings.ToLower(rand.Text()[:8]), Cluster: "boot", ClusterUID: "u"}
	owner.Cluster += owner.Installation[5:]
	req := newLaunch(t, owner)
	t.Cleanup(func() {
		defer cancel()
		err := errors.Join(c.TerminateMachine(ctx, cloud.Target{Owner: owner, Name: req.Name, Index: req.Index,
			Incarnation: req.Incarnation}), c.RemoveClusterResources(ctx, owner), c.Close())
		if err != nil {
			t.Error(err)
		}
	})
	ref, err := c.SubmitLaunch(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AwaitLaunch(ctx, req, ref, func(string) {}); err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, name: req.Name}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h.docker("cp", self, h.name+":/usr/local/bin/skyctl")
	h.asRoot("chmod 755 /usr/local/bin/skyctl && cp /usr/local/bin/skyctl /usr/local/bin/skyd && " +
		"install -d /var/lib/systemd/linger && touch /var/lib/systemd/linger/sky")
	h.asRoot("cat >/etc/systemd/system/user@1000.service <<'UNIT'\n" + userManager + "UNIT\n" +
		"systemctl daemon-reload && systemctl enable --now user@1000.service")
	return h
}

func newLaunch(t *testing.T, owner cloud.Owner) cloud.LaunchRequest {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	login, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return cloud.LaunchRequest{Owner: owner, Name: api.MachineName(owner.Cluster, 0), Incarnation: "1",
		Placement:     api.Placement{Cloud: docker.Name, Region: docker.Region, CPUs: 1, MemoryGiB: 1},
		AuthorizedKey: string(ssh.MarshalAuthorizedKey(login)), HostKey: pem.EncodeToMemory(block)}
}

func (h *host) docker(args ...string) string {
	h.t.Helper()
	out, err := exec.CommandContext(eventually.Context(h.t, 2*time.Minute), "docker", args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (h *host) asRoot(script string) string {
	h.t.Helper()
	return h.docker("exec", h.name, "sh", "-c", script)
}

func (h *host) asUser(script string) string {
	h.t.Helper()
	return h.docker("exec", "--user", "sky", "--env", "HOME=/home/sky", "--env", "XDG_RUNTIME_DIR=/run/user/1000",
		h.name, "sh", "-c", script)
}

// skydPID returns the process of skyd, or "".
func (h *host) skydPID() string {
	out, _ := exec.CommandContext(h.t.Context(), "docker", "exec", h.name, "pgrep", "-x", "skyd").Output()
	return strings.TrimSpace(string(out))
}

// killSkyd kills skyd and waits for another one.
func (h *host) killSkyd() {
	h.t.Helper()
	before := h.skydPID()
	h.asRoot("pkill -KILL -x skyd")
	eventually.Holds(h.t, "skyd was started again", func() bool {
		now := h.skydPID()
		return now != "" && now != before
	})
}

// reboot restarts the host and waits for skyd.
func (h *host) reboot() {
	h.t.Helper()
	h.docker("restart", "--time", "20", h.name)
	eventually.Holds(h.t, "skyd runs after a boot", func() bool { return h.skydPID() != "" })
}

// checkLog reads the log as a user who may not read the journal, and then as one who may. The journal of hosts is in
// memory, where it is not split by users.
func (h *host) checkLog(setting string) {
	h.t.Helper()
	if out := h.asUser("skyctl server logs --tail 5 && echo open || true"); !strings.Contains(out, "open") &&
		!strings.Contains(out, "usermod -aG systemd-journal sky") {
		h.t.Errorf("the journal is closed, and the message is %s", out)
	}
	h.asRoot("usermod -aG systemd-journal sky")
	out := ""
	defer func() {
		if h.t.Failed() {
			h.t.Logf("the log: %s", out)
		}
	}()
	eventually.HoldsEvery(h.t, time.Second, time.Minute, "the log has skyd's line", func() bool {
		out = h.asUser("skyctl server logs --tail 5")
		return strings.Contains(out, "ready, with baseImage "+setting)
	})
}

func TestUnitsStartSkydAtBootAndAfterAFailure(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		what, install, uninstall, active, setting string
		run                                       func(string) string
	}{
		{"a user's unit", "skyctl server install", "skyctl server uninstall", "systemctl --user is-active skyd",
			"debian:12", h.asUser},
		{"a unit of the system", "SUDO_UID=1000 SKYCTL_DOCKER_BASE_IMAGE=debian:13 skyctl server install --system",
			"SUDO_UID=1000 skyctl server uninstall --system", "systemctl is-active skyd-sky",
			"debian:13", h.asRoot},
	} {
		h.asUser("skyctl server start") // it is taken over
		before := h.skydPID()
		if out := c.run(c.install); !strings.Contains(out, "starts when the computer does") {
			t.Errorf("%s: %s", c.what, out)
		}
		if now := h.skydPID(); now == before || strings.Contains(now, "\n") || now == "" {
			t.Errorf("%s: from process %s to %s", c.what, before, now)
		}
		if out := c.run(c.install); !strings.Contains(out, "already runs as") {
			t.Errorf("%s, again: %s", c.what, out)
		}
		h.killSkyd()
		h.reboot()
		if out := c.run(c.active); strings.TrimSpace(out) != "active" {
			t.Errorf("%s after a boot: %s", c.what, out)
		}
		if out := h.asRoot("ps -o user= -C skyd"); strings.TrimSpace(out) != "sky" {
			t.Errorf("%s runs as %s", c.what, out)
		}
		h.checkLog(c.setting)
		h.asUser("skyctl server stop")
		// It gives up its lock, for which a stop waits, a moment before it exits.
		eventually.Holds(t, c.what+" does not run after a stop", func() bool { return h.skydPID() == "" })
		c.run(c.uninstall)
		const find = "find / -xdev '(' -name 'skyd*.service' -o -name skyd.env ')' 2>/dev/null || true"
		if out := h.asRoot(find); out != "" {
			t.Errorf("%s left %s", c.what, out)
		}
	}
	checkPackageUnit(t, h)
}

// checkPackageUnit tests the unit that packages have, on a host without a service.
func checkPackageUnit(t *testing.T, h *host) {
	t.Helper()
	h.docker("cp", "../../../release/packages/skyd@.service", h.name+":/usr/lib/systemd/system/skyd@.service")
	h.asRoot("ln -s /usr/local/bin/skyd /usr/bin/skyd && systemctl daemon-reload && systemctl enable --now skyd@sky")
	eventually.Holds(t, "the package's unit runs skyd", func() bool { return h.skydPID() != "" })
	if out := h.asRoot("ps -o user= -C skyd"); strings.TrimSpace(out) != "sky" {
		t.Errorf("the package's unit runs skyd as %s", out)
	}
	eventually.Holds(t, "skyctl knows the package's unit", func() bool {
		return strings.Contains(h.asUser("skyctl server status || true"), "skyd@sky.service")
	})
	h.killSkyd()
	h.reboot()
	if out := h.asRoot("SUDO_UID=1000 skyctl server uninstall --system"); !strings.Contains(out, "skyd@sky.service") {
		t.Errorf("removing it prints %s", out)
	}
	if out := h.asRoot("find /etc/systemd /usr/lib/systemd -name 'skyd*'"); h.skydPID() != "" ||
		strings.TrimSpace(out) != "/usr/lib/systemd/system/skyd@.service" {
		t.Errorf("process %q runs, and there are %s", h.skydPID(), out)
	}
}
