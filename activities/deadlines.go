package activities

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Deadlines bound the parts of an activity. They lie below the activity's own time: what an activity returns after that
// is lost, and with it the reason.
type Deadlines struct {
	// Ask: one question to a cloud. No answer within it is worth asking again.
	Ask time.Duration
	// Terminate: to end one machine and see it gone. It is worth trying again, too.
	Terminate time.Duration
	// Boot: from asking for a machine until it is up, including what has to be made for it first. Reaching this and
	// those below is final.
	Boot time.Duration
	// Reach: from the cloud's word that a machine is up until it answers SSH.
	Reach time.Duration
	// Install: to bring RKE2's files onto the machine.
	Install time.Duration
	// Server: from the start of the RKE2 server until agents may join, and again from there until the Kubernetes API
	// answers.
	Server time.Duration
	// Agent: from the start of an RKE2 agent until its unit is up.
	Agent time.Duration
	// Node: until a Node is Ready.
	Node time.Duration
	// GPU: until the GPU stack offers every accelerator.
	GPU time.Duration
	// Recover: from a restart of RKE2 on a machine until its Node is Ready again.
	Recover time.Duration
}

// DefaultDeadlines allow for slow clouds and for images that are pulled at the first start.
func DefaultDeadlines() Deadlines {
	return Deadlines{
		Ask: 90 * time.Second, Terminate: 4 * time.Minute, Boot: 15 * time.Minute,
		Reach: 5 * time.Minute, Install: 15 * time.Minute, Server: 15 * time.Minute, Agent: 10 * time.Minute,
		Node: 10 * time.Minute,
		GPU:  30 * time.Minute, Recover: 5 * time.Minute,
	}
}

// deadlineError says that a step's own time is over, which trying again does not mend. It is the cause with which the
// contexts of within end, and is found in the errors of whoever was interrupted by that.
type deadlineError struct{ after time.Duration }

func (e *deadlineError) Error() string { return fmt.Sprintf("not done within %s", e.after) }

// Is makes it known as what it is to those who ask for the standard error.
func (e *deadlineError) Is(target error) bool { return target == context.DeadlineExceeded }

// Reason is Deadline.
func (e *deadlineError) Reason() string { return "Deadline" }

// Final is true: the next try would not be done in time either.
func (e *deadlineError) Final() bool { return true }

// Interruptible keeps it apart from the reasons that come before it: see classifyError.
func (e *deadlineError) Interruptible() bool { return true }

// WithDeadline bounds a part of a step for good.
func WithDeadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, &deadlineError{after: d})
}

// AsDeadlineError makes an error that came of a step's own time being over known as such, with what there was to say.
func AsDeadlineError(ctx context.Context, err error) error {
	var late *deadlineError
	if errors.As(context.Cause(ctx), &late) && !errors.As(err, &late) {
		return fmt.Errorf("%w: %w", late, err)
	}
	return err
}
