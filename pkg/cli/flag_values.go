package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
)

// toFieldError turns pflag's error about a value into a *api.FieldError.
func toFieldError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		if unknown := cmd.Flags().Args(); cmd.HasSubCommands() && len(unknown) > 0 {
			return refuseUnknownSubcommand(cmd, unknown) // its flags are unknown too
		}
		return newFlagError(cmd, err)
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

// waitTimeoutValue is --timeout of a command that has --wait.
type waitTimeoutValue struct{ durationValue }

// bindFlag adds --timeout.
func (t *waitTimeoutValue) bindFlag(cmd *cobra.Command) {
	cmd.Flags().Var(t, "timeout", "how long --wait waits (default: as long as it takes)")
}

// refuseWithoutWait refuses --timeout where nothing waits.
func (t *waitTimeoutValue) refuseWithoutWait(wait bool) error {
	if !wait && t.value > 0 {
		return usageErrorf("--timeout needs --wait")
	}
	return nil
}

// panicOnError is for programming errors that every test run would show.
func panicOnError(err error) {
	if err != nil {
		panic(err)
	}
}

// dryRunValue is --dry-run. It takes the values of kubectl too; skyctl's dry run asks the servers where it must, so
// client and server are the same.
type dryRunValue bool

// bindDryRun adds --dry-run.
func bindDryRun(cmd *cobra.Command, on *bool, help string) {
	cmd.Flags().Var((*dryRunValue)(on), "dry-run", help+"; MODE is client, server (the same) or none")
	cmd.Flags().Lookup("dry-run").NoOptDefVal = "client"
	registerCompletion(cmd, "dry-run", completeValues("dry-run", []string{"client", "server", "none"}))
}

func (d *dryRunValue) String() string {
	return map[bool]string{true: "client", false: "none"}[bool(*d)]
}
func (d *dryRunValue) Type() string { return "MODE" }

func (d *dryRunValue) Set(v string) error {
	switch v {
	case "client", "server", "true":
		*d = true
	case "none", "false":
		*d = false
	default:
		return errors.New("must be client, server or none; --dry-run alone is client")
	}
	return nil
}
