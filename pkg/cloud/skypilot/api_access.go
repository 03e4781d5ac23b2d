package skypilot

import (
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/rke2config"
)

// publicAPIClouds are the clouds on which the port of the Kubernetes API can be reached from anywhere, according to
// SkyPilot 0.14.1: those whose firewall it opens for one machine, and those of which it says that nothing is closed. On
// aws the security group is ours. Not included are clouds on which SkyPilot opens nothing; lambda, whose rules apply to
// the whole account and remain; and nebius, where machines that reach each other have a group that SkyPilot does not
// change.
var publicAPIClouds = []string{"aws", "azure", "cudo", "do", "fluidstack", "gcp", "oci", "paperspace", "scp", "seeweb"}

// openPortClouds are the clouds on which SkyPilot opens further ports to everyone, or no port is closed.
var openPortClouds = append([]string{"lambda", "nebius"}, publicAPIClouds...)

// exposedClouds are the clouds on which no port is closed: SkyPilot supports open ports there, and does nothing to open
// them.
var exposedClouds = []string{"cudo", "do", "fluidstack", "paperspace", "seeweb"}

// canOpenAPIPort reports whether the API's port can be opened on a cloud as a spec requests. Only our own group
// supports ranges of addresses.
func canOpenAPIPort(spec api.GroupSpec, at string) bool {
	return slices.Contains(publicAPIClouds, at) && (spec.APICIDR == "" || at == "aws")
}

// needsTunnel reports whether clients reach the API through SSH on a cloud.
func needsTunnel(spec api.GroupSpec, at string) bool {
	return spec.APIAccess == api.APITunnel || spec.APIAccess != api.APIPublic && !canOpenAPIPort(spec, at)
}

// filterPlacementsByAccess leaves out placements on which the requested ports cannot be opened, and sets how the API is
// reached on the others. If none is left, the error is an *api.FieldError.
func filterPlacementsByAccess(spec api.GroupSpec, all []api.Placement) ([]api.Placement, error) {
	var kept []api.Placement
	all, err := filterPlacementsByCNI(spec, all)
	if err != nil {
		return nil, err
	}
	var closed, shut []string // clouds that cannot open the API's port, and those that cannot open any port
	for _, p := range all {
		switch {
		case len(spec.Ports) > 0 && !slices.Contains(openPortClouds, p.Cloud):
			shut = append(shut, p.Cloud)
		case spec.APIAccess == api.APIPublic && !canOpenAPIPort(spec, p.Cloud):
			closed = append(closed, p.Cloud)
		default:
			p.Tunnel, p.Exposed = needsTunnel(spec, p.Cloud), slices.Contains(exposedClouds, p.Cloud)
			kept = append(kept, p)
		}
	}
	closed, shut = slices.Compact(closed), slices.Compact(shut)
	switch {
	case len(kept) > 0 || len(closed)+len(shut) == 0:
		return kept, nil
	case len(closed) == 0:
		return nil, newFieldError("ports", strings.Join(spec.Ports, ","), "none on "+strings.Join(shut, ", ")+
			", where SkyPilot opens no ports")
	case spec.APICIDR != "":
		return nil, newFieldError("api_access", spec.APIAccess, "auto or tunnel with api_cidr on "+
			strings.Join(closed, ", ")+
			", where the port can only be opened to everyone")
	}
	return nil, newFieldError("api_access", spec.APIAccess, "auto or tunnel on "+strings.Join(closed, ", ")+
		", where the port cannot be opened")
}

// filterPlacementsByCNI leaves out placements where strangers reach the pod network, if skyctl cannot encrypt it: it
// can for canal. One that people bring themselves is theirs to protect.
func filterPlacementsByCNI(spec api.GroupSpec, all []api.Placement) ([]api.Placement, error) {
	if api.EncryptsPods(spec.CNI) || spec.CNI == rke2config.None {
		return all, nil
	}
	var kept []api.Placement
	var exposed []string
	for _, p := range all {
		if slices.Contains(exposedClouds, p.Cloud) {
			exposed = append(exposed, p.Cloud)
		} else {
			kept = append(kept, p)
		}
	}
	if len(kept) == 0 && len(exposed) > 0 {
		return nil, newFieldError("cni", spec.CNI, rke2config.DefaultCNI+" on "+
			strings.Join(slices.Compact(exposed), ", ")+
			", where no port is closed: skyctl encrypts the traffic of its "+
			"pods between machines")
	}
	return kept, nil
}
