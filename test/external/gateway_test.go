package external

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/relay"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/nsmachine"
	"github.com/sky-shift/skyctl/test/process"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// storeCluster records a cluster with one machine, which is removed with the test. The worker leaves it alone.
func storeCluster(t *testing.T, name string, machine remote.Target, key []byte) {
	t.Helper()
	cfg := member(t)
	secretsKey, err := connect.ReadSecretsKey(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := connect.OpenStore(t.Context(), cfg, secretsKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	recorded := api.NewCluster(name, "uid-"+name, api.GroupSpec{Cloud: "docker", NumNodes: 1}, nil, time.Now())
	recorded.Status.PausedAt = time.Now().UTC()
	recorded.Status.SetPhase(api.PhaseReady, "", time.Now())
	c, err := s.CreateCluster(t.Context(), recorded)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.DeleteCluster(context.Background(), c.Ref()); err != nil {
			t.Error(err)
		}
	})
	m := api.NewMachine(name, 0, "", "aaaaa", api.Placement{}, time.Now())
	m.Address, m.SSHPort, m.SSHUser, m.HostKey = machine.Address, machine.Port, machine.User, machine.HostKey
	m.State = api.MachineReady
	if err := s.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutSecret(t.Context(), c.Ref(), store.SecretSSHKey, key); err != nil {
		t.Fatal(err)
	}
}

// TestMemberReachesAMachineThroughTheWorker uses the real programs with nothing but the member's bundle. That skyctl
// does not connect by itself is in the worker's log.
func TestMemberReachesAMachineThroughTheWorker(t *testing.T) {
	machine := sshserver.Start(t)
	storeCluster(t, "apart", machine.Target, machine.Key)
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

// The addresses of the computers in TestMemberReachesAMachineOfAnotherNetwork (RFC 5737). The worker has two.
const (
	memberAddress, workerAddress  = "192.0.2.2", "192.0.2.1"
	machineAddress, workerOutside = "198.51.100.2", "198.51.100.1"
	walledGateway                 = workerAddress + ":7222"
)

// separateNetworks are a member's computer, that of the worker, and a machine. The worker's reaches both others, which
// do not reach each other.
type separateNetworks struct{ member, worker, machine nsmachine.Network }

func newSeparateNetworks(t *testing.T) separateNetworks {
	t.Helper()
	n := separateNetworks{nsmachine.NewNetwork(t), nsmachine.NewNetwork(t), nsmachine.NewNetwork(t)}
	n.worker.Connect(t, "worker", workerAddress+"/24", n.member, "member", memberAddress+"/24")
	n.worker.Connect(t, "worker", workerOutside+"/24", n.machine, "machine", machineAddress+"/24")
	for _, port := range []int{stack.place.ports.etcd, stack.place.ports.temporal} {
		passOn(n.worker.Listen(t, net.JoinHostPort(workerAddress, strconv.Itoa(port))), loopbackAddress(port))
	}
	return n
}

// passOn has the stack's servers, which are on loopback, on the worker's computer too.
func passOn(l net.Listener, address string) {
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				if to, err := net.Dial("tcp", address); err == nil {
					defer to.Close()
					relay.Streams(context.Background(), from, to)
				}
			}()
		}
	}()
}

// environOf unpacks a bundle for a computer of the separate networks, and returns the environment of programs there.
func environOf(t *testing.T, name string, flags ...string) []string {
	t.Helper()
	var bundle bytes.Buffer
	dir := filepath.Join(t.TempDir(), name)
	err := stack.writeBundle(t.Context(), name, &bundle, append(flags, "--host", workerAddress)...)
	if err == nil {
		err = extractTar(&bundle, dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	return []string{"SKYCONF_DIR=" + dir, "SKYCTL_ETCD_TLS_SERVER_NAME=" + loopback,
		"SKYCTL_TEMPORAL_TLS_SERVER_NAME=" + loopback}
}

// startWorkerApart starts a worker with a gateway on the worker's computer.
func startWorkerApart(t *testing.T, at nsmachine.Network) *process.Process {
	t.Helper()
	log := filepath.Join(t.TempDir(), "worker.log")
	worker, err := process.Start(process.Options{
		Argv: append(at.Enter(), filepath.Join(bins(), "skyd"), "worker"),
		Env: append(environOf(t, "worker", "--gateway-host", workerAddress), "PATH=/usr/bin:/bin",
			"HOME="+t.TempDir(), "SKYCTL_GATEWAY_LISTEN="+walledGateway),
		LogFile: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = worker.Kill() })
	if err := worker.AwaitHealthy(eventually.Context(t, startTimeout), func() error {
		said, err := os.ReadFile(log)
		if err == nil && !strings.Contains(string(said), "the gateway to machines listens") {
			err = errors.New("the gateway does not listen")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return worker
}

func TestMemberReachesAMachineOfAnotherNetwork(t *testing.T) {
	n := newSeparateNetworks(t)
	machine := sshserver.StartOpenSSH(t, sshserver.OpenSSHOptions{Name: "sky-walled-0", Address: machineAddress,
		Port: 22, Enter: n.machine.Enter()})
	storeCluster(t, "walled", machine.Target, machine.Key)
	worker := startWorkerApart(t, n.worker)
	run := func(env []string, wantCode int, wantOut, wantErr string, args ...string) {
		t.Helper()
		code, stdout, stderr := skyctlIn(t, n.member.Enter(), env, args...)
		if code != wantCode || !strings.Contains(stdout, wantOut) || !strings.Contains(stderr, wantErr) {
			t.Errorf("skyctl %s: exit %d, want %d, %q and %q\n%s%s", strings.Join(args, " "), code, wantCode, wantOut,
				wantErr, stdout, stderr)
		}
	}
	dir := t.TempDir()
	sent, back := filepath.Join(dir, "sent"), filepath.Join(dir, "back")
	if err := os.WriteFile(sent, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	ann := environOf(t, "ann", "--gateway", walledGateway)
	run(ann, 3, workerOutside+" ", "", "ssh", "walled", "-n", "--", "echo $SSH_CONNECTION; exit 3")
	run(ann, 0, machineAddress+" 22", "", "exec", "walled", "--", "echo $SSH_CONNECTION")
	run(ann, 0, "", "", "cp", sent, "walled:/opt/sent")
	run(ann, 0, "", "", "cp", "walled:/opt/sent", back)
	if text, err := os.ReadFile(back); err != nil || string(text) != "text" {
		t.Errorf("copied %q, %v", text, err)
	}

	const notReached = "network is unreachable; if only the worker reaches machines"
	bob := environOf(t, "bob")
	for _, args := range [][]string{{"ssh", "walled", "-n", "--", "true"}, {"exec", "walled", "--", "true"},
		{"cp", sent, "walled:/opt/bobs"}} {
		run(bob, 5, "", notReached, args...)
		run(bob, 5, "", "gateway.address in "+strings.TrimPrefix(bob[0], "SKYCONF_DIR=")+"/config.yaml", args...)
	}
	if err := worker.Stop(stopTimeout); err != nil {
		t.Error(err)
	}
	run(ann, 5, "", "the gateway "+walledGateway+" does not answer", "ssh", "walled", "-n", "--", "true")
}
