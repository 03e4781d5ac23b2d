package activities

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestExtendedDeadlineEndsWhenNoTimeIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		extensions := []time.Duration{10 * time.Second, 5 * time.Second, 0}
		ctx, cancel := WithExtendedDeadline(t.Context(), time.Minute, func(context.Context) time.Duration {
			next := extensions[0]
			extensions = extensions[1:]
			return next
		})
		defer cancel()
		<-ctx.Done()
		if took := time.Since(start); took != 75*time.Second {
			t.Errorf("it took %s", took)
		}
		if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Errorf("the cause is %v", context.Cause(ctx))
		}
		if reason, _, final := classifyError(context.Cause(ctx)); reason != "Deadline" || !final {
			t.Errorf("got %s, final %v", reason, final)
		}
	})
}

func TestExtendedDeadlineEndsWithItsStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := WithExtendedDeadline(t.Context(), time.Minute, func(context.Context) time.Duration {
			t.Error("it was asked after the end of the step")
			return 0
		})
		cancel()
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			t.Errorf("the cause is %v", context.Cause(ctx))
		}
		time.Sleep(time.Hour)
	})
}
