package e2e

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// systemdComputer is a computer with systemd on which skyd is a service: a container like the hosts of a cluster, on
// their network, that has the programs, the state and the kit of an installation, its Docker engine, and the identity
// of this computer.
type systemdComputer struct {
	i      *installation
	id     string
	engine *startingEngine
	env    []string
}

// engineDir is where the computer has the socket of the engine.
const engineDir = "/engine"

// bootWithLogind precedes the boot of a host: the computer has logind, which hosts do not need. The image lacks PAM's
// module pam_systemd, so a service manager is told its directory. Files below /tmp are the test's: they stay.
const bootWithLogind = `rm -f /etc/systemd/system/systemd-logind.service
install -d /etc/systemd/system/user@.service.d
printf '[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\n' >/etc/systemd/system/user@.service.d/directory.conf
ln -sf /dev/null /etc/tmpfiles.d/tmp.conf
exec `

// startSystemdComputer starts a computer beside the hosts of a cluster. No skyd may run.
func (i *installation) startSystemdComputer(cluster string) *systemdComputer {
	t := i.t
	t.Helper()
	dir, err := os.MkdirTemp("", "skyctl-docker-") // names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := &systemdComputer{i: i, engine: &startingEngine{socket: strings.TrimPrefix(i.docker.DaemonHost(), "unix://")},
		env: []string{"DOCKER_HOST=unix://" + engineDir + "/docker.sock", "HOME=/root", "XDG_RUNTIME_DIR=/run/user/0"}}
	c.engine.answers.Store(true)
	go c.engine.serve(l)
	for _, variable := range i.env {
		if strings.HasPrefix(variable, "SKY") || strings.HasPrefix(variable, "XDG_STATE_HOME=") {
			c.env = append(c.env, variable)
		}
	}
	like, err := i.docker.ContainerInspect(t.Context(), i.hosts(cluster)[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	settings := like.HostConfig
	settings.NanoCPUs, settings.Memory, settings.MemorySwap = 0, 0, 0
	settings.Mounts = []mount.Mount{bind(dir, engineDir, true), bind(i.bin, i.bin, true),
		bind(filepath.Dir(i.dir), filepath.Dir(i.dir), false)}
	for _, same := range []string{"/etc/machine-id", os.Getenv("SKYCTL_TEST_RKE2")} { // skyd refuses to move
		if _, err := os.Stat(same); err == nil && filepath.IsAbs(same) {
			settings.Mounts = append(settings.Mounts, bind(same, same, true))
		}
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	made, err := i.docker.ContainerCreate(t.Context(), &container.Config{Image: like.Config.Image, Tty: true,
		Hostname: name, Env: like.Config.Env, StopSignal: like.Config.StopSignal,
		Entrypoint: []string{"sh", "-c", bootWithLogind + like.Path}}, settings,
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			string(settings.NetworkMode): {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: i.lastAddress()}}}},
		nil, "")
	if err != nil {
		t.Fatal(err)
	}
	c.id = made.ID
	t.Cleanup(func() {
		if c.id != "" && t.Failed() {
			out, _ := c.try("journalctl", "--no-pager", "--lines=60")
			t.Logf("the computer's journal:\n%s", out)
		}
		c.remove()
	})
	c.boot()
	return c
}

func bind(source, target string, readOnly bool) mount.Mount {
	return mount.Mount{Type: mount.TypeBind, Source: source, Target: target, ReadOnly: readOnly}
}

