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

// NewClusterClient returns a client for a cluster's API, with the stored kubeconfig.
func NewClusterClient(ctx context.Context, c *api.Cluster, s *store.Store, pool *remote.Pool) (kubernetes.Interface,
	error) {
	kubeconfig, err := s.ReadSecret(ctx, c.Ref(), store.SecretKubeconfig)
	if err != nil {
		return nil, err
	}
	return NewClientFromKubeconfig(kubeconfig, c, s, pool)
}

// NewClientFromKubeconfig returns a client for a cluster's API. If people reach the API through a tunnel, their
// kubeconfig points to a port of their own computer, so this client connects over SSH instead.
func NewClientFromKubeconfig(kubeconfig []byte, c *api.Cluster, s *store.Store, pool *remote.Pool,
	how ...kube.ClientOption) (kubernetes.Interface, error) {
	if c.Status.TunnelPort == 0 {
		return kube.NewClient(kubeconfig, how...)
	}
	ref := c.Ref()
	return kube.NewClientWithDialer(kubeconfig,
		func(ctx context.Context) (net.Conn, error) { return tunnel.DialAPI(ctx, s, pool, ref) }, how...)
}
