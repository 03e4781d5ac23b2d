package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/access"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
)

// copyOptions is one run of cp.
type copyOptions struct {
	*app
	timeout commandTimeoutValue
	root    bool
}

func (a *app) newCopyCommand() *cobra.Command {
	o := &copyOptions{app: a}
	cmd := &cobra.Command{
		Use:   "cp SOURCE DESTINATION",
		Short: "Copy files to a machine, or from one",
		Long: `Copies a file or a directory over SSH between this computer and a machine, in either direction. The side
on the machine is MACHINE:PATH, or CLUSTER:PATH for the head; a relative path begins at the home
directory of the login user. Modes and times are kept. Links inside of a directory stay links. Directories are
copied with all that is in them, with or without -r.

A destination that is a directory gets the source under its own name. A file appears under its name
when all of it has arrived, and so does a new directory. Files of a directory that exists are
replaced one by one, and its other files stay.

The login user reads and writes on the machine, or root with --root.`,
		Example: `  skyctl cp site sky-dev-2:/srv/
  skyctl cp dev:/etc/os-release .
  skyctl cp --root sky-dev-1:/var/log/cloud-init.log cloud-init.log
  skyctl cp --root limits.conf dev:/etc/security/limits.d/`,
		ValidArgsFunction: a.completeCopyLocations,
	}
	o.timeout.bindFlag(cmd, time.Hour, "longest duration of the copy")
	cmd.Flags().BoolVar(&o.root, "root", false, "read and write on the machine as root")
	cmd.Flags().BoolP("recursive", "r", false, "copy directories, as is always done")
	panicOnError(cmd.Flags().MarkHidden("recursive"))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) != 2 {
			return usageErrorf("%s takes a source and a destination, not %d arguments", cmd.CommandPath(), len(args))
		}
		from, to := access.ParseLocation(args[0]), access.ParseLocation(args[1])
		name := from.Machine + to.Machine
		switch {
		case from.Machine != "" && to.Machine != "":
			return usageErrorf("%s and %s are both on machines: copy to this computer first", args[0], args[1])
		case name == "":
			return usageErrorf("neither %s nor %s is on a machine: name one as MACHINE:PATH or CLUSTER:PATH", args[0],
				args[1])
		}
		if err := refuseUser(name); err != nil {
			return err
		}
		return a.withLogin(cmd.Context(), "copying files", func(login *access.Login) error {
			return o.run(cmd.Context(), login, name, from, to)
		})
	}
	return cmd
}

func (o *copyOptions) run(ctx context.Context, login *access.Login, name string, from, to access.Location) error {
	ctx, cancel := o.timeout.withDeadline(ctx)
	defer cancel()
	t, err := findTarget(ctx, login, name)
	if err != nil {
		return err
	}
	h, err := login.Connect(ctx, t)
	if err != nil {
		return err
	}
	did, title := "copied files from the machine with skyctl cp", "Copying "+from.Path
	if to.Machine != "" {
		did = "copied files to the machine with skyctl cp"
	}
	o.recordAccess(ctx, login, t.Cluster, t.Machine.Name, did)
	progress := terminal.NewByteProgress(o.env.Err, title)
	defer progress.ClearLine()
	c := access.Copy{Host: h, AsRoot: o.root, Progress: progress.ShowBytes}
	if to.Machine != "" {
		return c.Upload(ctx, from.Path, to.Path)
	}
	return c.Download(ctx, from.Path, to.Path)
}

// completeCopyLocations offers clusters and machines, each with a colon, and files.
func (a *app) completeCopyLocations(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, _ := a.completeClustersAndMachines(cmd, nil, "")
	for i, n := range names {
		name, about, _ := strings.Cut(n, "\t")
		names[i] = name + ":\t" + about
	}
	return names, cobra.ShellCompDirectiveNoSpace
}
