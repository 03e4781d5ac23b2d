package launches

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/failure"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// A launch that failed for a passing reason is retried after RelaunchDelay, then after twice that, up to
// maxRelaunchDelay, for relaunchTimeout in all: the cluster's other machines cost money meanwhile. A launch that failed
// for a reason outside the cloud is retried at once, maxQuickRelaunches times.
const (
	RelaunchDelay      = 5 * time.Second
	maxRelaunchDelay   = time.Minute
	relaunchTimeout    = 6 * time.Minute
	maxQuickRelaunches = 2
)

// PassingFailure is a launch that failed for a reason that may be gone in a moment.
type PassingFailure struct {
	Why string
	// Kind is that of the error if the reason remains.
	Kind cloud.ErrorKind
}

func (e *PassingFailure) Error() string { return e.Why }

// errRaced means that another launch of the cluster created the same security group, or the same rule of it, at the
// same moment. SkyPilot reports it as a failure of the placement.
var errRaced = errors.New("another launch was creating the security group")

var racedWords = regexp.MustCompile(`\((InvalidPermission|InvalidGroup)\.Duplicate\)`)

// expiredWords are those of expired credentials. Their owner may renew them at any moment, as SSO and roles do
// automatically.
var expiredWords = regexp.MustCompile(`\b(ExpiredToken(Exception)?|RequestExpired)\b`)

// ToError turns the failed request of a machine's launch into an error, from the lines of its logs.
func ToError(machine string, failed *client.FailedRequest, log []string) error {
	kind, why := failure.Classify(failed, log)
	line := slices.IndexFunc(log, expiredWords.MatchString)
	switch {
	case slices.ContainsFunc(log, racedWords.MatchString) && kind == cloud.Capacity:
		return errRaced
	case line >= 0:
		return &PassingFailure{Why: logtext.Shorten(failure.TrimLogPrefix(log[line])), Kind: cloud.Access}
	case expiredWords.MatchString(failed.Message):
		return &PassingFailure{Why: why, Kind: cloud.Access}
	case kind == cloud.Transient:
		return &PassingFailure{Why: why, Kind: cloud.Capacity} // if it remains, another placement may do
	}
	return failure.ToCloudError("launch machine "+machine, failed, log)
}

// IsForgotten reports whether a launch ended because the server that ran it was restarted.
func IsForgotten(err error) bool {
	var failed *client.FailedRequest
	return client.IsNotFound(err) || errors.As(err, &failed) && failed.Type == "RequestInterruptedError"
}

// Relauncher decides about the launches of one machine, one after the other.
type Relauncher struct {
	machine  string
	report   func(string)
	delay    time.Duration // before the second launch
	quick    int
	failures int
	since    time.Time // of the first failure
	last     *PassingFailure
}

// NewRelauncher returns the relauncher of a machine. The delay before the second launch is usually RelaunchDelay.
func NewRelauncher(machine string, delay time.Duration, report func(string)) *Relauncher {
	return &Relauncher{machine: machine, delay: delay, report: report}
}

// WaitAfterFailure waits until a launch that ended with an error is to be retried. It returns an error if it is not.
func (r *Relauncher) WaitAfterFailure(ctx context.Context, err error) error {
	if raced := errors.Is(err, errRaced); raced || IsForgotten(err) {
		if r.quick++; r.quick > maxQuickRelaunches {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
				"launch machine %s: the SkyPilot API server keeps failing or forgetting the launch", r.machine)}
		}
		if raced {
			r.ReportProgress("another machine was creating the cluster's security group: launching again")
		} else {
			r.ReportProgress("the SkyPilot API server was restarted: looking for the machine")
		}
		return nil
	}
	p := new(PassingFailure)
	if !errors.As(err, &p) {
		return err
	}
	if r.last = p; r.failures == 0 {
		r.since = time.Now()
	}
	r.failures++
	wait := min(r.delay<<min(r.failures-1, 10), maxRelaunchDelay)
	if time.Now().Add(wait).After(r.since.Add(relaunchTimeout)) {
		return r.newGaveUpError()
	}
	r.report(fmt.Sprintf("the launch failed %s: %s; launched again in %s", r.formatFailureCount(), p.Why, wait))
	if await.Pause(ctx, wait) != nil {
		return fmt.Errorf("%w: %w", r.newGaveUpError(), context.Cause(ctx))
	}
	return nil
}

// ReportProgress reports the progress of a launch, with the reason why those before it failed.
func (r *Relauncher) ReportProgress(doing string) {
	if r.last != nil {
		doing += fmt.Sprintf(" (after a launch failed %s: %s)", r.formatFailureCount(), r.last.Why)
	}
	r.report(doing)
}

func (r *Relauncher) formatFailureCount() string {
	if r.failures < 2 {
		return "at " + r.since.UTC().Format(time.TimeOnly) + " UTC"
	}
	return fmt.Sprintf("%d times since %s UTC", r.failures, r.since.UTC().Format(time.TimeOnly))
}

func (r *Relauncher) newGaveUpError() error {
	return &cloud.Error{Kind: r.last.Kind, Message: fmt.Sprintf(
		"launch machine %s: it failed %s and is not retried in this placement: %s",
		r.machine, r.formatFailureCount(), r.last.Why)}
}
