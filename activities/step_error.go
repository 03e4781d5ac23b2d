package activities

import (
	"context"
	"errors"
	"strings"

	"go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/vault"
)

// The reasons of errors that the workflows decide on. A cloud's error has its Kind of package cloud as the reason.
const (
	// ReasonGone: the cluster is no longer in etcd, or another one has its name.
	ReasonGone = store.ReasonClusterGone
	// ReasonDeleting: a delete of the cluster has started.
	ReasonDeleting = "Deleting"
	// ReasonStillWanted: a machine that was to be removed is not any more.
	ReasonStillWanted = "StillWanted"
	// ReasonLeft: a machine exists that should have been terminated.
	ReasonLeft = "MachinesLeft"
	// ReasonLost: the machine on which the step ran is gone, according to its cloud.
	ReasonLost = "MachineLost"
	// ReasonInvalid: the spec's cloud can't satisfy the spec.
	ReasonInvalid = api.ReasonInvalidSpec
	// ReasonQuotaReached: the files of a storage may not need more room.
	ReasonQuotaReached = vault.QuotaReached
)

// StepError turns the error of a step into one for the workflow, with its reason and, as details, the Failure that
// people are shown. Secrets that a machine printed are hidden in both. Temporal does not retry a final error.
func StepError(ctx context.Context, step, machine string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		if errors.Is(context.Cause(ctx), sdkworker.ErrWorkerShutdown) {
			// The step was not cancelled: the next worker continues it.
			return temporal.NewApplicationError(step+": the worker was stopped", "WorkerStopped")
		}
		return temporal.NewCanceledError(step)
	}
	reason, log, final := classifyError(err)
	f := api.Failure{Step: step, Machine: machine, Reason: reason, Message: redact.Text(err.Error()),
		Log: redact.Lines(strings.Join(log, "\n"))}
	where := step
	if machine != "" {
		where = machine + ": " + step
	}
	return temporal.NewApplicationErrorWithOptions(where+": "+f.Message, f.Reason,
		temporal.ApplicationErrorOptions{NonRetryable: final, Details: []any{f}})
}

// reasonedError is an error that says itself what it means for a step. It may have more methods:
//
//	Log() []string        lines that help to find the cause
//	Interruptible() bool  whether the step's deadline, if it is the cause, is the reason to report
type reasonedError interface {
	error
	// Reason is the word for it that people and workflows see.
	Reason() string
	// Final reports whether trying again is of no use.
	Final() bool
}

// classifyError returns why a step failed, log lines that help, and whether trying again is of no use. The end of the
// step's deadline comes before the errors of those whom it interrupted, and after all others.
func classifyError(err error) (reason string, log []string, final bool) {
	found := findReason(err, false)
	if late := (*deadlineError)(nil); found == nil && errors.As(err, &late) {
		found = late
	}
	if found == nil {
		found = findReason(err, true)
	}
	switch {
	case found != nil:
		if logged, ok := found.(interface{ Log() []string }); ok {
			log = logged.Log()
		}
		return found.Reason(), log, found.Final()
	case errors.Is(err, context.DeadlineExceeded):
		return "NoAnswer", nil, false // one exchange took too long, not the whole step
	}
	return "Failed", nil, false
}

// findReason returns the outermost reasonedError that is interruptible, or is not; nil if there is none.
func findReason(err error, interruptible bool) reasonedError {
	if found, ok := err.(reasonedError); ok {
		of, ok := err.(interface{ Interruptible() bool })
		if interruptible == (ok && of.Interruptible()) {
			return found
		}
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return findReason(wrapper.Unwrap(), interruptible)
	case interface{ Unwrap() []error }:
		for _, wrapped := range wrapper.Unwrap() {
			if found := findReason(wrapped, interruptible); found != nil {
				return found
			}
		}
	}
	return nil
}

// MakeFinal returns the error of a step as one that Temporal does not retry.
func MakeFinal(err error) error {
	var applied *temporal.ApplicationError
	var f api.Failure
	if !errors.As(err, &applied) || applied.Details(&f) != nil {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(applied.Message(), applied.Type(),
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{f}})
}

// FailureDetails returns the Failure in an error of StepError.
func FailureDetails(err error) api.Failure {
	var (
		applied *temporal.ApplicationError
		f       api.Failure
	)
	if errors.As(err, &applied) && applied.HasDetails() && applied.Details(&f) != nil {
		return api.Failure{}
	}
	return f
}
