// Package hostimage builds the image that Docker hosts are made from, and keeps it in a file next to the engine.
package hostimage

import (
	"bufio"
	"context"
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
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
)

// The user of a host and its SSH server, as recipe/setup.sh and recipe/sshd.conf set them up.
const (
	SSHUser   = "sky"
	SSHUserID = 1000
	SSHPort   = 22
)

const (
	repository = "skyctl-host"
	// initPath is the first program that a host runs.
	initPath = "/usr/local/sbin/host-init"
	// labelImage marks host images with the hash of their recipe. It identifies one that lost its name.
	labelImage = "skyctl-host-image"
)

// Scratch is the container of a build. Its lock is that of all changes of the image and its file.
var Scratch = engine.Purpose{Name: "build", Lock: "build.lock", Lifetime: time.Hour}

// Options of the image.
type Options struct {
	// Name is an image to use as it is. It must exist. Empty means the project's own, which is built when missing.
	Name string
	// BaseImage is what the project's own image is built from, if the engine has it or can pull it.
	BaseImage string
	// CacheDir keeps the built image as a file.
	CacheDir string
}

// Image is the image that hosts are made from.
type Image struct {
	engine *engine.Engine
	opts   Options
	recipe imageRecipe
}

// New returns the image. It does not build it.
func New(e *engine.Engine, o Options) (*Image, error) {
	r, err := loadRecipe(o.BaseImage)
	if err != nil {
		return nil, err
	}
	return &Image{engine: e, opts: o, recipe: r}, nil
}

// Name is the image's name on the engine.
func (i *Image) Name() string {
	if i.opts.Name != "" {
		return i.opts.Name
	}
	return i.builtName()
}

func (i *Image) builtName() string { return repository + ":" + i.recipe.hash }

// IsPresent reports whether the engine has the image.
func (i *Image) IsPresent(ctx context.Context) (bool, error) { return i.engine.HasImage(ctx, i.Name()) }

// Ensure makes sure that the engine has the image. A missing image is imported from its file, which is built first if
// necessary: once, however many callers and processes ask for it at the same time. Progress is for a person to read.
func (i *Image) Ensure(ctx context.Context, progress func(string)) error {
	present, err := i.IsPresent(ctx)
	if err != nil || present {
		return err
	}
	if i.opts.Name != "" {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"the Docker engine does not have the host image %s: load it there, or leave docker.image empty to have "+
				"one "+
				"built", i.opts.Name)}
	}
	progress("building the host image, once per machine")
	unlock, err := i.engine.Lock(ctx, Scratch.Lock)
	if err != nil {
		return err
	}
	defer unlock()
	if present, err := i.IsPresent(ctx); err != nil || present {
		return err
	}
	i.engine.RemoveScratch(ctx, Scratch)
	i.removeBuildFiles()
	start := time.Now()
	file, err := i.ensureFile(ctx, progress)
	if err != nil {
		return fmt.Errorf("build the host image: %w", err)
	}
	progress("importing the host image")
	if err := i.importFile(ctx, file); err != nil {
		return err
	}
	i.pruneUnnamed(ctx)
	i.engine.Log.Info("the host image is ready", "image", i.Name(), "took", time.Since(start).Round(time.Second))
	return nil
}

// Remove removes the image that was built and its file. Hosts that run from it keep it until they are gone.
func (i *Image) Remove(ctx context.Context) error {
	unlock, err := i.engine.Lock(ctx, Scratch.Lock)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := i.engine.API.ImageRemove(ctx, i.builtName(), image.RemoveOptions{PruneChildren: true}); err != nil &&
		!errdefs.IsNotFound(err) {
		return i.engine.WrapError("remove the host image "+i.builtName(), err)
	}
	i.pruneUnnamed(ctx)
	i.removeBuildFiles()
	for _, file := range []string{i.filePath(), checksumPath(i.filePath())} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the host image's file: %w", err)
		}
	}
	return nil
}

func (i *Image) filePath() string {
	return filepath.Join(i.opts.CacheDir, fmt.Sprintf("host-%s-%s.tar.gz", i.recipe.hash, runtime.GOARCH))
}