// lastAddress returns the last address of the installation's network. Hosts that do not run keep the first ones.
func (i *installation) lastAddress() string {
	t := i.t
	t.Helper()
	found, err := i.docker.NetworkInspect(t.Context(), i.network, network.InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	subnet, err := netip.ParsePrefix(found.IPAM.Config[0].Subnet)
	if err != nil {
		t.Fatal(err)
	}
	first := subnet.Masked().Addr().As4()
	var last [4]byte
	binary.BigEndian.PutUint32(last[:], binary.BigEndian.Uint32(first[:])|^uint32(0)>>subnet.Bits()-1) // not broadcast
	return netip.AddrFrom4(last).String()
}

// boot starts the computer, and waits for its service manager.
func (c *systemdComputer) boot() {
	t := c.i.t
	t.Helper()
	if err := c.i.docker.ContainerStart(t.Context(), c.id, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually.Holds(t, "the computer has booted", func() bool {
		out, _ := c.try("systemctl", "is-system-running")
		return slices.Contains([]string{"running", "degraded"}, strings.TrimSpace(out))
	})
}

func (c *systemdComputer) try(argv ...string) (string, error) {
	args := []string{"exec"}
	for _, variable := range c.env {
		args = append(args, "--env", variable)
	}
	out, err := exec.Command("docker", slices.Concat(args, []string{c.id}, argv)...).CombinedOutput()
	return string(out), err
}

// run runs a program on the computer, which must succeed.
func (c *systemdComputer) run(argv ...string) string {
	t := c.i.t
	t.Helper()
	out, err := c.try(argv...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func (c *systemdComputer) skyctl() string { return filepath.Join(c.i.bin, "skyctl") }

// failPower stops the computer and the hosts of a cluster as a power failure does.
func (c *systemdComputer) failPower(cluster string) {
	t := c.i.t
	t.Helper()
	ids := []string{c.id}
	for _, h := range c.i.hosts(cluster) {
		ids = append(ids, h.ID)
	}
	for _, id := range ids {
		if err := c.i.docker.ContainerKill(t.Context(), id, "KILL"); err != nil {
			t.Fatal(err)
		}
	}
}

// remove removes the computer, if it is there.
func (c *systemdComputer) remove() {
	if c.id == "" {
		return
	}
	if out, err := exec.Command("docker", "rm", "--force", "--volumes", c.id).CombinedOutput(); err != nil {
		c.i.t.Errorf("remove the computer: %v\n%s", err, out)
	}
	c.id = ""
}

// bootComputer makes skyd a service of a computer with systemd, has the power fail, and boots the computer while its
// Docker engine does not answer yet. No command of skyctl is run until the cluster works. The service sweeps often.
func bootComputer(i *installation) {
	i.t.Helper()
	before := i.cluster("boot")
	if r := i.try("uninstall", "--yes"); r.code != 3 || !strings.Contains(r.stderr, "skyctl delete cluster boot") {
		i.t.Fatalf("uninstall with a cluster: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	i.run("server", "stop")
	i.watchOften()
	c := i.startSystemdComputer("boot")
	if out := c.run(c.skyctl(), "server", "install"); !strings.Contains(out, "starts when the computer does") {
		i.t.Errorf("server install prints %s", out)
	}
	if lingers := c.run("loginctl", "show-user", "root", "--property=Linger", "--value"); lingers != "yes" {
		i.t.Errorf("the user's services start at boot: %s", lingers)
	}
	c.failPower("boot")
	c.engine.answers.Store(false)
	c.boot()
	eventually.Holds(i.t, "skyd has asked the Docker engine in vain", func() bool {
		return c.engine.missed.Load() > 0
	})
	c.engine.answers.Store(true)
	eventually.HoldsEvery(i.t, commandPause, patience, "all Nodes of the cluster are Ready again", func() bool {
		running := 0
		for _, h := range i.hosts("boot") {
			if h.State == container.StateRunning {
				running++
			}
		}
		return running == 2 && strings.Count(i.tryKubectl("boot", "get", "nodes", "--no-headers"), " Ready ") == 2
	})
	service := c.run("systemctl", "--user", "show", "skyd*.service", "--property=MainPID", "--value")
	checkSameMachines(i.t, before, c.awaitInSync("boot"))
	if pid := c.run("cat", filepath.Join(i.dir, "skyd.pid")); pid != service {
		i.t.Errorf("skyd is process %s, and the service has %s", pid, service)
	}
	c.run(c.skyctl(), "server", "uninstall")
	c.remove()
}

// awaitInSync waits until a cluster is READY and as its spec says.
func (c *systemdComputer) awaitInSync(name string) (now api.Cluster) {
	c.i.t.Helper()
	eventually.HoldsEvery(c.i.t, commandPause, patience, name+" is READY and in sync", func() bool {
		now = api.Cluster{}
		out, err := c.try(c.skyctl(), "get", "cluster", name, "-o", "json")
		if err != nil || json.Unmarshal([]byte(out), &now) != nil {
			return false
		}
		in := now.Status.FindCondition(api.InSync)
		return now.Status.Phase == api.PhaseReady && len(now.Status.Drift) == 0 && in != nil &&
			in.Status == api.ConditionTrue
	})
	return now
}

func checkSameMachines(t *testing.T, before, after api.Cluster) {
	t.Helper()
	for n, was := range before.Status.Machines {
		if is := after.Status.Machines[n]; is.Incarnation != was.Incarnation || is.Address != was.Address {
			t.Errorf("machine %d was %s at %s and is %s at %s", n, was.Incarnation, was.Address, is.Incarnation,
				is.Address)
		}
	}
}
