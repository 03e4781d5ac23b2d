package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/test/scriptedcloud"
	"github.com/sky-shift/skyctl/test/simcloud"
)

const (
	// scaleTarget is the target for a cluster of scaleTargetSize machines, as a multiple of the ideal.
	scaleTarget, scaleTargetSize = 1.5, 250
	// growFrom is how many machines a cluster has before it grows.
	growFrom = 30
	// crowdMachines are the machines of each of many clusters.
	crowdMachines = 3
	// scaleLimit limits the wait for a cluster.
	scaleLimit = 15 * time.Minute
	// joinsAtOnce is how many machines of a cluster join at the same time; see workflows.
	joinsAtOnce = 50
)

// delays are those of every simulated machine.
var delays = scriptedcloud.Delays{Boot: time.Second, Install: time.Second / 2, Server: time.Second, Join: time.Second,
	Node: time.Second / 2}

// idealCreate is how long a create takes if nothing but the delays takes time.
func idealCreate(machines int) time.Duration {
	return delays.Boot + delays.Install + delays.Server + idealJoins(machines-1) + delays.Node
}

// idealGrowth is the same for new machines of a cluster that runs.
func idealGrowth(machines int) time.Duration {
	return delays.Boot + delays.Install + idealJoins(machines) + delays.Node
}

func idealJoins(machines int) time.Duration {
	return time.Duration((machines+joinsAtOnce-1)/joinsAtOnce) * delays.Join
}

// measureScale creates large clusters, lets one grow, and creates many clusters at once. Each part has new servers.
func measureScale(ctx context.Context, b *bench) ([]resultRow, error) {
	var rows []resultRow
	measure := func(name string, do func(*scaleBench) ([]resultRow, error)) error {
		s, err := b.startScaleBench(ctx, name)
		if err != nil {
			return err
		}
		more, err := do(s)
		rows = append(rows, more...)
		return errors.Join(err, s.stop())
	}
	for text := range strings.SplitSeq(b.machines, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-machines %s: want numbers from 1, separated by commas", b.machines)
		}
		if err := measure(fmt.Sprintf("create-%d", n), func(s *scaleBench) ([]resultRow, error) {
			return s.measureLargeCreate(ctx, n)
		}); err != nil {
			return nil, err
		}
	}
	if b.growTo > growFrom {
		if err := measure("grow", func(s *scaleBench) ([]resultRow, error) {
			return s.measureGrowth(ctx, b.growTo)
		}); err != nil {
			return nil, err
		}
	}
	if b.clusters == 0 {
		return rows, nil
	}
	return rows, measure("crowd", func(s *scaleBench) ([]resultRow, error) { return s.measureCrowd(ctx, b.clusters) })
}

// newScaleCluster returns a cluster of simulated machines that may grow.
func newScaleCluster(name string, machines int) *api.Cluster {
	spec := api.GroupSpec{Manager: "k8", Cloud: simcloud.Name, CPUs: "2+", NumNodes: machines, Provision: true}
	if machines > api.MaxNumNodes {
		spec.MaxNodes = machines
	}
	return api.NewCluster(name, "", spec, nil, time.Now())
}

// createCluster creates a cluster and waits until it is READY.
func createCluster(ctx context.Context, ops *client.Client, name string, machines int) (*api.Cluster, error) {
	created, err := ops.CreateCluster(ctx, newScaleCluster(name, machines), client.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create %s of %d machines: %w", name, machines, err)
	}
	return ops.AwaitReady(ctx, created.Cluster.Ref(), scaleLimit, func(client.Progress) {})
}

// measureLargeCreate creates one cluster.
func (s *scaleBench) measureLargeCreate(ctx context.Context, machines int) ([]resultRow, error) {
	ops := s.newClient()
	defer ops.Close()
	u, err := s.measureUsage(ctx, func() error {
		_, err := createCluster(ctx, ops, "large", machines)
		return err
	})
	if err != nil {
		return nil, err
	}
	return u.toRows(fmt.Sprintf("create of %d simulated machines to READY", machines), idealCreate(machines),
		machines == scaleTargetSize), nil
}

// measureGrowth scales a cluster up.
func (s *scaleBench) measureGrowth(ctx context.Context, machines int) ([]resultRow, error) {
	ops := s.newClient()
	defer ops.Close()
	c, err := createCluster(ctx, ops, "growing", growFrom)
	if err != nil {
		return nil, err
	}
	u, err := s.measureUsage(ctx, func() error {
		changed, err := ops.ChangeSpec(ctx, c, func(c *api.Cluster) error { return c.Spec.ScaleTo(machines) })
		if err = errors.Join(err, changed.Unstarted); err != nil {
			return err
		}
		_, err = ops.AwaitChange(ctx, changed.Cluster, client.Goal{}, scaleLimit, func(client.Progress) {})
		return err
	})
	if err != nil {
		return nil, err
	}
	return u.toRows(fmt.Sprintf("scale from %d to %d simulated machines", growFrom, machines),
		idealGrowth(machines-growFrom), machines == scaleTargetSize), nil
}

// measureCrowd creates many clusters at once, each with a client of its own, as many people do.
func (s *scaleBench) measureCrowd(ctx context.Context, clusters int) ([]resultRow, error) {
	var (
		mu    sync.Mutex
		took  sample
		fails []error
		all   sync.WaitGroup
	)
	u, err := s.measureUsage(ctx, func() error {
		began := time.Now()
		for i := range clusters {
			all.Go(func() {
				ops := s.newClient()
				defer ops.Close()
				_, err := createCluster(ctx, ops, fmt.Sprintf("crowd-%03d", i), crowdMachines)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					fails = append(fails, err)
					return
				}
				took.addElapsed(began)
			})
		}
		all.Wait()
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, err := range fails {
		s.logProgress("  %v", err)
	}
	rows := []resultRow{{what: fmt.Sprintf("READY of %d creates of %d simulated machines at once", clusters,
		crowdMachines), value: fmt.Sprintf("%d, %.0f a minute", len(took), float64(len(took))/u.wall.Minutes()),
		target: "all", met: len(took) == clusters}}
	if len(took) > 0 {
		ideal := idealCreate(crowdMachines)
		rows = append(rows, resultRow{what: "each of them", value: took.formatSeconds(),
			ratio: fmt.Sprintf("%.2f x its delays (%.1f s)", took.median()/1000/ideal.Seconds(), ideal.Seconds())})
	}
	return append(rows, u.toCostRows()...), nil
}
