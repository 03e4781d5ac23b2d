package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/container"
)

// File is a file to copy into a container, or a directory if the name ends in a slash.
type File struct {
	Name     string
	Mode     int64
	UID, GID int
	Data     []byte
}

// CopyFiles copies files into a container, to paths below its root directory. Errors are those of the API.
func (e *Engine) CopyFiles(ctx context.Context, containerID string, files []File) error {
	archive, err := packTarArchive(files)
	if err != nil {
		return err
	}
	return e.API.CopyToContainer(ctx, containerID, "/", archive, container.CopyToContainerOptions{})
}

func packTarArchive(files []File) (*bytes.Buffer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: f.Name, Mode: f.Mode, Uid: f.UID, Gid: f.GID, Size: int64(len(f.Data)),
		}
		if strings.HasSuffix(f.Name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.Name, err)
		}
		if _, err := w.Write(f.Data); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack files for a container: %w", err)
	}
	return &buf, nil
}
