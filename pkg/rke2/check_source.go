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

// sourceTimeout bounds the question to a mirror: somebody waits for the answer.
const sourceTimeout = 5 * time.Second

// versionFile is where a release's directory may say of which version it is, as that of the offline kit does.
const versionFile = "version"

// CheckSource looks whether a source has a release, with Resolve's arguments, before anybody relies on it. It is quick
// and reads no tarball. A source that does not answer now is no error: Resolve will ask it again.
func CheckSource(ctx context.Context, version, source, sum string) error {
	a := api.Artifacts{Version: version, Source: source}
	if source == Release {
		a.Source = releaseURL
	}
	if filepath.IsAbs(a.Source) {
		return checkSourceDirectory(a)
	}
	if !strings.HasPrefix(a.Source, "https://") && sum == "" {
		return newNotOfferedError(a, errors.New("an http:// address needs the tarball's sha256 too"))
	}
	if sum != "" {
		return nil // there may be no checksums file to ask for
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
	return newNotOfferedError(a, errors.Join(missing...))
}

func checkSourceDirectory(a api.Artifacts) error {
	info, err := os.Stat(a.Source)
	if err != nil {
		return newNotOfferedError(a, fmt.Errorf("on the machine of the worker: %w", err))
	}
	if !info.IsDir() {
		return newNotOfferedError(a, errors.New("it is no directory on the machine of the worker"))
	}
	var missing []error
	for _, arch := range releaseArchitectures {
		f, err := regularfile.Open(filepath.Join(a.Source, tarballName(arch)))
		if err != nil {
			missing = append(missing, err)
			continue
		}
		_ = f.Close() // only looked at
	}
	if len(missing) == len(releaseArchitectures) {
		return newNotOfferedError(a, errors.Join(missing...))
	}
	says, err := readVersionFile(filepath.Join(a.Source, versionFile))
	if err == nil && says != a.Version {
		return newNotOfferedError(a, fmt.Errorf("that directory holds %s", says))
	}
	return nil
}

func readVersionFile(name string) (string, error) {
	f, err := regularfile.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, 100))
	return strings.TrimSpace(string(text)), err
}

func newNotOfferedError(a api.Artifacts, cause error) error {
	return &Error{Kind: BadArtifacts, Permanent: true, Cause: cause,
		Message: fmt.Sprintf("RKE2 %s is not to be had from %s", a.Version, a.Source)}
}
