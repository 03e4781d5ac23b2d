package cli

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/gateway"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/freeport"
)

// startGateway serves a gateway as a worker does, and has the user reach machines through it.
func startGateway(t *testing.T, p *testUser) *gateway.Server {
	t.Helper()
	secured, err := world.Config.GatewayServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	pool := remote.NewPool(0)
	pool.SetRoutes(connect.NewSSHRoutes(world.Config, world.Store))
	server, err := gateway.Start(gateway.Options{Listen: "127.0.0.1:0", TLS: secured, Dial: pool.DialMachine,
		ReadCluster: world.Store.ReadClusterPart, Version: "v9", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Close()
		pool.Close()
	})
	p.env["SKYCTL_GATEWAY_ADDRESS"] = server.Address()
	return server
}

// The machine is recorded under an address of documentation. Only the worker's side reaches it, because the bastion
// there leads to the machine; a skyctl that connected by itself would use the bastion for each command.
func TestMachinesAreReachedThroughTheGateway(t *testing.T) {
	c, servers := storeReachableCluster(t, "beyond", 0)
	p := newSecretUser(t, "cli-beyond")
	bastion := hideBehindBastion(t, p, c, servers[0], "cli-beyond")
	startGateway(t, p)
	p.run("ssh", "beyond", "-n", "--", "echo hello; exit 3").check(t, 3, "hello\n", "")
	p.run("exec", "beyond", "--", "echo there").checkOutput(t, 0, "there", "")
	copied := filepath.Join(t.TempDir(), "copied")
	p.run("cp", writeFile(t, "page", "text"), "beyond:"+copied).checkOutput(t, 0, "", "")
	if text, err := os.ReadFile(copied); err != nil || string(text) != "text" {
		t.Errorf("copied %q, %v", text, err)
	}
	if n := bastion.Logins.Load(); n != 1 {
		t.Errorf("%d logins to the bastion, want that of the worker alone", n)
	}
	bastion.RefuseForwards.Store(true)
	p.run("ssh", "beyond", "-n", "--", "true").checkOutput(t, ExitUnreachable, "", "cannot be reached from there")
}

func TestErrorsOfTheGatewayHaveTheExitCodesOfMachines(t *testing.T) {
	c, servers := storeReachableCluster(t, "walled", 1)
	p := newKeyHolder(t)
	server := startGateway(t, p)
	servers[1].Stop()
	p.run("ssh", "sky-walled-1", "-n", "--", "true").checkOutput(t, ExitUnreachable, "", "refused")
	p.run("ssh", "sky-walled-7", "-n", "--", "true").checkOutput(t, ExitNotFound, "", "")
	m := c.Status.Machines[0]
	m.HostKey = servers[1].Target.HostKey
	if err := world.Store.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	p.run("ssh", "walled", "-n", "--", "true").checkOutput(t, ExitFailed, "", "another host key")
	for status, code := range map[int]int{404: ExitNotFound, 409: ExitConflict, 502: ExitUnreachable} {
		err := &remote.Lost{Machine: "sky-walled-0", Doing: "connecting", Cause: &gateway.RefusedError{Status: status}}
		if got := exitCode(err); got != code {
			t.Errorf("status %d: exit %d, want %d", status, got, code)
		}
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	p.run("ssh", "walled", "-n", "--", "true").checkOutput(t, ExitUnreachable, "", "does not answer")
	p.env["SKYCTL_SSH_PROXY_JUMP"] = "jump@192.0.2.1"
	p.env["SKYCTL_SSH_PROXY_JUMP_HOST_KEY"], p.env["SKYCTL_SSH_PROXY_JUMP_SECRET"] = servers[0].Target.HostKey, "jump"
	p.run("ssh", "walled", "-n", "--", "true").checkOutput(t, ExitUsage, "", "unset one of the two")
}

// An open API is at an address that this computer does not reach.
func TestTunnelLeadsThroughTheGatewayToAnOpenAPI(t *testing.T) {
	const endpoint = "https://192.0.2.7:6443"
	c, _ := storeTunnelledCluster(t, "opened")
	if _, err := world.Store.UpdateCluster(t.Context(), c.Ref(), func(c *api.Cluster) error {
		c.Status.TunnelPort, c.Status.Endpoint = 0, endpoint
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := world.Store.PutSecret(t.Context(), c.Ref(), store.SecretKubeconfig,
		[]byte("server: "+endpoint+"\n")); err != nil {
		t.Fatal(err)
	}
	p := newKeyHolder(t)
	p.run("tunnel", "opened").checkOutput(t, ExitConflict, "", "needs no tunnel")
	startGateway(t, p)
	p.run("tunnel", "opened").checkOutput(t, ExitUsage, "", "skyctl tunnel opened --port 7443")
	port := freeport.Get(t, 1)[0]
	path := filepath.Join(p.env[config.EnvDir], "clusters", "opened", "kubeconfig")
	leadsTo := func(server string) func() bool {
		return func() bool {
			content, _ := os.ReadFile(path)
			return string(content) == "server: "+server+"\n"
		}
	}
	stop, ended := p.running("tunnel", "opened", "--port", strconv.Itoa(port))
	eventually.Holds(t, "the tunnel is open", func() bool { return portAnswers(port) })
	eventually.Holds(t, "the kubeconfig leads there", leadsTo(loopbackURL(port)))
	stop()
	if got := <-ended; got.code != ExitInterrupted || !leadsTo(endpoint)() {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
}

func TestCheckSaysWhetherTheGatewayAnswers(t *testing.T) {
	world.StartWorker(t)
	p := newExternalUser(t)
	server := startGateway(t, p)
	find := func() (works bool, finding api.CheckFinding) {
		got := p.run("check", "-o", "json")
		var r render.CheckReport
		if err := json.Unmarshal([]byte(got.out), &r); err != nil {
			t.Fatalf("%v: exit %d, %q, %q", err, got.code, got.out, got.err)
		}
		for _, f := range r.Parts {
			if f.Name == render.PartGateway {
				finding = f
			}
		}
		return got.code == 0 && r.OK, finding
	}
	if works, f := find(); !works || f.Problem != "" || f.Version != "v9" || f.Where != server.Address() {
		t.Errorf("%v, %+v", works, f)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if works, f := find(); !works || !strings.Contains(f.Problem, "does not answer") {
		t.Errorf("clusters can be created: %v, %+v", works, f)
	}
	if got := p.run("check"); !strings.Contains(got.out, "Clusters can be created on") {
		t.Errorf("exit %d, %q", got.code, got.out)
	}
}
