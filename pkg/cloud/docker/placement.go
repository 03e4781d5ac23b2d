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

// What a host gets where the spec leaves it open, and the least that carries Kubernetes.
const (
	defaultCPUs      = 2
	defaultMemoryGiB = 4
	minMemoryGiB     = 1
	// memoryShare is how much of the machine the hosts of a cluster share by default, the rest is the machine's own.
	memoryShare = 0.8
)

// infoTimeout is how long an engine that works may take to tell about itself, on a machine that is very busy.
const infoTimeout = 15 * time.Second

// engineCapacity is what the engine's machine has. FreeDiskGiB is 0 where it can't be known.
type engineCapacity struct {
	cpus        int
	memoryGiB   float64
	freeDiskGiB float64
	// diskGiB is the size of that disk; 0 where it can't be known.
	diskGiB float64
}

// ValidateSpec checks a spec against the engine's machine, and that the network that hosts are to be on can be had.
func (c *Cloud) ValidateSpec(ctx context.Context, spec api.ClusterSpec) error {
	has, err := c.readCapacity(ctx)
	if err != nil {
		return err
	}
	_, err = choosePlacement(spec, has)
	return errors.Join(err, c.network.CheckName(ctx))
}

// RankPlacements returns the one placement there is, free of charge, with what each host gets: where the spec is silent
// 2 cores (or all, where there are fewer), and 4 GiB or an equal share of 80 % of the machine's memory, at least 1 GiB.
func (c *Cloud) RankPlacements(ctx context.Context, spec api.ClusterSpec) ([]api.Placement, error) {
	has, err := c.readCapacity(ctx)
	if err != nil {
		return nil, err
	}
	p, err := choosePlacement(spec, has)
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

// choosePlacement sizes the hosts of a spec for a machine, or says what is wrong with the spec.
func choosePlacement(spec api.ClusterSpec, has engineCapacity) (api.Placement, error) {
	nodes := max(1, spec.NumNodes)
	p := api.Placement{Cloud: Name, Region: Region, Tunnel: spec.APIAccess == api.APITunnel}
	var wrong []error
	refuse := func(field, value, want string, args ...any) {
		wrong = append(wrong, &api.FieldError{Field: field, Value: value, Want: fmt.Sprintf(want, args...)})
	}
	if spec.Region != "" && spec.Region != Region {
		refuse("region", spec.Region, "cloud docker has the region %s only", Region)
	}
	if spec.Zone != "" {
		refuse("zone", spec.Zone, "cloud docker has no zones: leave it out")
	}
	if spec.UseSpot {
		refuse("use_spot", "true", "cloud docker has no spot machines, and its machines are free: leave it out")
	}
	if spec.ImageID != "" {
		refuse("image_id", spec.ImageID, "cloud docker builds its image itself: leave it out, or set docker.image "+
			"for the installation")
	}
	if spec.APICIDR != "" {
		refuse("api_cidr", spec.APICIDR, "the API of a cluster on cloud docker is reached from this machine alone: "+
			"leave it out")
	}
	if spec.Accelerators != "" {
		refuse("accelerators", spec.Accelerators,
			"cloud docker has none: leave it out, or choose a cloud that has them")
	}
	var err error
	if p.CPUs, err = chooseCPUs(spec, has); err != nil {
		wrong = append(wrong, err)
	}
	if p.MemoryGiB, err = chooseMemory(spec, has, nodes); err != nil {
		wrong = append(wrong, err)
	}
	if p.DiskGiB, err = chooseDiskSize(spec, has, nodes); err != nil {
		wrong = append(wrong, err)
	}
	return p, errors.Join(wrong...)
}

func chooseCPUs(spec api.ClusterSpec, has engineCapacity) (float64, error) {
	if spec.CPUs == "" {
		return float64(min(defaultCPUs, has.cpus)), nil
	}
	cpus, err := api.ParseCPUs(spec.CPUs)
	if err != nil {
		return 0, err
	}
	if cpus.Value > has.cpus {
		return 0, &api.FieldError{Field: "cpus", Value: spec.CPUs, Want: fmt.Sprintf(
			"at most %d on cloud docker: that is all this machine has", has.cpus)}
	}
	return float64(cpus.Value), nil // also the least that satisfies "4+"
}

func chooseMemory(spec api.ClusterSpec, has engineCapacity, nodes int) (float64, error) {
	most := has.memoryGiB / float64(nodes)
	if most < minMemoryGiB {
		return 0, &api.FieldError{Field: "num_nodes", Value: strconv.Itoa(nodes), Want: fmt.Sprintf(
			"at most %d on cloud docker: each node needs %d GiB of the %.1f GiB that this machine has",
			int(has.memoryGiB/minMemoryGiB), minMemoryGiB, has.memoryGiB)}
	}
	if spec.Memory == "" {
		share := roundDownTo(memoryShare*most, 0.25)
		return min(defaultMemoryGiB, max(minMemoryGiB, share)), nil
	}
	memory, err := api.ParseMemory(spec.Memory)
	if err != nil {
		return 0, err
	}
	if float64(memory.Value) > most {
		return 0, &api.FieldError{Field: "memory", Value: spec.Memory, Want: fmt.Sprintf(
			"at most %d on cloud docker: %d nodes share the %.1f GiB that this machine has", int(most), nodes,
			has.memoryGiB)}
	}
	return float64(memory.Value), nil
}

// evictionThreshold is the share of a disk that has to stay free: the kubelets of hosts see the whole disk of the
// engine's machine, and evict pods while less than this is (see rke2's configuration).
const evictionThreshold = 0.05

// usableDiskGiB is what hosts can fill before their kubelets evict pods.
func (c engineCapacity) usableDiskGiB() float64 {
	return max(0, c.freeDiskGiB-evictionThreshold*c.diskGiB)
}

// chooseDiskSize checks the size; an engine can't set it apart, so that a host may in truth use what is free.
func chooseDiskSize(spec api.ClusterSpec, has engineCapacity, nodes int) (float64, error) {
	most := math.Floor(has.usableDiskGiB() / float64(nodes))
	if spec.DiskSize == 0 {
		return most, nil
	}
	if has.freeDiskGiB > 0 && float64(spec.DiskSize) > most {
		return 0, &api.FieldError{Field: "disk_size", Value: strconv.Itoa(spec.DiskSize), Want: fmt.Sprintf(
			"at most %.0f on cloud docker: %d nodes share the %.1f GiB that are free where Docker keeps its data, "+
				"less the 5%% of the disk below which the kubelet evicts pods",
			most, nodes, has.freeDiskGiB)}
	}
	return float64(spec.DiskSize), nil
}

func roundDownTo(f, step float64) float64 { return math.Floor(f/step) * step }
