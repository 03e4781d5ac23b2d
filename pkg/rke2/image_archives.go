package rke2

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/regularfile"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// PinImages pins the archives of images that machines get: those of a release's directory, which RKE2's install script
// takes too, and those that the spec wants. The checksum of a file is the given one, that of the source's checksums
// file, or the one that it has now. A file that has not the given one is an error here: machines would find it only
// after their launch.
func PinImages(ctx context.Context, a api.Artifacts, wanted []api.ImageArchive) ([]api.PinnedImages, error) {
	var pinned []api.PinnedImages
	given := len(wanted)
	if filepath.IsAbs(a.Source) {
		for _, arch := range slices.Sorted(maps.Keys(a.SHA256)) {
			names, err := listReleaseImages(a.Source, arch)
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				sum, err := readArchiveChecksum(ctx, a, arch, name)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return nil, err
				}
				wanted = append(wanted, api.ImageArchive{Path: filepath.Join(a.Source, name), SHA256: sum})
			}
		}
	}
	seen := map[string]bool{}
	for i, archive := range wanted {
		if seen[archive.Name()] { // the spec's wins: it stands first
			continue
		}
		seen[archive.Name()] = true
		if archive.SHA256 == "" || i < given && !archive.IsURL() {
			sum, err := pinArchive(ctx, archive)
			if err != nil {
				return nil, err
			}
			archive.SHA256 = sum
		}
		pinned = append(pinned, api.PinnedImages{From: archive.Path, SHA256: strings.ToLower(archive.SHA256),
			Arch: archive.Arch()})
	}
	return pinned, nil
}

// pinArchive returns the sha256 of an archive on this computer, which has to be the given one, if one is given.
func pinArchive(ctx context.Context, archive api.ImageArchive) (string, error) {
	sum, err := hashArchive(ctx, archive.Path)
	if err != nil {
		return "", &Error{Kind: BadArtifacts, Permanent: true, Cause: err,
			Message: "the archive of images " + archive.Path + " of skyd's machine cannot be read"}
	}
	if archive.SHA256 != "" && !strings.EqualFold(archive.SHA256, sum) {
		return "", &Error{Kind: ChecksumMismatch, Permanent: true,
			Message: fmt.Sprintf("the archive of images %s of skyd's machine has the sha256 %s, but the spec says %s: "+
				"copy the file again, or delete the cluster and create it with the right sha256", archive.Path, sum,
				archive.SHA256)}
	}
	return sum, nil
}

// listReleaseImages lists the archives that RKE2's install script takes from a directory with a release
// (rancher/rke2 release-1.35, install.sh: stage_local_airgap_tarball and install_airgap_tarball): rke2-images, as zst
// if there is one, and all others of the architecture. A source may have none.
func listReleaseImages(dir, arch string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &Error{Kind: BadArtifacts, Permanent: true, Message: "listing " + dir, Cause: err}
	}
	var names []string
	for _, e := range entries {
		if isReleaseImages(e.Name(), arch) {
			names = append(names, e.Name())
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		base, isGzip := strings.CutSuffix(name, ".tar.gz")
		return isGzip && slices.Contains(names, base+".tar.zst")
	}), nil
}

func isReleaseImages(name, arch string) bool {
	base := strings.TrimSuffix(strings.TrimSuffix(name, ".tar.zst"), ".tar.gz")
	return base != name && strings.HasSuffix(base, ".linux-"+arch) &&
		(strings.HasPrefix(base, "rke2-images.") || strings.HasPrefix(base, "rke2-images-"))
}

