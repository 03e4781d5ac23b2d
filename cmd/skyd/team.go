package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/server/embedded"
	"github.com/sky-shift/skyctl/pkg/server/team"
)

// newTeamCommand returns the commands that prepare a team's servers.
func newTeamCommand(load settingsLoader, stdout, stderr io.Writer) *cobra.Command {
	c := &cobra.Command{
		Use:   "team",
		Short: "Prepare a Temporal and an etcd that several people share",
		Args:  cobra.NoArgs,
	}
	c.AddCommand(newCertificatesCommand(stdout), newMemberCommand(stdout, stderr), newNamespaceCommand(load),
		newCheckCommand(load))
	return c
}

func newCertificatesCommand(stdout io.Writer) *cobra.Command {
	var o team.Certificates
	c := &cobra.Command{
		Use:   "certificates",
		Short: "Create the certificates of Postgres, Temporal, its Web UI, etcd and the worker",
		Long: "Create an authority, a certificate for each service of docker-compose.yml, and the secrets key.\n" +
			"Valid certificates are kept; those that expire soon, or lack a host, are renewed.",
		Example: "  skyd team certificates --dir /srv/skyctl --host skyctl.example.com --host 10.0.0.5",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			o.Now = time.Now()
			renewed, err := o.Ensure()
			if err != nil {
				return err
			}
			if len(renewed) == 0 {
				_, err = fmt.Fprintln(stdout, "All certificates in", o.Dir, "are valid.")
				return err
			}
			_, err = fmt.Fprintln(stdout, "Created the certificates of", strings.Join(renewed, ", "), "in", o.Dir)
			return err
		},
	}
	c.Flags().StringVar(&o.Dir, "dir", "", "directory with one subdirectory for the authority and for each service")
	c.Flags().StringSliceVar(&o.Hosts, "host", nil,
		"further name or address of the servers; can be repeated")
	c.Flags().BoolVar(&o.GiveAway, "give-away", false,
		"change the owner of each directory to the user of its service's image; needs root")
	_ = c.MarkFlagRequired("dir")
	return c
}

func newMemberCommand(stdout, stderr io.Writer) *cobra.Command {
	m := team.DefaultMember()
	c := &cobra.Command{
		Use:   "member NAME",
		Short: "Write a member's settings and keys as a tar archive, to unpack in ~/.skyconf",
		Long: "Write settings, a certificate in the member's name and the secrets key as a tar archive to standard " +
			"output.\n" +
			"It gives access to all of the team's clusters: treat it like a password.",
		Example: "  skyd team member ann --dir /srv/skyctl --host skyctl.example.com > ann.tar\n" +
			"  mkdir -p -m 700 ~/.skyconf && tar -xkf ann.tar -C ~/.skyconf   # on ann's machine",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			m.Name, m.Now = args[0], time.Now()
			if err := m.WriteBundle(stdout); err != nil {
				return err
			}
			_, err := fmt.Fprintf(stderr, "Wrote the bundle of %s, whose certificate expires on %s.\n", m.Name,
				m.Now.Add(m.Life).Format(time.DateOnly))
			return err
		},
	}
	c.Flags().StringVar(&m.Dir, "dir", "", "directory of skyd team certificates")
	c.Flags().StringVar(&m.Host, "host", m.Host, "name or address by which the member reaches the servers")
	c.Flags().IntVar(&m.TemporalPort, "temporal-port", m.TemporalPort, "port of Temporal there")
	c.Flags().IntVar(&m.EtcdPort, "etcd-port", m.EtcdPort, "port of etcd there")
	c.Flags().StringVar(&m.UI, "ui", "", "URL of Temporal's Web UI, as shown to the member")
	c.Flags().StringVar(&m.Gateway, "gateway", "",
		"HOST:PORT of the worker's gateway, through which the member reaches machines (default: directly)")
	c.Flags().StringSliceVar(&m.GatewayHosts, "gateway-host", nil,
		"for the bundle of a worker with a gateway: name or address by which members reach it; can be repeated")
	c.Flags().DurationVar(&m.Life, "life", m.Life, "how long the member's certificate is valid")
	_ = c.MarkFlagRequired("dir")
	return c
}

func newNamespaceCommand(load settingsLoader) *cobra.Command {
	wait := 2 * time.Minute
	c := &cobra.Command{
		Use:     "namespace",
		Short:   "Create the namespace in an external Temporal, with its search attributes",
		Example: "  skyd team namespace --temporal-namespace skyctl",
		Args:    cobra.NoArgs,
		RunE: requireExternal(load, func(cmd *cobra.Command, cfg *config.Config) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			return team.Namespace{Retention: embedded.Retention,
				SearchAttributes: embedded.SearchAttributes}.Ensure(ctx, cfg)
		}),
	}
	c.Flags().DurationVar(&wait, "wait", wait, "how long to wait for Temporal")
	return c
}

func newCheckCommand(load settingsLoader) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check that etcd answers and that a worker on this host polls Temporal",
		Args:  cobra.NoArgs,
		RunE: requireExternal(load, func(cmd *cobra.Command, cfg *config.Config) error {
			return team.CheckWorker(cmd.Context(), cfg, time.Now)
		}),
	}
}

// requireExternal runs a command only with an external Temporal and etcd; skyd dev prepares its own.
func requireExternal(load settingsLoader, run func(*cobra.Command, *config.Config) error) func(*cobra.Command,
	[]string) error {
	return func(cmd *cobra.Command, _ []string) error {
		cfg, _, err := load(cmd)
		if err != nil {
			return err
		}
		if !cfg.IsExternal() {
			return fmt.Errorf("skyd %s is for an external Temporal and etcd: set %s, and %s",
				strings.TrimPrefix(cmd.CommandPath(),
					"skyd "), cfg.HowToSet("temporal.address"), cfg.HowToSet("etcd.endpoints"))
		}
		return run(cmd, cfg)
	}
}
