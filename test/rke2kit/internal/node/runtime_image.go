package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/hostmode"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

const (
	// pullTime is how long a pull that fails takes: the server's port 9345 listens before.
	pullTime = time.Second
	registry = "index.docker.io"
	// usualPullError is what Docker Hub answers to an address with too many requests, as go-containerregistry, which
	// pulls the runtime image, writes it.
	usualPullError = "GET https://" + registry +
		"/v2/%s: TOOMANYREQUESTS: You have reached your unauthenticated pull " +
		"rate limit. https://www.docker.com/increase-rate-limit"
)

// pullRuntimeImage fails if a test asks for it (hostmode.PullFails). RKE2 gets its binaries from this image, and a
// failed pull ends it (rke2 pkg/bootstrap/bootstrap.go, Stage; pkg/executor/staticpod/staticpod.go, Bootstrap). The kit
// has them in its release.
func (n *Node) pullRuntimeImage(ctx context.Context) error {
	cause, found := n.modes.TakeFailure(hostmode.PullFails)
	if !found {
		return nil
	}
	repository, tag := "rancher/rke2-runtime", strings.ReplaceAll(n.opts.Version, "+", "-")
	image := registry + "/" + repository + ":" + tag
	logline.Infof("Pulling runtime image %s", image)
	if cause == "" {
		cause = fmt.Sprintf(usualPullError, repository+"/manifests/"+tag)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pullTime):
	}
	return fmt.Errorf("failed to get runtime image %s: %s", image, cause)
}
