package rke2

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2/componentlog"
)

// SnapshotFile is a snapshot of etcd on a server.
type SnapshotFile struct {
	// Name is RKE2's: the name that was asked for, the Node's name, and the time in seconds.
	Name     string
	NodeName string
	Path     string
	Bytes    int64
	// TakenAt is by this computer's clock, if the machine's was as wrong then as it is now. It is never more than
	// a minute in the future.
	TakenAt time.Time
}

// scheduledName is what RKE2's own schedule calls its snapshots (etcd-snapshot-name).
const scheduledName = "etcd-snapshot"

// IsScheduled reports whether RKE2's own schedule took the snapshot.
func (f SnapshotFile) IsScheduled() bool { return f.RequestedName() == scheduledName }

// RequestedName is the name for which SaveSnapshot was asked.
func (f SnapshotFile) RequestedName() string {
	rest := strings.TrimRight(f.Name, "0123456789")
	name, found := strings.CutSuffix(rest, "-"+f.NodeName+"-")
	if !found || rest == f.Name {
		return ""
	}
	return name
}

// withRKE2 finds RKE2's program, which is in the one or the other directory (facts.go).
const withRKE2 = "PATH=$PATH:/usr/local/bin:/opt/rke2/bin\n"

// SaveSnapshot has the server take a snapshot now. The name has letters, digits, '.' and '-'; RKE2 adds the Node's name
// and the time. RKE2 exits with 0 also if it took none (k3s pkg/etcd/snapshot.go): the error is then a *SnapshotError.
func SaveSnapshot(ctx context.Context, h *remote.Host, name string) (SnapshotFile, error) {
	if err := checkSnapshotName(name); err != nil {
		return SnapshotFile{}, err
	}
	out, err := h.RunScript(ctx, "taking a snapshot of etcd", withRKE2+"rke2 etcd-snapshot save --name "+
		remote.QuoteShell(name)+" 2>&1")
	if err != nil {
		return SnapshotFile{}, newSnapshotError(h, "taking a snapshot of etcd", string(out), err)
	}
	saved := savedForm.FindSubmatch(out)
	all, failure, err := listSnapshots(ctx, h, name)
	if err != nil {
		return SnapshotFile{}, err
	}
	if saved == nil {
		return SnapshotFile{}, newSnapshotError(h, "taking a snapshot of etcd", cmp.Or(failure, string(out)), nil)
	}
	i := slices.IndexFunc(all, func(f SnapshotFile) bool { return f.Name == string(saved[1]) })
	if i < 0 {
		return SnapshotFile{}, newSnapshotError(h, "taking a snapshot of etcd", "the server does not list the "+
			"snapshot "+string(saved[1])+" that it took", nil)
	}
	return all[i], nil
}

// savedForm is in the log line with which `rke2 etcd-snapshot save` succeeds.
var savedForm = regexp.MustCompile(`Snapshot ([A-Za-z0-9._-]+) saved\.`)

var snapshotNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`)

func checkSnapshotName(name string) error {
	if !snapshotNameForm.MatchString(name) {
		return fmt.Errorf("the name %q of a snapshot is invalid: it has letters, digits, '.' and '-'", name)
	}
	return nil
}

// ListSnapshots returns the snapshots on a server, the newest first.
func ListSnapshots(ctx context.Context, h *remote.Host) ([]SnapshotFile, error) {
	all, _, err := listSnapshots(ctx, h, "")
	return all, err
}

// listSnapshots also returns why the newest snapshot of a requested name could not be taken; empty if it was.
func listSnapshots(ctx context.Context, h *remote.Host, requested string) ([]SnapshotFile, string, error) {
	const doing = "listing the snapshots of etcd"
	out, err := h.RunScript(ctx, doing, withRKE2+"rke2 etcd-snapshot ls -o json && date +%s")
	if err != nil {
		return nil, "", newSnapshotError(h, doing, "", err)
	}
	now := time.Now()
	list, clock := cutLastLine(out)
	all, failure, err := parseSnapshotList(list, requested)
	if err != nil {
		return nil, "", fmt.Errorf("machine %s: %s: %w", h.Name(), doing, err)
	}
	if seconds, err := strconv.ParseInt(clock, 10, 64); err == nil {
		correctSnapshotTimes(all, time.Unix(seconds, 0), now)
	}
	return all, failure, nil
}

func cutLastLine(out []byte) (before []byte, last string) {
	out = bytes.TrimSpace(out)
	i := bytes.LastIndexByte(out, '\n')
	return out[:i+1], string(out[i+1:])
}

// clockTolerance is how wrong the clock of a machine can be before it is corrected: its answer may take a while.
const clockTolerance = time.Minute

// correctSnapshotTimes brings times by the clock of a machine to this computer's. Ages decide what is removed, and
// whether a cluster is restored.
func correctSnapshotTimes(all []SnapshotFile, clock, now time.Time) {
	ahead := clock.Sub(now)
	for i := range all {
		f := &all[i]
		if ahead.Abs() > clockTolerance {
			f.TakenAt = f.TakenAt.Add(-ahead).Truncate(time.Second)
		}
		// RKE2 rounds times, which may put one up to half a second ahead. Any other was set back since.
		if f.TakenAt.Sub(now) > clockTolerance {
			f.TakenAt = now.UTC().Truncate(time.Second)
		}
	}
}

// snapshotResource is an ETCDSnapshotFile (github.com/k3s-io/api k3s.cattle.io/v1).
type snapshotResource struct {
	Spec struct {
		SnapshotName string `json:"snapshotName"`
		NodeName     string `json:"nodeName"`
		Location     string `json:"location"`
	} `json:"spec"`
	Status struct {
		Size         *resource.Quantity `json:"size"`
		CreationTime time.Time          `json:"creationTime"`
		ReadyToUse   *bool              `json:"readyToUse"`
		Error        *struct {
			Time    time.Time `json:"time"`
			Message string    `json:"message"`
		} `json:"error"`
	} `json:"status"`
}

func parseSnapshotList(out []byte, requested string) (all []SnapshotFile, failure string, err error) {
	var list struct {
		Items []snapshotResource `json:"items"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, "", fmt.Errorf("the list is not JSON: %w", err)
	}
	var failedAt time.Time
	for _, r := range list.Items {
		f := SnapshotFile{Name: r.Spec.SnapshotName, NodeName: r.Spec.NodeName, TakenAt: r.Status.CreationTime.UTC()}
		if e := r.Status.Error; e != nil && f.RequestedName() == requested && !e.Time.Before(failedAt) {
			failedAt, failure = e.Time, e.Message
		}
		local, isLocal := strings.CutPrefix(r.Spec.Location, "file://")
		isReady := r.Status.ReadyToUse == nil || *r.Status.ReadyToUse
		if !isLocal || !isReady || r.Status.Error != nil || path.Base(local) != f.Name {
			continue
		}
		f.Path = local
		if r.Status.Size != nil {
			f.Bytes = r.Status.Size.Value()
		}
		if seconds, err := strconv.ParseInt(f.Name[strings.LastIndexByte(f.Name, '-')+1:], 10, 64); err == nil &&
			f.TakenAt.IsZero() {
			f.TakenAt = time.Unix(seconds, 0).UTC()
		}
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b SnapshotFile) int { return b.TakenAt.Compare(a.TakenAt) })
	return all, failure, nil
}

