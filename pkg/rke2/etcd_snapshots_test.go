package rke2

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"sigs.k8s.io/yaml"
)

// snapshotProgram is rke2 on a machine whose server has one scheduled snapshot. It keeps what it was asked.
const snapshotProgram = `#!/bin/sh
echo "$@" >>/var/lib/skyctl/calls
cd /var/lib/rancher || exit
item() {
  printf '{"spec":{"snapshotName":"%s","nodeName":"sky-a-0-x1","location":"file:///var/lib/rancher/%s"},' "$1" "$1"
  printf '"status":{"size":"%s","creationTime":"%s","readyToUse":true}}' "$2" "$3"
}
case "$2" in
ls)
  echo '{"items":['
  item etcd-snapshot-sky-a-0-x1-1700000000 20M 2023-11-14T22:13:20Z
  if [ -e saved ]; then echo ,; item "$(cat saved)" 1048608 2023-11-14T23:00:00Z; fi
  cat failed 2>/dev/null
  echo ']}';;
save)
  echo 'time="x" level=warning msg="Unknown flag --tls-san found in config.yaml, skipping"' >&2
  [ ! -e failed ] || exit 0
  echo "$4-sky-a-0-x1-1700002800" >saved
  echo "time=\"x\" level=info msg=\"Snapshot $4-sky-a-0-x1-1700002800 saved.\"" >&2;;
delete)
  [ ! -e down ] || { echo 'time="x" level=fatal msg="Error: failed to get CA certs: connection refused"' >&2; exit 1; }
  rm -f saved;;
esac
`

func newSnapshotMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.Write("/usr/local/bin/rke2", snapshotProgram, 0o755)
	m.RunShell("mkdir -p /var/lib/skyctl /var/lib/rancher")
	return m
}

func TestSnapshotIsTakenListedCopiedAndDeleted(t *testing.T) {
	m := newSnapshotMachine(t)
	saved, err := SaveSnapshot(t.Context(), m.Host, "before-migration")
	want := SnapshotFile{Name: "before-migration-sky-a-0-x1-1700002800", NodeName: "sky-a-0-x1", Bytes: 1<<20 + 32,
		Path:    "/var/lib/rancher/before-migration-sky-a-0-x1-1700002800",
		TakenAt: time.Date(2023, 11, 14, 23, 0, 0, 0, time.UTC)}
	if err != nil || saved != want || saved.RequestedName() != "before-migration" || saved.IsScheduled() {
		t.Fatalf("saved %+v, %v", saved, err)
	}
	all, err := ListSnapshots(t.Context(), m.Host)
	if err != nil || len(all) != 2 || all[0] != want || !all[1].IsScheduled() || all[1].Bytes != 20_000_000 {
		t.Errorf("listed %+v, %v", all, err)
	}
	m.Write(saved.Path, "pages", 0o600)
	var got bytes.Buffer
	if err := CopySnapshot(t.Context(), m.Host, saved, &got); err != nil || got.String() != "pages" {
		t.Errorf("copied %q, %v", &got, err)
	}
	if err := DeleteSnapshot(t.Context(), m.Host, saved.Name); err != nil {
		t.Error(err)
	}
	if calls := m.RunShell("cat /var/lib/skyctl/calls"); !strings.HasSuffix(calls, "delete "+saved.Name) {
		t.Errorf("calls: %s", calls)
	}
}

// RKE2 exits with 0 if it could not take a snapshot.
func TestSnapshotThatWasNotTakenIsAnError(t *testing.T) {
	m := newSnapshotMachine(t)
	m.Write("/var/lib/rancher/failed", `,{"spec":{"snapshotName":"now-sky-a-0-x1-1700002800","nodeName":"sky-a-0-x1",`+
		`"location":""},"status":{"readyToUse":false,"error":{"time":"2023-11-14T23:00:00Z","message":"etcdserver: `+
		`mvcc: database space exceeded"}}}`, 0o600)
	failed := new(SnapshotError)
	if _, err := SaveSnapshot(t.Context(), m.Host, "now"); !errors.As(err, &failed) ||
		!strings.Contains(err.Error(), "database space exceeded") {
		t.Errorf("got %v", err)
	}
	if all, err := ListSnapshots(t.Context(), m.Host); err != nil || len(all) != 1 {
		t.Errorf("listed %+v, %v", all, err)
	}
}

