package activities

import (
	"context"
	"net"

	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/tunnel"
)

// NewClusterClient is a client for a cluster's API, with the kubeconfig that is stored.
func NewClusterClient(ctx context.Context, c *api.Cluster, s *store.Store, pool *remote.Pool) (kubernetes.Interface,
	error) {
	kubeconfig, err := s.ReadSecret(ctx, c.Ref(), store.SecretKubeconfig)
	if err != nil {
		return nil, err
	}
	return NewClientFromKubeconfig(kubeconfig, c, s, pool)
}

// NewClientFromKubeconfig is a client for a cluster's API. The kubeconfig of one that people reach through a tunnel
// leads to a port of their own machine, so it goes its own way through SSH.
func NewClientFromKubeconfig(kubeconfig []byte, c *api.Cluster, s *store.Store, pool *remote.Pool,
	how ...kube.ClientOption) (kubernetes.Interface, error) {
	if c.Status.TunnelPort == 0 {
		return kube.NewClient(kubeconfig, how...)
	}
	ref := c.Ref()
	return kube.NewClientWithDialer(kubeconfig,
		func(ctx context.Context) (net.Conn, error) { return tunnel.DialAPI(ctx, s, pool, ref) }, how...)
}
