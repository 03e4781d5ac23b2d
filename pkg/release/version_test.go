package release

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	for version, valid := range map[string]bool{
		"v1.35.7+rke2r1":     true,
		"v1.35.7-rc1+rke2r1": true,
		"v26.3.2":            true,
		"0.19.2":             true,
		"v0.20.0-rc.1":       true,
		"":                   false,
		"latest":             false,
		"v":                  false,
		"vv1.2.3":            false,
		"v1":                 false,
		"v1.35":              false,
		"0.19":               false,
		"v1.35.7.1":          false,
		"18.09.1":            false, // a version of Docker, which has a leading zero
		"0.10.3.post1":       false, // a version of SkyPilot
		"v1.35.7+a..b":       false,
		" v1.35.7":           false,
		"v1.35.7\n":          false,
	} {
		if _, err := Parse(version); (err == nil) != valid {
			t.Errorf("%q: %v, want valid: %v", version, err, valid)
		}
	}
}

func TestCompareOrdersVersions(t *testing.T) {
	ordered := []string{
		"v0.20.0-rc.1",
		"v0.20.0",
		"v1.9.0",
		"v1.35.7-rc1+rke2r1",
		"v1.35.7-rc2+rke2r1",
		"v1.35.7",
		"v1.35.7+rke2r1",
		"v1.35.7+rke2r3",
		"v1.35.7+rke2r10",
		"v1.35.10+rke2r1",
		"v1.36.0+rke2r1",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			v, w := mustParse(t, a), mustParse(t, b)
			if got, want := v.Compare(w), sign(i-j); got != want {
				t.Errorf("comparing %s with %s: %d, want %d", a, b, got, want)
			}
		}
	}
	shuffled := []Version{mustParse(t, "v1.35.7+rke2r10"), {}, mustParse(t, "v1.35.7+rke2r2")}
	slices.SortFunc(shuffled, Version.Compare)
	if shuffled[0] != (Version{}) || shuffled[2] != mustParse(t, "v1.35.7+rke2r10") {
		t.Errorf("sorted: %v", shuffled)
	}
}

func TestCompareIgnoresLeadingVAndForeignMetadata(t *testing.T) {
	for _, pair := range [][2]string{
		{"0.19.2", "v0.19.2"},
		{"v1.35.7+k3s1", "v1.35.7+build"},
		{"v1.35.7+rke2r", "v1.35.7"},
	} {
		if got := mustParse(t, pair[0]).Compare(mustParse(t, pair[1])); got != 0 {
			t.Errorf("comparing %s with %s: %d", pair[0], pair[1], got)
		}
	}
}

func TestIsAtLeast(t *testing.T) {
	for version, want := range map[string]bool{
		"v25.10.0":      true,
		"v25.10.0-rc.1": true,
		"25.10.1":       true,
		"v26.3.2":       true,
		"v25.9.9":       false,
		"v25.3.4":       false,
		"v24.12.0":      false,
	} {
		if got := mustParse(t, version).IsAtLeast(25, 10); got != want {
			t.Errorf("%s: %v", version, got)
		}
	}
	if (Version{}).IsAtLeast(0, 0) {
		t.Error("the zero version is at least something")
	}
}

func mustParse(t *testing.T, s string) Version {
	t.Helper()
	v, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(n int) int { return min(max(n, -1), 1) }

func TestIsNewerMinorThan(t *testing.T) {
	for _, tt := range []struct {
		v, w string
		want bool
	}{
		{"v1.36.0+rke2r1", "v1.35.7+rke2r2", true}, {"v1.35.9", "v1.35.7+rke2r1", false},
		{"v1.34.9", "v1.35.7", false}, {"v1.10.0", "v1.9.9", true}, {"v2.0.0", "v1.35.0", true},
	} {
		if got := mustParse(t, tt.v).IsNewerMinorThan(mustParse(t, tt.w)); got != tt.want {
			t.Errorf("%s and %s: %v", tt.v, tt.w, got)
		}
	}
	if (Version{}).IsNewerMinorThan(mustParse(t, "v1.35.7")) || mustParse(t, "v1.35.7").IsNewerMinorThan(Version{}) {
		t.Error("an invalid version is compared")
	}
}
