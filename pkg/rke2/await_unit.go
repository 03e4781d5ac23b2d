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
	// logLines is the number of journal lines in an Error.
	logLines = 20
	// journalTimeout bounds reading the journal after the deadline.
	journalTimeout = 10 * time.Second
	// maxCrashes is the number of restarts after which a unit counts as failed.
	maxCrashes = 2
	// idleLimit is the number of reports in a row, seconds apart, after which a unit that neither runs nor has a start
	// job counts as failed.
	idleLimit = 3
	// stateMark starts a line about a unit. A watch replaces it with a random word, which cannot occur in a journal.
	stateMark = "@state "
)

// stateScript sets $state to the unit's state as one line of KEY=VALUE, and $invocation.
const stateScript = `
read_state() {
  set -f
  set -- $(systemctl show -p LoadState -p ActiveState -p SubState -p NRestarts -p Result -p Job -p InvocationID "$unit")
  set +f
  state="$* "
  invocation=${state##*InvocationID=}; invocation=${invocation%% *}
}
`

// requestScript defines two shell functions. request sends an HTTPS request to a port of the machine itself, and sets
// $why to the answer if it is not 200. request_readyz asks the API server as administrator whether it is ready, because
// it does not answer anyone else; the administrator's certificate is extracted from the kubeconfig into a directory
// that only root can read.
const requestScript = `
umask 077
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT; trap 'exit 1' TERM HUP
kc=` + kubeconfig + `
request() {
  why=$(` + localCurl + ` -sS -m 3 -o "$tmp/body" -w %{http_code} "$@" 2>&1) || return 1
  [ "$why" = 200 ] && return 0
  why="$why $(grep -v '^\[+\]' "$tmp/body" | tr -s '\n\r\t ' ' ' | cut -c1-200)"; return 1
}
extract_field() { sed -n "s/^ *$1: *//p" $kc | head -n1 | base64 -d >"$tmp/$1" 2>/dev/null && [ -s "$tmp/$1" ]; }
request_readyz() {
  [ -s "$tmp/client-key-data" ] ||
    { extract_field certificate-authority-data && extract_field client-certificate-data &&
      extract_field client-key-data; } || return 1
  request --cacert "$tmp/certificate-authority-data" --cert "$tmp/client-certificate-data" \
    --key "$tmp/client-key-data" https://127.0.0.1:6443/readyz
}
`

// serverScript checks the progress of the server ten times a second, and its unit once a second, and prints each
// change: the unit's state, the number of serverStages that are met, and the answer for the next one. It exits when
// $until stages are met. More frequent checks would slow the server down on shared machines.
const serverScript = `
unit=rke2-server; stage=0; why=; last=; polls=0
command -v curl >/dev/null || exit 72
` + requestScript + `
is_met() {
  why=
  case $stage in
  0) request -k https://127.0.0.1:9345/ping;;
  1) request -kf https://127.0.0.1:9345/cacerts;;
  2) [ -s ` + serverDir + `/token ] && [ -s ` + serverDir + `/agent-token ];;
  3) [ -s $kc ];;
  4) request_readyz;;
  esac
}
while :; do
  [ $((polls % 10)) -ne 0 ] || read_state
  while [ $stage -lt $until ] && is_met; do stage=$((stage+1)); done
  polls=$((polls+1))
  line="$state stage=$stage why=$why"
  [ "$line" = "$last" ] && [ $((polls % 50)) -ne 0 ] || echo "$mark$line"
  last=$line
  [ $stage -lt $until ] || exit 0
  sleep 0.1
done`

// serverStages are the conditions of serverScript, in the order in which they become true.
var serverStages = []string{
	"the supervisor to answer on port 9345",
	"the supervisor to show its CA",
	"the join tokens to be written",
	"the kubeconfig to be written",
	"the API server to be ready",
}

// joinStages is the number of stages after which agents can join.
const joinStages = 4

