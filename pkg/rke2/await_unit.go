package rke2

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

const (
	// logLines is how much of a journal an Error carries.
	logLines = 20
	// journalTimeout bounds the asking for the journal once the time is up.
	journalTimeout = 10 * time.Second
	// maxCrashes is how often a unit may fall over before it is taken for one that will not come up.
	maxCrashes = 2
	// idleLimit is how many reports in a row, seconds apart, may find a unit that neither runs nor is about to.
	idleLimit = 3
	// stateMark begins a line about a unit. A watch puts a random word in its place, which no journal can have.
	stateMark = "@state "
)

// stateScript sets $state to the unit's state on one line of KEY=VALUE, and $invocation.
const stateScript = `
look() {
  set -f
  set -- $(systemctl show -p LoadState -p ActiveState -p SubState -p NRestarts -p Result -p Job -p InvocationID "$unit")
  set +f
  state="$* "
  invocation=${state##*InvocationID=}; invocation=${invocation%% *}
}
`

// askScript has ask, which puts an HTTPS question to a port of the machine itself and leaves in $why what came of it
// where that is not 200; and admin, which asks the API server as its administrator whether it is ready. The
// administrator's certificate, without which the API server says nothing, comes out of the kubeconfig into a directory
// that only root reads.
const askScript = `
umask 077
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT; trap 'exit 1' TERM HUP
kc=` + kubeconfig + `
ask() {
  why=$(` + curlHere + ` -sS -m 3 -o "$tmp/body" -w %{http_code} "$@" 2>&1) || return 1
  [ "$why" = 200 ] && return 0
  why="$why $(grep -v '^\[+\]' "$tmp/body" | tr -s '\n\r\t ' ' ' | cut -c1-200)"; return 1
}
field() { sed -n "s/^ *$1: *//p" $kc | head -n1 | base64 -d >"$tmp/$1" 2>/dev/null && [ -s "$tmp/$1" ]; }
admin() {
  [ -s "$tmp/client-key-data" ] ||
    { field certificate-authority-data && field client-certificate-data && field client-key-data; } || return 1
  ask --cacert "$tmp/certificate-authority-data" --cert "$tmp/client-certificate-data" --key "$tmp/client-key-data" \
    https://127.0.0.1:6443/readyz
}
`

// serverScript looks ten times a second how far the server is, and once a second at its unit, and prints each change:
// the unit's state, how many of serverStages are met, and what the next one answered. It ends when as many are as
// $until says. Looking takes from what the server has to start with, which shows where several hosts share a machine.
const serverScript = `
unit=rke2-server; stage=0; why=; last=; looks=0
command -v curl >/dev/null || exit 72
` + askScript + `
met() {
  why=
  case $stage in
  0) ask -k https://127.0.0.1:9345/ping;;
  1) ask -kf https://127.0.0.1:9345/cacerts;;
  2) [ -s ` + serverDir + `/token ] && [ -s ` + serverDir + `/agent-token ];;
  3) [ -s $kc ];;
  4) admin;;
  esac
}
while :; do
  [ $((looks % 10)) -ne 0 ] || look
  while [ $stage -lt $until ] && met; do stage=$((stage+1)); done
  looks=$((looks+1))
  line="$state stage=$stage why=$why"
  [ "$line" = "$last" ] && [ $((looks % 50)) -ne 0 ] || echo "$mark$line"
  last=$line
  [ $stage -lt $until ] || exit 0
  sleep 0.1
done`

// serverStages are the conditions of serverScript, in the order in which they come true.
var serverStages = []string{
	"the supervisor to answer on port 9345",
	"the supervisor to show its CA",
	"the join tokens to be written",
	"the kubeconfig to be written",
	"the API server to be ready",
}

// joinStages are those of them that let agents join.
const joinStages = 4

// agentScript prints each change of the unit's state and what its journal says from now on; what was said of an earlier
// token, or before somebody set things right, is past. Of a run that begins meanwhile it prints all. It ends when the
// agent is up.
const agentScript = `
unit=rke2-agent; last=; looks=0; seen=; follower=; from=--since=-3s
trap '[ -z "$follower" ] || kill -9 $follower' EXIT
while :; do
  look
  case "$state" in
    *ActiveState=active*) echo "$mark$state"; exit 0;;
    *ActiveState=inactive*|*ActiveState=deactivating*) invocation=;;
  esac
  if [ -n "$invocation" ] && [ "$invocation" != "$seen" ]; then
    [ -z "$follower" ] || { kill -9 $follower; from=--lines=200; }
    seen=$invocation
    journalctl -q -f $from -o cat _SYSTEMD_INVOCATION_ID=$seen + INVOCATION_ID=$seen 2>/dev/null &
    follower=$!
  fi
  looks=$((looks+1))
  [ "$state" = "$last" ] && [ $((looks % 25)) -ne 0 ] || echo "$mark$state"
  last=$state
  sleep 0.2
done`

// AwaitServer returns once a head's server is up: supervisor, tokens, kubeconfig and API server. A unit that failed, or
// falls over again and again, ends the waiting with its last lines (UnitFailed); when ctx's deadline passes, the error
// (Deadline) says which condition was not met. progress may be nil.
func AwaitServer(ctx context.Context, h *remote.Host, progress func(string)) error {
	return awaitStages(ctx, h, len(serverStages), progress)
}

// AwaitSupervisor is AwaitServer without the API server: it returns once the credentials are there and agents may join,
// which then wait for the rest by themselves.
func AwaitSupervisor(ctx context.Context, h *remote.Host, progress func(string)) error {
	return awaitStages(ctx, h, joinStages, progress)
}

