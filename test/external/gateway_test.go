package external

import (
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// TestMemberReachesAMachineThroughTheWorker uses the real programs with nothing but the member's bundle. That skyctl
// does not connect by itself is in the worker's log.
func TestMemberReachesAMachineThroughTheWorker(t *testing.T) {
	cfg := member(t)
	key, err := connect.ReadSecretsKey(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := connect.OpenStore(t.Context(), cfg, key)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	recorded := api.NewCluster("apart", "uid-apart", api.GroupSpec{Cloud: "docker", NumNodes: 1}, nil, time.Now())
	recorded.Status.PausedAt = time.Now().UTC() // the worker leaves it alone
	recorded.Status.SetPhase(api.PhaseReady, "", time.Now())
	c, err := s.CreateCluster(t.Context(), recorded)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.DeleteCluster(t.Context(), c.Ref()); err != nil {
			t.Error(err)
		}
	}()
	machine := sshserver.Start(t)
	m := api.NewMachine("apart", 0, "", "aaaaa", api.Placement{}, time.Now())
	m.Address, m.SSHPort, m.SSHUser = machine.Target.Address, machine.Target.Port, machine.Target.User
	m.HostKey, m.State = machine.Target.HostKey, api.MachineReady
	if err := s.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutSecret(t.Context(), c.Ref(), store.SecretSSHKey, machine.Key); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := skyctl(t, []string{"SKYCONF_DIR=" + stack.MemberDir()}, "ssh", "apart", "-n", "--",
		"echo hello; exit 3")
	if code != 3 || stdout != "hello\n" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"passes on a connection", "tester", "sky-apart-0"} {
		if log := stack.ReadLog("worker"); !strings.Contains(log, want) {
			t.Errorf("the worker's log has no %q:\n%s", want, log)
		}
	}
}
