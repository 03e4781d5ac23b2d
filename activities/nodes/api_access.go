package nodes

import (
	"context"
	"net"
	"strconv"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/tunnel"
)

// apiAccess is how people reach the API of a cluster.
type apiAccess struct {
	endpoint string
	// port is the tunnel's port on a person's loopback; 0 if the API is reached directly.
	port int
}

// chooseAPIAccess decides how people reach the head's API, and reserves the tunnel's port if they need one.
func (a *Activities) chooseAPIAccess(ctx context.Context, head *api.Machine, ref api.Ref) (apiAccess, error) {
	if !head.Placement.Tunnel {
		return apiAccess{endpoint: "https://" + net.JoinHostPort(head.Address, strconv.Itoa(rke2.APIPort))}, nil
	}
	port, err := tunnel.ReservePort(ctx, a.Store, ref, a.ClusterDir != nil)
	return apiAccess{endpoint: "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), port: port}, err
}

// editKubeconfig turns a head's kubeconfig into one for people. Through a tunnel the client expects the machine's name
// in the certificate, because the address is always loopback.
func (at apiAccess) editKubeconfig(raw []byte, head *api.Machine, cluster string) ([]byte, error) {
	edited, err := kube.EditKubeconfig(raw, cluster, at.endpoint)
	if err != nil || at.port == 0 {
		return edited, err
	}
	return kube.SetTLSServerName(edited, head.Name)
}
