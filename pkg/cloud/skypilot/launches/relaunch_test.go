package launches

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
)

func TestPassingLaunchFailuresAreRetried(t *testing.T) {
	failed := &client.FailedRequest{Type: "ResourcesUnavailableError",
		Message: "Failed to provision all possible launchable resources."}
	said := func(code string) []string {
		return []string{"create_instances: Attempt failed with An error occurred (" + code +
			") when calling the RunInstances operation: no"}
	}
	for code, want := range map[string]cloud.ErrorKind{
		"RequestLimitExceeded": cloud.Capacity, "ServiceUnavailable": cloud.Capacity,
		"ExpiredToken": cloud.Access, "RequestExpired": cloud.Access,
	} {
		p := new(PassingFailure)
		err := ToError("sky-a-0", failed, said(code))
		if !errors.As(err, &p) || p.Kind != want || !strings.Contains(p.Why, code) {
			t.Errorf("%s: %#v", code, err)
		}
	}
	for code, want := range map[string]cloud.ErrorKind{
		"InsufficientInstanceCapacity": cloud.Capacity, "VcpuLimitExceeded": cloud.Quota,
		"UnauthorizedOperation": cloud.Access,
		"InvalidAMIID.NotFound": cloud.Infeasible,
	} {
		p := new(PassingFailure)
		if err := ToError("sky-a-0", failed, said(code)); errors.As(err, &p) ||
			cloud.KindOf(err) != want {
			t.Errorf("%s: %#v", code, err)
		}
	}
}

func TestRelauncherGivesUpWithReasonAndTimeOfFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard []string
		r := NewRelauncher("sky-a-0", RelaunchDelay, func(s string) { heard = append(heard, s) })
		began := time.Now()
		var err error
		for err == nil {
			err = r.WaitAfterFailure(t.Context(), &PassingFailure{Why: "RequestLimitExceeded", Kind: cloud.Capacity})
			r.ReportProgress("launching on aws")
		}
		if spent := time.Since(began); spent > relaunchTimeout || spent < relaunchTimeout/2 {
			t.Errorf("stopped after %v", spent)
		}
		if cloud.KindOf(err) != cloud.Capacity || !strings.Contains(err.Error(), "RequestLimitExceeded") {
			t.Errorf("%s: %v", cloud.KindOf(err), err)
		}
		first := began.UTC().Format(time.TimeOnly)
		for _, s := range heard {
			if !strings.Contains(s, "RequestLimitExceeded") || !strings.Contains(s, first) {
				t.Errorf("%q lacks the reason or the time of the first failure", s)
			}
		}
	})
}

func TestCancelledRelaunchReportsTheLaunchFailure(t *testing.T) {
	r := NewRelauncher("sky-a-0", RelaunchDelay, func(string) {})
	ctx, stop := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	stop(enough)
	err := r.WaitAfterFailure(ctx, &PassingFailure{Why: "RequestLimitExceeded", Kind: cloud.Capacity})
	if !errors.Is(err, enough) || !strings.Contains(err.Error(), "RequestLimitExceeded") {
		t.Errorf("%v", err)
	}
}
