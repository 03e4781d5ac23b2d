package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/store"
)

func (a *app) newGetSecretsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "secrets [NAME]",
		Aliases: listAliases("secrets"),
		Short:   "List the secrets that clusters can refer to",
		Long: `Lists the secrets that skyctl create secret stored, or shows the one you name. SIZE is that of all
values in bytes, and AGE the time since they were written. -o wide adds the clusters that refer to
the secret. Values are never shown.`,
		Example: `  skyctl get secrets
  skyctl get secrets -o wide
  skyctl get secret registry-login -o yaml`,
		Args:              allowSecretName,
		ValidArgsFunction: a.completeSecretNames,
	}
	output := addListOutputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.showSecrets(cmd.Context(), firstOrEmpty(args), output)
	}
	return cmd
}

// allowSecretName accepts the name of a secret, or no argument.
func allowSecretName(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return requireSecretName(cmd, args)
}

func (a *app) showSecrets(ctx context.Context, name string, output *outputFlags) error {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	return a.runWithSpinner("Fetching secrets", output.isStructured(), func(s *terminal.Spinner) error {
		secrets, err := ops.ListSecrets(ctx)
		if err != nil {
			return err
		}
		users, err := ops.ListSecretUsers(ctx, secrets)
		if err != nil {
			return err
		}
		if name != "" {
			secrets = slices.DeleteFunc(secrets, func(n api.NamedSecret) bool { return n.Name != name })
			if len(secrets) == 0 {
				return &store.SecretMissingError{Name: name}
			}
		}
		list := render.NewSecretList(secrets, users)
		if err := sortObjects(output, list.Items); err != nil {
			return err
		}
		s.KeepLine()
		switch {
		case output.isStructured() && name != "":
			return output.writeKind(a.env.Out, "Secret", list.Items[0])
		case output.isStructured():
			return output.write(a.env.Out, list)
		}
		return output.writeTable(a.env.Out, render.NewSecretTable(list, output.isWide(), a.env.Now()))
	})
}

// deleteSecretOptions is one run of delete secret.
type deleteSecretOptions struct {
	*app
	yes, force bool
	output     *outputFlags
}

func (a *app) newDeleteSecretCommand() *cobra.Command {
	o := &deleteSecretOptions{app: a}
	cmd := &cobra.Command{
		Use:     "secret NAME",
		Aliases: listAliases("secret"),
		Short:   "Delete a secret",
		Long: `Deletes a secret. It is refused while a cluster refers to the secret, because new machines of the
cluster need it: they would not start. It is also refused while snapshots are in a bucket that the
secret opens, also those of deleted clusters: without it they can be neither restored nor deleted.
--force deletes it anyway. Machines that exist keep what they were given.`,
		Example: `  skyctl delete secret registry-login
  skyctl delete secret registry-login --yes --force`,
		Args:              requireSecretName,
		ValidArgsFunction: a.completeSecretNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask for confirmation")
	cmd.Flags().BoolVar(&o.force, "force", false, "delete the secret even if clusters or snapshots need it")
	o.output = addDeletedOutputFlags(cmd, "secret")
	return cmd
}

func (o *deleteSecretOptions) run(ctx context.Context, name string) error {
	if !o.yes && !terminal.IsTerminal(o.env.In) {
		return usageErrorf("deleting secret %s needs confirmation, and there is no terminal: use --yes", name)
	}
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	if !o.yes {
		question := fmt.Sprintf("Delete secret %s? Its values cannot be recovered.", name)
		if err := o.requireConfirmation(ctx, question, "deleted"); err != nil {
			return err
		}
	}
	return o.runWithSpinner("Deleting secret "+name, false, func(s *terminal.Spinner) error {
		if err := ops.DeleteSecret(ctx, name, o.force); err != nil {
			return err
		}
		s.KeepLine()
		return errors.Join(o.writeDeleted(o.output, "Secret", name), o.printResult("Deleted secret %s.\n", name))
	})
}

// completeSecretNames offers the names of secrets.
func (a *app) completeSecretNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (names []string) {
		secrets, _ := s.ListNamedSecrets(ctx)
		for _, n := range secrets {
			var keys []string
			for _, k := range n.Keys {
				keys = append(keys, k.Name)
			}
			names = append(names, cobra.CompletionWithDesc(n.Name, "keys: "+strings.Join(keys, ", ")))
		}
		return names
	})
}
