package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	build "github.com/sky-shift/skyctl/pkg/version"
)

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version of skyctl", Args: noArgs,
		Long:    "Prints the version of skyctl. It asks no server.",
		Example: "  skyctl version\n  skyctl version -o json",
	}
	output := outputFlag(cmd, asTable, asWide, asJSON, asYAML)
	cmd.RunE = func(*cobra.Command, []string) error {
		if output.forMachines() {
			return encode(a.env.Out, output.value, build.Get())
		}
		_, err := fmt.Fprintf(a.env.Out, "skyctl %s\n", build.Get())
		return err
	}
	return cmd
}
