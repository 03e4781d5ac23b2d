package docker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/system"

	"github.com/sky-shift/skyctl/pkg/api"

	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
)

// Defaults if the spec says nothing, which are what a server needs, and the minimum of a worker.
const (
	defaultCPUs      = api.MinServerCPUs
	defaultMemoryGiB = api.MinServerMemoryGiB
	minMemoryGiB     = 1
	// memoryShare is the part of the computer's memory that the hosts of a cluster share if it has less than
	// defaultMemoryGiB for each of them.
	memoryShare = 0.8
)

// infoTimeout is how long an engine may take to describe itself on a very busy computer.
const infoTimeout = 15 * time.Second

// engineCapacity is the capacity of the engine's computer. freeDiskGiB is 0 if it is unknown.
type engineCapacity struct {
	cpus        int
	memoryGiB   float64
	freeDiskGiB float64
	// diskGiB is the size of that disk; 0 if it is unknown.
	diskGiB float64
}

// ValidateSpec checks that hosts can run on the engine's computer, the spec against its size, and that the name of the
// hosts' network is free.
func (c *Cloud) ValidateSpec(ctx context.Context, spec api.GroupSpec) error {
	if err := c.refuseComputer(ctx); err != nil {
		return err
	}
	has, err := c.readCapacity(ctx)
	if err != nil {
		return err
	}
	_, err = choosePlacement(spec, api.Neighbors{}, has)
	return errors.Join(err, c.network.CheckName(ctx))
}

// RankPlacements returns the only placement, which is free of charge, with the size of each host. The defaults are 2
// CPUs (or all, if there are fewer), and 4 GiB. If the other hosts of the cluster leave less than that for each, it is
// an equal share of 80 % of what they leave, at least 1 GiB, which is enough for workers only. Hosts that join a pool
// are as large as its others if there is room.
func (c *Cloud) RankPlacements(ctx context.Context, spec api.GroupSpec,
	beside api.Neighbors) ([]api.Placement, error) {
	has, err := c.readCapacity(ctx)
	if err != nil {
		return nil, err
	}
	p, err := choosePlacement(spec, beside, has)
	if err != nil {
		return nil, err
	}
	return []api.Placement{p}, nil
}

func (c *Cloud) readCapacity(ctx context.Context) (engineCapacity, error) {
	soon, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	info, err := c.engine.API.Info(soon)
	if err != nil {
		return engineCapacity{}, c.engine.WrapError("ask the Docker engine what its machine has", err)
	}
	return c.capacityFromInfo(info), nil
}

func (c *Cloud) capacityFromInfo(info system.Info) engineCapacity {
	has := engineCapacity{cpus: info.NCPU, memoryGiB: float64(info.MemTotal) / engine.GiB}
	var fs syscall.Statfs_t
	if c.engine.IsLocal() && syscall.Statfs(info.DockerRootDir, &fs) == nil {
		has.freeDiskGiB, has.diskGiB = float64(fs.Bavail)*float64(fs.Bsize)/engine.GiB, float64(fs.Blocks)*float64(
			fs.Bsize)/engine.GiB
	}
	return has
}

// usedFields are the fields of machines in a spec that cloud docker meets: its machines cost nothing, for example.
var usedFields = []string{"cloud", "region", "cpus", "memory", "disk_size", "max_hourly_cost", "ports",
	"api_access"}

// refusedFields are the fields of machines that cloud docker refuses, with what to do.
var refusedFields = map[string]string{
	"zone":         "cloud docker has no zones: omit it",
	"use_spot":     "cloud docker has no spot machines, and its machines are free: omit it",
	"ssh_user":     "cloud docker logs in with the user of its own image: omit it",
	"image_id":     "cloud docker builds its image itself: omit it, or set docker.image for the installation",
	"api_cidr":     "the API of a cluster on cloud docker is reached from this computer only: omit it",
	"accelerators": "cloud docker has none: omit it, or choose a cloud that has them",
}

// choosePlacement sizes the hosts of a spec, or returns what is wrong with the spec.
func choosePlacement(spec api.GroupSpec, beside api.Neighbors, has engineCapacity) (api.Placement, error) {
	nodes := max(1, spec.NumNodes)
	p := api.Placement{Cloud: Name, Region: Region, Tunnel: spec.APIAccess == api.APITunnel}
	wanted, err := spec.MachineRequest()
	wrong := []error{err}
	if spec.Region != "" && spec.Region != Region {
		wrong = append(wrong, newFieldError("region", spec.Region, "cloud docker has the region %s only", Region))
	}
	for _, f := range api.Fields {
		if want := refusedFields[f.Name]; want != "" && f.Text(spec) != "" {
			wrong = append(wrong, newFieldError(f.Name, f.Text(spec), "%s", want))
		}
	}
	p.CPUs, err = chooseCPUs(wanted.CPUs, has)
	wrong = append(wrong, err)
	p.MemoryGiB, err = chooseMemory(wanted.MemoryGiB, beside, has, nodes)
	wrong = append(wrong, err)
	p.DiskGiB, err = chooseDiskSize(wanted.DiskGiB, has, nodes+beside.Unsized)
	return p, errors.Join(append(wrong, err)...)
}

