package sshtarget_test

import (
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
)

func TestTargetHasTheBastionOfTheCluster(t *testing.T) {
	m := api.Machine{Name: "sky-a-0", Address: "10.0.0.7", SSHPort: 2222, SSHUser: "sky", HostKey: "ssh-ed25519 AAAA"}
	plain := remote.Target{Name: "sky-a-0", Address: "10.0.0.7", Port: 2222, User: "sky", HostKey: "ssh-ed25519 AAAA"}
	direct, through, damaged := plain, plain, plain
	direct.Direct = true
	through.Bastion = remote.Bastion{User: "jump", Address: "2001:db8::1", Port: 22, HostKey: "key", Secret: "bastion"}
	damaged.Bastion = remote.Bastion{Address: "?"}
	for name, c := range map[string]struct {
		ssh  api.SSHAccess
		want remote.Target
	}{
		"the settings decide": {api.SSHAccess{}, plain},
		"no bastion":          {api.SSHAccess{ProxyJump: api.ProxyJumpNone}, direct},
		"a bastion": {api.SSHAccess{ProxyJump: "jump@[2001:db8::1]:22", ProxyJumpHostKey: "key",
			ProxyJumpSecret: "bastion"}, through},
		"a damaged record": {api.SSHAccess{ProxyJump: "?"}, damaged},
	} {
		cluster := &api.Cluster{Spec: api.ClusterSpec{SSH: c.ssh}}
		if got := sshtarget.Of(cluster, &m); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
