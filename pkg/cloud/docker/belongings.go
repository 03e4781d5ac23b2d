package docker

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/hostimage"
)

// Belongings is what an installation has on an engine, and what its user has there, besides clusters.
type Belongings struct {
	// Hosts are machines: they are listed and never removed here.
	Hosts             []string
	Networks, Volumes []string
	// Images are the host images that skyctl has built, and Files is the directory of their files and locks. Both are
	// empty while another installation uses them, which KeptFor then names.
	Images []string
	Files  string
	// KeptFor says who uses the images and files.
	KeptFor string
}

// FindBelongings lists what an installation has here. An empty installation has no hosts, networks or volumes.
// keepImages says who needs the images, if the caller knows it.
func (c *Cloud) FindBelongings(ctx context.Context, installation, keepImages string) (Belongings, error) {
	b := Belongings{KeptFor: keepImages}
	if installation != "" {
		if err := c.findOwned(ctx, installation, &b); err != nil {
			return b, err
		}
	}
	if b.KeptFor == "" {
		other, err := c.findOtherInstallation(ctx, installation)
		if err != nil {
			return b, err
		}
		b.KeptFor = other
	}
	if b.KeptFor != "" {
		return b, nil
	}
	var err error
	if b.Images, err = c.image.ListBuilt(ctx); err != nil {
		return b, err
	}
	b.Files = c.image.FilesDir()
	return b, nil
}

// findOwned lists what has the label of an installation.
func (c *Cloud) findOwned(ctx context.Context, installation string, b *Belongings) error {
	label := filters.Arg("label", cloud.LabelInstallation+"="+installation)
	hosts, err := c.engine.ListContainers(ctx, label)
	if err != nil {
		return c.engine.WrapError("look for the machines of this installation", err)
	}
	for _, h := range hosts {
		b.Hosts = append(b.Hosts, engine.ContainerName(h))
	}
	networks, err := c.engine.API.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(label)})
	if err != nil {
		return c.engine.WrapError("look for the networks of this installation", err)
	}
	for _, n := range networks {
		b.Networks = append(b.Networks, n.Name)
	}
	volumes, err := c.engine.API.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(label)})
	if err != nil {
		return c.engine.WrapError("look for the volumes of this installation", err)
	}
	for _, v := range volumes.Volumes {
		b.Volumes = append(b.Volumes, v.Name)
	}
	return nil
}

// findOtherInstallation names a container or network of another installation on this engine; empty: there is none.
func (c *Cloud) findOtherInstallation(ctx context.Context, installation string) (string, error) {
	label := filters.Arg("label", cloud.LabelInstallation)
	hosts, err := c.engine.ListContainers(ctx, label)
	if err != nil {
		return "", c.engine.WrapError("look for other installations", err)
	}
	for _, h := range hosts {
		if h.Labels[cloud.LabelInstallation] != installation {
			return "another installation, which has machine " + engine.ContainerName(h), nil
		}
	}
	networks, err := c.engine.API.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(label)})
	if err != nil {
		return "", c.engine.WrapError("look for other installations", err)
	}
	for _, n := range networks {
		if n.Labels[cloud.LabelInstallation] != installation {
			return "another installation, which has network " + n.Name, nil
		}
	}
	return "", nil
}

// RemoveBelongings removes what FindBelongings lists, if the installation has no hosts.
func (c *Cloud) RemoveBelongings(ctx context.Context, installation, keepImages string) (Belongings, error) {
	b, err := c.FindBelongings(ctx, installation, keepImages)
	if err != nil {
		return b, err
	}
	if len(b.Hosts) > 0 {
		return b, &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
			"the installation still has %d machines on the Docker engine, such as %s", len(b.Hosts), b.Hosts[0])}
	}
	release, err := c.network.Lock(ctx)
	if err != nil {
		return b, err
	}
	defer release()
	c.engine.RemoveFreeScratch(ctx, probeScratch, hostimage.Scratch)
	c.RemoveLeftIsolated(ctx)
	for _, name := range b.Networks {
		if err := c.engine.API.NetworkRemove(ctx, name); err != nil && !errdefs.IsNotFound(err) {
			return b, c.engine.WrapError("remove network "+name, err)
		}
	}
	for _, name := range b.Volumes {
		if err := c.engine.API.VolumeRemove(ctx, name, false); err != nil && !errdefs.IsNotFound(err) {
			return b, c.engine.WrapError("remove volume "+name, err)
		}
	}
	if b.KeptFor != "" {
		return b, nil
	}
	if err := c.image.RemoveBuilt(ctx); err != nil {
		return b, err
	}
	return b, c.image.RemoveFiles()
}

// FindFiles returns the directory of the host image's files; it needs no engine. It is empty if it does not exist.
func (c *Cloud) FindFiles() string { return c.image.FilesDir() }

// RemoveFiles removes the files of the host image, for a user without an engine.
func (c *Cloud) RemoveFiles() error { return c.image.RemoveFiles() }
