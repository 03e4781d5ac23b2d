package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/access"
	"github.com/sky-shift/skyctl/pkg/access/debugbundle"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/cli/terminal"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/server/daemon"
	"github.com/sky-shift/skyctl/pkg/version"
)

// bundleTimeout bounds the collection of a bundle.
const bundleTimeout = 15 * time.Minute

func (a *app) newDebugCommand() *cobra.Command {
	return newCommandGroup("debug", "Collect what explains the state of a cluster",
		"Collects what explains the state of a cluster: see skyctl debug bundle --help.",
		"  skyctl debug bundle dev", a.newDebugBundleCommand())
}

func (a *app) newDebugBundleCommand() *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use:   "bundle CLUSTER [-f FILE]",
		Short: "Write one archive with all that explains the state of a cluster",
		Long: `Writes a tar.gz archive with the cluster's object, its events, snapshots and operations with their steps,
the result of skyctl check for its machines, their logs and state, what kubectl get says on the head,
the versions, and the end of skyd's log if it runs here.

Secrets that skyctl knows are replaced with [hidden]: keys, tokens, passwords, the secrets you stored,
in any encoding. It also hides text that looks like a secret. Still look through the files before you
give them to others: names, addresses and what your programs log are in them.

What cannot be read, such as the logs of a machine that does not answer, is listed in REPORT.txt with
the reason; the command succeeds nevertheless. The archive has at most 128 MiB before compression,
and the logs of at most 50 machines.`,
		Example: `  skyctl debug bundle dev
  skyctl debug bundle dev -f /tmp/dev.tar.gz`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file to write; it must not exist (default: a name with the "+
		"cluster and the time, in this directory)")
	registerCompletion(cmd, "file", completeFiles)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("file") && file == "" {
			return usageErrorf("--file needs the name of a file")
		}
		if file == "" {
			file = fmt.Sprintf("skyctl-debug-%s-%s.tar.gz", args[0], a.env.Now().UTC().Format("20060102-150405"))
		}
		return a.withLogin(cmd.Context(), "collecting a bundle", func(login *access.Login) error {
			return a.writeDebugBundle(cmd.Context(), login, args[0], file)
		})
	}
	return cmd
}

func (a *app) writeDebugBundle(ctx context.Context, login *access.Login, name, file string) error {
	if _, err := os.Lstat(file); err == nil {
		return usageErrorf("%s exists already: name another file with -f", file)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bundleTimeout, &codedError{code: ExitTimeout,
		err: fmt.Errorf("the bundle was not complete within %s", bundleTimeout)})
	defer cancel()
	c, _, err := access.FindCluster(ctx, login.Store, "cluster/"+name)
	if err != nil {
		return err
	}
	if err := a.learnAllSecrets(ctx, login, c); err != nil {
		return err
	}
	a.recordAccess(ctx, login, c, "", "collected logs with skyctl debug bundle")
	parts := append(a.newClusterParts(login, c), debugbundle.NewMachineParts(login, c)...)
	var missing []debugbundle.Missing
	err = a.runWithSpinner("Collecting logs of cluster "+name, false, func(*terminal.Spinner) error {
		return atomicfile.CreateFrom(file, func(w io.Writer) (err error) {
			missing, err = debugbundle.Write(ctx, w, name, a.env.Now(), parts)
			return err
		})
	})
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			return usageErrorf("%s exists already: name another file with -f", file)
		}
		return err
	}
	for _, m := range missing {
		fmt.Fprintf(a.env.Err, "Missing: %s: %s\n", m.Name, printable.Line(m.Reason))
	}
	_, err = fmt.Fprintf(a.env.Out, "%s\n", file)
	return err
}

