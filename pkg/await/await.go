// Package await waits until something has happened. A wait has no time limit of its own: it ends with its context, and
// its error then wraps the context's cause.
package await

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// errNotYet makes backoff.Retry try again. Errors of callers never reach it, so that none of them is taken for one of
// its own kinds.
var errNotYet = errors.New("not yet")

// Success calls try until it succeeds, the first time at once, and pauses between calls. The error of a wait that ends
// with its context also wraps the last error of try.
func Success(ctx context.Context, pause time.Duration, try func() error) error {
	var last error
	err := Condition(ctx, pause, func() (bool, error) {
		last = try()
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}

// Condition calls check until it reports true or fails, the first time at once, and pauses between calls. An error of
// check ends the wait and is returned as it is.
func Condition(ctx context.Context, pause time.Duration, check func() (done bool, err error)) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		done, err := check()
		if err == nil && !done {
			return struct{}{}, errNotYet
		}
		return struct{}{}, backoff.Permanent(err)
	}, backoff.WithBackOff(backoff.NewConstantBackOff(pause)), backoff.WithMaxElapsedTime(0))
	return err
}

// Pause waits for a duration, or until the context ends.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
