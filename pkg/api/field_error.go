package api

import "fmt"

// FieldError is bad input: which field, the value given, and what would be right.
type FieldError struct {
	Field string `json:"field"`
	Value string `json:"value"`
	Want  string `json:"want"`
}

// ReasonInvalidSpec is the reason of a FieldError.
const ReasonInvalidSpec = "InvalidSpec"

func (e *FieldError) Error() string { return fmt.Sprintf("%s %q: %s", e.Field, e.Value, e.Want) }

// Reason is ReasonInvalidSpec.
func (e *FieldError) Reason() string { return ReasonInvalidSpec }

// Final is true: only another spec helps.
func (e *FieldError) Final() bool { return true }
