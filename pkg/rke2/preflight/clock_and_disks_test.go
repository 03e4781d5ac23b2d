package preflight

import (
	"errors"
	"fmt"
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

// newRoomyMachine is a machine whose disks have room, however full those of this computer are.
func newRoomyMachine(t *testing.T) *nsmachine.Machine {
	t.Helper()
	m := newMachine(t)
	m.InstallProgram("df", "#!/bin/sh\necho Filesystem\necho disk 104857600 0 52428800\n")
	return m
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
	m := newRoomyMachine(t)
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
	m := newRoomyMachine(t)
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
		release                string
		archives               []Archive
		ran                    bool
		copied, copiedArchives int64
		want                   float64
	}{
		"the release":     {release: "v1.35.7+rke2r1", want: 4},
		"a kit":           {release: "v1.35.7+rke2r1-kit", want: 2},
		"an air gap":      {release: "v1.35.7+rke2r1", archives: archives, want: 6.5},
		"RKE2 ran before": {release: "v1.35.7+rke2r1", archives: archives, ran: true},
		"programs there":  {release: "v1.35.7+rke2r1", copied: g / 4, want: 3.75},
		"half of an upload": {release: "v1.35.7+rke2r1", archives: archives, copied: g / 4, copiedArchives: g,
			want: 5.25},
		"all there": {release: "v1.35.7+rke2r1", archives: archives, copied: g / 4, copiedArchives: g + g/2,
			want: 4.75},
		"others' archives": {release: "v1.35.7+rke2r1", archives: archives, copiedArchives: 50 * g, want: 5},
	} {
		f := Facts{Facts: rke2.Facts{Arch: "amd64"}, HasRun: c.ran, CopiedRelease: c.copied,
			CopiedArchives: c.copiedArchives}
		got := neededSpace(f, Requirements{Release: c.release, Archives: c.archives})
		if float64(got)/g != c.want {
			t.Errorf("%s: %d bytes", name, got)
		}
	}
}

// diskOfFiles is a df of a disk of 10 GiB, of whose /opt/free_kib the files in /var/lib/rancher take some.
const diskOfFiles = `#!/bin/sh
echo Filesystem
echo "disk 10485760 0 $(($(cat /opt/free_kib) - $(du -sk /var/lib/rancher | cut -f 1)))"
`

func TestMachineWithFilesOfAnEarlierAttemptStaysFit(t *testing.T) {
	const m = 1 << 20
	machine := newMachine(t, "/var/lib/skyctl", "/usr/local")
	machine.InstallProgram("df", diskOfFiles)
	// What the kubelet, RKE2 and the archives need, and 4 MiB.
	machine.Write("/opt/free_kib", fmt.Sprint((512+4096+24)<<10), 0o644)
	r := Requirements{Release: "v1.35.7+rke2r1", Archives: []Archive{{Bytes: 20 * m, OfRKE2: true}}}
	check := func() (Facts, error) {
		t.Helper()
		f, err := GatherFacts(t.Context(), machine.Host, r)
		if err != nil {
			t.Fatal(err)
		}
		return f, RefuseUnfit("m", findFullDisks(f, r))
	}
	if f, err := check(); err != nil || f.CopiedArchives > m || f.CopiedRelease != 0 {
		t.Fatalf("an empty disk: %+v, %v", f, err)
	}
	machine.RunShell("mkdir -p /var/lib/rancher/rke2/agent/images && fallocate -l 20M " +
		"/var/lib/rancher/rke2/agent/images/rke2-images.tar.part")
	if f, err := check(); err != nil || f.CopiedArchives < 20*m || f.CopiedArchives > 21*m || f.CopiedRelease != 0 {
		t.Errorf("its own archives: %+v, %v", f, err)
	}
	machine.RunShell("fallocate -l 5M /var/lib/rancher/other")
	if _, err := check(); errorKind(err) != rke2.DiskTooFull {
		t.Errorf("another file: %v", err)
	}
	machine.RunShell("mkdir -p /var/lib/skyctl/artifacts /opt/rke2/bin /opt/rke2/share/rke2; fallocate -l 3M " +
		"/var/lib/skyctl/artifacts/x; fallocate -l 4M /opt/rke2/bin/rke2; fallocate -l 5M /opt/rke2/share/rke2/kube")
	machine.Write("/opt/free_kib", fmt.Sprint(2000<<10), 0o644)
	if f, err := check(); err != nil || f.CopiedRelease < 12*m || f.CopiedRelease > 13*m {
		t.Errorf("an attempt that asked for less: %+v, %v", f, err)
	}
	machine.Write("/opt/free_kib", fmt.Sprint(500<<10), 0o644)
	if _, err := check(); errorKind(err) != rke2.DiskTooFull {
		t.Errorf("below the kubelet's limit: %v", err)
	}
}

func TestFitnessIsReadFromTheMachine(t *testing.T) {
	m := newMachine(t, "/var/lib/kubelet")
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
