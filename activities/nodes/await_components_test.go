package nodes

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestBrokenComponentEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := errors.New("the kubelet exits again and again")
		checks := 0
		err := awaitUnlessBroken(t.Context(), time.Minute, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, func(context.Context) error {
			if checks++; checks == 3 {
				return dead
			}
			return nil
		})
		if !errors.Is(err, dead) || checks != 3 {
			t.Errorf("got %v after %d checks", err, checks)
		}
	})
}

func TestWaitThatSucceedsIsNotChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := awaitUnlessBroken(t.Context(), time.Minute, func(context.Context) error {
			time.Sleep(59 * time.Second)
			return nil
		}, func(context.Context) error {
			t.Error("it was checked")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestDeadlineOfAWaitIsNotTheFailureOfAComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		err := awaitUnlessBroken(ctx, time.Minute, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return errors.New("the check was interrupted")
			case <-time.After(time.Hour):
			}
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestTroubleIsAddedToProgress(t *testing.T) {
	var reported []string
	p := &troubledProgress{report: func(s string) { reported = append(reported, s) }}
	p.reportLine("waiting")
	p.setTrouble("")
	p.setTrouble("image a cannot be pulled")
	p.reportLine("still waiting")
	p.setTrouble("")
	want := []string{"waiting", "waiting; image a cannot be pulled", "still waiting; image a cannot be pulled",
		"still waiting"}
	if !slices.Equal(reported, want) {
		t.Errorf("got %q", reported)
	}
}
