package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
)

// failureOf returns what an activity's error says to a person.
func failureOf(err error) api.Failure {
	var applied *temporal.ApplicationError
	if errors.As(err, &applied) {
		var f api.Failure
		if applied.HasDetails() && applied.Details(&f) == nil && f.Step != "" {
			return f
		}
		return api.Failure{Step: "operation", Reason: applied.Type(), Message: applied.Message()}
	}
	var late *temporal.TimeoutError
	if errors.As(err, &late) {
		return api.Failure{Step: "operation", Reason: "Deadline", Message: fmt.Sprintf("no result in time: %v", late)}
	}
	if temporal.IsCanceledError(err) {
		return api.Failure{Step: "operation", Reason: "Cancelled", Message: "the operation was cancelled"}
	}
	return api.Failure{Step: "operation", Reason: "Failed", Message: err.Error()}
}

// addMachineAndStep adds a machine and a step to an error that names none, such as a timeout.
func addMachineAndStep(err error, machine, step string) error {
	if err == nil || temporal.IsCanceledError(err) {
		return err
	}
	f := failureOf(err)
	if f.Machine != "" {
		return err
	}
	f.Machine, f.Step = machine, step
	return temporal.NewApplicationErrorWithOptions(err.Error(), f.Reason, temporal.ApplicationErrorOptions{
		NonRetryable: true, Cause: err, Details: []any{f},
	})
}

// errorReason returns the reason of an activity's error, such as activities.ReasonLost; empty if it has none.
func errorReason(err error) string {
	var applied *temporal.ApplicationError
	if errors.As(err, &applied) {
		return applied.Type()
	}
	return ""
}
