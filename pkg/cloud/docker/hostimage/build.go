package hostimage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/docker/engine"
)

const (
	// pullAnswerTimeout is how long a registry may take to answer, pullStallTimeout how long it may then be silent.
	pullAnswerTimeout = 5 * time.Second
	pullStallTimeout  = time.Minute
)

// ensureBaseImage makes sure that the engine has the base image, and pulls it if a registry answers.
func (i *Image) ensureBaseImage(ctx context.Context, progress func(string)) error {
	there, err := i.engine.HasImage(ctx, i.opts.BaseImage)
	if err != nil || there {
		return err
	}
	progress("pulling " + i.opts.BaseImage)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(pullAnswerTimeout, func() { cancel(errors.New("no registry answers")) })
	defer silent.Stop()
	body, err := i.engine.API.ImagePull(ctx, i.opts.BaseImage, image.PullOptions{})
	if err == nil {
		defer body.Close()
		err = engine.ReadMessageStream(body, func() { silent.Reset(pullStallTimeout) })
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return i.engine.WrapError("pull "+i.opts.BaseImage, err)
	}
	return nil
}

// writeRootFSFromBase installs the recipe in a container of the base image and writes that container's file system.
func (i *Image) writeRootFSFromBase(ctx context.Context, w io.Writer, progress func(string)) error {
	const doing = "build the host image in a container of "
	script := "set -e; export DEBIAN_FRONTEND=noninteractive; printf '#!/bin/sh\\nexit 101\\n' " +
		">/usr/sbin/policy-rc.d; " +
		"chmod 0755 /usr/sbin/policy-rc.d; apt-get -q update; " +
		"apt-get -q install -y --no-install-recommends " + strings.Join(i.recipe.packages, " ") + "; " +
		"rm /usr/sbin/policy-rc.d; sh /recipe/setup.sh; rm -r /recipe"
	made, err := i.engine.API.ContainerCreate(ctx, &container.Config{
		Image: i.opts.BaseImage, Entrypoint: []string{"/bin/sh", "-c", script}, User: "0",
		Labels: i.engine.ScratchLabels(Scratch),
	}, &container.HostConfig{LogConfig: engine.NewLogConfig()}, nil, nil, "")
	if err != nil {
		return i.engine.WrapError(doing+i.opts.BaseImage, err)
	}
	defer i.engine.DiscardContainer(ctx, made.ID)
	progress("installing the host image's packages")
	if err := i.engine.CopyFiles(ctx, made.ID, i.recipe.containerFiles()); err != nil {
		return i.engine.WrapError(doing+i.opts.BaseImage, err)
	}
	if err := i.engine.API.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return i.engine.WrapError(doing+i.opts.BaseImage, err)
	}
	done, failed := i.engine.API.ContainerWait(ctx, made.ID, container.WaitConditionNotRunning)
	select {
	case err := <-failed:
		return i.engine.WrapError(doing+i.opts.BaseImage, err)
	case end := <-done:
		if end.StatusCode != 0 {
			return fmt.Errorf("%s%s: exit status %d; the last output was:\n%s",
				doing, i.opts.BaseImage, end.StatusCode, strings.Join(i.engine.ReadConsoleTail(made.ID), "\n"))
		}
	}
	progress("packing the host image")
	body, err := i.engine.API.ContainerExport(ctx, made.ID)
	if err != nil {
		return i.engine.WrapError("pack the host image", err)
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("pack the host image: %w", err)
	}
	return nil
}

// writeRootFSFromDebian builds a host's file system from Debian's packages with debootstrap.
func writeRootFSFromDebian(ctx context.Context, r imageRecipe, dir string, w io.Writer, progress func(string)) error {
	if os.Geteuid() != 0 {
		return &cloud.Error{Kind: cloud.Infeasible, Message: "building the host image without a base " +
			"image needs root: run `make host-image` as root once"}
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return &cloud.Error{Kind: cloud.Infeasible, Cause: err,
			Message: "building the host image without a base image needs debootstrap: " +
				"install it (apt-get install debootstrap)"}
	}
	tree, err := os.MkdirTemp(dir, treePattern)
	if err != nil {
		return fmt.Errorf("build the host image's file system: %w", err)
	}
	defer os.RemoveAll(tree)
	// debootstrap needs others to have access.
	if err := os.Chmod(tree, 0o755); err != nil {
		return fmt.Errorf("build the host image's file system: %w", err)
	}
	if err := installDebian(ctx, r, tree, progress); err != nil {
		return err
	}
	recipeDir := filepath.Join(tree, "recipe")
	if err := os.Mkdir(recipeDir, 0o755); err != nil {
		return fmt.Errorf("build the host image's file system: %w", err)
	}
	for name, data := range r.files {
		if err := os.WriteFile(filepath.Join(recipeDir, name), data, 0o644); err != nil {
			return fmt.Errorf("build the host image's file system: %w", err)
		}
	}
	if err := runProgram(ctx, "chroot", tree, "/bin/sh", "/recipe/setup.sh"); err != nil {
		return err
	}
	if err := os.RemoveAll(recipeDir); err != nil {
		return fmt.Errorf("build the host image's file system: %w", err)
	}
	progress("packing the host image")
	pack := exec.CommandContext(ctx, "tar", "--numeric-owner", "--one-file-system", "--exclude=./dev/*", "-C", tree,
		"-c", ".")
	pack.Stdout = w
	return runBuildCommand(pack)
}

// installDebian installs Debian and the recipe's packages in a directory. Its second stage does without dpkg's fsync of
// each file: a build that is interrupted starts again with an empty directory.
func installDebian(ctx context.Context, r imageRecipe, tree string, progress func(string)) error {
	report := &debootstrapProgress{report: progress}
	first := exec.CommandContext(ctx, "debootstrap", "--foreign", "--force-check-gpg", "--variant=minbase",
		"--include="+strings.Join(r.packages, ","), debianSuite, tree)
	first.Stdout = report
	if err := runBuildCommand(first); err != nil {
		return err
	}
	settings := filepath.Join(tree, "etc", "dpkg", "dpkg.cfg.d", "host-image")
	if err := os.MkdirAll(filepath.Dir(settings), 0o755); err != nil {
		return fmt.Errorf("build the host image's file system: %w", err)
	}
	if err := os.WriteFile(settings, []byte("force-unsafe-io\n"), 0o644); err != nil {
		return fmt.Errorf("build the host image's file system: %w", err)
	}
	second := exec.CommandContext(ctx, "chroot", tree, "/debootstrap/debootstrap", "--second-stage")
	second.Stdout = report
	if err := runBuildCommand(second); err != nil {
		return err
	}
	if err := os.Remove(settings); err != nil {
		return fmt.Errorf("build the host image's file system: %w", err)
	}
	return nil
}

func runProgram(ctx context.Context, name string, args ...string) error {
	return runBuildCommand(exec.CommandContext(ctx, name, args...))
}

// runBuildCommand runs a command. Its error contains the last lines of the output.
func runBuildCommand(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stderr = &said
	switch out := cmd.Stdout.(type) {
	case nil:
		cmd.Stdout = &said
	case *debootstrapProgress:
		out.said = &said // one writer for both, which os/exec then does not call at the same time
		cmd.Stderr = out
	}
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	isolateCommand(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w; the last output was:\n%s", filepath.Base(cmd.Path), err,
			strings.Join(engine.LastTextLines(said.String()), "\n"))
	}
	return nil
}
