package api

import (
	"cmp"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
	"github.com/sky-shift/skyctl/pkg/release"
)

// RKE2Release says where a cluster's RKE2 comes from. The worker's settings fill empty fields.
type RKE2Release struct {
	// Source is "release", the URL of a mirror, or a directory of the worker's computer.
	Source string `json:"source,omitempty"`
	// SHA256 of the release tarball in hexadecimal.
	SHA256 string `json:"sha256,omitempty"`
}

// GPURelease says which software makes a cluster's accelerators available to pods, and where it comes from. The
// worker's settings fill empty fields.
type GPURelease struct {
	ChartRepo       string `json:"chart_repo,omitempty"`
	OperatorVersion string `json:"operator_version,omitempty"`
	PluginVersion   string `json:"plugin_version,omitempty"`
	ImageMirror     string `json:"image_mirror,omitempty"`
	TestImage       string `json:"test_image,omitempty"`
}

// WithFallback returns g with its empty fields taken from other.
func (g GPURelease) WithFallback(other GPURelease) GPURelease {
	return GPURelease{
		ChartRepo:       cmp.Or(g.ChartRepo, other.ChartRepo),
		OperatorVersion: cmp.Or(g.OperatorVersion, other.OperatorVersion),
		PluginVersion:   cmp.Or(g.PluginVersion, other.PluginVersion),
		ImageMirror:     cmp.Or(g.ImageMirror, other.ImageMirror),
		TestImage:       cmp.Or(g.TestImage, other.TestImage),
	}
}

// SpecLevel is the highest level of a field in Fields. A field that an older worker would ignore gets a new level, so
// that a create that uses the field is refused by an older worker. Level 2 added kubernetes_version, rke2 and gpu,
// level 3 ssh_user, level 4 max_nodes, level 6 those of snapshots, level 7 cni, ingress and enable_servicelb,
// level 8 those of ssh.
const SpecLevel = 8

// RequiredLevel is the lowest level of a worker that knows every field that the spec sets.
func (s GroupSpec) RequiredLevel() int {
	level := 1
	for _, f := range Fields {
		if f.text(s) != "" {
			level = max(level, f.Level)
		}
	}
	return level
}

// ObjectLevel is the level of a worker that knows the stored form of clusters. Those below 4 do not know pools; 4 does
// not replace the machines of a pool whose machine spec has changed, and creates clusters of alike machines only,
// and would lose rke2.registries and rke2.env; 5 takes no snapshots, and would provision a cluster that is restored; 6
// would lose rke2.config, rke2.images and the CA of a registry; 7 would lose the bastion of a cluster, and reach its
// machines another way.
const ObjectLevel = 8

// WorkerLevel is the level of this version's workers.
const WorkerLevel = max(SpecLevel, ObjectLevel)

// CopySettings takes over the fields that settings fill from a create.
func (s *ClusterSpec) CopySettings(from GroupSpec) {
	s.KubernetesVersion, s.RKE2.RKE2Release, s.GPU = from.KubernetesVersion, from.RKE2, from.GPU
	s.Network.CNI, s.Ingress, s.EnableServiceLB = from.CNI, from.Ingress, from.EnableServiceLB
}

// WithReleases returns the spec of an existing cluster for a create that resumes it. Releases that the spec does not
// set, as one of an older version, come from the create; a version that machines of the cluster may have installed
// stays.
func (c *Cluster) WithReleases(asked GroupSpec) GroupSpec {
	s := c.Spec.CreateRequest()
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

// UsedSetting is a setting as a running program uses it, so that another program can compare it with its own.
type UsedSetting struct {
	Value string `json:"value"`
	// From is where it came from: flag, environment, file or default.
	From string `json:"from"`
	// InFile is its value in config.yaml, whether that was used or not.
	InFile string `json:"inFile,omitempty"`
	// Content is the SHA-256 of the file that Value names, if the program reads that file once, when it starts.
	Content string `json:"content,omitempty"`
}

// maxKubernetesVersion bounds the length of a version: it becomes a part of paths and addresses.
const maxKubernetesVersion = 71

// WantKubernetesVersion describes what IsKubernetesVersion accepts.
const WantKubernetesVersion = "a release of RKE2, such as v1.35.7+rke2r1"

// IsKubernetesVersion reports whether v has the form of an RKE2 release. Kubernetes has always had the major version 1.
func IsKubernetesVersion(v string) bool {
	_, err := release.Parse(v)
	return err == nil && strings.HasPrefix(v, "v1.") && len(v) <= maxKubernetesVersion
}

// WantSHA256 describes what IsSHA256 accepts.
const WantSHA256 = "64 hexadecimal digits, as sha256sum prints them"

var sha256Digits = lazyregexp.New(`^[0-9a-fA-F]{64}$`)

// IsSHA256 reports whether v is a SHA-256 in hexadecimal.
func IsSHA256(v string) bool { return sha256Digits.MatchString(v) }

func isReleaseSource(v string) bool {
	if v == "release" || filepath.IsAbs(v) {
		return true
	}
	u, err := url.Parse(v)
	return err == nil && u.Host != "" && u.User == nil && strings.Contains(" https http ", " "+u.Scheme+" ")
}
