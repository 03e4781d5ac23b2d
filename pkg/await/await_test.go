package await

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v5"
)

func TestSuccessRetriesWithoutATimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, calls := time.Now(), 0
		err := Success(t.Context(), time.Minute, func() error {
			if calls++; calls <= 120 {
				return backoff.Permanent(errors.New("not yet"))
			}
			return nil
		})
		if took := time.Since(start); err != nil || calls != 121 || took != 2*time.Hour {
			t.Errorf("%d calls in %v: %v", calls, took, err)
		}
	})
}

func TestEndedWaitReportsCauseAndLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause, last := errors.New("skyd stops"), errors.New("connection refused")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		err := Success(ctx, time.Second, func() error { return last })
		if !errors.Is(err, cause) || !errors.Is(err, last) || err.Error() != "skyd stops: connection refused" {
			t.Errorf("the error is %v", err)
		}
		if err := Condition(ctx, time.Second, func() (bool, error) { return false, nil }); err != cause {
			t.Errorf("the error of Condition is %v", err)
		}
		if err := Pause(ctx, time.Second); err != cause {
			t.Errorf("the error of Pause is %v", err)
		}
	})
}

func TestConditionEndsWithItsFirstError(t *testing.T) {
	refused, calls := errors.New("refused"), 0
	err := Condition(t.Context(), 0, func() (bool, error) {
		if calls++; calls == 3 {
			return false, refused
		}
		return false, nil
	})
	if err != refused || calls != 3 {
		t.Errorf("%d calls: %v", calls, err)
	}
}

func TestWhatIsTrueAlreadyIsNotWaitedFor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Condition(ctx, time.Hour, func() (bool, error) { return true, nil }); err != nil {
		t.Error(err)
	}
	if err := Pause(t.Context(), 0); err != nil {
		t.Error(err)
	}
}
