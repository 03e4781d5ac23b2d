package preflight

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/test/nsmachine"
)

// setClock shifts a machine's clock by the given seconds.
func setClock(m *nsmachine.Machine, off string) {
	m.InstallProgram("date", "#!/bin/sh\n[ \"$*\" = +%s ] || exec /bin/date \"$@\"\necho $(($(/bin/date +%s) + "+off+
		"))\n")
}

// checkFitness checks the clock and the disks of a machine.
func checkFitness(t *testing.T, m *nsmachine.Machine, progress func(string)) error {
	t.Helper()
	_, found, err := CheckMachine(t.Context(), m.Host, Requirements{}, time.Now, progress)
	if err != nil {
		t.Fatal(err)
	}
	return RefuseUnfit(m.Name(), slices.DeleteFunc(found, func(f Finding) bool {
		return f.Check != checkClock && f.Check != checkDisk
	}))
}

func shortenClockTimeout(t *testing.T) {
	timeout, interval := clockTimeout, clockPollInterval
	t.Cleanup(func() { clockTimeout, clockPollInterval = timeout, interval })
	clockTimeout, clockPollInterval = 200*time.Millisecond, 10*time.Millisecond
}

func TestWrongClockIsAnErrorOfItsOwn(t *testing.T) {
	shortenClockTimeout(t)
	m := newMachine(t)
	for off, says := range map[string]string{"-3600": "1h0m0s behind", "3600": "1h0m0s ahead", "-600": "10m0s behind"} {
		setClock(m, off)
		err := checkFitness(t, m, nil)
		if errorKind(err) != rke2.ClockSkew || !rke2.IsFinal(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("off by %s s: %v", off, err)
		}
	}
	setClock(m, "-60")
	if err := checkFitness(t, m, nil); err != nil {
		t.Errorf("a minute: %v", err)
	}
}

func TestClockMayBeSetSoonAfterBoot(t *testing.T) {
	shortenClockTimeout(t)
	clockTimeout = time.Minute
	m := newMachine(t)
	setClock(m, "-3600")
	var reports []string
	err := checkFitness(t, m, func(s string) {
		reports = append(reports, s)
		setClock(m, "0")
	})
	if err != nil || len(reports) == 0 || !strings.Contains(reports[0], "1h0m0s behind") {
		t.Errorf("reported %q, %v", reports, err)
	}
}

func TestDiskBelowTheEvictionThresholdIsRejected(t *testing.T) {
	const g = 1 << 30
	for _, c := range []struct {
		name       string
		size, free int64
		images     bool
		says       string
	}{
		{"roomy", 100 * g, 50 * g, false, ""},
		{"5% and RKE2 fit", 100 * g, 9*g + 1, false, ""},
		{"above the kubelet's limit, and RKE2 does not fit", 100 * g, 6 * g, false, "6.0 GiB of 100.0 GiB are free " +
			"on the disk of /var/lib/rancher; the kubelet evicts pods below 5% (5.0 GiB), and RKE2 with its images " +
			"needs 4.0 GiB: free another 3.0 GiB"},
		{"its images are there", 100 * g, 6 * g, true, ""},
		{"below the kubelet's limit", 100 * g, 4 * g, true, "free another 1.0 GiB"},
		{"gigabytes free of a large disk", 1000 * g, 40 * g, true, "5% (50.0 GiB)"},
	} {
		f := Facts{HasRun: c.images, Disks: []disk{{"/var/lib/rancher", c.size, c.free}}}
		err := RefuseUnfit("m", findFullDisks(f, Requirements{}))
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.says != "" && (errorKind(err) != rke2.DiskTooFull || !rke2.IsFinal(err) ||
			!strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestSpaceForTheReleaseAndItsArchives(t *testing.T) {
	const g = 1 << 30
	archives := []Archive{{Bytes: g}, {Arch: "amd64", Bytes: g / 2, OfRKE2: true}, {Arch: "arm64", Bytes: 50 * g}}
	for name, c := range map[string]struct {
		release  string
		archives []Archive
		ran      bool
		want     float64
	}{
		"the release":     {"v1.35.7+rke2r1", nil, false, 4},
		"a kit":           {"v1.35.7+rke2r1-kit", nil, false, 2},
		"an air gap":      {"v1.35.7+rke2r1", archives, false, 6.5},
		"RKE2 ran before": {"v1.35.7+rke2r1", archives, true, 0},
	} {
		f := Facts{Facts: rke2.Facts{Arch: "amd64"}, HasRun: c.ran}
		got := neededSpace(f, Requirements{Release: c.release, Archives: c.archives})
		if float64(got)/g != c.want {
			t.Errorf("%s: %d bytes", name, got)
		}
	}
}

func TestFitnessIsReadFromTheMachine(t *testing.T) {
	m := newMachine(t)
	m.RunShell("mount -o remount,size=1g /var/lib/rancher")
	if err := checkFitness(t, m, nil); errorKind(err) != rke2.DiskTooFull ||
		!strings.Contains(err.Error(), "1.0 GiB of 1.0 GiB are free on the disk of /var/lib/rancher") {
		t.Errorf("got %v", err)
	}
}

func errorKind(err error) string {
	var e *rke2.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}
