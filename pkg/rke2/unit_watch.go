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
	"github.com/sky-shift/skyctl/pkg/rke2/componentlog"
)

const (
	// logLines is the number of journal lines in an Error.
	logLines = 20
	// journalTimeout bounds reading the logs after the deadline.
	journalTimeout = 10 * time.Second
	// maxCrashes is the number of restarts after which a unit counts as failed.
	maxCrashes = 2
	// repeatInterval is the time after which a state is reported again: a report soon after another one may be dropped.
	repeatInterval = 2 * time.Second
	// idleLimit is the number of reports in a row, seconds apart, after which a unit that neither runs nor has a start
	// job counts as failed.
	idleLimit = 3
	// stateMark starts a line about a unit. A watch replaces it with a random word, which cannot occur in a journal.
	stateMark = "@state "
)

// unitWatch follows a unit while it starts.
type unitWatch struct {
	role       api.Role
	report     func(string)
	waitingFor string
	why        string
	reported   string
	reportedAt time.Time
	matches    map[string]int
	idle       int
	mark       string
	// verdict ends the wait.
	verdict *Error
	// suspicion has to be looked up in the logs of the machine: it is a verdict, or something that can pass.
	suspicion *suspicion
	troubles  troubles
}

func newUnitWatch(role api.Role, report func(string)) *unitWatch {
	return &unitWatch{role: role, report: report, matches: map[string]int{}, troubles: newTroubles(role)}
}

// followUnit follows the unit until the script ends, there is a verdict, or ctx ends.
func (w *unitWatch) followUnit(ctx context.Context, h *remote.Host, name, script string) error {
	for {
		err := w.followUntilSuspicion(ctx, h, name, script)
		if w.verdict == nil && w.suspicion != nil && ctx.Err() == nil {
			w.verdict = w.troubles.judge(ctx, h, *w.suspicion)
			if w.suspicion = nil; w.verdict == nil {
				w.reportWaiting()
				continue
			}
			return w.verdict
		}
		return w.concludeWatch(ctx, h, err)
	}
}

func (w *unitWatch) followUntilSuspicion(ctx context.Context, h *remote.Host, name, script string) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	w.mark = "@" + rand.Text() + " "
	return h.FollowScript(inner, name, "mark="+remote.QuoteShell(w.mark)+"\n"+script, func(line string) {
		if w.verdict == nil && w.suspicion == nil {
			if w.readLine(line); w.verdict != nil || w.suspicion != nil {
				stop()
			}
		}
	})
}

// concludeWatch returns the result of a wait: its verdict, or else what the error of the script means.
func (w *unitWatch) concludeWatch(ctx context.Context, h *remote.Host, err error) error {
	var run *remote.RunError
	switch {
	case w.verdict != nil:
		// the logs complete it below
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		w.verdict = &Error{Kind: Deadline, Message: w.overdueMessage(), Cause: context.DeadlineExceeded,
			Permanent: true}
	case errors.As(err, &run) && run.Exit == exitNoCurl:
		return &Error{Kind: Unsupported, Machine: h.Name(), Permanent: true,
			Message: "curl is missing and skyctl needs it to probe local ports; use an image with curl"}
	default:
		return err
	}
	return completeError(ctx, h, w.role, w.verdict)
}

func (w *unitWatch) overdueMessage() string {
	s := "deadline exceeded while waiting for " + w.waitingFor
	if w.why != "" {
		s += " (last answer: " + w.why + ")"
	}
	if trouble := w.troubles.describe(); trouble != "" {
		s += "; " + trouble
	}
	return s
}

// readLine reads a line, and returns the verdict once there is one.
func (w *unitWatch) readLine(line string) *Error {
	state, ok := strings.CutPrefix(line, cmp.Or(w.mark, stateMark))
	switch {
	case !ok:
		w.readLogLine(line)
	case w.troubles.readLine(state):
		if w.troubles.isKubeletSuspect() {
			w.suspicion = &suspicion{kubelet: true}
		}
		w.verdict = w.troubles.refusal
		w.reportWaiting()
	default:
		w.readStateLine(state)
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
	fault := findUnitFault(unitName(w.role), kv)
	if restarts, crashed := countCrashes(kv); crashed {
		if w.troubles.isNewCrash(restarts) {
			w.suspicion = &suspicion{restarts: restarts, fault: fault}
		}
	} else {
		w.verdict = fault
	}
	if job := kv["Job"]; kv["ActiveState"] != "inactive" || job != "" && job != "0" {
		w.idle = 0
	} else if w.idle++; w.idle >= idleLimit && w.verdict == nil {
		w.verdict = &Error{Kind: UnitFailed, Message: unitName(w.role) + " is stopped and has no start job"}
	}
	w.reportWaiting()
}

func (w *unitWatch) readLogLine(line string) {
	f := classifyLogLine(line)
	if f.message == "" {
		return
	}
	w.why = strings.Join(toRedactedLines(componentlog.ExtractMessage(line)), " ")
	if f.reason == "" {
		w.waitingFor = f.message
		w.reportWaiting()
		return
	}
	if w.matches[f.reason]++; w.matches[f.reason] >= f.after {
		w.verdict = &Error{Kind: f.reason, Message: f.message, Permanent: true}
	}
}

func (w *unitWatch) reportWaiting() {
	s := "waiting for " + w.waitingFor
	if trouble := w.troubles.describe(); trouble != "" {
		s += "; " + trouble
	}
	if w.report != nil && (s != w.reported || time.Since(w.reportedAt) >= repeatInterval) {
		w.reported, w.reportedAt = s, time.Now()
		w.report(s)
	}
}

// findUnitFault returns the failure of a unit in the given state, or nil.
func findUnitFault(unit string, state map[string]string) *Error {
	failed := func(format string, args ...any) *Error {
		return &Error{Kind: UnitFailed, Permanent: true, Message: unit + " " + fmt.Sprintf(format, args...)}
	}
	restarts, crashed := countCrashes(state)
	switch {
	case state["LoadState"] != "" && state["LoadState"] != "loaded":
		return failed("is not installed on the machine (%s)", state["LoadState"])
	case state["ActiveState"] == "failed":
		return failed("failed (%s)", state["Result"])
	case crashed && restarts >= maxCrashes:
		return failed("keeps crashing (%d restarts)", restarts)
	}
	return nil
}

// countCrashes returns how often systemd has restarted a unit, and whether the unit has just ended by itself.
func countCrashes(state map[string]string) (restarts int, crashed bool) {
	_, _ = fmt.Sscan(state["NRestarts"], &restarts)
	return restarts, state["SubState"] == "auto-restart"
}
