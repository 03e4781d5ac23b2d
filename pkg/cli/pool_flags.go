package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
)

// bindPoolFlags adds the flag of each field of a pool and of its machines.
func bindPoolFlags(flags *pflag.FlagSet) {
	bind := func(name string, kind api.FlagKind, byDefault, help string) {
		switch kind {
		case api.FlagText:
			flags.String(name, byDefault, help)
		case api.FlagSwitch:
			flags.Bool(name, false, help)
		case api.FlagList:
			flags.Var(&listValue{}, name, help)
		}
	}
	for _, f := range api.Fields {
		if f.IsOfMachines() {
			bind(f.Name, f.Flag, f.Default, f.Help)
		}
	}
	for _, f := range api.PoolFields {
		bind(f.Name, f.Flag, f.Default, f.Help)
	}
}

// bindClusterFlag adds --cluster.
func (a *app) bindClusterFlag(cmd *cobra.Command, value *string, help string) {
	cmd.Flags().StringVar(value, "cluster", "", help)
	registerCompletion(cmd, "cluster", func(cmd *cobra.Command, _ []string, _ string) ([]string,
		cobra.ShellCompDirective) {
		return a.completeClusterNames(cmd, nil, "")
	})
}

// requireClusterFlag refuses a command without the name of a cluster.
func requireClusterFlag(cmd *cobra.Command, cluster string) error {
	if !cmd.Flags().Changed("cluster") {
		return usageErrorf("missing --cluster: %s NAME --cluster CLUSTER", cmd.CommandPath())
	}
	return validateClusterFlag(cluster)
}

// validateClusterFlag checks the value of --cluster.
func validateClusterFlag(cluster string) error {
	err := api.ValidateStoredName(cluster)
	if wrong := (*api.FieldError)(nil); errors.As(err, &wrong) {
		return &api.FieldError{Field: "cluster", Value: cluster,
			Want: "the name of a cluster, as skyctl get clusters lists them: " + wrong.Want}
	}
	return err
}

// dryRunFlags are --dry-run and the format of its output.
type dryRunFlags struct {
	on     bool
	output *outputFlags
	// deletes is the kind of the object that the command deletes, of which -o prints the name without --dry-run; empty
	// if it prints the changed object.
	deletes string
}

func (d *dryRunFlags) bindFlags(cmd *cobra.Command) {
	bindDryRun(cmd, &d.on, "only show the steps, machine by machine, and the price per hour")
	d.output = addOutputFlags(cmd)
	help := "print only the changed object, or with --dry-run the plan, as json, yaml, name or a template: see " +
		"skyctl help output"
	if d.deletes != "" {
		help = fmt.Sprintf("name: print only %s/NAME; with --dry-run the plan in any format: see skyctl help output",
			d.deletes)
	}
	describeOutputFlag(cmd, help)
}

// checkCombination refuses flags that would be ignored because of others.
func (d *dryRunFlags) checkCombination(cmd *cobra.Command) error {
	if !d.on {
		d.output.deletes = d.deletes
		return d.output.requireNameOfDeleted()
	}
	for _, flag := range []string{"wait", "timeout"} {
		if cmd.Flags().Changed(flag) {
			return usageErrorf("--%s cannot be used with --dry-run", flag)
		}
	}
	return nil
}
