package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/lockedbuffer"
)

// journalStandIn prints its arguments, as a journal would, with a secret of the cluster.
const journalStandIn = `#!/bin/sh
echo "args: $*"
echo "token is very-secret-token-77"
`

func TestLogsReadJournalsOfMachinesWithoutSecrets(t *testing.T) {
	c, servers := storeReachableCluster(t, "logged", 1)
	if err := world.Store.PutSecret(t.Context(), c.Ref(), store.SecretServerToken,
		[]byte("very-secret-token-77")); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "journalctl"), []byte(journalStandIn), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		s.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	}
	p := newKeyHolder(t)
	const lead = "args: --no-pager --quiet -o short-iso "
	p.run("logs", "logged").check(t, 0, lead+"-u rke2-server -u rke2-agent -n 200\ntoken is [hidden]\n", "")
	p.run("logs", "sky-logged-1", "--unit", "ssh.service", "--since", "2m", "--tail", "7").check(t, 0,
		lead+"-u ssh.service -n 7 --since=-120s\ntoken is [hidden]\n", "")
	got := p.run("logs", "logged", "--all", "--since", "1h", "-u", "system")
	for _, want := range []string{"sky-logged-0: " + lead + "-n all --since=-3600s\n",
		"sky-logged-1: token is [hidden]\n"} {
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("exit %d: no %q in %q", got.code, want, got.out)
		}
	}
	for _, e := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"logs", "logged", "--unit", "x;y"}, ExitUsage, `unit "x;y": rke2, kubelet`},
		{[]string{"logs", "logged", "--unit", "cloud-init", "--since", "1h"}, ExitUsage, "--tail instead"},
		{[]string{"logs", "logged", "--tail", "-1"}, ExitUsage, "--tail is -1"},
		{[]string{"logs", "logge"}, ExitNotFound, "did you mean logged?"},
		{[]string{"logs", "server", "--all"}, ExitUsage, "cluster/server"},
		{[]string{"logs", "server"}, ExitUsage, "external servers are configured"},
	} {
		if got := p.run(e.args...); got.code != e.code || !strings.Contains(got.err, e.want) {
			t.Errorf("%v: exit %d, %q", e.args, got.code, got.err)
		}
	}
}

func TestLogsFollowUntilInterrupted(t *testing.T) {
	_, servers := storeReachableCluster(t, "followed", 0)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "journalctl"), []byte("#!/bin/sh\necho \"$*\"; exec sleep 1000\n"),
		0o700); err != nil {
		t.Fatal(err)
	}
	servers[0].Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	p := newKeyHolder(t)
	ctx, interrupt := context.WithCancel(t.Context())
	var out, errs lockedbuffer.Buffer
	ended := make(chan int, 1)
	go func() { ended <- Run(ctx, p.environment(nil, &out, &errs), []string{"logs", "followed", "-f"}) }()
	eventually.Holds(t, "a line", func() bool { return strings.HasSuffix(out.String(), " -f\n") })
	interrupt()
	if code := <-ended; code != ExitInterrupted {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}
