package rke2

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2/componentlog"
)

const (
	// kubeletExitLimit is the number of exits within kubeletExitWindow that is no accident: RKE2 starts a kubelet that
	// exits again every five seconds.
	kubeletExitLimit = 5
	// judgedFor is how long a kubelet is not judged again whose cause can pass.
	judgedFor = time.Minute
	// troubleFor is how long a trouble is reported after it was seen last. A pull from a registry that does not answer
	// takes some minutes to fail.
	troubleFor = 5 * time.Minute
	// longestCause bounds a cause within a message.
	longestCause = 300
)

// suspicion is a state of a machine of which its logs tell whether it can pass.
type suspicion struct {
	// kubelet: the kubelet exits again and again. Otherwise the unit has ended by itself.
	kubelet bool
	// restarts of the unit until now; fault is nil while they are few.
	restarts int
	fault    *Error
}

// troubles are what keeps a unit or its node from getting on, and may pass.
type troubles struct {
	role api.Role
	// crash is why the unit or the kubelet ended lately; pull is an image that cannot be pulled.
	crash, pull string
	crashSeen   time.Time
	// judged is the number of restarts of the unit that was judged last; -1 if none was.
	judged int
	// unread counts looks in a row at which the logs of a crash could not be read in time, as on a busy machine.
	unread int
	// exits of the kubelet within the window, and when it was judged.
	exits         int
	kubeletJudged time.Time
	pullLines     []string
	// ends are how components ended that do so again and again; refusal is that of one which refuses its arguments.
	ends    []string
	refusal *Error
}

func newTroubles(role api.Role) troubles { return troubles{role: role, judged: -1} }

// readLine reads a line of troubleScript; false if it is another one.
func (t *troubles) readLine(line string) bool {
	if exits, ok := strings.CutPrefix(line, "kubelet-exits="); ok {
		t.exits, _ = strconv.Atoi(exits)
		t.pullLines, t.pull, t.ends, t.refusal = nil, "", nil, nil // the lines about them follow
		return true
	}
	if end, ok := strings.CutPrefix(line, "component "); ok {
		t.readComponentEnd(end)
		return true
	}
	pull, ok := strings.CutPrefix(line, "pull ")
	if !ok {
		return false
	}
	t.pullLines = append(t.pullLines, pull)
	t.pull = ""
	if image, cause := componentlog.FindFailedPull(t.pullLines); image != "" {
		t.pull = "image " + image + " cannot be pulled: " + shortenCause(cause) + formatPullAdvice(cause)
	}
	return true
}

// readComponentEnd reads the name of a component, how many of its runs ended, and the last line of the log. One run
// that ended is none to speak of: components wait for each other so.
func (t *troubles) readComponentEnd(line string) {
	name, rest, _ := strings.Cut(line, " ")
	count, last, _ := strings.Cut(rest, " ")
	if runs, err := strconv.Atoi(count); err != nil || runs < componentEndLimit {
		return
	}
	end := componentlog.JudgeEnd(last)
	switch {
	case end.Cause == "":
	case end.RefusesArguments:
		t.refusal = &Error{Kind: ComponentFailed, Permanent: true, Message: name + " does not accept its arguments: " +
			shortenCause(end.Cause) + formatArgumentAdvice(name)}
	default:
		t.ends = append(t.ends, name+" starts again and again: "+shortenCause(end.Cause))
	}
}

// componentEndLimit is the number of runs that ended before something is said of a component.
const componentEndLimit = 2

// unreadLimit is the number of looks without logs after which a crash is judged without them.
const unreadLimit = 2

// formatArgumentAdvice says where the arguments of a component come from, and what to do.
func formatArgumentAdvice(component string) string {
	key := component + "-arg"
	if component == "cloud-controller-manager" {
		key = "kube-" + key
	}
	return "; correct rke2.config[" + key + "], delete the cluster and create it again"
}

// isNewCrash reports whether the end of the unit before this restart was not judged yet.
func (t *troubles) isNewCrash(restarts int) bool { return restarts != t.judged }

func (t *troubles) isKubeletSuspect() bool {
	return t.exits >= kubeletExitLimit && time.Since(t.kubeletJudged) >= judgedFor
}

// describe returns what is wrong now; "" if nothing is known.
func (t *troubles) describe() string {
	var all []string
	if t.crash != "" && time.Since(t.crashSeen) < troubleFor {
		all = append(all, t.crash)
	}
	if t.pull != "" {
		all = append(all, t.pull)
	}
	all = append(all, t.ends...)
	return strings.Join(all, "; ")
}