func TestServerThatIsDownSaysSo(t *testing.T) {
	m := newSnapshotMachine(t)
	m.Write("/var/lib/rancher/down", "", 0o600)
	failed := new(SnapshotError)
	if err := DeleteSnapshot(t.Context(), m.Host, "one-sky-a-0-x1-1"); !errors.As(err, &failed) ||
		failed.Message != "Error: failed to get CA certs: connection refused" {
		t.Errorf("got %v", err)
	}
}

func TestSnapshotNameIsNoOptionOrPath(t *testing.T) {
	for _, name := range []string{"", "--snapshot-retention", "../etcd", "a b", "a\nb", "a/b"} {
		if _, err := SaveSnapshot(t.Context(), nil, name); err == nil {
			t.Errorf("%q was accepted", name)
		}
		if err := DeleteSnapshot(t.Context(), nil, name); err == nil {
			t.Errorf("%q was deleted", name)
		}
	}
}

func TestScheduleOfAServerChangesAndNothingElse(t *testing.T) {
	m := newMachine(t)
	config, err := RenderConfig(Node{Role: api.RoleHead, NodeName: "sky-a-0-x1", NodeIP: "10.0.0.4",
		AgentToken: "0123456789abcdef", SnapshotEvery: time.Hour}, twoCores)
	if err != nil {
		t.Fatal(err)
	}
	m.Write(configFile, string(config), 0o600)
	parse := func() map[string]any {
		t.Helper()
		parsed := map[string]any{}
		if err := yaml.Unmarshal([]byte(m.RunShell("cat "+configFile)), &parsed); err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	before := parse()
	for _, every := range []time.Duration{0, 90 * time.Minute} {
		if err := WriteSnapshotSchedule(t.Context(), m.Host, every); err != nil {
			t.Fatal(err)
		}
		now := parse()
		if cron := now["etcd-snapshot-schedule-cron"]; every == 0 &&
			(cron != nil || now["etcd-disable-snapshots"] == nil) ||
			every > 0 && (cron != "@every 1h30m" || now["etcd-disable-snapshots"] != nil) {
			t.Errorf("%s: %v", every, now)
		}
	}
	after := parse()
	after["etcd-snapshot-schedule-cron"] = before["etcd-snapshot-schedule-cron"]
	if !reflect.DeepEqual(before, after) {
		t.Errorf("before %v\nafter  %v", before, after)
	}
	if mode := m.RunShell("stat -c %a " + configFile + "; ls /etc/rancher/rke2"); mode != "600\nconfig.yaml" {
		t.Errorf("mode and files: %s", mode)
	}
}

func TestTimesOfSnapshotsAreByThisClock(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 30, 0, time.UTC)
	year := 365 * 24 * time.Hour
	for what, tt := range map[string]struct{ taken, clock, want time.Duration }{
		"a right clock":           {-time.Hour, 0, -time.Hour},
		"a slow answer":           {-time.Hour, -20 * time.Second, -time.Hour},
		"a year ahead":            {year - time.Hour, year, -time.Hour},
		"hours behind":            {-4 * time.Hour, -3 * time.Hour, -time.Hour},
		"corrected since":         {year, 0, 0},
		"corrected from the past": {-year, 0, -year},
		"rounded up by RKE2":      {500 * time.Millisecond, 0, 500 * time.Millisecond},
	} {
		all := []SnapshotFile{{TakenAt: now.Add(tt.taken)}}
		correctSnapshotTimes(all, now.Add(tt.clock), now)
		if got := all[0].TakenAt.Sub(now); got != tt.want {
			t.Errorf("%s: taken %s ago, want %s", what, -got, -tt.want)
		}
	}
}

func TestClockOfAMachineIsReadWithItsSnapshots(t *testing.T) {
	m := newSnapshotMachine(t)
	// The machine lives in the hour of its snapshot.
	m.Write("/usr/local/bin/date", "#!/bin/sh\necho 1700003600\n", 0o755)
	all, err := ListSnapshots(t.Context(), m.Host)
	if err != nil || len(all) != 1 {
		t.Fatalf("listed %+v, %v", all, err)
	}
	if age := time.Since(all[0].TakenAt); age < time.Hour || age > time.Hour+time.Minute {
		t.Errorf("it is %s old, want an hour", age)
	}
}
