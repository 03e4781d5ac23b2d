package hostimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// ListBuilt returns the names of the host images that skyctl has built on the engine, of this version and of others;
// one without a name is its id. Images that somebody made from a host or from a host image have its label too: one with
// the labels of an installation was a host (docker commit), and other names are somebody's.
func (i *Image) ListBuilt(ctx context.Context) ([]string, error) {
	all, err := i.engine.API.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label",
		labelImage))})
	if err != nil {
		return nil, i.engine.WrapError("look for host images", err)
	}
	var names []string
	for _, s := range all {
		if s.Labels[cloud.LabelInstallation] != "" {
			continue
		}
		if len(s.RepoTags) == 0 {
			names = append(names, s.ID)
		}
		for _, tag := range s.RepoTags {
			switch {
			case strings.HasPrefix(tag, repository+":"):
				names = append(names, tag)
			case strings.HasPrefix(tag, "<none>:"):
				names = append(names, s.ID)
			}
		}
	}
	return names, nil
}

// RemoveBuilt removes the images that ListBuilt names.
func (i *Image) RemoveBuilt(ctx context.Context) error {
	unlock, err := i.engine.Lock(ctx, Scratch.Lock)
	if err != nil {
		return err
	}
	defer unlock()
	names, err := i.ListBuilt(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		// By force, because a stopped container may use it; the engine refuses an image that a running one uses. By
		// name, because an image can have somebody's name besides.
		_, err := i.engine.API.ImageRemove(ctx, name, image.RemoveOptions{Force: true, PruneChildren: true})
		if err != nil && !errdefs.IsNotFound(err) {
			return i.engine.WrapError("remove host image "+name, err)
		}
	}
	return nil
}

// FilesDir is the directory of the image's file and of the locks; it is empty if it does not exist.
func (i *Image) FilesDir() string {
	if _, err := os.Stat(i.opts.CacheDir); err != nil {
		return ""
	}
	return i.opts.CacheDir
}

// fileNames match the images with their checksums, and the files of a build.
var fileNames = []string{"host-*.tar.gz", "host-*.tar.gz.sha256", partialPattern, treePattern}

// RemoveFiles removes the files of host images and the locks, and then the directory and the one above it, if nothing
// else is in them. It leaves locks that somebody holds, and all files while somebody builds the image.
func (i *Image) RemoveFiles() error {
	if i.FilesDir() == "" {
		return nil
	}
	unlock, free := i.engine.TryLock(Scratch.Lock)
	if !free {
		return nil
	}
	err := i.removeImageFiles()
	unlock()
	if err == nil {
		err = i.engine.RemoveFreeLocks()
	}
	if err != nil {
		return fmt.Errorf("remove the files of the host image: %w", err)
	}
	for _, dir := range []string{i.opts.CacheDir, filepath.Dir(i.opts.CacheDir)} {
		if err := os.Remove(dir); err != nil {
			if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return fmt.Errorf("remove the directory of the host image: %w", err)
		}
	}
	return nil
}

func (i *Image) removeImageFiles() error {
	for _, pattern := range fileNames {
		found, err := filepath.Glob(filepath.Join(i.opts.CacheDir, pattern))
		if err != nil {
			return err
		}
		for _, name := range found {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}
