package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
)

// refuseMissingSubcommand is what a command does that needs another one after it.
func refuseMissingSubcommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usageErrorf("%s what? One of: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

// refuseUnknownSubcommand refuses a word that is no subcommand, and says which may have been meant.
func refuseUnknownSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	msg := fmt.Sprintf("unknown command %q for %s", args[0], cmd.CommandPath())
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usageErrorf("%s; did you mean %s?", msg, strings.Join(near, " or "))
	}
	return usageErrorf("%s; see %s --help", msg, cmd.CommandPath())
}

// requireOneArg takes exactly one argument, the name of a cluster, whatever it looks like.
func requireOneArg(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return usageErrorf("the name of a cluster is missing: %s NAME", cmd.CommandPath())
	case 1:
		return nil
	}
	return usageErrorf("%s takes one name, not %d (%s)", cmd.CommandPath(), len(args), strings.Join(args, " "))
}

// requireClusterName is requireOneArg with a name that a cluster can have.
func requireClusterName(cmd *cobra.Command, args []string) error {
	if err := requireOneArg(cmd, args); err != nil {
		return err
	}
	return api.ValidateName(args[0])
}

func refuseArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageErrorf("%s takes no arguments, yet was given %s", cmd.CommandPath(), strings.Join(args, " "))
	}
	return nil
}

// allowClusterName takes the name of a cluster, or none.
func allowClusterName(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return requireClusterName(cmd, args)
}

func firstOrEmpty(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
