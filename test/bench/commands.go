package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/store"
	"github.com/sky-shift/skyctl/test/fixture"
)

const (
	storedClusters = 1000
	getTarget      = 60 // ms
	versionTarget  = 25 // ms
)

// measureCommands alternates commands with a program that does nothing, each as a process of its own.
func measureCommands(ctx context.Context, b *bench) ([]resultRow, error) {
	nothing := filepath.Join(b.dir, "nothing")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", nothing, "./test/bench/nothing")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the baseline: %w\n%s", err, out)
	}
	p, err := b.newInstallation("commands")
	if err != nil {
		return nil, err
	}
	if _, err := p.startServer(ctx); err != nil {
		return nil, err
	}
	b.logProgress("  storing %d clusters", storedClusters)
	if err := fillStore(ctx, p); err != nil {
		return nil, err
	}
	awaitQuietMachine(ctx)
	var base, version, get sample
	for i := range b.spawns + 3 {
		if i == 3 { // the first runs have cold caches
			base, version, get = nil, nil, nil
		}
		began := time.Now()
		if _, err := b.runProgram(ctx, p.env, nothing); err != nil {
			return nil, err
		}
		base.addElapsed(began)
		began = time.Now()
		if _, err := p.runSkyctl(ctx, "version"); err != nil {
			return nil, err
		}
		version.addElapsed(began)
		began = time.Now()
		out, err := p.runSkyctl(ctx, "get", "clusters")
		if err != nil {
			return nil, err
		}
		get.addElapsed(began)
		if n := strings.Count(out, "bench-"); n != storedClusters {
			return nil, fmt.Errorf("get clusters showed %d clusters of %d", n, storedClusters)
		}
	}
	const name = "a Go program that does nothing"
	return []resultRow{
		{what: fmt.Sprintf("skyctl get clusters, %d stored", storedClusters), value: get.formatMillis(),
			target: fmt.Sprintf("under %d ms", getTarget),
			ratio:  get.formatRatio(base, name), met: get.median() < getTarget},
		{what: "skyctl version", value: version.formatMillis(), target: fmt.Sprintf("under %d ms", versionTarget),
			ratio: version.formatRatio(base, name), met: version.median() < versionTarget},
		{what: "baseline: " + name, value: base.formatMillis()},
	}, nil
}

// fillStore writes clusters with complete records and three machines each.
func fillStore(ctx context.Context, p *installation) error {
	s, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range storedClusters {
		group.Go(func() error { return storeSampleCluster(ctx, s, i) })
	}
	return group.Wait()
}

func storeSampleCluster(ctx context.Context, s *store.Store, i int) error {
	now := time.Now().UTC().Add(-time.Duration(i) * time.Minute)
	spec := api.GroupSpec{Cloud: "aws", Region: "us-east-1", CPUs: "2+", Memory: "8+", DiskSize: 80,
		Ports:    []string{"30000-30100"},
		NumNodes: 3, Provision: true}
	name := fmt.Sprintf("bench-%04d", i)
	c := api.NewCluster(name, fmt.Sprintf("00000000-0000-4000-8000-%012d", i), spec,
		map[string]string{"team": "research", "env": "dev"}, now)
	place := api.Placement{Cloud: "aws", Region: "us-east-1", Zone: "us-east-1a", InstanceType: "m6i.large", CPUs: 2,
		MemoryGiB: 8, DiskGiB: 80,
		PricePerMachine: 0.096, PriceTotal: 0.288}
	c.Status.SetPhase(api.PhaseProvisioning, "", now)
	for _, t := range []api.ConditionType{api.MachinesLaunched, api.MachinesPrepared, api.ControlPlaneReady,
		api.NodesReady} {
		c.Status.SetCondition(api.Condition{Type: t, Status: api.ConditionTrue}, now)
	}
	c.Status.SetPhase(api.PhaseReady, "", now)
	c.Status.Placement = &place
	c.Status.Resources = api.Resources{CPUs: api.Amount{Available: 5.5, Total: 6},
		Memory: api.Amount{Available: 22.1, Total: 24},
		Disk:   api.Amount{Available: 239.15, Total: 239.15}}
	c.Status.Versions = api.Versions{RKE2: "v1.35.7+rke2r1", Kubernetes: "v1.35.7+rke2r1"}
	c.Status.Endpoint = fmt.Sprintf("https://203.0.113.%d:6443", i%250+1)
	c.Status.Artifacts = &api.Artifacts{Version: "v1.35.7+rke2r1",
		Source: "https://github.com/rancher/rke2/releases/download",
		SHA256: map[string]string{"amd64": fmt.Sprintf("%064x", i), "arm64": fmt.Sprintf("%064x", i+1)}}
	stored, err := s.CreateCluster(ctx, c)
	if err != nil {
		return err
	}
	machines := make([]api.Machine, spec.NumNodes)
	for n := range machines {
		at := api.MachineName(name, n)
		machines[n] = api.Machine{Index: n, Name: at, Incarnation: "abcde", NodeName: at + "-abcde",
			Role: fixture.RoleAt(n), State: api.MachineReady,
			Since: now, Placement: place, CloudID: fmt.Sprintf("i-%017x", i),
			Address:        fmt.Sprintf("203.0.113.%d", i%250+1),
			PrivateAddress: fmt.Sprintf("10.0.%d.%d", n, i%250+1), SSHUser: "ubuntu", SSHPort: 22,
			HostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" +
				strings.Repeat("A", 43), ReservedAt: now, LaunchedAt: now, ReadyAt: now}
	}
	return s.PutMachines(ctx, api.Ref{Name: name, UID: stored.Metadata.UID}, machines)
}
