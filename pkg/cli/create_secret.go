package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
)

// createSecretOptions is one run of create secret.
type createSecretOptions struct {
	*app
	literals, files, envFiles, inputs []string
	replace                           bool
	output                            *outputFlags
}

func (a *app) newCreateSecretCommand() *cobra.Command {
	o := &createSecretOptions{app: a}
	cmd := &cobra.Command{
		Use:     "secret NAME",
		Aliases: listAliases("secret"),
		Short:   "Store a secret that clusters can refer to",
		Long: `Stores values under a name, encrypted with the secrets key of the installation. The file of a cluster
refers to them by name, such as the credentials of an image registry (spec.rke2.registries) or a
proxy with a password (spec.rke2.env). No command shows the values again: only names, keys and
sizes are shown.

Prefer --from-stdin and --from-file: everybody on this computer can see the arguments of a running
command, and your shell may keep them in its history. On a terminal --from-stdin asks for the
value and does not show it; otherwise it reads the whole input, without one line break at its end.

skyctl hides the values in the output of machines if they have at least 8 characters. A secret has
at most 64 KiB, and all secrets together 1 MiB. --replace replaces all values of a secret that
exists: machines that are launched from then on get the new ones.`,
		Example: `  # a registry: the password is asked for
  skyctl create secret registry-login --from-literal username=ci --from-stdin password

  # from files, and from a program
  skyctl create secret registry-login --from-file password=/run/secrets/registry --from-literal username=ci
  pass show proxy | skyctl create secret proxy --from-stdin url

  # new values
  skyctl create secret registry-login --replace --from-env-file login.env`,
		Args: requireSecretName,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.inputs, "from-stdin", nil,
		"key whose value is read from the input; can be repeated on a terminal")
	f.StringArrayVar(&o.files, "from-file", nil, "file with a value, as KEY=PATH or PATH (the key is the name of the "+
		"file); can be repeated")
	f.StringArrayVar(&o.envFiles, "from-env-file", nil, "file with lines KEY=VALUE; empty lines and those that begin "+
		"with # are skipped; can be repeated")
	f.StringArrayVar(&o.literals, "from-literal", nil,
		"value as KEY=VALUE, which others on this computer can see; can "+
			"be repeated")
	for _, name := range []string{"from-file", "from-env-file"} {
		registerCompletion(cmd, name, completeFiles)
	}
	f.BoolVar(&o.replace, "replace", false, "replace all values of the secret if it exists")
	o.output = addChangedOutputFlags(cmd)
	return cmd
}

// requireSecretName accepts the name of a secret.
func requireSecretName(cmd *cobra.Command, args []string) error {
	if err := requireOneArgFor(cmd, args, "a secret"); err != nil {
		return err
	}
	return api.ValidateSecretName(args[0])
}

func (o *createSecretOptions) run(ctx context.Context, name string) error {
	values, err := o.collectValues(ctx)
	if err != nil {
		return err
	}
	if err := api.ValidateSecret(name, values); err != nil {
		return err
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	return o.runWithSpinner("Storing secret "+name, false, func(s *terminal.Spinner) error {
		stored, err := ops.WriteSecret(ctx, name, values, o.replace)
		if err != nil {
			return err
		}
		s.KeepLine()
		if o.output.isStructured() {
			secrets := []api.NamedSecret{stored}
			users, err := ops.ListSecretUsers(ctx, secrets)
			if err != nil {
				return err
			}
			return o.output.writeKind(o.env.Out, "Secret",
				render.NewSecretList(secrets, users).Items[0])
		}
		if !stored.CreatedAt.Equal(stored.UpdatedAt) {
			return o.printResult("Replaced the values of secret %s. Machines that are launched from now on get them.\n",
				name)
		}
		return o.printResult("Stored secret %s.\n", name)
	})
}
