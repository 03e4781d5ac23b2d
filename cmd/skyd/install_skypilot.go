package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/venv"
)

// newInstallSkyPilotCommand returns the command that installs SkyPilot for a skyctl that is installed from a release;
// `make skypilot` does the same in the sources.
func newInstallSkyPilotCommand(load settingsLoader, stdout, stderr io.Writer) *cobra.Command {
	clouds := venv.InstallableClouds()
	return &cobra.Command{
		Use:   "install-skypilot [CLOUD...]",
		Short: "Install SkyPilot, which launches machines on clouds, or add clouds to it",
		Long: fmt.Sprintf(`Installs SkyPilot and the libraries of clouds, pinned with hashes, into a virtual
environment of its own in the state directory. Clouds: %s; the default is aws and gcp. Clouds
that are installed stay. It needs Python 3.10 or newer with venv; $PYTHON names another program than
python3.`, strings.Join(clouds, ", ")),
		Example:   "  skyd install-skypilot aws azure",
		ValidArgs: clouds,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, _, err := load(cmd)
			if err != nil {
				return err
			}
			if cfg.SkyPilot.Python != "" {
				return fmt.Errorf("the setting skypilot.python names %s: install SkyPilot there, or remove "+
					"the setting", cfg.SkyPilot.Python)
			}
			_, _ = fmt.Fprintln(stderr, "Installing SkyPilot: this takes a minute or two")
			if err := venv.Install(cmd.Context(), cfg.SkyPilotDir(), args, stderr); err != nil {
				return err
			}
			_, err = fmt.Fprintln(stdout, "SkyPilot is installed. skyctl check shows the clouds that you can use.")
			return err
		},
	}
}
