package remote_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/sshserver"
)

func TestMachineOfOpenSSHIsReachedThroughABastionOfOpenSSH(t *testing.T) {
	machine := sshserver.StartOpenSSH(t, sshserver.OpenSSHOptions{Name: "machine"})
	for what, c := range map[string]struct{ settings, err string }{
		"open":   {fmt.Sprintf("PermitOpen localhost:%d", machine.Target.Port), ""},
		"closed": {"AllowTcpForwarding no", "AllowTcpForwarding"},
		"others": {"PermitOpen 192.0.2.1:22", "AllowTcpForwarding"},
	} {
		bastion := sshserver.StartOpenSSH(t, sshserver.OpenSSHOptions{Name: "bastion " + what,
			Settings: []string{c.settings}})
		p := remote.NewPool(0)
		at := bastion.Target
		p.SetRoutes(remote.Routes{ReadKey: keysOf(map[string][]byte{"key": bastion.Key})})
		target := machine.Target
		target.Bastion = remote.Bastion{User: at.User, Address: at.Address, Port: at.Port, HostKey: at.HostKey,
			Secret: "key"}
		target.Address = "localhost" // the bastion resolves the name
		_, err := p.GetHost(t.Context(), target, machine.Key)
		p.Close()
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", what, err)
		case c.err != "" && (!remote.IsLost(err) || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v", what, err)
		}
	}
}
