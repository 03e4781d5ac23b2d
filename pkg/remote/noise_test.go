package remote_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/needs"
	"github.com/sky-shift/skyctl/test/sshserver"
)

// noisy are startup files of login shells that still run commands.
var noisy = map[string]string{
	"a greeting":                "echo hi; echo hi >&2",
	"one without a line break":  "printf 'hi there'; printf 'hi there' >&2",
	"one that looks like facts": "echo 'arch=sparc cpus=1 send'; echo 'active=failed'",
	"colours and a bell":        `printf '\033[31mWELCOME\033[0m\a\n'`,
	"a long motd":               "seq 20000; seq 20000 >&2",
	"tracing":                   "set -x",
	"echoing its input":         "set -v",
	"a warning about the locale": "echo 'bash: warning: setlocale: LC_ALL: cannot change locale (xx_YY)' >&2; " +
		"export LC_ALL=xx_YY LANG=xx_YY",
	"no terminal":                 "stty sane; mesg n",
	"a trap that prints":          "trap 'echo bye; echo bye >&2' EXIT",
	"a trap with its own status":  "trap 'exit 3' EXIT",
	"something in the background": "(sleep 86400 & echo $! >>%[1]s)",
	"odd settings": "umask 077; set -u; export CDPATH=/ GREP_OPTIONS=--color=always " +
		"POSIXLY_CORRECT=1 TAR_OPTIONS=-v",
	"no globbing and another IFS": "set -f; IFS=:",
}

func noisyServer(t *testing.T, startup string) (*sshserver.Server, *remote.Host) {
	t.Helper()
	s := sshserver.Start(t)
	s.Shell = "bash"
	s.Startup = startup
	return s, dial(t, s)
}

func TestLoginShellTextIsNotOutput(t *testing.T) {
	needs.Root(t)
	for name, startup := range noisy {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pids")
			if strings.Contains(startup, "%[1]s") {
				startup = fmt.Sprintf(startup, pids)
			}
			_, h := noisyServer(t, startup)
			t.Cleanup(func() { endAll(t, pids) })
			out, err := h.RunScript(t.Context(), "greeting", "echo one; printf two; echo of no matter >&2")
			if err != nil || string(out) != "one\ntwo" {
				t.Errorf("RunScript: %q, %v", out, err)
			}
			out, err = h.RunCommand(t.Context(), "tr a-z A-Z", strings.NewReader("text"))
			if err != nil || string(out) != "TEXT" {
				t.Errorf("RunCommand: %q, %v", out, err)
			}
			var lines []string
			err = h.FollowScript(t.Context(), "counting", "echo 1; echo 2", func(l string) { lines = append(lines, l) })
			if err != nil || strings.Join(lines, ",") != "1,2" {
				t.Errorf("FollowScript: %q, %v", lines, err)
			}
			out, err = h.RunScriptWithAnswer(t.Context(), "asking", "echo 4 cores; read n; head -c $n; echo ' end'",
				func(first string) ([]byte, error) {
					return []byte("so " + first), nil
				})
			if err != nil || string(out) != "so 4 cores end\n" {
				t.Errorf("RunScriptWithAnswer: %q, %v", out, err)
			}
			var failed *remote.RunError
			_, err = h.RunScript(t.Context(), "failing", "echo why >&2; exit 7")
			if !errors.As(err, &failed) || failed.Exit != 7 || strings.Join(failed.Tail, ",") != "why" {
				t.Errorf("a failure: %v", err)
			}
			upload(t, h)
		})
	}
}

func upload(t *testing.T, h *remote.Host) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new")
	local, sum := artifact(t, 3<<20)
	if err := h.UploadFile(t.Context(), local, filepath.Join(dir, "file"), sum, nil); err != nil ||
		!same(t, local, filepath.Join(dir, "file")) {
		t.Errorf("UploadFile: %v", err)
	}
	if err := h.WriteFile(t.Context(), filepath.Join(dir, "small"), []byte("text\x00"), 0o640); err != nil {
		t.Errorf("WriteFile: %v", err)
	}
	if b, err := h.ReadFile(t.Context(), filepath.Join(dir, "small")); err != nil || string(b) != "text\x00" {
		t.Errorf("ReadFile: %q, %v", b, err)
	}
	if _, err := h.ReadFile(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadFile of a missing file: %v", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the login shell's umask applies: %v, %v", info, err)
	}
}

// endAll kills the processes that login shells left running.
func endAll(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		return
	}
	for f := range strings.FieldsSeq(string(b)) {
		var pid int
		if _, err := fmt.Sscan(f, &pid); err == nil {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	}
}

