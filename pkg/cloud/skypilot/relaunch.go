package skypilot

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

// A launch that failed for what may pass is asked for again after relaunchDelay, then after twice that, up to
// maxRelaunchDelay; for relaunchTimeout in all, since the other machines of the cluster bill meanwhile. What is no
// failure of the cloud's is asked for again at once, maxQuickRelaunches times.
const (
	relaunchDelay      = 5 * time.Second
	maxRelaunchDelay   = time.Minute
	relaunchTimeout    = 6 * time.Minute
	maxQuickRelaunches = 2
)

// passingFailure is a launch that failed for what may have passed in a moment.
type passingFailure struct {
	why string
	// kind is that of the error where it does not pass.
	kind cloud.ErrorKind
}

func (e *passingFailure) Error() string { return e.why }

// errRaced says that a launch failed because another one of the cluster made the same security group, or the same rule
// of it, at the same moment; SkyPilot takes that for a failure of the place.
var errRaced = errors.New("the security group was being made by another launch")

var racedWords = regexp.MustCompile(`\((InvalidPermission|InvalidGroup)\.Duplicate\)`)

// expiredWords are those of credentials that whoever gave them may renew at any moment, as SSO and roles do by
// themselves.
var expiredWords = regexp.MustCompile(`\b(ExpiredToken(Exception)?|RequestExpired)\b`)

// classifyLaunchFailure is the error of a launch that the server worked on, from what it said of it.
func classifyLaunchFailure(machine string, failed *client.FailedRequest, said []string) error {
	kind, why := failure.Classify(failed, said)
	line := slices.IndexFunc(said, expiredWords.MatchString)
	switch {
	case slices.ContainsFunc(said, racedWords.MatchString) && kind == cloud.Capacity:
		return errRaced
	case line >= 0:
		return &passingFailure{why: logtext.Shorten(failure.TrimLogPrefix(said[line])), kind: cloud.Access}
	case expiredWords.MatchString(failed.Message):
		return &passingFailure{why: why, kind: cloud.Access}
	case kind == cloud.Transient:
		return &passingFailure{why: why, kind: cloud.Capacity} // it is this place that gives no machine now
	}
	return failure.ToCloudError("launch machine "+machine, failed, said)
}

// relauncher is the launches of one machine, one after the other.
type relauncher struct {
	machine  string
	progress func(string)
	after    time.Duration // before the second launch
	quick    int
	failed   int
	since    time.Time // when the first one failed
	last     *passingFailure
}

// waitAfterFailure waits until a launch that ended with an error is to be made again. Its error is that it is not.
func (r *relauncher) waitAfterFailure(ctx context.Context, err error) error {
	if raced := errors.Is(err, errRaced); raced || isForgottenLaunch(err) {
		if r.quick++; r.quick > maxQuickRelaunches {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
				"launch machine %s: the SkyPilot API server keeps failing or forgetting the launch", r.machine)}
		}
		if raced {
			r.reportProgress("another machine was just making the cluster's security group: launching again")
		} else {
			r.reportProgress("the SkyPilot API server was restarted: looking for the machine")
		}
		return nil
	}
	p := new(passingFailure)
	if !errors.As(err, &p) {
		return err
	}
	if r.last = p; r.failed == 0 {
		r.since = time.Now()
	}
	r.failed++
	wait := min(r.after<<min(r.failed-1, 10), maxRelaunchDelay)
	if time.Now().Add(wait).After(r.since.Add(relaunchTimeout)) {
		return r.newGaveUpError()
	}
	r.progress(fmt.Sprintf("the launch failed %s: %s; it is launched again in %s", r.formatFailureCount(), p.why, wait))
	if await.Pause(ctx, wait) != nil {
		return fmt.Errorf("%w: %w", r.newGaveUpError(), context.Cause(ctx))
	}
	return nil
}

// reportProgress passes on what a launch says of itself, with why those before it failed.
func (r *relauncher) reportProgress(doing string) {
	if r.last != nil {
		doing += fmt.Sprintf(" (after a launch failed %s: %s)", r.formatFailureCount(), r.last.why)
	}
	r.progress(doing)
}

func (r *relauncher) formatFailureCount() string {
	if r.failed < 2 {
		return "at " + r.since.UTC().Format(time.TimeOnly) + " UTC"
	}
	return fmt.Sprintf("%d times since %s UTC", r.failed, r.since.UTC().Format(time.TimeOnly))
}

func (r *relauncher) newGaveUpError() error {
	return &cloud.Error{Kind: r.last.kind, Message: fmt.Sprintf(
		"launch machine %s: it failed %s, and is not tried again here: %s",
		r.machine, r.formatFailureCount(), r.last.why)}
}
