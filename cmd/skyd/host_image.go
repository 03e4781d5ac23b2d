package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/worker"
)

// newHostImageCommand returns the command with which `make demo` builds the image of Docker hosts beside other work,
// and `make demo-down` removes it.
func newHostImageCommand(load settingsLoader, stdout io.Writer) *cobra.Command {
	remove := false
	cmd := &cobra.Command{
		Use:    "host-image",
		Short:  "Build the image of Docker hosts, which the first cluster on them waits for otherwise",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := load(cmd)
			if err != nil {
				return err
			}
			if remove {
				return worker.RemoveHostImage(cmd.Context(), cfg, log)
			}
			return worker.BuildHostImage(cmd.Context(), cfg, log, func(words string) {
				_, _ = fmt.Fprintln(stdout, words)
			})
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "remove the image and its file instead")
	return cmd
}
