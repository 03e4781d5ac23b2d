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
	"github.com/sky-shift/skyctl/pkg/regular"
)

// askSource bounds the question to a mirror: somebody waits for the answer.
const askSource = 5 * time.Second

// versionFile is where a release's directory may say of which version it is, as that of the offline kit does.
const versionFile = "version"

// Offered looks whether a source has a release, with Resolve's arguments, before anybody relies on it. It is quick and reads
// no tarball. A source that does not answer now is no error: Resolve will ask it again.
func Offered(ctx context.Context, version, source, sum string) error {
	a := api.Artifacts{Version: version, Source: source}
	if source == Release {
		a.Source = releaseURL
	}
	if filepath.IsAbs(a.Source) {
		return offeredByDirectory(a)
	}
	if !strings.HasPrefix(a.Source, "https://") && sum == "" {
		return notOffered(a, errors.New("an http:// address needs the tarball's sha256 too"))
	}
	if sum != "" {
		return nil // there may be no checksums file to ask for
	}
	ctx, cancel := context.WithTimeout(ctx, askSource)
	defer cancel()
	var missing []error
	for _, arch := range knownArchs {
		_, err := pinnedSum(ctx, a, arch, false)
		if err == nil || !errors.Is(err, fs.ErrNotExist) && !IsFinal(err) {
			return nil
		}
		missing = append(missing, err)
	}
	return notOffered(a, errors.Join(missing...))
}

func offeredByDirectory(a api.Artifacts) error {
	info, err := os.Stat(a.Source)
	if err != nil {
		return notOffered(a, fmt.Errorf("on the machine of the worker: %w", err))
	}
	if !info.IsDir() {
		return notOffered(a, errors.New("it is no directory on the machine of the worker"))
	}
	var missing []error
	for _, arch := range knownArchs {
		f, err := regular.Open(filepath.Join(a.Source, tarball(arch)))
		if err != nil {
			missing = append(missing, err)
			continue
		}
		_ = f.Close() // only looked at
	}
	if len(missing) == len(knownArchs) {
		return notOffered(a, errors.Join(missing...))
	}
	says, err := readVersion(filepath.Join(a.Source, versionFile))
	if err == nil && says != a.Version {
		return notOffered(a, fmt.Errorf("that directory holds %s", says))
	}
	return nil
}

func readVersion(name string) (string, error) {
	f, err := regular.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, 100))
	return strings.TrimSpace(string(text)), err
}

func notOffered(a api.Artifacts, cause error) error {
	return &Error{Reason: BadArtifacts, Final: true, Cause: cause,
		Message: fmt.Sprintf("RKE2 %s is not to be had from %s", a.Version, a.Source)}
}
