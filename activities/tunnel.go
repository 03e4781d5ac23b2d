package activities

import (
	"context"
	"net"
	"strconv"

	"k8s.io/client-go/kubernetes"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/pkg/tunnel"
)

// access is where a person reaches the API of a cluster.
type access struct {
	endpoint string
	// port of a person's loopback, where the API is reached through SSH; 0 elsewhere.
	port int
}

// access decides where the API of a head is reached, and reserves the port of its tunnel where it has one.
func (a *Nodes) access(ctx context.Context, head *api.Machine, ref api.Ref) (access, error) {
	if !head.Placement.Tunnel {
		return access{endpoint: "https://" + net.JoinHostPort(head.Address, strconv.Itoa(rke2.APIPort))}, nil
	}
	port, err := tunnel.Reserve(ctx, a.Store, ref, a.ClusterDir != nil)
	return access{endpoint: "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), port: port}, err
}

// kubeconfig makes a head's kubeconfig one for people. Through a tunnel the API is known by the machine's name, which its
// certificate has, whatever the address.
func (at access) kubeconfig(raw []byte, head *api.Machine, cluster string) ([]byte, error) {
	edited, err := kube.EditKubeconfig(raw, cluster, at.endpoint)
	if err != nil || at.port == 0 {
		return edited, err
	}
	return kube.NameServer(edited, head.Name)
}

// clientOf is a client for a cluster's API, with the kubeconfig that is stored.
func clientOf(ctx context.Context, c *api.Cluster, s *store.Store, pool *remote.Pool) (kubernetes.Interface, error) {
	kubeconfig, err := s.GetSecret(ctx, c.Ref(), store.SecretKubeconfig)
	if err != nil {
		return nil, err
	}
	return apiClient(kubeconfig, c, s, pool)
}

// apiClient is a client for a cluster's API. The kubeconfig of one that people reach through a tunnel leads to a port of
// their own machine, so it goes its own way through SSH.
func apiClient(kubeconfig []byte, c *api.Cluster, s *store.Store, pool *remote.Pool, how ...kube.Option) (kubernetes.Interface, error) {
	if c.Status.TunnelPort == 0 {
		return kube.Client(kubeconfig, how...)
	}
	ref := c.Ref()
	return kube.ClientThrough(kubeconfig, func(ctx context.Context) (net.Conn, error) { return tunnel.Dial(ctx, s, pool, ref) }, how...)
}
