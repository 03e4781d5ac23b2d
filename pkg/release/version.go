// Package release parses and orders the versions of the software that skyctl installs: RKE2 and Helm charts.
//
// They are semantic versions. golang.org/x/mod/semver parses them, but it ignores build metadata, so that it takes
// v1.35.7+rke2r1 and v1.35.7+rke2r3 for equal. Compare orders them.
package release

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"
)

// Version is the version of a release. The zero Version is invalid and older than all others.
type Version struct {
	// canonical is the version with its leading v and its build metadata.
	canonical string
	// rke2Release is the N of +rke2rN; 0 if the version has none.
	rke2Release int
}

// Parse parses a semantic version of three numbers, with or without a leading v.
func Parse(s string) (Version, error) {
	v := "v" + strings.TrimPrefix(s, "v")
	// semver also takes short forms such as v1.35, which Canonical completes.
	if !semver.IsValid(v) || semver.Canonical(v)+semver.Build(v) != v {
		return Version{}, fmt.Errorf("%q is not a semantic version", s)
	}
	return Version{canonical: v, rke2Release: parseRKE2Release(semver.Build(v))}, nil
}

func parseRKE2Release(build string) int {
	digits, ok := strings.CutPrefix(build, "+rke2r")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 {
		return 0
	}
	return n
}

// Compare returns -1, 0 or 1 if v is older than w, equal or newer: by the rules of semantic versions, then by the
// number of RKE2's release of the same Kubernetes version.
func (v Version) Compare(w Version) int {
	return cmp.Or(semver.Compare(v.canonical, w.canonical), cmp.Compare(v.rke2Release, w.rke2Release))
}

// IsAtLeast reports whether v belongs to the given minor version or a later one. A pre-release such as v25.10.0-rc.1
// belongs to its minor version.
func (v Version) IsAtLeast(major, minor int) bool {
	return v.canonical != "" && semver.Compare(semver.MajorMinor(v.canonical), fmt.Sprintf("v%d.%d", major, minor)) >= 0
}

// IsNewerMinorThan reports whether v belongs to a later minor version than w. It is false if one of them is invalid.
func (v Version) IsNewerMinorThan(w Version) bool {
	return v.canonical != "" && w.canonical != "" &&
		semver.Compare(semver.MajorMinor(v.canonical), semver.MajorMinor(w.canonical)) > 0
}
