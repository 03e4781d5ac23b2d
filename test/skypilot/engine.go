package skypilot

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// LabelEnv marks every container and network of an environment with its id.
const LabelEnv = "skyctl-test-env"

// engine is the Docker Engine that runs the clouds' machines.
type engine struct {
	api        *client.Client
	image      string
	privileged bool
}

func newEngine(ctx context.Context, image string) (*engine, error) {
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	n := &engine{api: api, image: image}
	n.privileged, err = n.canRunPrivileged(ctx)
	raiseKernelLimits()
	return n, err
}

func (n *engine) close() error { return n.api.Close() }

func (n *engine) isLocal() bool { return strings.HasPrefix(n.api.DaemonHost(), "unix://") }

// canRunPrivileged reports whether a privileged container starts: a confined machine lacks some privileges.
func (n *engine) canRunPrivileged(ctx context.Context) (bool, error) {
	made, err := n.api.ContainerCreate(ctx, &container.Config{Image: n.image, Entrypoint: []string{"/bin/true"}},
		&container.HostConfig{Privileged: true, NetworkMode: "none",
			CgroupnsMode: container.CgroupnsModePrivate}, nil, nil, "")
	if err != nil {
		return false, fmt.Errorf("check whether privileged containers start: %w", err)
	}
	refusal := n.api.ContainerStart(ctx, made.ID, container.StartOptions{})
	err = n.api.ContainerRemove(context.WithoutCancel(ctx), made.ID,
		container.RemoveOptions{Force: true, RemoveVolumes: true})
	return refusal == nil, err
}

func (n *engine) createNetwork(ctx context.Context, name, id string) error {
	_, err := n.api.NetworkCreate(ctx, name, network.CreateOptions{Driver: "bridge",
		Labels: map[string]string{LabelEnv: id}})
	if err != nil {
		return fmt.Errorf("create network %s: %w", name, err)
	}
	return nil
}

// raiseKernelLimits raises kernel limits as skyctl does for its own hosts, as far as this user is allowed to.
func raiseKernelLimits() {
	for file, want := range map[string]int{
		"/proc/sys/fs/inotify/max_user_instances": 8192, "/proc/sys/fs/inotify/max_user_watches": 524288,
	} {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if have, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil && have < want {
			_ = os.WriteFile(file, []byte(strconv.Itoa(want)), 0o644) // a few hosts run without
		}
	}
}
