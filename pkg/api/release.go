package api

import (
	"cmp"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/release"
)

// RKE2Release says where a cluster's RKE2 comes from. What is empty is for the worker's own settings to say.
type RKE2Release struct {
	// Source is "release", the URL of a mirror, or a directory of the worker's machine.
	Source string `json:"source,omitempty"`
	// SHA256 of the release tarball in hexadecimal.
	SHA256 string `json:"sha256,omitempty"`
}

// GPURelease says which software makes a cluster's accelerators known to Kubernetes, and where it comes from. What is
// empty is for the worker's own settings to say.
type GPURelease struct {
	ChartRepo       string `json:"chart_repo,omitempty"`
	OperatorVersion string `json:"operator_version,omitempty"`
	PluginVersion   string `json:"plugin_version,omitempty"`
	ImageMirror     string `json:"image_mirror,omitempty"`
	TestImage       string `json:"test_image,omitempty"`
}

// WithFallback is g with what it leaves empty taken from other.
func (g GPURelease) WithFallback(other GPURelease) GPURelease {
	return GPURelease{
		ChartRepo:       cmp.Or(g.ChartRepo, other.ChartRepo),
		OperatorVersion: cmp.Or(g.OperatorVersion, other.OperatorVersion),
		PluginVersion:   cmp.Or(g.PluginVersion, other.PluginVersion),
		ImageMirror:     cmp.Or(g.ImageMirror, other.ImageMirror),
		TestImage:       cmp.Or(g.TestImage, other.TestImage),
	}
}

// SpecLevel counts what a worker knows of specs: it grows whenever a spec gets a field that a worker of before would
// ignore. Level 2 brought kubernetes_version, rke2 and gpu.
const SpecLevel = 2

// RequiredLevel is the least that a worker must know to do all that a spec asks for.
func (s ClusterSpec) RequiredLevel() int {
	if s.KubernetesVersion != "" || s.RKE2 != (RKE2Release{}) || s.GPU != (GPURelease{}) {
		return 2
	}
	return 1
}

// WithReleases is the spec of a cluster that is there, for a create that goes on with it: what the spec does not say of
// releases, as that of a version before, is what the create asks for; only the version that machines of the cluster may
// have already stays.
func (c *Cluster) WithReleases(asked ClusterSpec) ClusterSpec {
	s := c.Spec
	if s.KubernetesVersion == "" && s.RKE2 == (RKE2Release{}) {
		s.KubernetesVersion, s.RKE2 = asked.KubernetesVersion, asked.RKE2
		if c.Status.Artifacts != nil && slices.ContainsFunc(c.Status.Machines,
			func(m Machine) bool { return m.State.MayExist() }) {
			s.KubernetesVersion = c.Status.Artifacts.Version
		}
	}
	s.GPU = s.GPU.WithFallback(asked.GPU)
	return s
}

// UsedSetting is a setting as a running program uses it, for others to compare with theirs.
type UsedSetting struct {
	Value string `json:"value"`
	// From is where it came from: flag, environment, file or default.
	From string `json:"from"`
	// InFile is what config.yaml said of it, whether that was used or not.
	InFile string `json:"inFile,omitempty"`
	// Content is the SHA-256 of the file that Value names, where its content is read once, at the start.
	Content string `json:"content,omitempty"`
}

// maxKubernetesVersion bounds the length of a version: it becomes a part of paths and addresses.
const maxKubernetesVersion = 71

// WantKubernetesVersion says what IsKubernetesVersion takes.
const WantKubernetesVersion = "a release of RKE2, such as v1.35.7+rke2r1"

// IsKubernetesVersion reports whether v has the form of an RKE2 release. Kubernetes has always had the major version 1.
func IsKubernetesVersion(v string) bool {
	_, err := release.Parse(v)
	return err == nil && strings.HasPrefix(v, "v1.") && len(v) <= maxKubernetesVersion
}

var sha256Digits = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

const wantSource = `"release", the https:// address of a mirror without a name and a password in it, or an ` +
	`absolute directory of the worker's machine`

// validateReleases checks what is said of where software comes from.
func (s ClusterSpec) validateReleases(errs *fieldErrors) {
	if s.KubernetesVersion != "" && !IsKubernetesVersion(s.KubernetesVersion) {
		errs.addField("kubernetes_version", s.KubernetesVersion, WantKubernetesVersion)
	}
	if s.RKE2.Source != "" && !isReleaseSource(s.RKE2.Source) {
		errs.addField("rke2.source", s.RKE2.Source, wantSource)
	}
	if s.RKE2.SHA256 != "" && !sha256Digits.MatchString(s.RKE2.SHA256) {
		errs.addField("rke2.sha256", s.RKE2.SHA256, "64 hexadecimal digits, as sha256sum prints them")
	}
}

func isReleaseSource(v string) bool {
	if v == "release" || filepath.IsAbs(v) {
		return true
	}
	u, err := url.Parse(v)
	return err == nil && u.Host != "" && u.User == nil && strings.Contains(" https http ", " "+u.Scheme+" ")
}