func awaitStages(ctx context.Context, h *remote.Host, stages int, progress func(string)) error {
	w := &unitWatch{role: api.RoleHead, say: progress}
	w.waitingFor = "the unit to start"
	return w.followUnit(ctx, h, "waiting for the RKE2 server",
		fmt.Sprintf("until=%d\n", stages)+stateScript+serverScript)
}

// AwaitAgent returns once a worker's agent is up, which is before its Node is Ready. It ends early, and finally, where
// the journal says that the head will never let the worker in: WrongToken, WrongCA, DuplicateNode. progress may be nil.
func AwaitAgent(ctx context.Context, h *remote.Host, progress func(string)) error {
	w := &unitWatch{role: api.RoleWorker, say: progress, seen: map[string]int{}}
	w.waitingFor = "the agent to join"
	return w.followUnit(ctx, h, "waiting for the RKE2 agent", stateScript+agentScript)
}

// unitWatch follows a unit on its way up.
type unitWatch struct {
	role       api.Role
	say        func(string)
	waitingFor string
	why        string
	said       string
	seen       map[string]int
	idle       int
	verdict    *Error
	mark       string
}

func (w *unitWatch) followUnit(ctx context.Context, h *remote.Host, name, script string) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	w.mark = "@" + rand.Text() + " "
	err := h.FollowScript(inner, name, "mark="+remote.QuoteShell(w.mark)+"\n"+script, func(line string) {
		if w.verdict == nil && w.readLine(line) != nil {
			stop()
		}
	})
	var run *remote.RunError
	switch {
	case w.verdict != nil:
		// fall through to the journal
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		w.verdict = &Error{Kind: Deadline, Message: w.overdueMessage(), Cause: context.DeadlineExceeded,
			Permanent: true}
	case errors.As(err, &run) && run.Exit == exitNoCurl:
		return &Error{Kind: Unsupported, Machine: h.Name(), Permanent: true,
			Message: "it has no curl, with which its own ports are asked; use an image with curl"}
	default:
		return err
	}
	return w.completeVerdict(ctx, h)
}

// completeVerdict completes a verdict with the machine's last words.
func (w *unitWatch) completeVerdict(ctx context.Context, h *remote.Host) error {
	e := w.verdict
	e.Machine = h.Name()
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	log, err := ReadJournal(after, h, w.role, logLines)
	if err == nil {
		e.Lines = log
	}
	if e.Kind == UnitFailed && len(e.Lines) > 0 {
		e.Message += ": " + lastErrorMessage(e.Lines)
	}
	return e
}

func (w *unitWatch) overdueMessage() string {
	s := "the time is up; still waiting for " + w.waitingFor
	if w.why != "" {
		s += " (last answer: " + w.why + ")"
	}
	return s
}

// readLine reads a line; it returns the verdict where that line was one too many.
func (w *unitWatch) readLine(line string) *Error {
	if state, ok := strings.CutPrefix(line, cmp.Or(w.mark, stateMark)); ok {
		w.readStateLine(state)
	} else {
		w.readLogLine(line)
	}
	return w.verdict
}

func (w *unitWatch) readStateLine(line string) {
	line, why, _ := strings.Cut(line, " why=")
	kv := ParseKeyValues(line)
	if stage := kv["stage"]; len(stage) == 1 {
		w.why = strings.Join(toRedactedLines(why), " ")
		if n := int(stage[0] - '0'); n < len(serverStages) {
			w.waitingFor = serverStages[n]
		} else {
			return
		}
	}
	w.verdict = findUnitFault(unitName(w.role), kv)
	if job := kv["Job"]; kv["ActiveState"] != "inactive" || job != "" && job != "0" {
		w.idle = 0
	} else if w.idle++; w.idle >= idleLimit && w.verdict == nil {
		w.verdict = &Error{Kind: UnitFailed, Message: unitName(w.role) + " is stopped, and nothing starts it"}
	}
	w.reportProgress("waiting for " + w.waitingFor)
}

func (w *unitWatch) readLogLine(line string) {
	f := classifyLogLine(line)
	if f.message == "" {
		return
	}
	w.why = strings.Join(toRedactedLines(extractLogMessage(line)), " ")
	if f.reason == "" {
		w.waitingFor = f.message
		w.reportProgress("waiting for " + w.waitingFor)
		return
	}
	if w.seen[f.reason]++; w.seen[f.reason] >= f.after {
		w.verdict = &Error{Kind: f.reason, Message: f.message, Permanent: true}
	}
}

func (w *unitWatch) reportProgress(s string) {
	if w.say != nil && s != w.said {
		w.said = s
		w.say(s)
	}
}

// findUnitFault says what is wrong with a unit in that state; nil: nothing yet.
func findUnitFault(unit string, state map[string]string) *Error {
	failed := func(format string, args ...any) *Error {
		return &Error{Kind: UnitFailed, Permanent: true, Message: unit + " " + fmt.Sprintf(format, args...)}
	}
	restarts := 0
	_, _ = fmt.Sscan(state["NRestarts"], &restarts)
	switch {
	case state["LoadState"] != "" && state["LoadState"] != "loaded":
		return failed("is not a unit of this machine (%s); RKE2 is not installed there", state["LoadState"])
	case state["ActiveState"] == "failed":
		return failed("failed (%s)", state["Result"])
	case state["SubState"] == "auto-restart" && restarts >= maxCrashes:
		return failed("falls over again and again (%d restarts)", restarts)
	}
	return nil
}
