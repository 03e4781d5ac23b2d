package docker_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostnet"
	"github.com/sky-shift/skyctl/test/needs"
	"github.com/sky-shift/skyctl/test/process"
)

func TestForeignNetworkNameIsRejectedBeforeALaunch(t *testing.T) {
	const ours = "ours"
	for _, tt := range []struct {
		what   string
		labels map[string]string
		knows  bool
		free   bool
	}{
		{what: "nobody's", labels: nil, knows: true},
		{what: "nobody's, by who does not know its own id", labels: nil},
		{what: "another installation's", labels: map[string]string{cloud.LabelInstallation: "theirs"}, knows: true},
		{what: "our own", labels: map[string]string{cloud.LabelInstallation: ours}, knows: true, free: true},
		{what: "some installation's, by who does not know its own id",
			labels: map[string]string{cloud.LabelInstallation: "some"}, free: true},
	} {
		opts := docker.Options{Network: "skyctl-test-" + randomHex(t, 4)}
		if tt.knows {
			opts.Installation = func(context.Context) (string, error) { return ours, nil }
		}
		s := newSite(t, opts)
		if err := s.ValidateSpec(s.ctx, api.GroupSpec{NumNodes: 1}); err != nil {
			t.Errorf("%s: not there yet: %v", tt.what, err)
		}
		made, err := s.engine.NetworkCreate(s.ctx, opts.Network,
			network.CreateOptions{Driver: "bridge", Labels: tt.labels})
		if err != nil {
			t.Fatal(err)
		}
		err = s.ValidateSpec(s.ctx, api.GroupSpec{NumNodes: 1})
		wrong := api.FieldErrorsOf(err)
		switch {
		case tt.free && err != nil:
			t.Errorf("%s: %v", tt.what, err)
		case !tt.free && (len(wrong) != 1 || wrong[0].Field != "docker.network" || wrong[0].Value != opts.Network ||
			!strings.Contains(err.Error(), "SKYCTL_DOCKER_NETWORK")):
			t.Errorf("%s: %v", tt.what, err)
		}
		if err := s.engine.NetworkRemove(s.ctx, made.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestUnreachableEngineIsReportedInOneSentence(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "no.sock")
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	c, err := docker.New(docker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	closed := func() error { return c.ValidateSpec(t.Context(), api.GroupSpec{NumNodes: 1}) }
	refused := func() error { // a socket without a listener
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		return closed()
	}
	want := "ask the Docker engine what its machine has: no Docker engine answers at unix://" + socket +
		": start it (systemctl start docker), or set DOCKER_HOST"
	for what, ask := range map[string]func() error{"nothing there": closed, "nobody there": refused} {
		err := ask()
		var typed *cloud.Error
		if !errors.As(err, &typed) || typed.Kind != cloud.Unreachable || err.Error() != want {
			t.Errorf("%s: got  %v\nwant %s", what, err, want)
		}
	}
}

// narrowInstallation names the installation whose network the test makes in the child process, where the way out is
// narrow.
const narrowInstallation = "TEST_NARROW_INSTALLATION"

// withNarrowWayOut runs a program in a network of its own, whose default route takes packets of 1400 bytes. The socket
// of the engine is reached from there too.
const withNarrowWayOut = `
mount -t sysfs sysfs /sys
ip link add out mtu 1400 type veth peer name beyond
ip address add 192.0.2.2/24 dev out
ip link set beyond up
ip link set out up
ip route add default via 192.0.2.1
exec "$@"`

func TestPacketsOfHostsFitANarrowWayOut(t *testing.T) {
	s := newSite(t, docker.Options{})
	if id := os.Getenv(narrowInstallation); id != "" {
		if err := s.EnsureNetwork(s.ctx, cloud.Owner{Installation: id}); err != nil {
			t.Fatal(err)
		}
		return
	}
	needs.Root(t)
	r, err := process.Run(s.ctx, process.Options{Argv: []string{"unshare", "--net", "--mount", "sh", "-ec",
		withNarrowWayOut, "sh", os.Args[0], "-test.run=^" + t.Name() + "$"},
		Env: append(os.Environ(), narrowInstallation+"="+s.owner.Installation)})
	if err != nil || r.Code != 0 {
		t.Fatalf("in a narrow network: exit %d, %v\n%s%s", r.Code, err, r.Stdout, r.Stderr)
	}
	made, err := s.engine.NetworkInspect(s.ctx, s.NetworkName(s.owner), network.InspectOptions{})
	if err != nil || hostnet.ReadMTU(made) != 1400 {
		t.Errorf("the network has packets of %d bytes, %v", hostnet.ReadMTU(made), err)
	}
	m := s.launch(s.request(0)) // into this network
	if got := s.run(m, "cat /sys/class/net/eth0/mtu"); got != "1400" {
		t.Errorf("packets of the host have %s bytes", got)
	}
}
