package activities

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// stepDeadlineError returns the error of a call that the end of a step's deadline interrupted.
func stepDeadlineError() error {
	ctx, cancel := WithDeadline(context.Background(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestStepErrorHasItsReasonAndFinality(t *testing.T) {
	dialTimeout := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	const again, final = false, true
	for name, c := range map[string]struct {
		err    error
		reason string
		final  bool
	}{
		"bad input": {&api.FieldError{Field: "cloud"}, ReasonInvalid, final},
		"several bad inputs": {errors.Join(&api.FieldError{Field: "cloud"}, &api.FieldError{Field: "cpus"}),
			ReasonInvalid, final},
		"no cluster": {&store.NotFoundError{Cluster: "c"}, ReasonGone, final},
		"no secret yet": {&store.NotFoundError{Cluster: "c", What: "secret agent-token"}, "NotStored",
			final},
		"a replaced machine": {&store.StaleError{Machine: "m"}, "Replaced", final},
		"etcd down":          {&store.UnavailableError{}, "EtcdUnavailable", again},
		"etcd slow": {&store.UnavailableError{Cause: fmt.Errorf("no answer (%w)",
			context.DeadlineExceeded)}, "EtcdUnavailable", again},
		"RKE2, permanent":            {&rke2.Error{Kind: rke2.WrongToken, Permanent: true}, rke2.WrongToken, final},
		"an unreachable RKE2 source": {&rke2.Error{Kind: rke2.SourceUnreachable}, rke2.SourceUnreachable, again},
		"RKE2, not permanent":        {&rke2.Error{Kind: rke2.InstallFailed}, rke2.InstallFailed, final},
		"RKE2, out of time": {&rke2.Error{Kind: rke2.Deadline, Permanent: true, Cause: context.DeadlineExceeded},
			rke2.Deadline, final},
		"another host key": {&remote.HostKeyMismatch{}, "HostKeyMismatch", final},
		"a refused key":    {&remote.AuthFailed{Cause: errors.New("no")}, "AuthFailed", final},
		"a command":        {&remote.RunError{Exit: 1}, "CommandFailed", final},
		"a login shell":    {&remote.ShellFailed{Exit: 1}, "LoginShellFailed", final},
		"a login shell that hangs": {&remote.ShellFailed{Exit: -1, Cause: errors.New("within 2m0s")},
			"LoginShellFailed", final},
		"too much output":         {&remote.OutputTooLong{}, "OutputTooLong", final},
		"unreadable facts":        {&rke2.Error{Kind: rke2.NoFacts}, rke2.NoFacts, final},
		"a connection":            {&remote.Lost{Cause: errors.New("reset")}, "ConnectionLost", again},
		"a connection, timed out": {&remote.Lost{Cause: dialTimeout}, "ConnectionLost", again},
		"an unreachable machine":  {&remote.Lost{Cause: stepDeadlineError()}, "Deadline", final},
		"an installation that hangs": {fmt.Errorf("machine m: unpacking was stopped: %w", stepDeadlineError()),
			"Deadline",
			final},
		"a Node that is not Ready":   {&kube.NotReady{Cause: stepDeadlineError()}, "Deadline", final},
		"an API server that is slow": {fmt.Errorf("listing nodes: %w", context.DeadlineExceeded), "NoAnswer", again},
		"another secrets key":        {&store.WrongKeyError{}, "Unreadable", final},
		"a damaged record":           {&store.CorruptError{Cause: errors.New("no JSON")}, "Unreadable", final},
		"no secrets key":             {store.ErrNoKey, "Unreadable", final},
		"an unreachable cloud":       {&cloud.Error{Kind: cloud.Unreachable}, "Unreachable", again},
		"no capacity":                {&cloud.Error{Kind: cloud.Capacity}, "Capacity", final},
		"no quota":                   {&cloud.Error{Kind: cloud.Quota}, "Quota", final},
		"no access":                  {&cloud.Error{Kind: cloud.Access}, "Access", final},
		"infeasible":                 {&cloud.Error{Kind: cloud.Infeasible}, "Infeasible", final},
		"a conflict":                 {&cloud.Error{Kind: cloud.Conflict}, "Conflict", final},
		"a transient error": {&cloud.Error{Kind: cloud.Transient, Cause: context.DeadlineExceeded},
			"Transient", again},
		"anything else": {errors.New("what"), "Failed", again},

		"a GPU stack": {&gpu.Failure{Kind: "DriverFailed"}, "DriverFailed", final},
		"several clouds down": {&cloud.PartialError{Clouds: map[string]error{"a": &cloud.Error{Kind: cloud.Access}}},
			"Access", final},

		// Where several apply, the order counts.
		"bad input that a cloud found": {&cloud.Error{Kind: cloud.Infeasible, Cause: &api.FieldError{Field: "cpus"}},
			ReasonInvalid, final},
		"a record gone and a cloud that fails": {errors.Join(&store.NotFoundError{Cluster: "c"},
			&cloud.Error{Kind: cloud.Transient}), ReasonGone, final},
		"a cloud that fails and a record gone": {errors.Join(&cloud.Error{Kind: cloud.Transient},
			&store.StaleError{Machine: "m"}), "Replaced", final},
		"RKE2, at the step's deadline": {&rke2.Error{Kind: rke2.UnitFailed, Cause: stepDeadlineError()},
			rke2.UnitFailed,
			final},
		"an unreachable RKE2 source, at the step's deadline": {&rke2.Error{Kind: rke2.SourceUnreachable,
			Cause: stepDeadlineError()},
			rke2.SourceUnreachable, again},
		"a GPU stack, at the step's deadline": {&gpu.Failure{Kind: "NotOffered", Cause: stepDeadlineError()},
			"NotOffered",
			final},
		"etcd, at the step's deadline": {&store.UnavailableError{Cause: stepDeadlineError()}, "EtcdUnavailable",
			again},
		"etcd over a connection": {&remote.Lost{Cause: &store.UnavailableError{}}, "EtcdUnavailable",
			again},
		"a key refused, at the step's deadline": {&remote.AuthFailed{Cause: stepDeadlineError()}, "Deadline", final},
		"a shell that hangs, at the step's deadline": {&remote.ShellFailed{Exit: -1, Cause: stepDeadlineError()},
			"Deadline",
			final},
		"a cloud, at the step's deadline": {&cloud.Error{Kind: cloud.Transient, Cause: stepDeadlineError()}, "Deadline",
			final},
		"a cloud and the step's deadline": {fmt.Errorf("%w: %w", &cloud.Error{Kind: cloud.Unreachable},
			stepDeadlineError()),
			"Deadline", final},
		"a command and the step's deadline": {errors.Join(&remote.RunError{Exit: 1}, stepDeadlineError()), "Deadline",
			final},
	} {
		for _, err2 := range []error{c.err, fmt.Errorf("wrapped: %w", c.err)} {
			var got *temporal.ApplicationError
			if !errors.As(StepError(t.Context(), "dance", "sky-c-1", err2), &got) {
				t.Fatalf("%s: no application error", name)
			}
			if got.Type() != c.reason || got.NonRetryable() != c.final {
				t.Errorf("%s: reason %s, final %t; want %s, %t", name, got.Type(), got.NonRetryable(), c.reason,
					c.final)
			}
			var f api.Failure
			if err := got.Details(&f); err != nil || f.Step != "dance" || f.Machine != "sky-c-1" ||
				f.Reason != c.reason || f.Message != err2.Error() {
				t.Errorf("%s: details %+v, %v", name, f, err)
			}
			if !strings.HasPrefix(got.Message(), "sky-c-1: dance: ") {
				t.Errorf("%s: message %q", name, got.Message())
			}
		}
	}
	if err := StepError(t.Context(), "dance", "", nil); err != nil {
		t.Error(err)
	}
}

func TestMakeFinalKeepsTheReason(t *testing.T) {
	err := MakeFinal(StepError(t.Context(), "plan", "", &cloud.Error{Kind: cloud.Unreachable, Message: "no engine"}))
	var got *temporal.ApplicationError
	var f api.Failure
	if !errors.As(err, &got) || !got.NonRetryable() || got.Type() != "Unreachable" || got.Details(&f) != nil ||
		f.Step != "plan" {
		t.Errorf("got %v with %+v", err, f)
	}
}

func TestStoppedWorkerIsNotACancellation(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(temporal.NewCanceledError())
	if err := StepError(ctx, "dance", "", errors.New("interrupted")); !temporal.IsCanceledError(err) {
		t.Errorf("cancelled: got %v", err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	cancel(sdkworker.ErrWorkerShutdown)
	err := StepError(ctx, "dance", "", errors.New("interrupted"))
	var applied *temporal.ApplicationError
	if temporal.IsCanceledError(err) || !errors.As(err, &applied) || applied.NonRetryable() {
		t.Errorf("stopped: got %v, want an error that is retried", err)
	}
}

func TestStepErrorHidesPrintedSecrets(t *testing.T) {
	redact.LearnSecret("activities", []byte("c0rrect-h0rse-battery"))
	defer redact.ForgetOwner("activities")
	const token = "K10" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" + "::server:" +
		"5ecret5ecret5ecret"
	const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAA\n-----END OPENSSH PRIVATE " +
		"KEY-----"
	for name, err := range map[string]error{
		"a command's last lines": &remote.RunError{Machine: "m", Command: "joining", Exit: 1,
			Tail: []string{"bad token " + token, "ok"}},
		"an RKE2 log": &rke2.Error{Kind: rke2.UnitFailed, Message: "failed with " + token,
			Lines: []string{"level=fatal msg=\"" + token + "\""}},
		"a key": errors.New("can't read " + key),
		"a bare password": &rke2.Error{Kind: rke2.UnitFailed, Message: "failed",
			Lines: []string{"starting", "c0rrect-h0rse-battery"}},
		"one in base64": errors.New("got " +
			base64.StdEncoding.EncodeToString([]byte("user:c0rrect-h0rse-battery@"))),
		"one across two lines": &remote.RunError{Machine: "m", Command: "joining", Exit: 1,
			Tail: []string{"got c0rrect-h0r", "se-battery"}},
	} {
		var got *temporal.ApplicationError
		if !errors.As(StepError(t.Context(), "join", "m", err), &got) {
			t.Fatal(name)
		}
		var f api.Failure
		if err := got.Details(&f); err != nil {
			t.Fatal(err)
		}
		said := got.Error() + fmt.Sprint(f)
		for _, secret := range []string{"5ecret5ecret5ecret", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAA", "c0rrect",
			"battery", "ycmVjdC1oMHJzZS1iYXR0"} {
			if strings.Contains(said, secret) {
				t.Errorf("%s: %s", name, said)
			}
		}
		if errors.Unwrap(got) != nil {
			t.Errorf("%s: it wraps its cause, which is not redacted", name)
		}
	}
}
