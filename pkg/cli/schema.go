package cli

import (
	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/manifest"
)

func (a *app) newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of cluster files, for editors",
		Long: `Prints the JSON schema (draft 2020-12) of cluster files. Editors that use yaml-language-server, such
as VS Code with the YAML extension, Neovim and Helix, then complete the fields, show their help and
mark mistakes while you type. Write the schema to a file, and name it in the first line of each
cluster file:

  # yaml-language-server: $schema=./cluster.schema.json

The schema has no rules about several fields together: skyctl diff -f checks everything, and changes
nothing. The command needs no server. After an upgrade of skyctl, write the file again.`,
		Example: `  skyctl schema > cluster.schema.json`,
		Args:    refuseArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := manifest.Schema()
			if err != nil {
				return err
			}
			_, err = terminal.WithoutRewrite(a.env.Out).Write(text)
			return err
		},
	}
}
