package cli

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
	"github.com/sky-shift/skyctl/test/pseudoterminal"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// storeReachableCluster stores a READY cluster with a head and workers that are SSH servers of the test.
func storeReachableCluster(t *testing.T, name string, workers int) (*api.Cluster, []*sshserver.Server) {
	t.Helper()
	c, err := world.Store.CreateCluster(t.Context(),
		api.NewCluster(name, "uid-"+name, api.GroupSpec{Cloud: "docker", NumNodes: 1 + workers, Provision: true}, nil,
			time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := world.Store.DeleteCluster(context.Background(), c.Ref()); err != nil {
			t.Error(err)
		}
	})
	var servers []*sshserver.Server
	var machines []api.Machine
	for i := range 1 + workers {
		s, pool := sshserver.Start(t), api.DefaultPool
		if i == 0 {
			pool = ""
		} else if err := s.AdmitKeyOf(servers[0]); err != nil {
			t.Fatal(err)
		}
		m := api.NewMachine(name, i, pool, "aaaaa", api.Placement{}, time.Now())
		m.Address, m.SSHPort, m.SSHUser = s.Target.Address, s.Target.Port, s.Target.User
		m.HostKey, m.State = s.Target.HostKey, api.MachineReady
		servers, machines = append(servers, s), append(machines, m)
	}
	if err := world.Store.PutMachines(t.Context(), c.Ref(), machines); err != nil {
		t.Fatal(err)
	}
	if err := world.Store.PutSecret(t.Context(), c.Ref(), store.SecretSSHKey, servers[0].Key); err != nil {
		t.Fatal(err)
	}
	if _, err = world.Store.UpdateCluster(t.Context(), c.Ref(), func(c *api.Cluster) error {
		c.Status.SetPhase(api.PhaseReady, "", time.Now())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if c, err = world.Store.ReadCluster(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return c, servers
}

// newKeyHolder returns a user who has the secrets key.
func newKeyHolder(t *testing.T) *testUser {
	p := newExternalUser(t)
	p.env["SKYCTL_SECRETS_KEY_FILE"] = world.Config.SecretsKeyFile
	return p
}

func TestSSHRunsACommandWithStreamsAndExitCode(t *testing.T) {
	storeReachableCluster(t, "way-in", 1)
	p := newKeyHolder(t)
	p.in = "\x00\x1b[31mraw"
	p.run("ssh", "way-in", "--", "cat; echo oops >&2; exit 42").check(t, 42, p.in, "oops\n")
	p.run("ssh", "machine/sky-way-in-1", "-n", "--", "printf", "%s|", "a  b", "$HOME;").check(t, 0, "a  b|$HOME;|", "")
	p.in = "echo from-$((40+2))\nexit 3\n"
	p.run("ssh", "cluster/way-in").check(t, 3, "from-42\n", "")
	got := p.run("get", "events", "way-in")
	for _, want := range []string{"MachineAccessed", "sky-way-in-1", "ran printf with skyctl ssh", "logged in with"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("the events have no %q:\n%s", want, got.out)
		}
	}
	if strings.Contains(got.out, "oops") || strings.Contains(got.out, "HOME") {
		t.Errorf("the events have arguments:\n%s", got.out)
	}
}

func TestSSHErrorsNameWhatIsWrong(t *testing.T) {
	c, servers := storeReachableCluster(t, "locked", 1)
	p := newKeyHolder(t)
	for _, e := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"ssh", "lockd", "--", "true"}, ExitNotFound,
			"Error: there is no cluster or machine \"lockd\"; did you mean locked?\n"},
		{[]string{"ssh", "sky-locked-7", "--", "true"}, ExitNotFound, "did you mean sky-locked-"},
		{[]string{"ssh", "cluster/sky-locked-1", "--", "true"}, ExitNotFound, "there is no cluster \"sky-locked-1\""},
		{[]string{"ssh", "node/locked"}, ExitUsage, "cluster/NAME and machine/NAME"},
		{[]string{"ssh", "locked", "true"}, ExitUsage, "needs -- before the command: skyctl ssh locked -- true"},
		{[]string{"ssh"}, ExitUsage, "missing the name of a cluster or a machine"},
		{[]string{"ssh", "locked", "-t", "--", "true"}, ExitUsage, "--tty needs a terminal"},
	} {
		if got := p.run(e.args...); got.code != e.code || !strings.Contains(got.err, e.want) {
			t.Errorf("%v: exit %d, %q", e.args, got.code, got.err)
		}
	}
	if got := p.run("ssh", "locked", "-n", "--timeout", "1s", "--", "sleep 100"); got.code != ExitTimeout ||
		!strings.Contains(got.err, "--timeout 1s") {
		t.Errorf("a slow command: exit %d, %q", got.code, got.err)
	}
	servers[1].Stop()
	if got := p.run("ssh", "sky-locked-1", "--", "true"); got.code != ExitUnreachable {
		t.Errorf("a dead machine: exit %d, %q", got.code, got.err)
	}
	m := c.Status.Machines[0]
	m.HostKey = servers[1].Target.HostKey
	if err := world.Store.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	if got := p.run("ssh", "locked", "--", "true"); got.code != ExitFailed ||
		!strings.Contains(got.err, "another host key") {
		t.Errorf("another host key: exit %d, %q", got.code, got.err)
	}
	m.Address = ""
	if err := world.Store.PutMachines(t.Context(), c.Ref(), []api.Machine{m}); err != nil {
		t.Fatal(err)
	}
	p.run("ssh", "locked", "--", "true").check(t, ExitConflict, "",
		"Error: machine sky-locked-0 cannot be reached: it is Ready\n")
}