// DeleteSnapshot deletes a snapshot on a server. It succeeds if there is none of that name.
func DeleteSnapshot(ctx context.Context, h *remote.Host, file string) error {
	const doing = "deleting a snapshot of etcd"
	if err := checkSnapshotName(file); err != nil {
		return err
	}
	out, err := h.RunScript(ctx, doing, withRKE2+"rke2 etcd-snapshot delete "+remote.QuoteShell(file)+" 2>&1")
	if err != nil {
		return newSnapshotError(h, doing, string(out), err)
	}
	return nil
}

// WriteSnapshotSchedule changes a server's own schedule of snapshots in its configuration, and nothing else there. RKE2
// reads it when the server starts the next time. 0 is no schedule.
func WriteSnapshotSchedule(ctx context.Context, h *remote.Host, every time.Duration) error {
	lines, err := yaml.Marshal(renderSnapshotSchedule(every))
	if err != nil {
		return err
	}
	_, err = h.RunCommand(ctx, writeScheduleScript, bytes.NewReader(lines))
	return err
}

// writeScheduleScript replaces the keys of renderSnapshotSchedule by those on its input. An interrupted one changes
// nothing.
const writeScheduleScript = `set -e; f=` + configFile + `
new=$(mktemp "$f.XXXXXX")
trap 'rm -f "$new"' EXIT; trap 'exit 1' TERM HUP
grep -vE '^(etcd-snapshot-schedule-cron|etcd-snapshot-retention|etcd-disable-snapshots):' "$f" >"$new"
cat >>"$new"
cmp -s "$new" "$f" || mv -f "$new" "$f"`

// CopySnapshot writes the content of a snapshot on a server to w as it arrives, whatever the size.
func CopySnapshot(ctx context.Context, h *remote.Host, f SnapshotFile, w io.Writer) error {
	return h.CopyFile(ctx, f.Path, w)
}

// ReadServerToken returns the server token under which the keys in a server's snapshots are sealed.
func ReadServerToken(ctx context.Context, h *remote.Host) ([]byte, error) {
	token, err := h.ReadFile(ctx, serverDir+"/token")
	if err == nil && strings.TrimSpace(string(token)) == "" {
		err = fmt.Errorf("machine %s: the server token is empty", h.Name())
	}
	return []byte(strings.TrimSpace(string(token))), err
}

// newSnapshotError explains why a command on snapshots failed by the last error that it printed. A machine that was
// lost stays one.
func newSnapshotError(h *remote.Host, doing, out string, cause error) error {
	if run := new(remote.RunError); cause != nil && !errors.As(cause, &run) {
		return cause
	} else if cause != nil && strings.TrimSpace(out) == "" {
		out = strings.Join(run.Tail, "\n")
	}
	return &SnapshotError{Machine: h.Name(), Doing: doing, Message: explainSnapshotFailure(out)}
}

func explainSnapshotFailure(out string) string {
	lines := redact.Lines(out)
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return strings.TrimSpace(l) == "" || strings.Contains(l, "level=warning") || strings.Contains(l, "level=info")
	})
	if len(lines) == 0 {
		return "RKE2 says no reason; see the journal of rke2-server on the machine"
	}
	return truncateLine(componentlog.FindCause(lines), longestLine)
}

// SnapshotError says that a server did not do what it was asked to do with its snapshots. It can be tried again.
type SnapshotError struct{ Machine, Doing, Message string }

func (e *SnapshotError) Error() string {
	return fmt.Sprintf("machine %s: %s: %s", e.Machine, e.Doing, e.Message)
}

// Reason is SnapshotFailed.
func (e *SnapshotError) Reason() string { return "SnapshotFailed" }

// Final is false.
func (e *SnapshotError) Final() bool { return false }
