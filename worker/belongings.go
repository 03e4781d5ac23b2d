package worker

import (
	"context"
	"log/slog"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot"
	"github.com/sky-shift/skyctl/pkg/config"
)

// Belongings is what an installation has on this computer outside its state directory.
type Belongings struct {
	// Machines run on the Docker engine. They are never removed here.
	Machines []string
	// Items are what RemoveBelongings removes, and Kept is what stays, each in words.
	Items, Kept []string
	// Problem says why the Docker engine could not be asked.
	Problem string
}

// FindBelongings lists what an installation has on this computer. keepImages names another installation of this user,
// which needs the host images.
func FindBelongings(ctx context.Context, cfg *config.Config, installation, keepImages string, log *slog.Logger) (
	Belongings, error) {
	c, err := newDockerCloud(cfg, log)
	if err != nil {
		return Belongings{}, err
	}
	defer c.Close()
	found, err := c.FindBelongings(ctx, installation, keepImages)
	all, err := describeBelongings(found, keepImages, err)
	if all.Problem != "" && keepImages == "" && c.FindFiles() != "" {
		all.Items = append(all.Items, describeFiles(c.FindFiles()))
	}
	return all, err
}

// RemoveBelongings removes what FindBelongings lists, and stops the SkyPilot server of the installation.
func RemoveBelongings(ctx context.Context, cfg *config.Config, installation, keepImages string, log *slog.Logger) (
	Belongings, error) {
	pilot, err := skypilot.New(skypilot.Options{Dir: cfg.SkyPilotDir(), Python: cfg.SkyPilot.Python,
		Endpoint: cfg.SkyPilot.Endpoint, Port: cfg.SkyPilot.Port, Log: log})
	if err != nil {
		return Belongings{}, err
	}
	defer pilot.Close()
	if err := pilot.StopServer(ctx); err != nil {
		return Belongings{}, err
	}
	c, err := newDockerCloud(cfg, log)
	if err != nil {
		return Belongings{}, err
	}
	defer c.Close()
	removed, err := c.RemoveBelongings(ctx, installation, keepImages)
	all, err := describeBelongings(removed, keepImages, err)
	if all.Problem != "" && keepImages == "" && err == nil {
		err = c.RemoveFiles()
	}
	return all, err
}

func newDockerCloud(cfg *config.Config, log *slog.Logger) (*docker.Cloud, error) {
	return docker.New(docker.Options{Image: cfg.Docker.Image, Network: cfg.Docker.Network,
		BaseImage: cfg.Docker.BaseImage, Log: log})
}

// describeBelongings says what was found. An engine that does not answer, or refuses this user, is a problem and not
// an error: without Docker there is nothing to find.
func describeBelongings(b docker.Belongings, keepImages string, err error) (Belongings, error) {
	if kind := cloud.KindOf(err); err != nil && (kind == cloud.Unreachable || kind == cloud.Access) {
		return Belongings{Problem: err.Error()}, nil
	}
	if err != nil {
		return Belongings{}, err
	}
	all := Belongings{Machines: b.Hosts}
	for _, name := range b.Networks {
		all.Items = append(all.Items, "Docker network "+name)
	}
	for _, name := range b.Volumes {
		all.Items = append(all.Items, "Docker volume "+name)
	}
	for _, name := range b.Images {
		all.Items = append(all.Items, "Docker image "+name)
	}
	if b.Files != "" {
		all.Items = append(all.Items, describeFiles(b.Files))
	}
	if b.KeptFor != "" {
		what := "the host image"
		if b.KeptFor == keepImages {
			what += " and its files"
		}
		all.Kept = append(all.Kept, what+", for "+b.KeptFor)
	}
	return all, nil
}

func describeFiles(dir string) string { return "files of the host image in " + dir }

// BuildHostImage makes sure that the Docker engine has the image of Docker hosts, so that the first create need not
// wait for it.
func BuildHostImage(ctx context.Context, cfg *config.Config, log *slog.Logger, progress func(string)) error {
	c, err := newDockerCloud(cfg, log)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.EnsureImage(ctx, progress)
}

// RemoveHostImage removes the image of Docker hosts and its file. Hosts that run keep it until they are gone.
func RemoveHostImage(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	c, err := newDockerCloud(cfg, log)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.RemoveImage(ctx)
}