func TestSSHOpensATerminalThatResizes(t *testing.T) {
	storeReachableCluster(t, "screen", 0)
	p := newKeyHolder(t)
	p.env["TERM"] = "vt220"
	term := pseudoterminal.Open(t, 91, 31)
	var errs lockedbuffer.Buffer
	env := p.environment(nil, nil, &errs)
	env.In, env.Out = term.Far, term.Far
	ended := make(chan int, 1)
	go func() { ended <- Run(t.Context(), env, []string{"ssh", "screen"}) }()
	typeLine := func(s string) { fmt.Fprint(term.Near, s) }
	eventually.Holds(t, "a prompt", func() bool { return term.Text() != "" })
	typeLine("stty size; echo $TERM\n")
	eventually.Holds(t, "the size", func() bool { return strings.Contains(term.Text(), "31 91\nvt220\n") })
	term.Resize(t, 92, 32)
	sizes, typed := regexp.MustCompile(`(?m)^3\d 9\d$`), 1
	eventually.Holds(t, "the new size", func() bool {
		if len(sizes.FindAllString(term.Text(), -1)) == typed { // else the shell is still busy with the last one
			typeLine("stty size\n")
			typed++
		}
		return strings.Contains(term.Text(), "32 92\n")
	})
	// Ctrl-C goes alone, once the command reads: a shell discards what came in together with the signal.
	typeLine("PS1=machine: ; sed -u s/$/-$((1+1))/\ntyped\n")
	eventually.Holds(t, "the command reads", func() bool { return strings.Contains(term.Text(), "typed-2\n") })
	typeLine("\x03")
	eventually.Holds(t, "Ctrl-C reaches the machine", func() bool { return strings.HasSuffix(term.Text(), "machine:") })
	typeLine("exit 7\n")
	if code := <-ended; code != 7 {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

func TestClustersAndMachinesAreCompleted(t *testing.T) {
	storeReachableCluster(t, "tabbed", 1)
	p := newKeyHolder(t)
	got := p.run("__complete", "ssh", "")
	for _, want := range []string{"tabbed\tREADY\n", "sky-tabbed-0\thead, Ready\n",
		"sky-tabbed-1\tworker of pool default, Ready\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in %q", want, got.out)
		}
	}
}