func newFieldError(field, value, want string, args ...any) error {
	return &api.FieldError{Field: field, Value: value, Want: fmt.Sprintf(want, args...)}
}

func chooseCPUs(wanted api.Quantity, has engineCapacity) (float64, error) {
	switch {
	case !wanted.IsSet():
		return float64(min(defaultCPUs, has.cpus)), nil
	case wanted.Value > has.cpus:
		return 0, newFieldError("cpus", wanted.String(), "at most %d on cloud docker: this computer has no more",
			has.cpus)
	}
	return float64(wanted.Value), nil // also the least that satisfies "4+"
}

// chooseMemory returns the memory of each host. Hosts of the cluster that exist keep theirs; those that are placed at
// the same time, and have no size yet, get an equal share of the rest.
func chooseMemory(wanted api.Quantity, beside api.Neighbors, has engineCapacity, nodes int) (float64, error) {
	free := has.memoryGiB - beside.MemoryGiB
	most := free / float64(nodes+beside.Unsized)
	each := max(minMemoryGiB, float64(wanted.Value))
	switch {
	case beside.Machines > 0 && most < each && (!wanted.IsSet() || each <= free):
		room := max(0, int(free/each)-beside.Unsized)
		return 0, newFieldError("replicas", strconv.Itoa(beside.InPool+nodes),
			"at most %d on cloud docker: each machine needs %.0f GiB, and the cluster's other machines leave %.1f "+
				"of the "+
				"%.1f GiB that this computer has", beside.InPool+room, each, max(0, free), has.memoryGiB)
	case beside.Machines > 0 && most < each:
		return 0, newFieldError("memory", wanted.String(), "at most %d on cloud docker: the cluster's other machines "+
			"leave %.1f of the %.1f GiB that this computer has", int(max(0, free)), max(0, free), has.memoryGiB)
	case most < minMemoryGiB:
		return 0, newFieldError("num_nodes", strconv.Itoa(nodes),
			"at most %d on cloud docker: each node needs %d GiB of the %.1f GiB that this computer has",
			int(has.memoryGiB/minMemoryGiB), minMemoryGiB, has.memoryGiB)
	case !wanted.IsSet() && beside.PoolMemoryGiB > 0 && beside.PoolMemoryGiB <= most:
		return beside.PoolMemoryGiB, nil
	case !wanted.IsSet() && most >= defaultMemoryGiB:
		return defaultMemoryGiB, nil
	case !wanted.IsSet():
		return max(minMemoryGiB, roundDownTo(memoryShare*most, 0.25)), nil
	case float64(wanted.Value) > most:
		return 0, newFieldError("memory", wanted.String(),
			"at most %d on cloud docker: %d nodes share the %.1f GiB that this computer has", int(most), nodes,
			has.memoryGiB)
	}
	return float64(wanted.Value), nil
}

// evictionThreshold is the share of a disk below which kubelets evict pods (see RKE2's configuration). The kubelets of
// hosts see the whole disk of the engine's computer.
const evictionThreshold = 0.05

// usableDiskGiB is what hosts can use before their kubelets evict pods.
func (c engineCapacity) usableDiskGiB() float64 {
	return max(0, c.freeDiskGiB-evictionThreshold*c.diskGiB)
}

// chooseDiskSize checks the size. An engine cannot reserve it, so a host can use all the free space.
func chooseDiskSize(wanted int, has engineCapacity, nodes int) (float64, error) {
	most := math.Floor(has.usableDiskGiB() / float64(nodes))
	switch {
	case wanted == 0:
		return most, nil
	case has.freeDiskGiB > 0 && float64(wanted) > most:
		return 0, newFieldError("disk_size", strconv.Itoa(wanted), "at most %.0f on cloud docker: %d nodes share the "+
			"%.1f GiB that are free where Docker keeps its data, less the 5%% of the disk below which the kubelet "+
			"evicts pods", most, nodes, has.freeDiskGiB)
	}
	return float64(wanted), nil
}

func roundDownTo(f, step float64) float64 { return math.Floor(f/step) * step }
