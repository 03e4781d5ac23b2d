package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
)

func (a *app) newKubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl [NAME] -- ARGUMENTS",
		Short: "Run kubectl against a cluster",
		Long: `Runs your kubectl with the kubeconfig of a cluster. It does not change your own kubeconfig. Without a
name it takes the cluster of your current context, or the only cluster.

The exit code is kubectl's.`,
		Example: `  skyctl kubectl dev -- get nodes
  skyctl kubectl -- get pods -A`,
		Args:              checkKubectlArgs,
		ValidArgsFunction: a.completeClusterNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			return a.runKubectl(cmd.Context(), firstOrEmpty(args[:dash]), args[dash:])
		},
	}
}

func checkKubectlArgs(cmd *cobra.Command, args []string) error {
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash < 0:
		return usageErrorf("the arguments of kubectl go behind --: skyctl kubectl NAME -- get nodes")
	case dash > 1:
		return usageErrorf("%s takes one name before --, not %d (%s)", cmd.CommandPath(), dash,
			strings.Join(args[:dash], " "))
	case dash == 1:
		return api.ValidateStoredName(args[0])
	}
	return nil
}

func (a *app) runKubectl(ctx context.Context, name string, args []string) error {
	program := a.findProgram("kubectl")
	if program == "" {
		return errors.New("there is no kubectl on $PATH: install it (https://kubernetes.io/docs/tasks/tools/)")
	}
	if name == "" {
		var err error
		if name, err = a.chooseCluster(ctx); err != nil {
			return err
		}
	}
	c, content, err := a.readKubeconfig(ctx, name)
	if err != nil {
		return err
	}
	if c.Status.Phase == api.PhaseStopped {
		return &stateError{fmt.Errorf("cluster %[1]s is STOPPED, so it has no Kubernetes API. To start it: skyctl "+
			"start "+
			"cluster %[1]s", name)}
	}
	path := a.cfg.KubeconfigPath(name)
	if _, err := os.Stat(path); err != nil || a.cfg.IsExternal() {
		if err := a.writeLocalKubeconfig(ctx, c.Ref(), content); err != nil {
			return err
		}
	}
	run := exec.Command(program, args...) //nolint:gosec,noctx // Ctrl-C is for kubectl
	run.Env = append(a.environWithout("KUBECONFIG"), "KUBECONFIG="+path)
	run.Stdin, run.Stdout, run.Stderr = a.env.In, withoutSanitizing(a.env.Out), withoutSanitizing(a.env.Err)
	err = run.Run()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		code := exit.ExitCode()
		if code < 0 { // a signal
			code = ExitInterrupted
		}
		return &reportedError{&codedError{err: err, code: code}}
	}
	return err
}

// chooseCluster returns the cluster of the person's current context, or the only cluster.
func (a *app) chooseCluster(ctx context.Context) (string, error) {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return "", err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return "", err
	}
	all, err := s.ListClusterSummaries(ctx)
	if err != nil {
		return "", err
	}
	current := ""
	if p, err := a.findPerson(); err == nil {
		current = p.CurrentCluster()
	}
	var names []string
	for _, c := range all {
		if current != "" && c.Metadata.UID == current {
			return c.Metadata.Name, nil
		}
		names = append(names, c.Metadata.Name)
	}
	switch len(names) {
	case 0:
		return "", usageErrorf("there is no cluster")
	case 1:
		return names[0], nil
	}
	return "", usageErrorf("there are %d clusters, and your current context is none of them: skyctl kubectl NAME -- "+
		"…; "+
		"the names are %s", len(names), strings.Join(names, ", "))
}

// findProgram returns the path of a program on the person's $PATH; empty if there is none.
func (a *app) findProgram(name string) string {
	for _, dir := range filepath.SplitList(a.env.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); dir != "" && err == nil {
			return path
		}
	}
	return ""
}

// environWithout returns the environment of the command without a variable.
func (a *app) environWithout(name string) []string {
	if a.env.Environ == nil {
		return nil
	}
	return slices.DeleteFunc(a.env.Environ(), func(v string) bool { return strings.HasPrefix(v, name+"=") })
}
