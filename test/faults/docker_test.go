package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/test/dockersim"
)

// engine is this machine's Docker engine behind a proxy that passes on every call.
type engine struct {
	*httputil.ReverseProxy
	t   testing.TB
	api *client.Client
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	proxy.Transport, proxy.FlushInterval = api.HTTPClient().Transport, -1
	return &engine{ReverseProxy: proxy, t: t, api: api}
}

func (e *engine) StopContainer(name string) {
	now := 0
	if err := e.api.ContainerStop(e.t.Context(), name, container.StopOptions{Timeout: &now}); err != nil {
		e.t.Fatal(err)
	}
}

func (e *engine) ListLeftovers(installation string) []string {
	ctx, ours := e.t.Context(), filters.NewArgs(filters.Arg("label", cloud.LabelInstallation+"="+installation))
	var left []string
	containers, err := e.api.ContainerList(ctx, container.ListOptions{All: true, Filters: ours})
	for _, c := range containers {
		left = append(left, "container "+c.ID)
	}
	networks, failed := e.api.NetworkList(ctx, network.ListOptions{Filters: ours})
	for _, n := range networks {
		left = append(left, "network "+n.Name)
	}
	volumes, lost := e.api.VolumeList(ctx, volume.ListOptions{Filters: ours})
	for _, v := range volumes.Volumes {
		left = append(left, "volume "+v.Name)
	}
	for _, err := range []error{err, failed, lost} {
		if err != nil {
			left = append(left, err.Error())
		}
	}
	return left
}

// TestKillAtEveryCallOfTheDockerCloud kills a process at its calls to the real engine, before and after the engine has
// carried out each. With -long it tries every call, otherwise a random one.
func TestKillAtEveryCallOfTheDockerCloud(t *testing.T) {
	t.Parallel()
	image := hostImage(t)
	for _, k := range dockersim.KillScenarios() {
		if k.Builds {
			continue // it takes minutes; pkg/cloud/docker tests it with a simulated engine
		}
		t.Run(strings.ReplaceAll(k.Name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			calls := k.Run(t, dockersim.NewInstallationOn(t, newEngine(t), image), 0, false, true)
			var at []int
			for n := range calls {
				at = append(at, n+1)
			}
			if !*long {
				rand.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
				at = at[:1]
			}
			for _, n := range at {
				for _, after := range []bool{false, true} {
					t.Run(fmt.Sprintf("%d_%v", n, after), func(t *testing.T) {
						results.note(t, key{kind: "docker cloud killed", fault: "at each call of " + k.Name,
							ends: "it works"})
						k.Run(t, dockersim.NewInstallationOn(t, newEngine(t), image), n, after, rand.IntN(2) == 0)
					})
				}
			}
		})
	}
}

// hostImage ensures the image of the hosts, and returns its name.
func hostImage(t *testing.T) string {
	t.Helper()
	c, err := docker.New(docker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute) // it is built once per machine
	defer cancel()
	if err := c.EnsureImage(ctx, func(string) {}); err != nil {
		t.Fatal(err)
	}
	return c.ImageName()
}
