package eventually_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/eventually"
)

func TestConditionIsPolledUntilItHolds(t *testing.T) {
	tries := 0
	eventually.Holds(t, "the third try", func() bool { tries++; return tries == 3 })
	eventually.Succeeds(t, "the fifth try", func() error {
		if tries++; tries < 5 {
			return errors.New("too early")
		}
		return nil
	})
	if tries != 5 {
		t.Errorf("tried %d times", tries)
	}
}

func TestConditionThatNeverHoldsFailsTheTest(t *testing.T) {
	failed := &fakeTest{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		eventually.HoldsWithin(failed, 20*time.Millisecond, "nothing", func() bool { return false })
	}()
	<-done
	if !failed.fatal {
		t.Error("the test continued")
	}
}

func TestTimeLimitsGrowByAFactor(t *testing.T) {
	for factor, want := range map[string]time.Duration{"": time.Second, "1": time.Second, "6": 6 * time.Second,
		"0": time.Second, "soon": time.Second} {
		t.Setenv(eventually.PatienceVariable, factor)
		if got := eventually.Patience(time.Second); got != want {
			t.Errorf("%q: %s, want %s", factor, got, want)
		}
	}
}

// fakeTest records that it was stopped.
type fakeTest struct {
	testing.TB
	fatal bool
}

func (f *fakeTest) Fatalf(string, ...any) { f.fatal = true }

func TestATestMayWaitWhileItCleansUp(t *testing.T) {
	tries := 0
	t.Run("cleanup", func(t *testing.T) {
		t.Cleanup(func() {
			eventually.Succeeds(t, "the third try", func() error {
				if tries++; tries < 3 {
					return errors.New("too early")
				}
				return nil
			})
		})
	})
	if tries != 3 {
		t.Errorf("%d tries, want 3", tries)
	}
}
