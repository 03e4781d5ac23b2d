package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
)

// refuseMissingSubcommand is the RunE of a command that needs a subcommand.
func refuseMissingSubcommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usageErrorf("%s needs a subcommand: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

// requireOneArg accepts exactly one argument, the name of a cluster, and does not check the name.
func requireOneArg(cmd *cobra.Command, args []string) error {
	return requireOneArgFor(cmd, args, "a cluster")
}

// requireOneArgFor accepts exactly one argument, the name of what.
func requireOneArgFor(cmd *cobra.Command, args []string, what string) error {
	switch len(args) {
	case 0:
		return usageErrorf("missing the name of %s: %s NAME", what, cmd.CommandPath())
	case 1:
		return nil
	}
	return usageErrorf("%s takes one name, not %d (%s)", cmd.CommandPath(), len(args), strings.Join(args, " "))
}

// requireFileName accepts the name of a file.
func requireFileName(cmd *cobra.Command, args []string) error {
	if err := requireOneArgFor(cmd, args, "a file name"); err != nil {
		return err
	}
	if args[0] == "" || args[0] == "-" {
		return usageErrorf("%q is not a file name: %s needs a file", args[0], cmd.CommandPath())
	}
	return nil
}

// requireClusterName is requireOneArg and checks the name.
func requireClusterName(cmd *cobra.Command, args []string) error {
	if err := requireOneArg(cmd, args); err != nil {
		return err
	}
	return api.ValidateStoredName(args[0])
}

// requirePoolName accepts the name of a pool.
func requirePoolName(cmd *cobra.Command, args []string) error {
	if err := requireOneArgFor(cmd, args, "a pool"); err != nil {
		return err
	}
	return api.ValidatePoolName(args[0])
}

// requireMachineName accepts the name of a machine.
func requireMachineName(cmd *cobra.Command, args []string) error {
	if err := requireOneArgFor(cmd, args, "a machine"); err != nil {
		return err
	}
	if cluster, _, ok := api.ParseMachineName(args[0]); !ok || api.ValidateStoredName(cluster) != nil {
		return &api.FieldError{Field: "machine", Value: args[0],
			Want: "the name of a machine, sky-CLUSTER-INDEX, as skyctl get machines CLUSTER lists them"}
	}
	return nil
}

func refuseArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf("%s takes no arguments, got %s", cmd.CommandPath(), strings.Join(args, " "))
	}
	return nil
}

// allowClusterName accepts the name of a cluster, or no argument.
func allowClusterName(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return requireClusterName(cmd, args)
}

// allowClusterNames accepts the names of clusters, or no argument.
func allowClusterNames(_ *cobra.Command, args []string) error { return validateClusterNames(args) }

// validateClusterNames refuses invalid names, and those that are given twice.
func validateClusterNames(names []string) error {
	var errs []error
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			errs = append(errs, usageErrorf("cluster %s is named twice", name))
			continue
		}
		errs = append(errs, api.ValidateStoredName(name))
	}
	return errors.Join(errs...)
}

func firstOrEmpty(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
