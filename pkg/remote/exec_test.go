package remote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/sshserver"
)

func start(t *testing.T) (*sshserver.Server, *remote.Host) {
	t.Helper()
	s := sshserver.Start(t)
	return s, dial(t, s)
}

func dial(t *testing.T, s *sshserver.Server) *remote.Host {
	t.Helper()
	h, err := remote.Dial(t.Context(), s.Target, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestScriptReturnsItsOutput(t *testing.T) {
	_, h := start(t)
	out, err := h.RunScript(t.Context(), "greeting",
		"for i in 1 2\ndo echo \"it's $i\"; done\ncat <<X\nhere\nX\nexit 0\necho no")
	if err != nil || string(out) != "it's 1\nit's 2\nhere\n" {
		t.Fatalf("got %q, %v", out, err)
	}
}

func TestCommandReadsItsInput(t *testing.T) {
	_, h := start(t)
	out, err := h.RunCommand(t.Context(), "tr a-z A-Z", strings.NewReader("héllo"))
	if err != nil || string(out) != "HéLLO" {
		t.Fatalf("got %q, %v", out, err)
	}
	if _, err := h.RunCommand(t.Context(), "exit 0", strings.NewReader(strings.Repeat("x", 8<<20))); err != nil {
		t.Fatalf("a command that does not read its input: %v", err)
	}
}

func TestFailedScriptReportsMachineNameAndLastLines(t *testing.T) {
	_, h := start(t)
	_, err := h.RunScript(t.Context(), "making tea", "echo secret; seq 100 >&2; echo 'no water' >&2; exit 7")
	var run *remote.RunError
	if !errors.As(err, &run) {
		t.Fatalf("got %v", err)
	}
	if run.Machine != "sky-test-0" || run.Command != "making tea" || run.Exit != 7 || len(run.Tail) != 20 ||
		run.Tail[19] != "no water" {
		t.Errorf("got %+v", run)
	}
	if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "no water") {
		t.Errorf("got %v", err)
	}
}

func TestScriptIsNeverAnArgument(t *testing.T) {
	_, h := start(t)
	script := "# token-of-7741\nfor p in /proc/[0-9]*/cmdline; do grep -l 'token-of-774[1]' $p 2>/dev/null; done; true"
	for name, run := range map[string]func() ([]byte, error){
		"RunScript":  func() ([]byte, error) { return h.RunScript(t.Context(), "searching", script) },
		"RunCommand": func() ([]byte, error) { return h.RunCommand(t.Context(), script, strings.NewReader("")) },
	} {
		if out, err := run(); err != nil || len(out) != 0 {
			t.Errorf("%s: found in %s (%v)", name, out, err)
		}
	}
}

func TestLinesArriveWhileTheScriptRuns(t *testing.T) {
	_, h := start(t)
	flag := filepath.Join(t.TempDir(), "flag")
	var got []string
	err := h.FollowScript(t.Context(), "counting",
		fmt.Sprintf("echo one; while [ ! -e %s ]; do sleep 0.01; done; echo two", flag), func(l string) {
			got = append(got, l)
			if l == "one" { // the script continues only if this line arrives while it runs
				if err := os.WriteFile(flag, nil, 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	if err != nil || strings.Join(got, ",") != "one,two" {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestScriptReadsTheAnswerToItsFirstLine(t *testing.T) {
	_, h := start(t)
	out, err := h.RunScriptWithAnswer(t.Context(), "asking", "echo 4 cores; read n; head -c $n; echo ' end'",
		func(first string) ([]byte, error) {
			return []byte("so " + first), nil
		})
	if err != nil || string(out) != "so 4 cores end\n" {
		t.Fatalf("got %q, %v", out, err)
	}
	refusal := errors.New("too few cores")
	if _, err := h.RunScriptWithAnswer(t.Context(), "asking", "echo 1; read n",
		func(string) ([]byte, error) { return nil, refusal }); !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
	if _, err := h.RunScriptWithAnswer(t.Context(), "asking", "exit 3",
		func(string) ([]byte, error) { return nil, nil }); err == nil {
		t.Error("no error from a failed script without output")
	}
}

// sleeper runs a script that never exits and has a child, and returns the pids of both.
func sleeper(ctx context.Context, t *testing.T, h *remote.Host) (pids []int, done <-chan error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pids")
	ch := make(chan error, 1)
	go func() {
		_, err := h.RunScript(ctx, "sleeping",
			fmt.Sprintf("trap '' TERM; sleep 86400 & echo $$ $! >%[1]s.new; mv %[1]s.new %[1]s; wait; sleep 86400",
				file))
		ch <- err
	}()
	eventually.Holds(t, "the script runs", func() bool { _, err := os.Stat(file); return err == nil })
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for f := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids, ch
}

func gone(pids []int) func() bool {
	return func() bool {
		for _, p := range pids {
			if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p)); err == nil &&
				!strings.Contains(string(stat), ") Z ") {
				return false
			}
		}
		return true
	}
}

func TestCancellingStopsTheScriptOnTheMachine(t *testing.T) {
	_, h := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	pids, done := sleeper(ctx, t, h)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || remote.IsLost(err) {
		t.Errorf("got %v", err)
	}
	eventually.Holds(t, "the script is gone", gone(pids))
	if _, err := h.RunScript(t.Context(), "continuing", "true"); err != nil {
		t.Errorf("the connection did not survive: %v", err)
	}
}

func TestBrokenConnectionStopsTheScriptOnTheMachine(t *testing.T) {
	s, h := start(t)
	pids, done := sleeper(t.Context(), t, h)
	s.HangUp()
	if err := <-done; !remote.IsLost(err) {
		t.Errorf("got %v", err)
	}
	eventually.Holds(t, "the script is gone", gone(pids))
	eventually.Holds(t, "the host is not alive", func() bool { return !h.IsAlive() })
	if _, err := h.RunScript(t.Context(), "continuing", "true"); !remote.IsLost(err) {
		t.Errorf("got %v", err)
	}
}

func TestTruncatedScriptDoesNotRun(t *testing.T) {
	s := sshserver.Start(t)
	mark := filepath.Join(t.TempDir(), "mark")
	script := "touch " + mark + "\n" + strings.Repeat("# filling up\n", 20<<10)
	for name, run := range map[string]func(*remote.Host) ([]byte, error){
		"RunScript": func(h *remote.Host) ([]byte, error) { return h.RunScript(t.Context(), "marking", script) },
		"RunCommand": func(h *remote.Host) ([]byte, error) {
			return h.RunCommand(t.Context(), script, strings.NewReader(""))
		},
	} {
		s.CutAfter.Store(0)
		h := dial(t, s)
		s.CutAfter.Store(64 << 10)
		if _, err := run(h); !remote.IsLost(err) {
			t.Fatalf("%s: got %v", name, err)
		}
		eventually.Holds(t, "the truncated script's shell is gone",
			func() bool { return children(t, os.Getpid()) == 0 })
		if _, err := os.Stat(mark); err == nil {
			t.Errorf("%s: the first line of the truncated script ran", name)
		}
	}
}

// children counts the living children of this process.
func children(t *testing.T, pid int) int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no tasks: %v", err)
	}
	n := 0
	for _, f := range tasks {
		b, err := os.ReadFile(f)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		n += len(strings.Fields(string(b)))
	}
	return n
}

func TestUnresponsiveMachineIsDetected(t *testing.T) {
	defer remote.SetKeepAlive(50*time.Millisecond, 300*time.Millisecond)()
	s, h := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// a silent machine that answers keepalives is alive
	if _, err := h.RunScript(ctx, "idling", "sleep 1"); err != nil {
		t.Fatal(err)
	}
	defer s.Freeze()()
	_, err := h.RunScript(ctx, "probing", "true")
	if !remote.IsLost(err) || ctx.Err() != nil || !strings.Contains(err.Error(), "no data received") {
		t.Errorf("got %v", err)
	}
}

func TestBackgroundProcessesEndWithTheScript(t *testing.T) {
	_, h := start(t)
	for name, run := range map[string]func(string) ([]byte, error){
		"RunScript":  func(s string) ([]byte, error) { return h.RunScript(t.Context(), "leaving", s) },
		"RunCommand": func(s string) ([]byte, error) { return h.RunCommand(t.Context(), s, strings.NewReader("")) },
	} {
		out, err := run("(trap '' TERM; exec sleep 86400) & echo $!; exit 3") // it ignores SIGTERM
		var failed *remote.RunError
		if !errors.As(err, &failed) || failed.Exit != 3 {
			t.Errorf("%s: got %v", name, err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			t.Fatal(err)
		}
		eventually.Holds(t, "the background process is gone", gone([]int{pid}))
	}
}