// ensureFile returns the image's file. It builds one that is missing or does not match its checksum.
func (i *Image) ensureFile(ctx context.Context, progress func(string)) (string, error) {
	if err := i.checkEngineArchitecture(ctx); err != nil {
		return "", err
	}
	file := i.filePath()
	err := verifyChecksum(file)
	if err == nil {
		return file, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		i.engine.Log.Warn("the host image's file is invalid and is built again", "file", file, "reason", err)
	}
	out, err := createChecksummedFile(file)
	if err != nil {
		return "", err
	}
	defer out.abandon()
	if err := i.writeRootFS(ctx, out, progress); err != nil {
		return "", err
	}
	return file, out.commit()
}

// writeRootFS writes a host's file system as a tar archive: from the base image, or with debootstrap.
func (i *Image) writeRootFS(ctx context.Context, w io.Writer, progress func(string)) error {
	baseErr := i.ensureBaseImage(ctx, progress)
	if baseErr == nil {
		return i.writeRootFSFromBase(ctx, w, progress)
	}
	if ctx.Err() != nil {
		return baseErr
	}
	i.engine.Log.Info("the base image is unavailable: building the host image with debootstrap",
		"base", i.opts.BaseImage, "reason", baseErr)
	if err := writeRootFSFromDebian(ctx, i.recipe, i.opts.CacheDir, w, progress); err != nil {
		return fmt.Errorf("%w (and image %s is unavailable: %w)", err, i.opts.BaseImage, baseErr)
	}
	return nil
}

// checkEngineArchitecture rejects a build for an engine on a computer of another architecture.
func (i *Image) checkEngineArchitecture(ctx context.Context) error {
	info, err := i.engine.API.Info(ctx)
	if err != nil {
		return i.engine.WrapError("ask the Docker engine for its architecture", err)
	}
	known := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}
	if arch, ok := known[info.Architecture]; ok && arch != runtime.GOARCH {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"the Docker engine's machine is %s, this one is %s: build the host image there and set docker.image",
			arch, runtime.GOARCH)}
	}
	return nil
}

func (i *Image) importFile(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("import the host image: %w", err)
	}
	defer f.Close()
	body, err := i.engine.API.ImageImport(ctx,
		image.ImportSource{Source: bufio.NewReaderSize(f, 1<<20), SourceName: "-"},
		i.Name(), image.ImportOptions{
			Message: "skyctl host, recipe " + i.recipe.hash,
			Changes: []string{fmt.Sprintf("CMD [%q]", initPath), "ENV container=docker",
				"LABEL " + labelImage + "=" + i.recipe.hash},
		})
	if err == nil {
		defer body.Close()
		err = engine.ReadMessageStream(body, func() {})
	}
	if err != nil {
		return i.engine.WrapError("import the host image "+i.Name(), err)
	}
	return nil
}

// pruneUnnamed removes host images without a name: duplicate imports, and imports that were interrupted.
func (i *Image) pruneUnnamed(ctx context.Context) {
	if _, err := i.engine.API.ImagesPrune(ctx, filters.NewArgs(filters.Arg("dangling", "true"),
		filters.Arg("label", labelImage))); err != nil {
		i.engine.Log.Info("could not prune host images without a name", "error", err) // another prune may be running
	}
}

// Names of files that a build creates for itself.
const (
	partialPattern = ".host-*.partial"
	treePattern    = ".rootfs-*"
)

// removeBuildFiles removes the files of a build that was killed. The caller holds the lock.
func (i *Image) removeBuildFiles() {
	for _, path := range i.listBuildFiles() {
		if err := os.RemoveAll(path); err != nil {
			i.engine.Log.Warn("could not remove a file of an interrupted build of the host image", "path", path,
				"error", err)
		}
	}
}

func (i *Image) listBuildFiles() []string {
	var all []string
	for _, pattern := range []string{partialPattern, treePattern} {
		found, _ := filepath.Glob(filepath.Join(i.opts.CacheDir, pattern)) // the patterns are valid
		all = append(all, found...)
	}
	return all
}

// DescribeLeftovers returns a sentence for each file of an interrupted build. It returns none while a build runs.
func (i *Image) DescribeLeftovers() []string {
	unlock, free := i.engine.TryLock(Scratch.Lock)
	if !free {
		return nil
	}
	defer unlock()
	var described []string
	for _, path := range i.listBuildFiles() {
		described = append(described, fmt.Sprintf("left over: %s of an interrupted build of the host image; the next "+
			"build removes it", path))
	}
	return described
}
