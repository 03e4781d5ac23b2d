package api

import "fmt"

// FieldError is an invalid value: the field, the value, and what a valid value is.
type FieldError struct {
	Field string `json:"field"`
	Value string `json:"value"`
	Want  string `json:"want"`
	// Unset: nothing was given, so there is no value to show.
	Unset bool `json:"unset,omitempty"`
}

// ReasonInvalidSpec is the reason of a FieldError.
const ReasonInvalidSpec = "InvalidSpec"

func (e *FieldError) Error() string {
	if e.Unset {
		return fmt.Sprintf("%s is not set: %s", e.Field, e.Want)
	}
	return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Want)
}

// Reason is ReasonInvalidSpec.
func (e *FieldError) Reason() string { return ReasonInvalidSpec }

// Final is true, because a retry needs another spec.
func (e *FieldError) Final() bool { return true }
