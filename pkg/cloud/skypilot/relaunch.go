package skypilot

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// A launch that failed for what may pass is asked for again after relaunchAfter, then after twice that, up to relaunchSeldom; for
// relaunchTime in all, since the other machines of the cluster bill meanwhile. What is no failure of the cloud's is asked for again
// at once, quickRelaunches times.
const (
	relaunchAfter   = 5 * time.Second
	relaunchSeldom  = time.Minute
	relaunchTime    = 6 * time.Minute
	quickRelaunches = 2
)

// passingFailure is a launch that failed for what may have passed in a moment.
type passingFailure struct {
	why string
	// kind is that of the error where it does not pass.
	kind cloud.Kind
}

func (e *passingFailure) Error() string { return e.why }

// errRaced says that a launch failed because another one of the cluster made the same security group, or the same rule of
// it, at the same moment; SkyPilot takes that for a failure of the place.
var errRaced = errors.New("the security group was being made by another launch")

var racedWords = regexp.MustCompile(`\((InvalidPermission|InvalidGroup)\.Duplicate\)`)

// expiredWords are those of credentials that whoever gave them may renew at any moment, as SSO and roles do by themselves.
var expiredWords = regexp.MustCompile(`\b(ExpiredToken(Exception)?|RequestExpired)\b`)

// failedLaunch is the error of a launch that the server worked on, from what it said of it.
func failedLaunch(machine string, failed *failedRequest, said []string) error {
	kind, why := reason(failed, said)
	line := slices.IndexFunc(said, expiredWords.MatchString)
	switch {
	case slices.ContainsFunc(said, racedWords.MatchString) && kind == cloud.Capacity:
		return errRaced
	case line >= 0:
		return &passingFailure{why: short(told(said[line])), kind: cloud.Access}
	case expiredWords.MatchString(failed.Message):
		return &passingFailure{why: why, kind: cloud.Access}
	case kind == cloud.Transient:
		return &passingFailure{why: why, kind: cloud.Capacity} // it is this place that gives no machine now
	}
	return judged("launch machine "+machine, failed, said)
}

// relaunching is the launches of one machine, one after the other.
type relaunching struct {
	machine  string
	progress func(string)
	after    time.Duration // before the second launch
	quick    int
	failed   int
	since    time.Time // when the first one failed
	last     *passingFailure
}

// waitAfter waits until a launch that ended with an error is to be made again. Its error is that it is not.
func (r *relaunching) waitAfter(ctx context.Context, err error) error {
	if raced := errors.Is(err, errRaced); raced || forgotten(err) {
		if r.quick++; r.quick > quickRelaunches {
			return &cloud.Error{Kind: cloud.Transient, Cause: err, Message: fmt.Sprintf(
				"launch machine %s: the SkyPilot API server keeps failing or forgetting the launch", r.machine)}
		}
		if raced {
			r.say("another machine was just making the cluster's security group: launching again")
		} else {
			r.say("the SkyPilot API server was restarted: looking for the machine")
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
	wait := min(r.after<<min(r.failed-1, 10), relaunchSeldom)
	if time.Now().Add(wait).After(r.since.Add(relaunchTime)) {
		return r.givenUp()
	}
	r.progress(fmt.Sprintf("the launch failed %s: %s; it is launched again in %s", r.count(), p.why, wait))
	if pause(ctx, wait) != nil {
		return fmt.Errorf("%w: %w", r.givenUp(), context.Cause(ctx))
	}
	return nil
}

// say passes on what a launch says of itself, with why those before it failed.
func (r *relaunching) say(doing string) {
	if r.last != nil {
		doing += fmt.Sprintf(" (after a launch failed %s: %s)", r.count(), r.last.why)
	}
	r.progress(doing)
}

func (r *relaunching) count() string {
	if r.failed < 2 {
		return "at " + r.since.UTC().Format(time.TimeOnly) + " UTC"
	}
	return fmt.Sprintf("%d times since %s UTC", r.failed, r.since.UTC().Format(time.TimeOnly))
}

func (r *relaunching) givenUp() error {
	return &cloud.Error{Kind: r.last.kind, Message: fmt.Sprintf("launch machine %s: it failed %s, and is not tried again here: %s",
		r.machine, r.count(), r.last.why)}
}
