package docker

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

const (
	imageRepository = "skyctl-host"
	// initPath is what a host runs first.
	initPath = "/usr/local/sbin/host-init"
	// labelImage marks host images with their recipe, so that one which lost its name is still known.
	labelImage = "skyctl-host-image"
)

// ImageName is the image that hosts are made from.
func (c *Cloud) ImageName() string {
	if c.opts.Image != "" {
		return c.opts.Image
	}
	return imageRepository + ":" + c.recipe.hash
}

// EnsureImage sees to it that the host image is there. Where it is missing it is imported from its file, or else built
// first: once, however many ask for it at the same time, in this process and others. Progress is in words for a person.
func (c *Cloud) EnsureImage(ctx context.Context, progress func(string)) error {
	there, err := c.hasImage(ctx, c.ImageName())
	if err != nil || there {
		return err
	}
	if c.opts.Image != "" {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"host image %s is not known to the Docker engine: load it there, or leave the setting empty to have one "+
				"built",
			c.opts.Image)}
	}
	progress("building the host image, once per machine")
	if err := c.building.acquire(ctx); err != nil {
		return fmt.Errorf("wait for the host image that is being built: %w", err)
	}
	defer c.building.release()
	unlock, err := c.acquireFileLock(ctx, imageLock)
	if err != nil {
		return err
	}
	defer unlock()
	if there, err := c.hasImage(ctx, c.ImageName()); err != nil || there {
		return err
	}
	c.removeScratchContainers(ctx, scratchBuild)
	c.removeBuildFiles()
	began := time.Now()
	file, err := c.ensureImageFile(ctx, progress)
	if err != nil {
		return fmt.Errorf("build the host image: %w", err)
	}
	progress("importing the host image")
	if err := c.importImage(ctx, file); err != nil {
		return err
	}
	c.pruneImages(ctx)
	c.log.Info("host image is there", "image", c.ImageName(), "took", time.Since(began).Round(time.Second))
	return nil
}

// RemoveImage removes the host image that was built and its file; hosts that run on it keep it until they are gone.
func (c *Cloud) RemoveImage(ctx context.Context) error {
	unlock, err := c.acquireFileLock(ctx, imageLock)
	if err != nil {
		return err
	}
	defer unlock()
	name := imageRepository + ":" + c.recipe.hash
	if _, err := c.api.ImageRemove(ctx, name, image.RemoveOptions{PruneChildren: true}); err != nil &&
		!errdefs.IsNotFound(err) {
		return c.wrapEngineError("remove the host image "+name, err)
	}
	c.pruneImages(ctx)
	c.removeBuildFiles()
	for _, file := range []string{c.imageFilePath(), checksumPath(c.imageFilePath())} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the host image's file: %w", err)
		}
	}
	return nil
}

// imageFilePath is where the built image is kept beside the engine.
func (c *Cloud) imageFilePath() string {
	return filepath.Join(c.opts.ImageCacheDir, fmt.Sprintf("host-%s-%s.tar.gz", c.recipe.hash, runtime.GOARCH))
}

// hasImage says whether the engine knows an image.
func (c *Cloud) hasImage(ctx context.Context, name string) (bool, error) {
	_, err := c.api.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, c.wrapEngineError("look for image "+name, err)
	}
	return true, nil
}

// ensureImageFile returns the image's file, made where it is missing or does not match its checksum.
func (c *Cloud) ensureImageFile(ctx context.Context, progress func(string)) (string, error) {
	if err := c.checkEngineArchitecture(ctx); err != nil {
		return "", err
	}
	file := c.imageFilePath()
	err := verifyChecksum(file)
	if err == nil {
		return file, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		c.log.Warn("host image's file is not used: it is made again", "file", file, "reason", err)
	}
	out, err := createChecksummedFile(file)
	if err != nil {
		return "", err
	}
	defer out.abandon()
	if err := c.writeRootFS(ctx, out, progress); err != nil {
		return "", err
	}
	return file, out.commit()
}

// writeRootFS writes a host's file system as a compressed archive: from the base image, or by debootstrap.
func (c *Cloud) writeRootFS(ctx context.Context, w io.Writer, progress func(string)) error {
	baseErr := c.ensureBaseImage(ctx, progress)
	if baseErr == nil {
		return c.writeRootFSFromBase(ctx, w, progress)
	}
	if ctx.Err() != nil {
		return baseErr
	}
	c.log.Info("base image can't be had: the host image is made by debootstrap", "base", c.opts.BaseImage, "reason",
		baseErr)
	if err := writeRootFSFromDebian(ctx, c.recipe, c.opts.ImageCacheDir, w, progress); err != nil {
		return fmt.Errorf("%w (image %s could not be had either: %w)", err, c.opts.BaseImage, baseErr)
	}
	return nil
}

// checkEngineArchitecture refuses to build for an engine on a machine of another kind than this one.
func (c *Cloud) checkEngineArchitecture(ctx context.Context) error {
	info, err := c.api.Info(ctx)
	if err != nil {
		return c.wrapEngineError("ask the Docker engine for its architecture", err)
	}
	known := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}
	if arch, ok := known[info.Architecture]; ok && arch != runtime.GOARCH {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"the Docker engine's machine is %s, this one %s: build the host image there and name it in the settings",
			arch, runtime.GOARCH)}
	}
	return nil
}

func (c *Cloud) importImage(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("import the host image: %w", err)
	}
	defer f.Close()
	body, err := c.api.ImageImport(ctx, image.ImportSource{Source: bufio.NewReaderSize(f, 1<<20), SourceName: "-"},
		c.ImageName(), image.ImportOptions{
			Message: "skyctl host, recipe " + c.recipe.hash,
			Changes: []string{fmt.Sprintf("CMD [%q]", initPath), "ENV container=docker", "LABEL " + labelImage + "=" +
				c.recipe.hash},
		})
	if err == nil {
		defer body.Close()
		err = readMessageStream(body, func() {})
	}
	if err != nil {
		return c.wrapEngineError("import the host image "+c.ImageName(), err)
	}
	return nil
}

// pruneImages removes host images that have no name: imports that were made twice, or cut before they got theirs.
func (c *Cloud) pruneImages(ctx context.Context) {
	if _, err := c.api.ImagesPrune(ctx, filters.NewArgs(filters.Arg("dangling", "true"),
		filters.Arg("label", labelImage))); err != nil {
		c.log.Info("host images without a name were not looked for", "error", err) // another prune may be under way
	}
}

// readMessageStream reads an engine's stream of messages to its end, and returns the error that one of them carries.
func readMessageStream(body io.Reader, seen func()) error {
	for d := json.NewDecoder(body); ; {
		var message struct {
			Error string `json:"error"`
		}
		switch err := d.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case message.Error != "":
			return errors.New(message.Error)
		}
		seen()
	}
}
