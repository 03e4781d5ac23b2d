package connect

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
)

func TestOnlyTheEndOfAnActivityIsAnErrorOfItsHeartbeat(t *testing.T) {
	over := serviceerror.NewNotFound("the activity is over")
	silent := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fails := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	for name, c := range map[string]struct {
		method string
		answer func(context.Context) error
		want   error
		took   time.Duration
	}{
		"recorded": {answer: fails(nil)},
		"slower than the SDK's deadline": {took: 15 * time.Second, answer: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(15 * time.Second):
				return nil
			}
		}},
		"no answer":            {answer: silent, took: heartbeatCallTimeout},
		"unavailable":          {answer: fails(serviceerror.NewUnavailable("restarting"))},
		"too many calls":       {answer: fails(serviceerror.NewResourceExhausted(0, "busy"))},
		"the activity is over": {answer: fails(over), want: over},
		"another call is as is": {method: "/another", answer: silent, want: context.DeadlineExceeded,
			took: 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(WithPatientHeartbeats(t.Context()), 5*time.Second)
			defer cancel()
			if c.method == "" {
				c.method = workflowservice.WorkflowService_RecordActivityTaskHeartbeat_FullMethodName
			}
			begun := time.Now()
			err := tolerateSlowHeartbeat(slog.New(slog.DiscardHandler))(ctx, c.method, nil, nil, nil,
				func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
					return c.answer(ctx)
				})
			if !errors.Is(err, c.want) || time.Since(begun) != c.took {
				t.Errorf("%s: %v after %s", name, err, time.Since(begun))
			}
		})
	}
}

func TestHeartbeatEndsWithItsActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, end)
		ofSDK, cancel := context.WithTimeout(WithPatientHeartbeats(ctx), 5*time.Second)
		defer cancel()
		begun := time.Now()
		err := callPatiently(ofSDK, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if took := time.Since(begun); !errors.Is(err, context.Canceled) || took != 10*time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}
