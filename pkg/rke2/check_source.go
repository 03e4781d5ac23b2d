package rke2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// sourceTimeout bounds a request to a mirror, because a user waits for the answer.
const sourceTimeout = 5 * time.Second

// versionFile is an optional file with the version of a release's directory; the offline kit has one.
const versionFile = "version"

// CheckSource checks early whether a source has a release; its arguments are those of ResolveArtifacts. It is fast and
// reads no tarball. A source that does not answer is not an error: ResolveArtifacts asks it again.
func CheckSource(ctx context.Context, version, source, sum string) error {
	a := api.Artifacts{Version: version, Source: source}
	if source == Release {
		a.Source = releaseURL
	}
	if filepath.IsAbs(a.Source) {
		return checkSourceDirectory(a)
	}
	if !strings.HasPrefix(a.Source, "https://") && sum == "" {
		return newUnavailableError(a, errors.New("an http:// address needs the tarball's sha256 too"))
	}
	if sum != "" {
		return nil // a checksums file may not exist
	}
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	var missing []error
	for _, arch := range releaseArchitectures {
		_, err := readChecksum(ctx, a, arch, false)
		if err == nil || !errors.Is(err, fs.ErrNotExist) && !IsFinal(err) {
			return nil
		}
		missing = append(missing, err)
	}
	return newUnavailableError(a, errors.Join(missing...))
}

func checkSourceDirectory(a api.Artifacts) error {
	info, err := os.Stat(a.Source)
	if err != nil {
		return newUnavailableError(a, fmt.Errorf("on skyd's machine: %w", err))
	}
	if !info.IsDir() {
		return newUnavailableError(a, errors.New("it is not a directory on skyd's machine"))
	}
	var missing []error
	for _, arch := range releaseArchitectures {
		f, err := regularfile.Open(filepath.Join(a.Source, tarballName(arch)))
		if err != nil {
			missing = append(missing, err)
			continue
		}
		_ = f.Close() // nothing was written
	}
	if len(missing) == len(releaseArchitectures) {
		return newUnavailableError(a, errors.Join(missing...))
	}
	found, err := readVersionFile(filepath.Join(a.Source, versionFile))
	if err == nil && found != a.Version {
		return newUnavailableError(a, fmt.Errorf("the directory contains %s", found))
	}
	return nil
}

func readVersionFile(name string) (string, error) {
	f, err := regularfile.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(f, 100))
	return strings.TrimSpace(string(text)), err
}

func newUnavailableError(a api.Artifacts, cause error) error {
	return &Error{Kind: BadArtifacts, Permanent: true, Cause: cause,
		Message: fmt.Sprintf("RKE2 %s is not available from %s", a.Version, a.Source)}
}
