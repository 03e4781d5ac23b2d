package rke2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// imagesDir is where RKE2 imports archives of container images from when it starts
// (docs.rke2.io/install/airgap).
const imagesDir = "/var/lib/rancher/rke2/agent/images"

// imageArchives are the names of the archive with the images of the control plane. A source may have either or none.
func imageArchives(arch string) []string {
	return []string{"rke2-images-core.linux-" + arch + ".tar.zst", "rke2-images-core.linux-" + arch + ".tar.gz"}
}

// InstallOffline is InstallRelease for a machine without a network: what it needs comes from the source through this
// process. It also copies the images of the control plane, if the source has them.
func InstallOffline(ctx context.Context, h *remote.Host, a api.Artifacts, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	f, err := GatherFacts(ctx, h)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(a.Source) {
		if err := relayFile(ctx, h, a, tarballName(f.Arch), stagingDir+"/"+a.SHA256[f.Arch]+".tar.gz", a.SHA256[f.Arch],
			progress); err != nil {
			return err
		}
	}
	if err := relayImages(ctx, h, a, f.Arch, progress); err != nil {
		return err
	}
	return InstallRelease(ctx, h, a, nil, progress) // it finds the tarball there
}

// relayImages copies the first archive that the source has.
func relayImages(ctx context.Context, h *remote.Host, a api.Artifacts, arch string, progress func(string)) error {
	for _, name := range imageArchives(arch) {
		sum, err := readArchiveChecksum(ctx, a, arch, name)
		if err == nil {
			err = relayFile(ctx, h, a, name, imagesDir+"/"+name, sum, progress)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return err
	}
	return nil
}

// readArchiveChecksum returns the sha256 of a file in the checksums of the source, or fs.ErrNotExist.
func readArchiveChecksum(ctx context.Context, a api.Artifacts, arch, name string) (string, error) {
	r, _, err := openSource(ctx, a, checksumsName(arch))
	if err != nil {
		return "", err
	}
	defer r.Close()
	sum, err := findChecksum(io.LimitReader(r, maxChecksumsSize), name)
	if err != nil {
		return "", fmt.Errorf("%s: %w: %w", checksumsName(arch), fs.ErrNotExist, err)
	}
	return sum, nil
}

// relayFile copies a file of the source to the machine and checks its sha256.
func relayFile(ctx context.Context, h *remote.Host, a api.Artifacts, name, target, sum string,
	progress func(string)) error {
	r, size, err := openSource(ctx, a, name)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := h.UploadStream(ctx, r, size, target, 0o644, func(done, total int64) {
		progress(fmt.Sprintf("copying %s: %d of %d MB", name, done/1e6, total/1e6))
	})
	if err != nil {
		return err
	}
	if got != sum {
		return &Error{Kind: ChecksumMismatch, Machine: h.Name(), Permanent: true,
			Message: fmt.Sprintf("%s of %s has the sha256 %s, expected %s", name, a.Source, got, sum)}
	}
	return nil
}

// openSource opens a file of the source, and returns its size.
func openSource(ctx context.Context, a api.Artifacts, name string) (io.ReadCloser, int64, error) {
	if filepath.IsAbs(a.Source) {
		f, err := regularfile.Open(filepath.Join(a.Source, name))
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err != nil {
			_ = f.Close()
			return nil, 0, err
		}
		return f, info.Size(), nil
	}
	from := artifactURL(a, name)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, 0, &Error{Kind: BadArtifacts, Message: "fetching " + from, Cause: err, Permanent: true}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, &Error{Kind: SourceUnreachable, Message: "fetching " + from + describeProxy(req), Cause: err}
	}
	switch {
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		err = fmt.Errorf("fetching %s: %s: %w", from, res.Status, fs.ErrNotExist)
	case res.StatusCode != http.StatusOK:
		err = &Error{Kind: SourceUnreachable, Message: "fetching " + from + describeProxy(req) + ": " + res.Status}
	case res.ContentLength < 0:
		err = &Error{Kind: BadArtifacts, Message: "fetching " + from + ": the source does not tell its size"}
	}
	if err != nil {
		_ = res.Body.Close()
		return nil, 0, err
	}
	return res.Body, res.ContentLength, nil
}