func TestLoginShellFailureIncludesItsOutput(t *testing.T) {
	redact.LearnSecret("noise", []byte("s3same-open-up"))
	defer redact.ForgetOwner("noise")
	for name, tt := range map[string]struct {
		startup, says string
		exit          int
	}{
		"exit":           {"echo maintenance until noon; exit 0", "maintenance until noon", 0},
		"exit on stderr": {"echo closed >&2; exit 12", "closed", 12},
		"another shell":  {"exec sh", "", 79},
		"a command":      {`echo 'Please login as the user "ubuntu"'; exec false`, `login as the user "ubuntu"`, 1},
		"no such command": {"setsid() { echo no such thing >&2; return 127; }; exec() { \"$@\"; }", "no such thing",
			127},
		"taken input":       {"read -r x; echo got $x", "", 126},
		"a secret, colours": {`printf '\033[31mthe word is s3same-open-up\n'; exit 1`, "the word is [hidden]", 1},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			_, h := noisyServer(t, tt.startup)
			mark := filepath.Join(t.TempDir(), "mark")
			_, err := h.RunScript(t.Context(), "making tea", "echo x >"+mark)
			var failed *remote.ShellFailed
			if !errors.As(err, &failed) || failed.Exit != tt.exit || failed.Command != "making tea" ||
				failed.Machine != "sky-test-0" {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), tt.says) || strings.ContainsAny(err.Error(), "\x1b") ||
				strings.Contains(err.Error(), "s3same") {
				t.Errorf("the error is %q", err)
			}
			if _, err := os.Stat(mark); err == nil {
				t.Error("the script was run by another shell")
			}
		})
	}
}

// slowStartup prints, and then never starts the command.
const slowStartup = "echo please wait; cat >/dev/null"

// requireShellOutput calls run with longer and longer limits until its error includes what slowStartup prints, which
// takes a while on a busy computer.
func requireShellOutput(t *testing.T, run func(limit time.Duration) error) {
	t.Helper()
	limit := 150 * time.Millisecond
	eventually.Holds(t, "the error includes the output of the login shell", func() bool {
		limit *= 2
		return strings.Contains(run(limit).Error(), "please wait")
	})
}

func TestLoginShellMustStartTheCommandInTime(t *testing.T) {
	_, h := noisyServer(t, slowStartup)
	requireShellOutput(t, func(limit time.Duration) error {
		defer remote.SetStartTimeout(limit)()
		_, err := h.RunScript(t.Context(), "making tea", "true")
		var failed *remote.ShellFailed
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "within "+limit.String()) {
			t.Fatalf("got %v", err)
		}
		return err
	})
}

func TestDeadlineErrorIncludesLoginShellOutput(t *testing.T) {
	_, h := noisyServer(t, slowStartup)
	requireShellOutput(t, func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, err := h.RunScript(ctx, "making tea", "true")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		return err
	})
}

func TestLoginShellWithEndlessOutputFails(t *testing.T) {
	for _, where := range []string{"", " >&2"} {
		_, h := noisyServer(t, "yes hello"+where)
		_, err := h.RunScript(t.Context(), "making tea", "true")
		var failed *remote.ShellFailed
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "endless output") ||
			!strings.Contains(err.Error(), "hello") {
			t.Errorf("got %v", err)
		}
	}
}

func TestMarksAreNeverAnArgument(t *testing.T) {
	_, h := start(t)
	out, err := h.RunScript(t.Context(), "searching", `tr '\0' ' ' </proc/$$/cmdline; echo; echo "$m"`)
	command, mark, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(mark) < 30 || strings.Contains(command, mark) || strings.ContainsAny(command, "\\!") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestExcessiveOutputTerminatesTheCommand(t *testing.T) {
	for name, call := range map[string]func(*remote.Host, context.Context, string) error{
		"RunScript": func(h *remote.Host, ctx context.Context, s string) error {
			_, err := h.RunScript(ctx, "talking", s)
			return err
		},
		"RunCommand": func(h *remote.Host, ctx context.Context, s string) error {
			_, err := h.RunCommand(ctx, s, strings.NewReader("x"))
			return err
		},
		"RunScriptWithAnswer, after the first line": func(h *remote.Host, ctx context.Context, s string) error {
			_, err := h.RunScriptWithAnswer(ctx, "talking", "echo first; "+s,
				func(string) ([]byte, error) { return nil, nil })
			return err
		},
		"RunScriptWithAnswer, in the first line": func(h *remote.Host, ctx context.Context, s string) error {
			_, err := h.RunScriptWithAnswer(ctx, "talking", strings.ReplaceAll(s, "yes", "cat /dev/zero #"),
				func(string) ([]byte, error) { return nil, nil })
			return err
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			_, h := start(t)
			pidFile := filepath.Join(t.TempDir(), "pid")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // the step's deadline
			defer cancel()
			err := call(h, ctx, fmt.Sprintf("echo $$ >%s; exec 2>/dev/null; yes", pidFile))
			var long *remote.OutputTooLong
			if !errors.As(err, &long) || !strings.Contains(err.Error(), "sky-test-0") ||
				!strings.Contains(err.Error(), "more than ") {
				t.Fatalf("got %v", err)
			}
			b, err := os.ReadFile(pidFile)
			if err != nil {
				t.Fatal(err)
			}
			var pid int
			if _, err := fmt.Sscan(string(b), &pid); err != nil {
				t.Fatal(err)
			}
			eventually.Holds(t, "the command is terminated", gone([]int{pid}))
			if out, err := h.RunScript(t.Context(), "continuing", "echo well"); err != nil || string(out) != "well\n" {
				t.Errorf("the connection did not survive: %q, %v", out, err)
			}
		})
	}
}

func TestOutputUpToTheLimitIsComplete(t *testing.T) {
	_, h := start(t)
	out, err := h.RunScript(t.Context(), "talking", "head -c 8388608 /dev/zero; head -c 30000000 /dev/zero >&2")
	if err != nil || len(out) != 8<<20 {
		t.Errorf("got %d bytes, %v", len(out), err)
	}
}