// agentScript prints each change of the unit's state and new lines of its journal; earlier lines may be about an old
// token or a problem that was fixed. If the unit starts a new run meanwhile, it prints that run's whole journal. It
// exits when the agent is active.
const agentScript = `
unit=rke2-agent; last=; polls=0; seen=; follower=; from=--since=-3s
trap '[ -z "$follower" ] || kill -9 $follower' EXIT
while :; do
  read_state
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
  polls=$((polls+1))
  [ "$state" = "$last" ] && [ $((polls % 25)) -ne 0 ] || echo "$mark$state"
  last=$state
  sleep 0.2
done`

// AwaitServer returns once the head's server is up: supervisor, tokens, kubeconfig and API server. If the unit fails or
// keeps crashing, it returns UnitFailed with the last lines of the journal; if ctx's deadline passes, it returns
// Deadline with the unmet condition. progress may be nil.
func AwaitServer(ctx context.Context, h *remote.Host, progress func(string)) error {
	return awaitStages(ctx, h, len(serverStages), progress)
}

// AwaitSupervisor is AwaitServer without the API server: it returns once the credentials exist and agents can join. The
// agents then wait for the API server.
func AwaitSupervisor(ctx context.Context, h *remote.Host, progress func(string)) error {
	return awaitStages(ctx, h, joinStages, progress)
}

func awaitStages(ctx context.Context, h *remote.Host, stages int, progress func(string)) error {
	w := &unitWatch{role: api.RoleHead, report: progress}
	w.waitingFor = "the unit to start"
	return w.followUnit(ctx, h, "waiting for the RKE2 server",
		fmt.Sprintf("until=%d\n", stages)+stateScript+serverScript)
}

// AwaitAgent returns once a worker's agent is up, which is before its Node is Ready. It fails early if the journal
// shows that the head will never accept the worker: WrongToken, WrongCA, DuplicateNode. progress may be nil.
func AwaitAgent(ctx context.Context, h *remote.Host, progress func(string)) error {
	w := &unitWatch{role: api.RoleWorker, report: progress, matches: map[string]int{}}
	w.waitingFor = "the agent to join"
	return w.followUnit(ctx, h, "waiting for the RKE2 agent", stateScript+agentScript)
}

// unitWatch follows a unit while it starts.
type unitWatch struct {
	role       api.Role
	report     func(string)
	waitingFor string
	why        string
	reported   string
	matches    map[string]int
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
		// the journal completes it below
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		w.verdict = &Error{Kind: Deadline, Message: w.overdueMessage(), Cause: context.DeadlineExceeded,
			Permanent: true}
	case errors.As(err, &run) && run.Exit == exitNoCurl:
		return &Error{Kind: Unsupported, Machine: h.Name(), Permanent: true,
			Message: "curl is missing and skyctl needs it to probe local ports; use an image with curl"}
	default:
		return err
	}
	return w.completeVerdict(ctx, h)
}

// completeVerdict adds the last lines of the journal to a verdict.
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
	s := "deadline exceeded while waiting for " + w.waitingFor
	if w.why != "" {
		s += " (last answer: " + w.why + ")"
	}
	return s
}

// readLine reads a line, and returns the verdict once there is one.
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
		w.verdict = &Error{Kind: UnitFailed, Message: unitName(w.role) + " is stopped and has no start job"}
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
	if w.matches[f.reason]++; w.matches[f.reason] >= f.after {
		w.verdict = &Error{Kind: f.reason, Message: f.message, Permanent: true}
	}
}

func (w *unitWatch) reportProgress(s string) {
	if w.report != nil && s != w.reported {
		w.reported = s
		w.report(s)
	}
}

// findUnitFault returns the failure of a unit in the given state, or nil.
func findUnitFault(unit string, state map[string]string) *Error {
	failed := func(format string, args ...any) *Error {
		return &Error{Kind: UnitFailed, Permanent: true, Message: unit + " " + fmt.Sprintf(format, args...)}
	}
	restarts := 0
	_, _ = fmt.Sscan(state["NRestarts"], &restarts)
	switch {
	case state["LoadState"] != "" && state["LoadState"] != "loaded":
		return failed("is not installed on the machine (%s)", state["LoadState"])
	case state["ActiveState"] == "failed":
		return failed("failed (%s)", state["Result"])
	case state["SubState"] == "auto-restart" && restarts >= maxCrashes:
		return failed("keeps crashing (%d restarts)", restarts)
	}
	return nil
}
