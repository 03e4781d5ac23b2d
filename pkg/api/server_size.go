package api

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/sky-shift/skyctl/pkg/rke2config"
)

// The smallest machine of a server, in CPUs and GiB: the minimum of RKE2's documentation (rke2-docs 9477b7b1,
// docs/install/requirements.md). ServerOverhead says why less does not work: the pods of a server would not fit.
const (
	MinServerCPUs      = 2
	MinServerMemoryGiB = 4
)

// NodeOverhead is what RKE2's own pods request of a machine before anything else runs there.
type NodeOverhead struct {
	MilliCPUs int
	MemoryMiB int
}

// kubeProxyOverhead, controlPlaneOverhead and canalOverhead are the requests of RKE2 v1.36.4: of its static pods
// (rke2 6ce1a80, pkg/podtemplate/config.go) and of its default network (rke2-charts 262e21a4,
// packages/rke2-canal/charts/values.yaml, which requests no memory). CoreDNS, the metrics server and an ingress
// controller come on top, on machines that the scheduler chooses.
var (
	kubeProxyOverhead = NodeOverhead{MilliCPUs: 250, MemoryMiB: 128}
	// controlPlaneOverhead is that of kube-apiserver, kube-scheduler, kube-controller-manager, etcd and
	// cloud-controller-manager.
	controlPlaneOverhead = NodeOverhead{MilliCPUs: 250 + 100 + 200 + 200 + 100, MemoryMiB: 1024 + 128 + 256 + 512 + 128}
	canalOverhead        = NodeOverhead{MilliCPUs: 250}
)

// OverheadOf returns what RKE2's own pods request at least of each machine with a role, in a cluster with a network
// plugin. A worker of 1 CPU and 1 GiB, the smallest that can be requested, has room for them. What other plugins than
// canal request is left to their own settings, and not counted.
func OverheadOf(role Role, cni string) NodeOverhead {
	total := kubeProxyOverhead
	if cni == "" || cni == rke2config.DefaultCNI {
		total = total.plus(canalOverhead)
	}
	if role == RoleHead {
		total = total.plus(controlPlaneOverhead)
	}
	return total
}

func (o NodeOverhead) plus(other NodeOverhead) NodeOverhead {
	return NodeOverhead{MilliCPUs: o.MilliCPUs + other.MilliCPUs, MemoryMiB: o.MemoryMiB + other.MemoryMiB}
}

// String says it for people: "1.35 CPUs and 2.1 GiB".
func (o NodeOverhead) String() string {
	return fmt.Sprintf("%s CPUs and %.1f GiB", strconv.FormatFloat(float64(o.MilliCPUs)/1000, 'f', -1, 64),
		float64(o.MemoryMiB)/1024)
}

// DescribeOverhead says what RKE2's own pods request of the machines of a cluster with a network plugin and so many
// workers.
func DescribeOverhead(cni string, workers int) string {
	text := OverheadOf(RoleHead, cni).String() + " of the server"
	if workers > 0 {
		text += fmt.Sprintf(", %s of each worker", OverheadOf(RoleWorker, cni))
	}
	return text
}

// CheckServerSize refuses a group with servers that is requested with less than RKE2 needs. It is for new clusters: one
// of an older version keeps its servers. Its errors are *FieldErrors, joined.
func (s GroupSpec) CheckServerSize() error {
	var errs fieldErrors
	wanted, _ := s.MachineRequest() // Validate says what it could not parse
	if q := wanted.CPUs; q.IsSet() && q.Value < MinServerCPUs {
		errs.addField("cpus", q.String(), s.wantServerSize(MinServerCPUs, "CPUs"))
	}
	if q := wanted.MemoryGiB; q.IsSet() && q.Value < MinServerMemoryGiB {
		errs.addField("memory", q.String(), s.wantServerSize(MinServerMemoryGiB, "GiB"))
	}
	return errs.joinErrors()
}

func (s GroupSpec) wantServerSize(least int, unit string) string {
	return fmt.Sprintf("at least %d %s for the machine of a server: RKE2's own pods request %s there; workers can "+
		"have "+
		"less, in a pool of their own", least, unit, OverheadOf(RoleHead, s.CNI))
}

// FitsServer reports whether a machine of the placement can be a server. A size that the cloud does not tell fits.
func (p Placement) FitsServer() bool {
	return (p.CPUs == 0 || p.CPUs >= MinServerCPUs) && (p.MemoryGiB == 0 || p.MemoryGiB >= MinServerMemoryGiB)
}

// PreferServerSized leaves out the placements of a group with servers that are too small for them. It keeps all of them
// if none is large enough, or if the spec asks for less, as one of an older version can: CheckServerSize and
// CheckServerPlacements refuse that in a new cluster.
func (s GroupSpec) PreferServerSized(placements []Placement) []Placement {
	if s.CheckServerSize() != nil {
		return placements
	}
	isTooSmall := func(p Placement) bool { return !p.FitsServer() }
	if large := slices.DeleteFunc(slices.Clone(placements), isTooSmall); len(large) > 0 {
		return large
	}
	return placements
}

// CheckServerPlacements refuses a group with servers for which no placement is large enough, although the spec leaves
// the size open. It is for new clusters. Its errors are *FieldErrors, joined.
func (s GroupSpec) CheckServerPlacements(placements []Placement) error {
	if len(placements) == 0 || slices.ContainsFunc(placements, Placement.FitsServer) {
		return nil
	}
	best := placements[0]
	for _, p := range placements {
		if p.CPUs*p.MemoryGiB > best.CPUs*best.MemoryGiB {
			best = p
		}
	}
	var errs fieldErrors
	if best.CPUs > 0 && best.CPUs < MinServerCPUs {
		errs.addField("cpus", s.CPUs, s.wantServerSize(MinServerCPUs, "CPUs")+describeTooSmall(best))
	}
	if best.MemoryGiB > 0 && best.MemoryGiB < MinServerMemoryGiB {
		errs.addField("memory", s.Memory, s.wantServerSize(MinServerMemoryGiB, "GiB")+describeTooSmall(best))
	}
	return errs.joinErrors()
}

func describeTooSmall(p Placement) string {
	return fmt.Sprintf("; the largest offer is %s, with %g CPUs and %.1f GiB for each machine", p.Describe(), p.CPUs,
		p.MemoryGiB)
}
