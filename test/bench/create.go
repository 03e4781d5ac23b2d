package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	docker "github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
)

const (
	createTarget = 1.15 // times the script
	hostCount    = 3
	hostCPUs     = 2
	hostMemory   = 4 // GiB
	benchLabel   = "skyctl-bench"
)

// byHandScripts are what people would write who do the same without skyctl.
//
//go:embed byhand.sh restorebyhand.sh byhand_hosts.sh
var byHandScripts embed.FS

// createBench creates the same cluster in two ways.
type createBench struct {
	*bench
	place   *installation
	engine  *docker.Client
	network string   // of skyctl's hosts; the scripts use a similar name
	scripts string   // their directory
	env     []string // of the scripts
}

// measureCreate alternates creates of skyctl with the script that does the same by hand.
func measureCreate(ctx context.Context, b *bench) ([]resultRow, error) {
	c, err := newCreateBench(b, "create")
	if err != nil {
		return nil, err
	}
	defer c.engine.Close()
	if _, err := c.place.startServer(ctx); err != nil {
		return nil, err
	}
	// The first of each is not counted: it builds the host image if necessary and fills the caches.
	if _, err := c.createWithSkyctl(ctx, "warm"); err != nil {
		return nil, err
	}
	if _, err := c.createByHand(ctx, "warm"); err != nil {
		return nil, err
	}
	var ours, hand, pairs sample
	for i := range b.rounds {
		turns := []struct {
			do   func(context.Context, string) (time.Duration, error)
			took *sample
		}{{c.createWithSkyctl, &ours}, {c.createByHand, &hand}}
		if i%2 == 1 {
			slices.Reverse(turns)
		}
		for _, t := range turns {
			awaitQuietMachine(ctx)
			took, err := t.do(ctx, strconv.Itoa(i))
			if err != nil {
				return nil, err
			}
			t.took.addValue(float64(took) / float64(time.Millisecond))
		}
		pairs.addValue(ours[i] / hand[i])
		b.logProgress("  round %d: skyctl %.2f s, by hand %.2f s: %.2f times", i+1, ours[i]/1000, hand[i]/1000,
			pairs[i])
	}
	const name = "by hand"
	return []resultRow{
		{what: fmt.Sprintf("create --wait, %d Docker hosts to READY", hostCount), value: ours.formatSeconds(),
			target: fmt.Sprintf("at most %.2f x by hand", createTarget),
			ratio: fmt.Sprintf("%s (by round %.2f-%.2f)", ours.formatRatio(hand, name), pairs.minValue(),
				pairs.maxValue()),
			met: ours.medianRatio(hand) <= createTarget},
		{what: "baseline: the same by hand (byhand.sh)", value: hand.formatSeconds()},
	}, nil
}

