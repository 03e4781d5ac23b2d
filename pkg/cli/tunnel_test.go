package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/tunnel"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// storeTunnelledCluster stores a cluster whose head is an SSH server of the test, with an API that answers "ok".
func storeTunnelledCluster(t *testing.T, name string) (*api.Cluster, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "ok")
			c.Close()
		}
	}()
	head := sshserver.Start(t)
	head.Forward = l.Addr().String()
	c, err := world.Store.CreateCluster(t.Context(),
		api.NewCluster(name, "uid-"+name, api.GroupSpec{Cloud: "docker", NumNodes: 1, Provision: true}, nil,
			time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := world.Store.DeleteCluster(context.Background(), c.Ref()); err != nil {
			t.Error(err)
		}
	})
	m := api.NewMachine(name, 0, "", "aaaaa", api.Placement{Tunnel: true}, time.Now())
	m.Address, m.SSHPort, m.SSHUser = head.Target.Address, head.Target.Port, head.Target.User
	m.HostKey, m.State = head.Target.HostKey, api.MachineReady
	if err := world.Store.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	port, err := tunnel.ReservePort(t.Context(), world.Store, c.Ref(), true)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{store.SecretSSHKey: string(head.Key), store.SecretKubeconfig: "server: " +
		loopbackURL(port) + "\n"} {
		if err := world.Store.PutSecret(t.Context(), c.Ref(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	c, err = world.Store.UpdateCluster(t.Context(), c.Ref(), func(c *api.Cluster) error {
		c.Status.Endpoint = loopbackURL(port)
		c.Status.SetPhase(api.PhaseReady, "", time.Now())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, port
}

func portAnswers(port int) bool {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	defer c.Close()
	said, _ := io.ReadAll(c)
	return string(said) == "ok"
}

// running is a command that is still running.
func (p *testUser) running(args ...string) (stop func(), ended <-chan runResult) {
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan runResult, 1)
	go func() { done <- p.runCtx(ctx, args...) }()
	return cancel, done
}

func TestTunnelStaysOpenUntilInterrupted(t *testing.T) {
	c, port := storeTunnelledCluster(t, "behind")
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	path := filepath.Join(p.env[config.EnvDir], "clusters", "behind", "kubeconfig")
	stop, ended := p.running("tunnel", "behind")
	eventually.Holds(t, "the tunnel is open", func() bool { return portAnswers(port) })
	eventually.Holds(t, "the kubeconfig leads there", func() bool {
		content, _ := os.ReadFile(path)
		return string(content) == "server: "+c.Status.Endpoint+"\n"
	})
	if got := p.run("tunnel", "behind"); got.code != ExitFailed ||
		!strings.Contains(got.err, fmt.Sprintf("cannot listen on port %d", port)) ||
		!strings.Contains(got.err, "--port") {
		t.Errorf("a second tunnel: exit %d, %q", got.code, got.err)
	}
	if got := p.run("describe", "cluster", "behind"); !strings.Contains(got.out, c.Status.Endpoint+
		" (through SSH to the head)") || !strings.Contains(got.out, "skyctl tunnel behind") {
		t.Errorf("describe does not show the tunnel:\n%s", got.out)
	}
	stop()
	if got := <-ended; got.code != ExitInterrupted || got.err != "Use it with: export KUBECONFIG="+path+
		"\nThe tunnel to cluster behind is closed.\n" {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
	if portAnswers(port) {
		t.Error("the port is still open")
	}
}

func TestTunnelInterruptedAtItsStartSaysThatItIsClosed(t *testing.T) {
	_, port := storeTunnelledCluster(t, "early")
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	stop, ended := p.running("tunnel", "early")
	eventually.Holds(t, "the port is open", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			stop() // before the kubeconfig is read
			c.Close()
		}
		return err == nil
	})
	if got := <-ended; got.code != ExitInterrupted || !strings.HasSuffix(got.err,
		"The tunnel to cluster early is closed.\n") {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
}

func TestTunnelAtAnotherPortKeepsTheKubeconfig(t *testing.T) {
	c, own := storeTunnelledCluster(t, "moved")
	port := freeport.Get(t, 1)[0]
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	path := filepath.Join(p.env[config.EnvDir], "clusters", "moved", "kubeconfig")
	_, ended := p.running("tunnel", "moved", "--port", fmt.Sprint(port))
	eventually.Holds(t, "the kubeconfig leads there", func() bool {
		content, _ := os.ReadFile(path)
		return string(content) == "server: "+loopbackURL(port)+"\n" && portAnswers(port)
	})
	if err := world.Store.DeleteCluster(t.Context(), c.Ref()); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got.code != ExitNotFound {
		t.Errorf("the cluster is gone: exit %d, %q", got.code, got.err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "server: "+loopbackURL(own)+"\n" {
		t.Errorf("the kubeconfig is %q, %v", content, err)
	}
}

func TestNeedlessTunnelIsRefused(t *testing.T) {
	c, _ := storeTunnelledCluster(t, "open")
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	set := func(endpoint string) {
		t.Helper()
		if _, err := world.Store.UpdateCluster(t.Context(), c.Ref(), func(c *api.Cluster) error {
			c.Status.Endpoint, c.Status.TunnelPort = endpoint, 0
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	set("https://3.80.1.2:6443")
	p.run("tunnel", "open").check(t, ExitConflict, "",
		"Error: cluster open needs no tunnel: its Kubernetes API is at https://3.80.1.2:6443\n")
	set("")
	if got := p.run("tunnel", "open"); got.code != ExitConflict || !strings.Contains(got.err, "no Kubernetes API yet") {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
	p.run("tunnel", "absent").check(t, ExitNotFound, "", p.run("get", "kubeconfig", "absent").err)
	p.run("tunnel", "open", "--port", "0").check(t, ExitUsage, "", "Error: port \"0\": a port from 1 to 65535\n")
}
