package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// hideBehindBastion moves the head of a cluster to an address that only a bastion reaches, and returns the bastion. Its
// private key is the secret with the name.
func hideBehindBastion(t *testing.T, p *testUser, c *api.Cluster, head *sshserver.Server,
	secret string) *sshserver.Server {
	t.Helper()
	bastion := sshserver.Start(t)
	bastion.Forward = fmt.Sprintf("127.0.0.1:%d", head.Target.Port)
	m := c.Status.Machines[0]
	m.Address, m.SSHPort = "192.0.2.7", 22
	if err := world.Store.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	p.run("create", "secret", secret, "--from-file", "ssh-privatekey="+writeFile(t, "key", string(bastion.Key))).
		checkOutput(t, 0, "", "")
	if _, err := world.Store.UpdateCluster(t.Context(), c.Ref(), func(c *api.Cluster) error {
		c.Spec.SSH = api.SSHAccess{ProxyJump: fmt.Sprintf("root@127.0.0.1:%d", bastion.Target.Port),
			ProxyJumpHostKey: bastion.Target.HostKey, ProxyJumpSecret: secret}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return bastion
}

func TestMachinesAreReachedThroughTheBastionOfTheirCluster(t *testing.T) {
	c, servers := storeReachableCluster(t, "behind", 0)
	p := newSecretUser(t, "cli-bastion", "cli-elsewhere")
	bastion := hideBehindBastion(t, p, c, servers[0], "cli-bastion")
	// The settings of this computer name another bastion, which does not answer.
	elsewhere := sshserver.Start(t)
	elsewhere.Stop()
	p.env["SKYCTL_SSH_PROXY_JUMP"] = fmt.Sprintf("root@127.0.0.1:%d", elsewhere.Target.Port)
	p.env["SKYCTL_SSH_PROXY_JUMP_HOST_KEY"] = elsewhere.Target.HostKey
	p.env["SKYCTL_SSH_PROXY_JUMP_SECRET"] = "cli-bastion"
	p.run("ssh", "behind", "-n", "--", "echo hello").check(t, 0, "hello\n", "")
	p.run("exec", "behind", "--", "echo there").checkOutput(t, 0, "there", "")
	copied := filepath.Join(t.TempDir(), "copied")
	p.run("cp", writeFile(t, "page", "text"), "behind:"+copied).checkOutput(t, 0, "", "")
	if text, err := os.ReadFile(copied); err != nil || string(text) != "text" {
		t.Errorf("copied %q, %v", text, err)
	}
	if n := bastion.Logins.Load(); n != 3 {
		t.Errorf("%d logins to the bastion", n)
	}
	p.run("describe", "cluster", "behind").checkOutput(t, 0, fmt.Sprintf("root@127.0.0.1:%d", bastion.Target.Port), "")
	p.run("delete", "secret", "cli-bastion", "--yes").checkOutput(t, ExitConflict, "", "in use by behind")
	bastion.RefuseForwards.Store(true)
	p.run("ssh", "behind", "-n", "--", "true").checkOutput(t, ExitUnreachable, "", "through the bastion root@127.0.0.1")
}

func TestBastionIsCheckedBeforeAnythingIsLaunched(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t, "cli-jump", "cli-empty")
	key, _ := api.FindField("ssh_proxy_jump_host_key")
	p.run("create", "secret", "cli-empty", "--from-literal", "password=hunter-2222").checkOutput(t, 0, "", "")
	for want, args := range map[string][]string{
		"ssh_proxy_jump \"bastion\": USER@HOST": {"--ssh_proxy_jump", "bastion"},
		"one bastion":                           {"--ssh_proxy_jump", "a@b,c@d"},
		"ssh_proxy_jump_host_key \"\": the bastion's public host": {"--ssh_proxy_jump", "a@b",
			"--ssh_proxy_jump_secret", "cli-jump"},
		"ssh_proxy_jump_secret \"\": the name of a secret": {"--ssh-proxy-jump", "a@b", "--ssh-proxy-jump-host-key",
			key.Example},
		"because other fields of the bastion are set": {"--ssh_proxy_jump", "none",
			"--ssh_proxy_jump_secret", "cli-jump"},
		"to store it: skyctl create secret cli-jump": {"--ssh_proxy_jump", "a@b",
			"--ssh_proxy_jump_host_key", key.Example, "--ssh_proxy_jump_secret", "cli-jump"},
		"a secret with the key ssh-privatekey; it has password": {"--ssh_proxy_jump", "a@b",
			"--ssh_proxy_jump_host_key", key.Example, "--ssh_proxy_jump_secret", "cli-empty"},
	} {
		if got := p.run(createArgs("jumped", args...)...); got.code != ExitUsage || !strings.Contains(got.err, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, got.code, got.err, want)
		}
	}
	twice := p.run(createArgs("jumped", "--ssh_proxy_jump", "a@b", "--ssh_proxy_jump_host_key", "",
		"--ssh_proxy_jump_secret", "cli-jump")...)
	if twice.code != ExitUsage || strings.Count(twice.err, "ssh_proxy_jump_host_key") != 1 {
		t.Errorf("exit %d, %q", twice.code, twice.err)
	}
	if _, err := world.Store.ReadCluster(t.Context(), "jumped"); err == nil {
		t.Error("the cluster was written")
	}
}

func TestBastionOfARunningClusterChangesThroughItsFile(t *testing.T) {
	world.StartWorker(t)
	p := newSecretUser(t, "cli-moved")
	key, _ := api.FindField("ssh_proxy_jump_host_key")
	p.newApplied("moved", newFile(t, "moved", 1, "  ssh: {proxy_jump: none}"))
	through := newFile(t, "moved", 1, "  ssh:\n    proxy_jump: jump@192.0.2.1\n    proxy_jump_host_key: "+key.Example+
		"\n    proxy_jump_secret: cli-moved")
	p.run("apply", "-f", through).checkOutput(t, ExitUsage, "",
		`spec.ssh.proxy_jump_secret: "cli-moved", want a secret that exists`)
	p.run("create", "secret", "cli-moved", "--from-literal", "ssh-privatekey=hunter-2222").checkOutput(t, 0, "", "")
	p.run("diff", "-f", through).checkOutput(t, 1, "  ~ spec.ssh.proxy_jump: none -> jump@192.0.2.1:22\n", "")
	p.run("apply", "-f", through).checkOutput(t, 0, "cluster/moved configured\n", "")
	if s := readCluster(t, "moved").Spec.SSH; s.ProxyJump != "jump@192.0.2.1:22" || s.ProxyJumpSecret != "cli-moved" {
		t.Errorf("%+v", s)
	}
	p.run("explain", "cluster.spec.ssh.proxy_jump").checkOutput(t, 0, "ssh.proxyJump", "")
	p.run("apply", "-f", newFile(t, "moved", 1)).checkOutput(t, 0, "", "")
	if s := readCluster(t, "moved").Spec.SSH; s != (api.SSHAccess{}) {
		t.Errorf("%+v", s)
	}
}