// newCreateBench prepares an installation of a name, with more settings, and the scripts.
func newCreateBench(b *bench, name string, settings ...string) (*createBench, error) {
	engine, err := docker.NewClientWithOpts(docker.FromEnv, docker.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	c := &createBench{bench: b, engine: engine, network: "skyctl-bench-" + name + "-" + b.id,
		scripts: filepath.Join(b.dir, name+"-scripts")}
	if err := os.CopyFS(c.scripts, byHandScripts); err != nil {
		return nil, err
	}
	// skyd is stopped first: it would replace hosts that are removed.
	b.addCleanup(func() error { return c.removeHosts(context.Background()) })
	version, err := os.ReadFile(filepath.Join(b.kit, "version"))
	if err != nil {
		return nil, err
	}
	c.place, err = b.newInstallation(name, append(settings, "SKYCTL_RKE2_SOURCE="+b.kit,
		"SKYCTL_RKE2_VERSION="+strings.TrimSpace(string(version)), "SKYCTL_DOCKER_NETWORK="+c.network)...)
	if err != nil {
		return nil, err
	}
	tarball := fmt.Sprintf("rke2.linux-%s.tar.gz", runtime.GOARCH)
	sums, err := os.ReadFile(filepath.Join(b.kit, fmt.Sprintf("sha256sum-%s.txt", runtime.GOARCH)))
	if err != nil {
		return nil, err
	}
	sum, _, _ := strings.Cut(string(sums), " ") // the kit has one file
	c.env = []string{
		"HOME=" + os.Getenv("HOME"), "PATH=" + os.Getenv("PATH"), "DOCKER_HOST=" + os.Getenv("DOCKER_HOST"),
		"LABEL=" + benchLabel + "=" + b.id, "NETWORK=" + c.network + "-hand",
		fmt.Sprintf("CPUS=%d", hostCPUs), fmt.Sprintf("MEMORY_GIB=%d", hostMemory),
		"TARBALL=" + filepath.Join(b.kit, tarball), "SHA256=" + sum,
	}
	if b.trace {
		c.env = append(c.env, "TRACE=1")
	}
	return c, nil
}

// createWithSkyctl measures one create as a user sees it, and deletes the cluster.
func (c *createBench) createWithSkyctl(ctx context.Context, round string) (time.Duration, error) {
	name := "bench-" + c.id[:min(8, len(c.id))] + "-" + round
	began := time.Now()
	_, err := c.place.runSkyctl(ctx, "create", "cluster", name, "--provision", "--cloud", "docker", "--cpus",
		strconv.Itoa(hostCPUs),
		"--memory", strconv.Itoa(hostMemory), "--num_nodes", strconv.Itoa(hostCount), "--wait")
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	cfg, err := c.place.loadConfig()
	if err != nil {
		return 0, err
	}
	out, err := c.place.runSkyctl(ctx, "get", "cluster", name, "-o", "json")
	if err != nil {
		return 0, err
	}
	var cluster api.Cluster
	if err := json.Unmarshal([]byte(out), &cluster); err != nil {
		return 0, err
	}
	var nodes []string
	for _, m := range cluster.Status.Machines {
		nodes = append(nodes, m.NodeName)
	}
	if err := checkNodesReady(ctx, filepath.Join(cfg.ClusterDir(name), "kubeconfig"), nodes); err != nil {
		return 0, err
	}
	if err := c.copyHostSettings(ctx, api.MachineName(name, 1)); err != nil {
		return 0, err
	}
	_, err = c.place.runSkyctl(ctx, "delete", "cluster", name, "--yes", "--wait")
	return took, err
}

// copyHostSettings gives the script's hosts the image and privileges of skyctl's hosts.
func (c *createBench) copyHostSettings(ctx context.Context, name string) error {
	host, err := c.engine.ContainerInspect(ctx, name)
	if err != nil {
		return err
	}
	c.env = append(slices.DeleteFunc(c.env, func(e string) bool {
		return strings.HasPrefix(e, "IMAGE=") || strings.HasPrefix(e, "PRIVILEGED=")
	}), "IMAGE="+host.Config.Image, fmt.Sprintf("PRIVILEGED=%t", host.HostConfig.Privileged))
	return nil
}

// createByHand measures one run of the script, and removes what it created.
func (c *createBench) createByHand(ctx context.Context, round string) (time.Duration, error) {
	work := filepath.Join(c.dir, "byhand-"+round)
	if err := os.Mkdir(work, 0o700); err != nil {
		return 0, err
	}
	name := "hand-" + c.id
	env := append(slices.Clone(c.env), "NAME="+name, "WORK="+work)
	began := time.Now()
	_, err := c.runProgram(ctx, env, "bash", filepath.Join(c.scripts, "byhand.sh"))
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	var nodes []string
	for n := range hostCount {
		nodes = append(nodes, fmt.Sprintf("%s-%d", name, n))
	}
	if err := checkNodesReady(ctx, filepath.Join(work, "kubeconfig"), nodes); err != nil {
		return 0, err
	}
	return took, c.removeHosts(ctx)
}

// checkNodesReady checks that a cluster has exactly these Nodes, all of them Ready.
func checkNodesReady(ctx context.Context, kubeconfig string, nodes []string) error {
	data, err := os.ReadFile(kubeconfig)
	if err != nil {
		return err
	}
	client, err := kube.NewClient(data)
	if err != nil {
		return err
	}
	ready, not, err := kube.CheckNodesReady(ctx, client, nodes)
	if err != nil {
		return err
	}
	if len(ready) != hostCount {
		return fmt.Errorf("%d of %d Nodes are Ready at the end: %v", len(ready), hostCount, not)
	}
	return nil
}

// removeHosts removes the hosts and networks of this run: the script's and any that skyctl has left.
func (c *createBench) removeHosts(ctx context.Context) error {
	var errs []error
	for _, f := range []filters.KeyValuePair{
		filters.Arg("label", benchLabel+"="+c.id), filters.Arg("network", c.network),
	} {
		found, err := c.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(f)})
		errs = append(errs, err)
		for _, host := range found {
			errs = append(errs, c.engine.ContainerRemove(ctx, host.ID,
				container.RemoveOptions{Force: true, RemoveVolumes: true}))
		}
	}
	found, err := c.engine.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name",
		c.network))})
	errs = append(errs, err)
	for _, n := range found {
		errs = append(errs, c.engine.NetworkRemove(ctx, n.ID))
	}
	return errors.Join(errs...)
}
