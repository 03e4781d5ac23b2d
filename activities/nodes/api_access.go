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

// apiAccess is where a person reaches the API of a cluster.
type apiAccess struct {
	endpoint string
	// port of a person's loopback, where the API is reached through SSH; 0 elsewhere.
	port int
}

// chooseAPIAccess decides where the API of a head is reached, and reserves the port of its tunnel where it has one.
func (a *Activities) chooseAPIAccess(ctx context.Context, head *api.Machine, ref api.Ref) (apiAccess, error) {
	if !head.Placement.Tunnel {
		return apiAccess{endpoint: "https://" + net.JoinHostPort(head.Address, strconv.Itoa(rke2.APIPort))}, nil
	}
	port, err := tunnel.ReservePort(ctx, a.Store, ref, a.ClusterDir != nil)
	return apiAccess{endpoint: "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), port: port}, err
}

// editKubeconfig makes a head's kubeconfig one for people. Through a tunnel the API is known by the machine's name,
// which its certificate has, whatever the address.
func (at apiAccess) editKubeconfig(raw []byte, head *api.Machine, cluster string) ([]byte, error) {
	edited, err := kube.EditKubeconfig(raw, cluster, at.endpoint)
	if err != nil || at.port == 0 {
		return edited, err
	}
	return kube.SetTLSServerName(edited, head.Name)
}
