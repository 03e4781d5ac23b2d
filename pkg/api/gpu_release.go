package api

import (
	"net/url"
	"strings"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
	"github.com/sky-shift/skyctl/pkg/release"
)

// What the checks of a GPURelease accept.
const (
	WantChartRepo = "the address of a chart repository without a name and a password, such as " +
		"https://charts.example.com/nvidia or oci://registry.example.com/charts"
	WantChartVersion = "the version of a chart, such as v26.3.2"
	WantImageMirror  = "a registry without a scheme and with an optional path, such as registry.example.com/mirror"
	WantTestImage    = "an image with its tag, such as registry.example.com/cuda-sample:vectoradd"
)

var (
	// An image's name can start with a registry and a port; its tag can have capitals.
	testImagePattern = lazyregexp.New(`^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?` +
		`(@sha256:[0-9a-f]{64})?$`)
	mirrorPattern = lazyregexp.New(`^[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9][a-z0-9._-]*)*/?$`)
)

// IsChartRepo reports whether v is the address of a chart repository. It rejects one with credentials, because every
// user of the cluster could read them.
func IsChartRepo(v string) bool {
	u, err := url.Parse(v)
	return err == nil && u.Host != "" && u.User == nil && strings.Contains(" https http oci ", " "+u.Scheme+" ")
}

// IsChartVersion reports whether v has the form of a chart's version.
func IsChartVersion(v string) bool {
	_, err := release.Parse(v)
	return err == nil
}

// IsImageMirror reports whether v is a registry with an optional path.
func IsImageMirror(v string) bool { return mirrorPattern.MatchString(v) }

// IsTestImage reports whether v is an image.
func IsTestImage(v string) bool { return testImagePattern.MatchString(v) }
