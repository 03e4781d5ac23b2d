package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	docker "github.com/docker/docker/client"

	"github.com/sky-shift/skyctl/pkg/rke2"
)

// runtimeImage is the image that RKE2 unpacks its programs from (rke2 6ce1a80, pkg/images/images.go). The plus of a
// version cannot stand in a tag.
const runtimeImage = "docker.io/rancher/rke2-runtime:"

// checkRelease resolves the release as skyd does: it reads the checksums, which are where the tarballs are.
func (w wanted) checkRelease(ctx context.Context) error {
	_, err := rke2.ResolveArtifacts(ctx, w.version, w.source, "")
	return err
}

// images are the images that stand for all that the tests pull. A directory with image archives has RKE2's own.
func (w wanted) images() []string {
	var all []string
	archives, _ := filepath.Glob(filepath.Join(w.source, "rke2-images*.tar.*")) // the pattern is valid
	if !filepath.IsAbs(w.source) || len(archives) == 0 {
		all = append(all, runtimeImage+strings.ReplaceAll(w.version, "+", "-"))
	}
	return append(all, w.image)
}

// checkImage asks the registry for an image, without a download: the mirror, or through the Docker engine the registry
// that the image names.
func (w wanted) checkImage(ctx context.Context, image string) error {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return err
	}
	if w.mirror != "" {
		return askMirror(ctx, w.mirror, named)
	}
	engine, err := docker.NewClientWithOpts(docker.FromEnv, docker.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer engine.Close()
	_, err = engine.DistributionInspect(ctx, image, "")
	return err
}

// askMirror asks a mirror for the manifest of an image.
func askMirror(ctx context.Context, mirror string, image reference.Named) error {
	version := "latest"
	if tagged, ok := image.(reference.Tagged); ok {
		version = tagged.Tag()
	}
	if pinned, ok := image.(reference.Digested); ok {
		version = pinned.Digest().String()
	}
	address := fmt.Sprintf("%s/v2/%s/manifests/%s", strings.TrimRight(mirror, "/"), reference.Path(image), version)
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, address, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/vnd.oci.image.index.v1+json, "+
		"application/vnd.docker.distribution.manifest.list.v2+json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the mirror answers %s to %s", answer.Status, address)
	}
	return nil
}
