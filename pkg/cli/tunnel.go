package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/client/connect"
	"github.com/sky-shift/skyctl/pkg/printable"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/tunnel"
)

func (a *app) newTunnelCommand() *cobra.Command {
	port := 0
	cmd := &cobra.Command{
		Use:   "tunnel NAME",
		Short: "Open a tunnel through SSH to the Kubernetes API of a cluster",
		Long: `Listens on a loopback port of this computer, forwards connections through SSH on the head to the
Kubernetes API, and writes a kubeconfig that uses the port. Use it for clusters whose API port is
closed to the outside (create cluster --api_access). It runs until Ctrl-C or until the cluster is
deleted. Broken connections are reopened automatically.

If skyd runs on this computer, it keeps these ports open and you do not need this command, unless
another program uses the port.

Where the setting gateway.address is set, the tunnel leads through skyd. It can then also lead to an
open API that this computer does not reach: choose a port with --port.`,
		Example: `  skyctl tunnel dev
  skyctl tunnel dev --port 7443`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f := cmd.Flags().Lookup("port"); f.Changed && (port < 1 || port > 65535) {
				return &api.FieldError{Field: "port", Value: f.Value.String(), Want: "a port from 1 to 65535"}
			}
			return a.runTunnel(cmd.Context(), args[0], port)
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "port to listen on (default: the port in the kubeconfig of the cluster)")
	return cmd
}

func (a *app) runTunnel(ctx context.Context, name string, port int) error {
	ops, err := a.connectClient(ctx)
	if err != nil {
		return err
	}
	s, err := ops.OpenSecretStore(ctx)
	if err != nil {
		return fmt.Errorf("tunnel to cluster %s: %w", name, err)
	}
	defer func() { _ = s.Close() }() // it was only read
	c, err := s.ReadCluster(ctx, name)
	if err != nil {
		return err
	}
	if err := a.refuseTunnel(c, port); err != nil {
		return err
	}
	if port == 0 && !a.cfg.IsExternal() {
		_, err := fmt.Fprintf(a.env.Out, "skyd keeps the tunnel to cluster %s open at 127.0.0.1:%d.\n", name,
			c.Status.TunnelPort)
		return err
	}
	routes, err := connect.NewMemberRoutes(a.cfg, s)
	if err != nil {
		return fmt.Errorf("tunnel to cluster %s: %w", name, err)
	}
	pool := remote.NewPool(time.Minute)
	defer pool.Close()
	pool.SetRoutes(routes)
	return a.holdTunnel(ctx, ops, s, pool, c, port)
}

// refuseTunnel says why a cluster cannot have a tunnel, or needs none. Who uses a gateway may not reach an open API.
func (a *app) refuseTunnel(c *api.Cluster, port int) error {
	name := c.Metadata.Name
	switch {
	case c.Status.Phase == api.PhaseStopped:
		return &stateError{fmt.Errorf("cluster %[1]s is STOPPED, so it has no Kubernetes API. To start it: skyctl "+
			"start cluster %[1]s", name)}
	case c.Status.TunnelPort != 0:
		return nil
	case c.Status.Endpoint == "":
		return &stateError{fmt.Errorf("cluster %s has no Kubernetes API yet: it is %s; see skyctl describe cluster %s",
			name, c.Status.Phase, name)}
	case a.cfg.Gateway.Address == "":
		return &stateError{fmt.Errorf("cluster %s needs no tunnel: its Kubernetes API is at %s", name,
			c.Status.Endpoint)}
	case port == 0:
		return usageErrorf("cluster %[1]s has no port for a tunnel, because its Kubernetes API is at %[2]s. If this "+
			"computer does not reach that, choose a port: skyctl tunnel %[1]s --port 7443", name, c.Status.Endpoint)
	}
	return nil
}

// holdTunnel keeps a tunnel open until ctx ends or the cluster is deleted.
func (a *app) holdTunnel(ctx context.Context, ops *client.Client, s *store.Store, pool *remote.Pool, c *api.Cluster,
	port int) error {
	name, own := c.Metadata.Name, c.Status.TunnelPort
	if port == 0 {
		port = own
	}
	t, err := tunnel.Open(s, pool, c.Ref(), port,
		func(err error) { fmt.Fprintln(a.env.Err, "Warning:", printable.Line(err.Error())) })
	if err != nil {
		return fmt.Errorf("%w; choose another port with --port", err)
	}
	defer func() { _ = t.Close() }() // an error no longer matters
	if err := a.serveTunnel(ctx, ops, s, c, port); ctx.Err() == nil {
		return err
	}
	return &interruptedError{hint: fmt.Sprintf("The tunnel to cluster %s is closed.", name)}
}

// serveTunnel has a kubeconfig lead through a tunnel until ctx ends or the cluster is deleted.
func (a *app) serveTunnel(ctx context.Context, ops *client.Client, s *store.Store, c *api.Cluster, port int) error {
	path, restore, err := a.tunnelKubeconfig(ctx, ops, c, port)
	if err != nil {
		return err
	}
	defer restore()
	fmt.Fprintf(a.env.Out, "The Kubernetes API of cluster %s is at https://127.0.0.1:%d while this command runs.\n",
		c.Metadata.Name, port)
	fmt.Fprintf(a.notes(), "Use it with: export KUBECONFIG=%s\n", path)
	events, err := s.WatchClusters(ctx, c.Metadata.Name)
	if err != nil {
		return err
	}
	for e := range events {
		if e.Type == store.ClusterDeleted || e.Cluster.Metadata.UID != c.Metadata.UID {
			return &store.NotFoundError{Cluster: c.Metadata.Name}
		}
	}
	return ctx.Err()
}

// tunnelKubeconfig writes a kubeconfig that uses port. If that is not the port of the cluster, or the cluster has none,
// restore writes the original again.
func (a *app) tunnelKubeconfig(ctx context.Context, ops *client.Client, c *api.Cluster, port int) (path string,
	restore func(), err error) {
	path, own := a.cfg.KubeconfigPath(c.Metadata.Name), c.Status.TunnelPort
	content, err := ops.ReadKubeconfig(ctx, c.Ref())
	if err != nil {
		return "", nil, err
	}
	server := loopbackURL(own)
	if own == 0 {
		server = c.Status.Endpoint
	}
	through := strings.Replace(string(content), server, loopbackURL(port), 1)
	restore = func() {
		if port == own {
			return
		}
		if err := a.writeLocalKubeconfig(context.WithoutCancel(ctx), c.Ref(), content); err != nil {
			fmt.Fprintln(a.env.Err, "Warning:", printable.Line(err.Error()))
		}
	}
	return path, restore, a.writeLocalKubeconfig(ctx, c.Ref(), []byte(through))
}

func loopbackURL(port int) string { return "https://127.0.0.1:" + strconv.Itoa(port) }
