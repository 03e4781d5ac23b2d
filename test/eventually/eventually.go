// Package eventually waits for conditions in tests. Only tests import it.
package eventually

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"
)

// PatienceVariable is the environment variable with the factor by which all time limits of tests grow: a whole number
// from 1. Machines with the official RKE2 release pull their images first.
const PatienceVariable = "SKYCTL_TEST_PATIENCE"

// Patience returns the time limit that a test uses instead of limit.
func Patience(limit time.Duration) time.Duration {
	if factor, err := strconv.Atoi(os.Getenv(PatienceVariable)); err == nil && factor > 1 {
		return limit * time.Duration(factor)
	}
	return limit
}

// patience is longer than any condition takes on a busy machine, unless something is stuck.
const patience = 2 * time.Minute

// interval is the shortest pause between two checks.
const interval = 10 * time.Millisecond

// Holds waits until a condition holds, and fails the test after two minutes, or a multiple of them (Patience). What
// describes the condition.
func Holds(t testing.TB, what string, condition func() bool) {
	t.Helper()
	HoldsEvery(t, interval, patience, what, condition)
}

// HoldsWithin is Holds with another limit.
func HoldsWithin(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	HoldsEvery(t, interval, limit, what, condition)
}

// HoldsEvery is Holds with another limit and longer pauses, for conditions that are expensive to check.
func HoldsEvery(t testing.TB, interval, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	limit = Patience(limit)
	err := retry(interval, limit, func() error {
		if condition() {
			return nil
		}
		return errors.New("it does not hold")
	})
	if err != nil {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

// Succeeds waits until a call returns no error, and fails the test with the last error after two minutes.
func Succeeds(t testing.TB, what string, call func() error) {
	t.Helper()
	limit := Patience(patience)
	if err := retry(interval, limit, call); err != nil {
		t.Fatalf("not within %v: %s: %v", limit, what, err)
	}
}

// Context is the test's context with a time limit.
func Context(t testing.TB, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience(limit))
	t.Cleanup(cancel)
	return ctx
}

// retry pauses at least as long as a call takes, so that expensive checks leave CPU time for the condition. It does not
// end with the test's context, because tests also wait while they clean up.
func retry(interval, limit time.Duration, call func() error) error {
	for deadline := time.Now().Add(limit); ; {
		began := time.Now()
		err := call()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(max(interval, time.Since(began)))
	}
}