// hashArchive returns the sha256 of a local file.
func hashArchive(ctx context.Context, name string) (string, error) {
	f, err := regularfile.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, contextReader{ctx, f}, make([]byte, 1<<20)); err != nil {
		return "", fmt.Errorf("checking %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// CheckImages returns what is wrong with the archives of a spec on this computer. It reads none of them.
func CheckImages(images []api.ImageArchive) []api.FieldError {
	var invalid []api.FieldError
	for _, archive := range images {
		if archive.IsURL() {
			continue
		}
		f, err := regularfile.Open(archive.Path)
		if err != nil {
			invalid = append(invalid, api.FieldError{Field: "rke2.images.path", Value: archive.Path,
				Want: "a file that skyd can read on its own machine: " +
					strings.Join(strings.Fields(err.Error()), " ")})
			continue
		}
		_ = f.Close() // nothing was written
	}
	return invalid
}

// InstallImages copies the pinned archives to a machine, into the directory from which RKE2 imports them when it
// starts. An archive that is there already is not copied again. env are the variables of rke2.env: a download uses the
// proxy that they set. progress may be nil.
func InstallImages(ctx context.Context, h *remote.Host, images []api.PinnedImages, env map[string]string,
	progress func(string)) error {
	if len(images) == 0 {
		return nil
	}
	if progress == nil {
		progress = func(string) {}
	}
	f, err := GatherFacts(ctx, h)
	if err != nil {
		return err
	}
	for _, archive := range images {
		if archive.Arch != "" && archive.Arch != f.Arch {
			continue
		}
		if err := installArchive(ctx, h, archive, env, progress); err != nil {
			return err
		}
	}
	return nil
}

func installArchive(ctx context.Context, h *remote.Host, archive api.PinnedImages, env map[string]string,
	progress func(string)) error {
	local := api.ImageArchive{Path: archive.From}
	target := imagesDir + "/" + local.Name()
	if local.IsURL() {
		progress("downloading " + local.Name())
		script := RenderProxyVariables(env, archive.From) + renderArchiveDownload(archive, target)
		err := h.FollowScript(ctx, "downloading "+local.Name(), script,
			func(megabytes string) { progress("downloading " + local.Name() + ": " + megabytes + " MB") })
		return explainArchiveFailure(h, archive, err)
	}
	progress("copying " + local.Name())
	err := h.UploadFile(ctx, archive.From, target, archive.SHA256, func(done, total int64) {
		progress(fmt.Sprintf("copying %s: %d of %d MB", local.Name(), done/1e6, total/1e6))
	})
	return explainArchiveFailure(h, archive, err)
}

// renderArchiveDownload renders downloadScript for an archive. The directories that it makes can be read by all, as
// RKE2 makes them.
func renderArchiveDownload(archive api.PinnedImages, target string) string {
	vars := "mkdir -p " + imagesDir + "\n"
	for _, v := range [][2]string{{"dir", imagesDir}, {"file", target}, {"sum", archive.SHA256},
		{"url", archive.From}, {"protocols", "=https"}} {
		vars += v[0] + "=" + remote.QuoteShell(v[1]) + "\n"
	}
	return vars + downloadScript
}

// explainArchiveFailure converts a failed copy into an Error.
func explainArchiveFailure(h *remote.Host, archive api.PinnedImages, err error) error {
	var mismatch *remote.ChecksumMismatch
	var run *remote.RunError
	switch {
	case errors.As(err, &mismatch):
		return &Error{Kind: ChecksumMismatch, Machine: h.Name(), Cause: err, Permanent: true,
			Message: archive.From + " has changed since the cluster was created"}
	case errors.Is(err, fs.ErrNotExist):
		return &Error{Kind: BadArtifacts, Machine: h.Name(), Cause: err, Permanent: true,
			Message: "the archive of images " + archive.From + " is gone from skyd's machine"}
	case !errors.As(err, &run):
		return err
	}
	tail := strings.Join(run.Tail, "; ")
	e := &Error{Kind: InstallFailed, Machine: h.Name(), Lines: run.Tail, Cause: err,
		Message: "copying the archive of images " + archive.From, Permanent: strings.Contains(tail, "No space left")}
	switch run.Exit {
	case exitChecksum:
		e.Kind, e.Permanent, e.Cause = ChecksumMismatch, true, nil
		e.Message = fmt.Sprintf("%s does not have the pinned checksum %s; %s", archive.From, archive.SHA256, tail)
	case exitNoCurl:
		e.Kind, e.Permanent, e.Cause = Unsupported, true, nil
		e.Message = "curl is missing and " + archive.From + " cannot be downloaded; use a file of skyd's machine"
	case exitDownload:
		e.Kind, e.Cause = SourceUnreachable, nil
		e.Message = fmt.Sprintf("downloading %s: %s", archive.From, tail)
		if notFoundForm.MatchString(tail) {
			e.Kind, e.Permanent = BadArtifacts, true
		}
	}
	return e
}
