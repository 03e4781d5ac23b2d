package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
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

// enumValue is a flag that takes one of a few words.
type enumValue struct {
	value   string
	allowed []string
}

// addOutputFlag adds -o with the given forms, the first of which is the default.
func addOutputFlag(cmd *cobra.Command, formats ...render.Format) *enumValue {
	var forms []string
	for _, f := range formats {
		forms = append(forms, string(f))
	}
	c := &enumValue{value: forms[0], allowed: forms}
	cmd.Flags().VarP(c, "output", "o", "form of the output")
	panicOnError(cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

// panicOnError is for mistakes in the code that the first run of any test shows.
func panicOnError(err error) {
	if err != nil {
		panic(err)
	}
}

func (c *enumValue) String() string { return c.value }
func (c *enumValue) Type() string   { return strings.Join(c.allowed, "|") }

func (c *enumValue) Set(v string) error {
	if !slices.Contains(c.allowed, v) {
		return fmt.Errorf("must be one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = v
	return nil
}

// isStructured is true where the output is read by a program: then nothing but errors goes to stderr.
func (c *enumValue) isStructured() bool { return c.form().IsStructured() }

// form is the value of a flag of addOutputFlag.
func (c *enumValue) form() render.Format { return render.Format(c.value) }
