package rke2

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

const (
	// Release is the source that stands for the official release.
	Release    = "release"
	releaseURL = "https://github.com/rancher/rke2/releases/download"

	fetchTimeout = 30 * time.Second
	// maxChecksumsSize bounds a checksums file; real ones are a few kilobytes.
	maxChecksumsSize = 1 << 20
)

// releaseArchitectures are the architectures that RKE2 is released for and skyctl supports.
var releaseArchitectures = []string{"amd64", "arm64"}

func tarballName(arch string) string   { return "rke2.linux-" + arch + ".tar.gz" }
func checksumsName(arch string) string { return "sha256sum-" + arch + ".txt" }

// ResolveArtifacts pins what all machines of a cluster install: the version, the source, and the sha256 of the tarball
// per architecture. source is "release", a URL with the files at <version>/<file>, or an absolute directory with the
// files. If sum is set, it is the sha256 of the tarball and no checksums file is read. Tarballs in a directory are
// verified at once.
func ResolveArtifacts(ctx context.Context, version, source, sum string) (api.Artifacts, error) {
	a := api.Artifacts{Version: version, Source: source, SHA256: map[string]string{}}
	if source == Release {
		a.Source = releaseURL
	}
	isDir := filepath.IsAbs(a.Source)
	if !isDir && !strings.HasPrefix(a.Source, "https://") && (sum == "" || !strings.HasPrefix(a.Source, "http://")) {
		return a, &Error{Kind: BadArtifacts, Permanent: true,
			Message: fmt.Sprintf("the RKE2 source %q is neither %q, an absolute directory, nor an https:// address",
				source, Release)}
	}
	var missing []error
	for _, arch := range releaseArchitectures {
		pinned := strings.ToLower(sum)
		var err error
		if pinned == "" {
			pinned, err = readChecksum(ctx, a, arch, isDir)
		}
		if err == nil && isDir {
			err = checkTarball(ctx, filepath.Join(a.Source, tarballName(arch)), pinned)
		}
		switch {
		case err == nil:
			a.SHA256[arch] = pinned
		case errors.Is(err, fs.ErrNotExist), sum != "" && kindOf(err) == ChecksumMismatch:
			// The sum may belong to the other architecture.
			missing = append(missing, err)
		default:
			return a, err
		}
	}
	if len(a.SHA256) == 0 {
		for _, err := range missing {
			if kindOf(err) == ChecksumMismatch {
				return a, err
			}
		}
		return a, &Error{Kind: BadArtifacts, Permanent: true, Cause: errors.Join(missing...),
			Message: fmt.Sprintf("RKE2 %s is not available from %s; check rke2.version and rke2.source", version,
				a.Source)}
	}
	return a, nil
}

// readChecksum reads the sha256 of an architecture's tarball from the checksums file of the source.
func readChecksum(ctx context.Context, a api.Artifacts, arch string, isDir bool) (string, error) {
	from := artifactURL(a, checksumsName(arch))
	var r io.ReadCloser
	var err error
	if isDir {
		from = filepath.Join(a.Source, checksumsName(arch))
		r, err = regularfile.Open(from)
	} else {
		r, err = fetchURL(ctx, from)
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	sum, err := findChecksum(io.LimitReader(r, maxChecksumsSize), tarballName(arch))
	if err != nil {
		return "", &Error{Kind: BadArtifacts, Message: "reading " + from, Cause: err, Permanent: true}
	}
	return sum, nil
}

// artifactURL returns the URL of a release file. It escapes plus signs, which some servers misread in a path.
func artifactURL(a api.Artifacts, file string) string {
	return strings.TrimRight(a.Source, "/") + "/" + strings.ReplaceAll(url.PathEscape(a.Version), "+", "%2B") + "/" +
		file
}

// fetchURL downloads a URL, through the environment's proxy if one is set; the error of a missing file is
// fs.ErrNotExist.
func fetchURL(ctx context.Context, from string) (io.ReadCloser, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	doing := "fetching " + from
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		cancel()
		return nil, &Error{Kind: BadArtifacts, Message: doing, Cause: err, Permanent: true}
	}
	proxy := describeProxy(req)
	doing += proxy
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		cancel()
		return nil, &Error{Kind: SourceUnreachable, Message: doing, Cause: err}
	}
	if res.StatusCode == http.StatusOK {
		return cancelingBody{res.Body, cancel}, nil
	}
	res.Body.Close()
	cancel()
	switch {
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		return nil, fmt.Errorf("%s: %s: %w", doing, res.Status, fs.ErrNotExist)
	case proxy == "" && res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests &&
		res.StatusCode != http.StatusRequestTimeout:
		return nil, &Error{Kind: BadArtifacts, Message: doing + ": " + res.Status, Permanent: true}
	}
	return nil, &Error{Kind: SourceUnreachable, Message: doing + ": " + res.Status} // it may be the proxy's answer
}

// cancelingBody cancels the context of its request when it is closed.
type cancelingBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b cancelingBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

var sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)

// findChecksum finds the line of a file in the output of sha256sum: the sum, two blanks or a blank and a star, the
// name.
func findChecksum(r io.Reader, file string) (string, error) {
	found := ""
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 2 || strings.TrimPrefix(f[1], "*") != file {
			continue
		}
		sum := strings.ToLower(f[0])
		if !sha256Form.MatchString(sum) {
			return "", fmt.Errorf("the line of %s has no sha256: %.100q", file, lines.Text())
		}
		if found != "" && found != sum {
			return "", fmt.Errorf("%s has two different checksums", file)
		}
		found = sum
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	if found == "" {
		return "", fmt.Errorf("%s has no checksum", file)
	}
	return found, nil
}

// checkTarball verifies a local tarball, so that a damaged one is found before a machine is used.
func checkTarball(ctx context.Context, name, want string) error {
	f, err := regularfile.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, contextReader{ctx, f}, make([]byte, 1<<20)); err != nil {
		return fmt.Errorf("checking %s: %w", name, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return &Error{Kind: ChecksumMismatch, Permanent: true,
			Message: fmt.Sprintf("%s has the sha256 %s, expected %s; the file is damaged or from another "+
				"release: download it again", name, got, want)}
	}
	return nil
}

// contextReader stops reading when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
