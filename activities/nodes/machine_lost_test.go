package nodes

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/sshserver"
)

func TestSSHPortIsAskedFromTheBastionOfTheCluster(t *testing.T) {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	bastion := sshserver.Start(t)
	bastion.Forward = port.Addr().String()
	pool := remote.NewPool(0)
	t.Cleanup(pool.Close)
	pool.SetRoutes(remote.Routes{ReadKey: func(context.Context, string) ([]byte, error) { return bastion.Key, nil }})
	a := &Activities{}
	a.Pool = pool
	step := &machineStep{cluster: &api.Cluster{},
		record: &api.Machine{Name: "sky-a-0", Address: "192.0.2.7", SSHPort: 22}}
	step.cluster.Spec.SSH = api.SSHAccess{ProxyJump: fmt.Sprintf("root@127.0.0.1:%d", bastion.Target.Port),
		ProxyJumpHostKey: bastion.Target.HostKey, ProxyJumpSecret: "bastion"}
	if !a.answersOnSSHPort(t.Context(), step) {
		t.Error("a machine that only the bastion reaches counts as one that does not answer")
	}
	bastion.RefuseForwards.Store(true)
	if a.answersOnSSHPort(t.Context(), step) {
		t.Error("a machine that the bastion does not reach counts as one that answers")
	}
}
