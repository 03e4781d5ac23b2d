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
	// Images are the host images that skyctl has built. There are none while another installation uses them, which
	// KeptFor then names.
	Images  []string
	KeptFor string
	// Files is the directory of this user's files of the host image and locks. It is empty if it does not exist, or if
	// another installation of this user needs it.
	Files string
}

// FindBelongings lists what an installation has here. An empty installation has no hosts, networks or volumes.
// keepImages names another installation of this user, which needs the images and the files. Installations of other
// users of the engine need its images too, and have files of their own.
func (c *Cloud) FindBelongings(ctx context.Context, installation, keepImages string) (Belongings, error) {
	b := Belongings{KeptFor: keepImages}
	if keepImages == "" {
		b.Files = c.image.FilesDir()
	}
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
	b.Images, err = c.image.ListBuilt(ctx)
	return b, err
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
	if err := c.removeFromEngine(ctx, b); err != nil {
		return b, err
	}
	if keepImages != "" {
		return b, nil
	}
	return b, c.image.RemoveFiles() // also the locks of this removal
}

// removeFromEngine removes the networks, volumes and images among belongings, and what interrupted steps have left.
func (c *Cloud) removeFromEngine(ctx context.Context, b Belongings) error {
	release, err := c.network.Lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	c.engine.RemoveFreeScratch(ctx, probeScratch, hostimage.Scratch)
	c.RemoveLeftIsolated(ctx)
	for _, name := range b.Networks {
		if err := c.engine.API.NetworkRemove(ctx, name); err != nil && !errdefs.IsNotFound(err) {
			return c.engine.WrapError("remove network "+name, err)
		}
	}
	for _, name := range b.Volumes {
		if err := c.engine.API.VolumeRemove(ctx, name, false); err != nil && !errdefs.IsNotFound(err) {
			return c.engine.WrapError("remove volume "+name, err)
		}
	}
	if b.KeptFor != "" {
		return nil
	}
	return c.image.RemoveBuilt(ctx)
}

// FindFiles returns the directory of the host image's files; it needs no engine. It is empty if it does not exist.
func (c *Cloud) FindFiles() string { return c.image.FilesDir() }

// RemoveFiles removes the files of the host image, for a user without an engine.
func (c *Cloud) RemoveFiles() error { return c.image.RemoveFiles() }
