package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sky-shift/skyctl/pkg/access"
	"github.com/sky-shift/skyctl/test/eventually"
)

// storeNamedCluster stores a cluster whose machines know their index, in $WHO.
func storeNamedCluster(t *testing.T, name string, workers int) {
	t.Helper()
	_, servers := storeReachableCluster(t, name, workers)
	for i, s := range servers {
		s.Env = []string{fmt.Sprintf("WHO=%d", i)}
	}
}

func TestExecRunsOnAllMachinesAndNamesThoseThatFailed(t *testing.T) {
	storeNamedCluster(t, "fleet", 2)
	p := newKeyHolder(t)
	got := p.run("exec", "fleet", "--all", "--", "echo out-$WHO; echo err-$WHO >&2; printf tail; exit $((WHO == 1))")
	for i := range 3 {
		for _, want := range []string{"sky-fleet-%[1]d: out-%[1]d\n", "sky-fleet-%[1]d: tail\n"} {
			if want = fmt.Sprintf(want, i); !strings.Contains(got.out, want) {
				t.Errorf("no %q in %q", want, got.out)
			}
		}
	}
	if got.code != ExitFailed || !strings.Contains(got.err, "sky-fleet-2: err-2\n") ||
		!strings.HasSuffix(got.err, "Failed on 1 of 3 machines: sky-fleet-1 (exit code 1)\n") {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
	p.run("exec", "fleet", "--", "echo $WHO; exit 9").check(t, 9, "0\n", "")
	p.run("exec", "fleet", "--", `printf 'a\tb\nend'`).check(t, 0, "a\tb\nend", "") // nothing is added
	p.run("exec", "sky-fleet-2", "--", "echo $WHO").check(t, 0, "2\n", "")
	p.run("exec", "fleet", "--machine", "sky-fleet-1", "--root", "--", "echo $WHO").check(t, 0, "sky-fleet-1: 1\n", "")
	if got := p.run("exec", "fleet", "--pool", "default", "--", "true"); got.code != 0 || got.out+got.err != "" {
		t.Errorf("a pool: %+v", got)
	}
	events := p.run("get", "events", "fleet").out
	if !strings.Contains(events, "ran echo on 3 machines with skyctl exec") {
		t.Errorf("the events:\n%s", events)
	}
}

func TestExecRunsInParallelWithinItsBound(t *testing.T) {
	storeNamedCluster(t, "bounded", 2)
	p := newKeyHolder(t)
	dir := t.TempDir()
	// Each waits for the others, so that all have to run at the same time.
	meet := fmt.Sprintf("touch %s/met-$WHO; until [ $(ls %[1]s | wc -l) = 3 ]; do sleep 0.01; done", dir)
	if got := p.run("exec", "bounded", "--all", "--timeout", "5m", "--", meet); got.code != 0 {
		t.Fatalf("not in parallel: exit %d: %s", got.code, got.err)
	}
	// Each fails if another one is between its two lines.
	alone := fmt.Sprintf("mkdir %s/alone || exit 1; for i in $(seq 300); do ls / >&2; done 2>/dev/null; "+
		"rmdir %[1]s/alone", dir)
	if got := p.run("exec", "bounded", "--all", "--parallel", "1", "--", alone); got.code != 0 {
		t.Errorf("more than one at a time: exit %d: %s", got.code, got.err)
	}
}

func TestExecResultsAreJSON(t *testing.T) {
	_, servers := storeReachableCluster(t, "listed", 2)
	servers[2].Stop()
	p := newKeyHolder(t)
	got := p.run("exec", "listed", "--all", "-o", "json", "--", "printf 'a\\033b'; echo x >&2; exit 5")
	var list access.ResultList
	if err := json.Unmarshal([]byte(got.out), &list); err != nil {
		t.Fatalf("%v in %q", err, got.out)
	}
	if got.code != ExitFailed || got.err != "" || list.Kind != "CommandResultList" || len(list.Items) != 3 {
		t.Fatalf("exit %d, %q, %+v", got.code, got.err, list)
	}
	if r := list.Items[0]; r.Machine != "sky-listed-0" || r.ExitCode != 5 || r.Stdout != "a\x1bb" ||
		r.Stderr != "x\n" ||
		r.Error != "" {
		t.Errorf("got %+v", r)
	}
	if r := list.Items[2]; r.ExitCode != -1 || !strings.Contains(r.Error, "connecting to SSH") {
		t.Errorf("got %+v", r)
	}
}

func TestExecRefusesBadSelections(t *testing.T) {
	storeReachableCluster(t, "picky", 1)
	p := newKeyHolder(t)
	for _, e := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"picky", "--pool", "defualt", "--", "true"}, ExitNotFound,
			"cluster picky has no pool \"defualt\"; did you mean default?"},
		{[]string{"picky", "--machine", "sky-picky-5", "--", "true"}, ExitNotFound, "did you mean sky-picky-"},
		{[]string{"sky-picky-1", "--all", "--", "true"}, ExitUsage, "sky-picky-1 is a machine"},
		{[]string{"picky", "--all"}, ExitUsage, "a command is missing"},
		{[]string{"picky", "--all", "uptime"}, ExitUsage, "needs -- before the command"},
		{[]string{"picky", "--parallel", "0", "--", "true"}, ExitUsage, "a number from 1 to 100"},
	} {
		if got := p.run(append([]string{"exec"}, e.args...)...); got.code != e.code ||
			!strings.Contains(got.err, e.want) {
			t.Errorf("%v: exit %d, %q", e.args, got.code, got.err)
		}
	}
}

func TestExecEndsCommandsOnInterrupt(t *testing.T) {
	storeNamedCluster(t, "halted", 1)
	p := newKeyHolder(t)
	dir := t.TempDir()
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan runResult, 1)
	go func() {
		ended <- p.runCtx(ctx, "exec", "halted", "--all", "--", "echo $$ >"+dir+"/$WHO.new; mv "+dir+"/$WHO.new "+dir+
			"/$WHO; sleep 1000")
	}()
	var pids []int
	eventually.Holds(t, "the commands run", func() bool {
		pids = nil
		for i := range 2 {
			text, _ := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				pids = append(pids, pid)
			}
		}
		return len(pids) == 2
	})
	interrupt()
	if got := <-ended; got.code != ExitInterrupted {
		t.Errorf("exit %d, %q", got.code, got.err)
	}
	for _, pid := range pids {
		eventually.Holds(t, "the command is gone", func() bool { return syscall.Kill(pid, 0) != nil })
	}
}
