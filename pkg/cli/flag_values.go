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

// toFieldError turns pflag's error about a value into a *api.FieldError.
func toFieldError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return usageErrorf("%w; see %s --help", err, cmd.CommandPath())
	}
	flag := invalid.GetFlag()
	want := invalid.Unwrap().Error()
	if flag.Value.Type() == "bool" { // pflag's text is strconv's
		want = fmt.Sprintf("true or false; --%s alone is true", flag.Name)
	}
	return &api.FieldError{Field: flag.Name, Value: invalid.GetValue(), Want: want}
}

// durationValue is a flag for a duration of at least one second.
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
		return errors.New("must be a duration of at least one second, such as 90s, 30m or 2h")
	}
	d.value = parsed
	return nil
}

// enumValue is a flag that takes one of the allowed values.
type enumValue struct {
	value   string
	allowed []string
}

// addOutputFlag adds -o with these formats; the first is the default.
func addOutputFlag(cmd *cobra.Command, formats ...render.Format) *enumValue {
	var forms []string
	for _, f := range formats {
		forms = append(forms, string(f))
	}
	c := &enumValue{value: forms[0], allowed: forms}
	cmd.Flags().VarP(c, "output", "o", "output format")
	panicOnError(cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)))
	return c
}

// panicOnError is for programming errors that every test run would show.
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

// isStructured is true if a program reads the output: then only errors go to stderr.
func (c *enumValue) isStructured() bool { return c.form().IsStructured() }

// form returns the value of a flag of addOutputFlag.
func (c *enumValue) form() render.Format { return render.Format(c.value) }