// learnAllSecrets has this process hide the installation's and the cluster's secrets, and those that people stored. If
// it cannot read them, nothing is collected.
func (a *app) learnAllSecrets(ctx context.Context, login *access.Login, c *api.Cluster) error {
	home, _ := os.UserHomeDir() // without one, there are no credentials in it
	var environ []string
	if a.env.Environ != nil {
		environ = a.env.Environ()
	}
	connect.LearnSecrets(a.cfg, environ, home)
	if _, err := login.Store.ListUsableSecrets(ctx, c.Ref()); err != nil {
		return err
	}
	stored, err := login.Store.ListNamedSecrets(ctx)
	if err != nil {
		return err
	}
	for _, s := range stored {
		if _, err := login.Store.ReadNamedSecret(ctx, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// newClusterParts returns the parts that come from skyctl's own records and servers.
func (a *app) newClusterParts(login *access.Login, c *api.Cluster) []debugbundle.Part {
	ref := c.Ref()
	inYAML := func(read func(context.Context) (any, error)) func(context.Context) ([]byte, error) {
		return func(ctx context.Context) ([]byte, error) {
			object, err := read(ctx)
			if err != nil {
				return nil, err
			}
			return yaml.Marshal(object)
		}
	}
	parts := []debugbundle.Part{
		{Name: "cluster.yaml", Read: inYAML(func(context.Context) (any, error) { return c, nil })},
		{Name: "events.yaml", Read: inYAML(func(ctx context.Context) (any, error) {
			return login.Store.ListEvents(ctx, ref.UID)
		})},
		{Name: "snapshots.yaml", Read: inYAML(func(ctx context.Context) (any, error) {
			return login.Store.ListSnapshots(ctx, ref.UID)
		})},
		{Name: "orphans.yaml", Read: inYAML(func(ctx context.Context) (any, error) {
			return login.Store.ListOrphans(ctx)
		})},
		{Name: "check.yaml", Read: inYAML(func(ctx context.Context) (any, error) {
			return a.ops.CheckMachines(ctx, ref)
		})},
		{Name: "operations.txt", Read: func(ctx context.Context) ([]byte, error) {
			return a.ops.SummarizeOperations(ctx, ref.Name)
		}},
		{Name: "servers.json", Read: func(ctx context.Context) ([]byte, error) {
			return json.MarshalIndent(a.describeServers(ctx, a.ops), "", "  ")
		}},
	}
	if !a.cfg.IsExternal() {
		parts = append(parts, debugbundle.Part{Name: "skyd.log", Read: func(ctx context.Context) ([]byte, error) {
			return a.readServerLog(ctx)
		}})
	}
	return parts
}

// serverReport is what a bundle says of the servers.
type serverReport struct {
	Skyctl   string            `json:"skyctl"`
	Versions map[string]string `json:"versions"`
	Problems map[string]string `json:"problems,omitempty"`
}

func (a *app) describeServers(ctx context.Context, ops *client.Client) serverReport {
	r := serverReport{Skyctl: version.ReadBuild().String(), Versions: ops.ReadServerVersions(ctx),
		Problems: map[string]string{}}
	if state, err := daemon.FindRunning(a.cfg); err == nil {
		r.Versions["skyd"] = state.Version
	}
	for _, h := range ops.CheckHealth(ctx) {
		if text := h.ProblemText(); text != "" {
			r.Problems[h.Name] = text
		}
	}
	return r
}

// readServerLog returns the end of the log of skyd on this computer.
func (a *app) readServerLog(ctx context.Context) ([]byte, error) {
	log := &boundedBuffer{}
	env := a.env
	env.Out, env.Err = log, io.Discard
	o := &logsOptions{app: &app{env: env, flags: a.flags, cfg: a.cfg}}
	err := o.run(ctx, 5000)
	return log.b, err
}

// boundedBuffer keeps the beginning of a log that was bounded by lines before.
type boundedBuffer struct{ b []byte }

func (b *boundedBuffer) Write(p []byte) (int, error) {
	const limit = 8 << 20
	b.b = append(b.b, p[:min(len(p), limit-len(b.b))]...)
	return len(p), nil
}