// judge looks up a suspicion in the logs of the machine. It returns the verdict, or nil if the cause can pass or is no
// failure yet; then describe tells about it.
func (t *troubles) judge(ctx context.Context, h *remote.Host, s suspicion) *Error {
	readCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	sections, err := readReportSections(readCtx, h, t.role)
	var verdict *Error
	switch {
	case s.kubelet:
		verdict = t.judgeKubelet(sections)
	case err != nil && t.unread < unreadLimit:
		t.unread++ // the next look may tell a cause that can pass
	default:
		t.unread, verdict = 0, t.judgeCrash(sections, s, err == nil)
	}
	if verdict != nil {
		verdict.Machine, verdict.Lines = h.Name(), joinReport(sections)
	}
	return verdict
}

func (t *troubles) judgeCrash(logs []reportSection, s suspicion, known bool) *Error {
	t.judged = s.restarts
	cause := ""
	if known {
		cause = componentlog.FindCause(findSection(logs, journalOf(t.role)).all)
	}
	if what := componentlog.DescribePassing(cause); what != "" {
		t.crash = fmt.Sprintf("%s starts again because %s: %s", unitName(t.role), what, shortenCause(cause))
		if componentlog.IsPullError(cause) {
			t.crash += formatPullAdvice(cause)
		}
		t.crashSeen = time.Now()
		return nil
	}
	if s.fault != nil && known {
		explainFault(s.fault, findSection(logs, journalOf(t.role)).all)
		if componentlog.IsPullError(cause) {
			s.fault.Message += "; " + componentlog.AdvisePull(cause) + ", delete the cluster and create it again"
		}
	}
	return s.fault
}

func (t *troubles) judgeKubelet(logs []reportSection) *Error {
	t.kubeletJudged = time.Now()
	cause := componentlog.FindKubeletCause(findSection(logs, kubeletLog).all)
	if what := componentlog.DescribePassing(cause); what != "" {
		t.crash = fmt.Sprintf("the kubelet starts again because %s: %s", what, shortenCause(cause))
		t.crashSeen = time.Now()
		return nil
	}
	message := fmt.Sprintf("the kubelet exits again and again (%d times within %s s)", t.exits, kubeletExitWindow)
	if cause != "" {
		message += ": " + shortenCause(cause)
		if componentlog.IsArgumentError(cause) {
			message += formatArgumentAdvice("kubelet")
		}
	} else {
		message += "; " + kubeletLog + " does not say why"
	}
	return &Error{Kind: KubeletFailed, Permanent: true, Message: message}
}

// completeError adds the last lines of the logs to an error, and what they say about its cause.
func completeError(ctx context.Context, h *remote.Host, role api.Role, e *Error) *Error {
	e.Machine = h.Name()
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalTimeout)
	defer cancel()
	if sections, err := readReportSections(after, h, role); err == nil {
		e.Lines = joinReport(sections)
		explainFault(e, findSection(sections, journalOf(role)).all)
	}
	return e
}

// explainFault adds the cause from the journal to the failure of a unit.
func explainFault(e *Error, journal []string) {
	switch {
	case e.Kind == UnitFailed && strings.Contains(strings.Join(journal, "\n"), newerCredentials):
		e.Kind, e.Message, e.Permanent = NewerCredentials, newerCredentialsMessage, true
	case e.Kind == UnitFailed && len(journal) > 0:
		e.Message += ": " + componentlog.FindCause(journal)
	}
}

// formatPullAdvice says what a person can do about a pull that failed. rke2.registries does not change on a cluster
// that exists.
func formatPullAdvice(cause string) string {
	return " (if it lasts: " + componentlog.AdvisePull(cause) + ", delete the cluster and create it again)"
}

func shortenCause(cause string) string {
	return truncateLine(strings.Join(toRedactedLines(cause), " "), longestCause)
}

func journalOf(role api.Role) string { return "journal of " + unitName(role) }

// CheckComponents looks for troubles of a node whose unit runs. It returns what may pass, such as an image that cannot
// be pulled, or KubeletFailed with the last lines of the logs if the kubelet exits again and again, or ComponentFailed.
func CheckComponents(ctx context.Context, h *remote.Host, role api.Role) (trouble string, err error) {
	t := newTroubles(role)
	out, err := h.RunScript(ctx, "checking the kubelet and image pulls",
		"mark=; unit="+unitName(role)+"\n"+stateScript+newTroubleScript(role)+"read_state; read_troubles")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		t.readLine(strings.TrimRight(line, "\n"))
	}
	if t.refusal != nil {
		return "", completeError(ctx, h, role, t.refusal)
	}
	if t.isKubeletSuspect() {
		if verdict := t.judge(ctx, h, suspicion{kubelet: true}); verdict != nil {
			return "", verdict
		}
	}
	return t.describe(), nil
}
