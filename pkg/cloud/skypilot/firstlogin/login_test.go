package firstlogin_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/firstlogin"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/sshserver"
)

func TestFirstLoginGoesThroughTheBastion(t *testing.T) {
	machine, bastion := sshserver.Start(t), sshserver.Start(t)
	bastion.Forward = fmt.Sprintf("127.0.0.1:%d", machine.Target.Port)
	home := t.TempDir()
	machine.Env = []string{"HOME=" + home}
	pool := remote.NewPool(0)
	t.Cleanup(pool.Close)
	pool.SetRoutes(remote.Routes{ReadKey: func(context.Context, string) ([]byte, error) { return bastion.Key, nil }})
	target := remote.Target{Name: "sky-a-0", Address: "192.0.2.7", Port: 22, Bastion: remote.Bastion{
		User: "root", Address: bastion.Target.Address, Port: bastion.Target.Port, HostKey: bastion.Target.HostKey}}
	m := cloud.Machine{Name: target.Name, Address: target.Address, SSHPort: 22, SSHUser: "root"}
	credentials := &client.Credentials{Key: string(machine.Key), ProxyCommand: "ssh -W %h:%p jump@bastion"}
	login, err := firstlogin.New(m, credentials, pool.FindRoute(target), 0)
	if err != nil {
		t.Fatal(err)
	}
	hostKey, err := login.AuthorizeKey(t.Context(), "ssh-ed25519 AAAA cluster", func(string) {})
	if err != nil || hostKey != strings.TrimSpace(machine.Target.HostKey) {
		t.Errorf("%q, %v", hostKey, err)
	}
	admitted, err := os.ReadFile(filepath.Join(home, ".ssh", "authorized_keys"))
	if err != nil || string(admitted) != "ssh-ed25519 AAAA cluster\n" || bastion.Logins.Load() != 1 {
		t.Errorf("%d logins to the bastion; %v: %q", bastion.Logins.Load(), err, admitted)
	}
}

func TestProxyOfSkyPilotNeedsABastionOfSkyctl(t *testing.T) {
	machine := sshserver.Start(t)
	for _, proxy := range []string{"", "None", "ssh -W %h:%p jump@bastion"} {
		_, err := firstlogin.New(cloud.Machine{Name: "sky-a-0"},
			&client.Credentials{Key: string(machine.Key), ProxyCommand: proxy}, nil, 0)
		var refused *cloud.Error
		if isProxy := strings.Contains(proxy, "jump"); isProxy != errors.As(err, &refused) ||
			isProxy && (refused.Kind != cloud.Infeasible || !strings.Contains(err.Error(), "--ssh_proxy_jump")) {
			t.Errorf("%q: %v", proxy, err)
		}
	}
}
