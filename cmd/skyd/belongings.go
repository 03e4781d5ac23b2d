package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/worker"
)

// newBelongingsCommand returns the command with which skyctl uninstall lists and removes what only skyd can reach.
func newBelongingsCommand(load settingsLoader, stdout io.Writer) *cobra.Command {
	var o daemon.BelongingsOptions
	c := &cobra.Command{
		Use:    "belongings",
		Short:  "List what an installation has outside its state directory; skyctl uninstall runs this",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := load(cmd)
			if err != nil {
				return err
			}
			run := worker.FindBelongings
			if o.Remove {
				run = worker.RemoveBelongings
			}
			b, err := run(cmd.Context(), cfg, o.Installation, o.KeepImages, log)
			if err != nil {
				return err
			}
			return json.NewEncoder(stdout).Encode(daemon.Belongings(b))
		},
	}
	c.Flags().StringVar(&o.Installation, "installation", "", "id of the installation")
	c.Flags().StringVar(&o.KeepImages, "keep-images", "", "another installation of this user, which needs the host "+
		"images")
	c.Flags().BoolVar(&o.Remove, "remove", false, "remove what is listed, except machines")
	return c
}
