package skypilot

import (
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// publicAPIClouds are the clouds on which the port of the Kubernetes API can be reached from anywhere, as SkyPilot
// 0.14.1 has it: those whose firewall it opens for the one machine, and those of which it says that nothing is closed.
// It is aws too, whose group is ours. Not among them are those where SkyPilot opens nothing; lambda, whose rules are of
// the whole account and stay; and nebius, where machines that reach each other have a group that SkyPilot leaves alone.
var publicAPIClouds = []string{"aws", "azure", "cudo", "do", "fluidstack", "gcp", "oci", "paperspace", "scp", "seeweb"}

// openPortClouds are the clouds where SkyPilot opens further ports to everybody, or nothing has to be opened.
var openPortClouds = append([]string{"lambda", "nebius"}, publicAPIClouds...)

// canOpenAPIPort says whether the API's port can be opened on a cloud as a spec wants it. Ranges of addresses only our
// own group knows.
func canOpenAPIPort(spec api.ClusterSpec, at string) bool {
	return slices.Contains(publicAPIClouds, at) && (spec.APICIDR == "" || at == "aws")
}

// needsTunnel says whether the API is reached through SSH on a cloud.
func needsTunnel(spec api.ClusterSpec, at string) bool {
	return spec.APIAccess == api.APITunnel || spec.APIAccess != api.APIPublic && !canOpenAPIPort(spec, at)
}

// filterPlacementsByAccess leaves out the placements where ports can't be opened although that is asked for, and says
// of the others how the API is reached. Where none is left the error is an *api.FieldError.
func filterPlacementsByAccess(spec api.ClusterSpec, all []api.Placement) ([]api.Placement, error) {
	var kept []api.Placement
	var closed, shut []string // by the names of clouds: no port of the API's, no ports at all
	for _, p := range all {
		switch {
		case len(spec.Ports) > 0 && !slices.Contains(openPortClouds, p.Cloud):
			shut = append(shut, p.Cloud)
		case spec.APIAccess == api.APIPublic && !canOpenAPIPort(spec, p.Cloud):
			closed = append(closed, p.Cloud)
		default:
			p.Tunnel = needsTunnel(spec, p.Cloud)
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
		return nil, newFieldError("api_access", spec.APIAccess, "auto or tunnel beside api_cidr on "+
			strings.Join(closed, ", ")+
			", where the port can be opened to everybody or to nobody")
	}
	return nil, newFieldError("api_access", spec.APIAccess, "auto or tunnel on "+strings.Join(closed, ", ")+
		", where the port can't be opened")
}
