package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/render"
	build "github.com/sky-shift/skyctl/pkg/version"
)

func (a *app) newVersionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version of skyctl", Args: refuseArgs,
		Long:    "Prints the version of skyctl. It contacts no server.",
		Example: "  skyctl version\n  skyctl version -o json",
	}
	output := addOutputFlag(cmd, render.AsTable, render.AsWide, render.AsJSON, render.AsYAML)
	cmd.RunE = func(*cobra.Command, []string) error {
		if output.isStructured() {
			return render.WriteStructured(a.env.Out, output.form(), build.ReadBuild())
		}
		_, err := fmt.Fprintf(a.env.Out, "skyctl %s\n", build.ReadBuild())
		return err
	}
	return cmd
}
