package keyedlock

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func TestOneHolderPerKeyAtATime(t *testing.T) {
	var locks Locks
	counts := map[string]*int{"a": new(int), "b": new(int)} // the race detector watches these, too
	var wg sync.WaitGroup
	for key, n := range counts {
		for range 100 {
			wg.Go(func() {
				release, err := locks.Acquire(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				defer release()
				*n++
			})
		}
	}
	wg.Wait()
	if *counts["a"] != 100 || *counts["b"] != 100 || len(locks.inUse) != 0 {
		t.Errorf("counted %d and %d; %d locks are left", *counts["a"], *counts["b"], len(locks.inUse))
	}
}

func TestAcquireWaitsForItsKeyOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var locks Locks
		release, err := locks.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		other, err := locks.Acquire(t.Context(), "b")
		if err != nil {
			t.Fatal(err)
		}
		other()
		acquired := false
		go func() {
			if second, err := locks.Acquire(t.Context(), "a"); err == nil {
				acquired = true
				second()
			}
		}()
		synctest.Wait()
		if acquired {
			t.Error("two holders of one key")
		}
		release()
		synctest.Wait()
		if !acquired || len(locks.inUse) != 0 {
			t.Errorf("the second caller acquired the released lock: %v; %d locks are left", acquired, len(locks.inUse))
		}
	})
}

func TestWaitForALockEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var locks Locks
		release, err := locks.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		cause := errors.New("skyd stops")
		ctx, cancel := context.WithCancelCause(t.Context())
		var got error
		go func() { _, got = locks.Acquire(ctx, "a") }()
		synctest.Wait()
		cancel(cause)
		synctest.Wait()
		if got != cause {
			t.Errorf("the error is %v", got)
		}
		release()
		if len(locks.inUse) != 0 {
			t.Errorf("%d locks are left", len(locks.inUse))
		}
	})
}
