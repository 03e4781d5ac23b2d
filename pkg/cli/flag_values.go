package cli

import (
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
)

// toFieldError puts what pflag says about a value into the form that all bad input has here.
func toFieldError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return usageErrorf("%w; see %s --help", err, cmd.CommandPath())
	}
	return &api.FieldError{Field: invalid.GetFlag().Name, Value: invalid.GetValue(), Want: invalid.Unwrap().Error()}
}

// durationValue is a flag that takes a length of time above nothing.
type durationValue struct{ value time.Duration }

func (d *durationValue) String() string {
	if d.value == 0 {
		return ""
	}
	return d.value.String()
}

func (d *durationValue) Type() string { return "duration" }

func (d *durationValue) Set(v string) error {
	parsed, err := time.ParseDuration(v)
	if err != nil || parsed < time.Second {
		return errors.New("must be a length of time of a second at least, such as 90s, 30m or 2h")
	}
	d.value = parsed
	return nil
}
