package activities

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Deadlines bound the parts of an activity. They are shorter than the activity's own timeout: Temporal drops a result,
// and with it the reason, that comes after that timeout.
type Deadlines struct {
	// Query: one query to a cloud. A query that times out is worth retrying.
	Query time.Duration
	// Terminate: to terminate one machine and confirm that it is gone. It is worth retrying too.
	Terminate time.Duration
	// Boot: from the request for a machine until it is up, including what its cloud has to create first. This deadline
	// and those below are final.
	Boot time.Duration
	// Reach: from when the cloud reports a machine as up until it answers SSH.
	Reach time.Duration
	// Install: to copy RKE2's files to the machine. Images: to copy a cluster's archives of images there, which can be
	// ten times as large.
	Install, Images time.Duration
	// Server: from the start of the RKE2 server until agents can join, and from there until the Kubernetes API answers.
	Server time.Duration
	// Agent: from the start of an RKE2 agent, but not before the Kubernetes API is ready, until its unit is up.
	Agent time.Duration
	// AddOns: until a cluster whose Nodes are Ready has what pods need besides. It fails nothing.
	AddOns time.Duration
	// Node: until a Node is Ready.
	Node time.Duration
	// GPU: until every accelerator is allocatable.
	GPU time.Duration
	// Recover: from a restart of RKE2 on a machine until its Node is Ready again.
	Recover time.Duration
}

// DefaultDeadlines returns deadlines that allow for slow clouds and for image pulls on first start.
func DefaultDeadlines() Deadlines {
	return Deadlines{
		Query: 90 * time.Second, Terminate: 4 * time.Minute, Boot: 15 * time.Minute,
		Reach: 5 * time.Minute, Install: 15 * time.Minute, Images: 15 * time.Minute, Server: 15 * time.Minute,
		Agent:  10 * time.Minute,
		AddOns: 3 * time.Minute, Node: 10 * time.Minute, GPU: 30 * time.Minute, Recover: 5 * time.Minute,
	}
}

// deadlineError says that a step's own deadline has passed; retrying does not help. It is the cause of the contexts
// that WithDeadline returns, so it is found in the errors of the calls that were interrupted.
type deadlineError struct{ after time.Duration }

func (e *deadlineError) Error() string { return fmt.Sprintf("not done within %s", e.after) }

// Is makes it match context.DeadlineExceeded.
func (e *deadlineError) Is(target error) bool { return target == context.DeadlineExceeded }

// Reason is Deadline.
func (e *deadlineError) Reason() string { return "Deadline" }

// Final is true: the next try would not finish in time either.
func (e *deadlineError) Final() bool { return true }

// Interruptible keeps it out of the reasons that come before it: see classifyError.
func (e *deadlineError) Interruptible() bool { return true }

// WithDeadline bounds a part of a step. An error caused by this deadline is final.
func WithDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, &deadlineError{after: d})
}

// WithExtendedDeadline is WithDeadline, but asks when d has passed how much longer the step may take, and again when
// that has passed; 0 or less ends it.
func WithExtendedDeadline(ctx context.Context, d time.Duration,
	timeLeft func(context.Context) time.Duration) (context.Context, context.CancelFunc) {
	extended, cancel := context.WithCancelCause(ctx)
	go func() {
		for left := d; ; {
			select {
			case <-extended.Done():
				return
			case <-time.After(left):
			}
			if left = timeLeft(extended); left <= 0 {
				cancel(&deadlineError{after: d})
				return
			}
		}
	}()
	return extended, func() { cancel(nil) }
}

// AsDeadlineError marks an error as caused by the step's deadline if that has passed, and keeps its text.
func AsDeadlineError(ctx context.Context, err error) error {
	var late *deadlineError
	if errors.As(context.Cause(ctx), &late) && !errors.As(err, &late) {
		return fmt.Errorf("%w: %w", late, err)
	}
	return err
}
