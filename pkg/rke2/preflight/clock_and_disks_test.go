package preflight

import (
	"errors"
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

func shortenClockTimeout(t *testing.T) {
	timeout, interval := clockTimeout, clockPollInterval
	t.Cleanup(func() { clockTimeout, clockPollInterval = timeout, interval })
	clockTimeout, clockPollInterval = 200*time.Millisecond, 10*time.Millisecond
}

func TestWrongClockIsAnErrorOfItsOwn(t *testing.T) {
	shortenClockTimeout(t)
	m := nsmachine.Start(t, []string{"/var/lib/rancher"})
	for off, says := range map[string]string{"-3600": "1h0m0s behind", "3600": "1h0m0s ahead", "-600": "10m0s behind"} {
		setClock(m, off)
		err := CheckFitness(t.Context(), m.Host, time.Now, nil)
		if errorKind(err) != rke2.ClockSkew || !rke2.IsFinal(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("off by %s s: %v", off, err)
		}
	}
	setClock(m, "-60")
	if err := CheckFitness(t.Context(), m.Host, time.Now, nil); err != nil {
		t.Errorf("a minute: %v", err)
	}
}

func TestClockMayBeSetSoonAfterBoot(t *testing.T) {
	shortenClockTimeout(t)
	clockTimeout = time.Minute
	m := nsmachine.Start(t, []string{"/var/lib/rancher"})
	setClock(m, "-3600")
	var reports []string
	err := CheckFitness(t.Context(), m.Host, time.Now, func(s string) {
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
		{"5% and RKE2 fit", 100 * g, 7*g + 1, false, ""},
		{"above the kubelet's limit, and RKE2 does not fit", 100 * g, 6 * g, false, "6.0 GiB of 100.0 GiB are free " +
			"on the disk of /var/lib/rancher; the kubelet evicts pods below 5% (5.0 GiB), and RKE2 with its images " +
			"needs 2.0 GiB: free another 1.0 GiB"},
		{"its images are there", 100 * g, 6 * g, true, ""},
		{"below the kubelet's limit", 100 * g, 4 * g, true, "free another 1.0 GiB"},
		{"gigabytes free of a large disk", 1000 * g, 40 * g, true, "5% (50.0 GiB)"},
	} {
		err := checkDisks("m", fitness{images: c.images, disks: []disk{{"/var/lib/rancher", c.size, c.free}}})
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.says != "" && (errorKind(err) != rke2.DiskTooFull || !rke2.IsFinal(err) ||
			!strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestFitnessIsReadFromTheMachine(t *testing.T) {
	m := nsmachine.Start(t, []string{"/var/lib/rancher"})
	m.RunShell("mount -o remount,size=1g /var/lib/rancher")
	if err := CheckFitness(t.Context(), m.Host, time.Now, nil); errorKind(err) != rke2.DiskTooFull ||
		!strings.Contains(err.Error(), "1.0 GiB of 1.0 GiB are free on the disk of /var/lib/rancher") {
		t.Errorf("got %v", err)
	}
	if f, err := parseFitness("m", "clock=1000 images=1 kubelet_kib=1024 kubelet_free_kib=512 rancher_kib=- "+
		"rancher_free_kib="); err != nil ||
		!f.images || len(f.disks) != 1 || f.disks[0] != (disk{"/var/lib/kubelet", 1 << 20, 1 << 19}) {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := parseFitness("m", "sh: date: not found"); err == nil {
		t.Error("no error without a clock")
	}
}

func errorKind(err error) string {
	var e *rke2.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}
