package rke2

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2/componentlog"
)

const (
	// restoreDir is a directory of skyctl with the state of restores, which only root can read.
	restoreDir = "/var/lib/skyctl/restore"
	// tokenDropIn makes RKE2 use the server token with which the data of a snapshot is sealed: RKE2 reads the files of
	// this directory after its configuration (docs.rke2.io, "Configuration Options").
	tokenDropIn = "/etc/rancher/rke2/config.yaml.d/50-skyctl-token.yaml" //nolint:gosec // a path, not a token
	etcdDir     = serverDir + "/db/etcd"
	// restoreMargin is the room that a restore takes besides twice the snapshot: etcd reserves 64 MiB for its log, and
	// the kubelet must not evict pods.
	restoreMargin = 256 << 20
)

// Restore is a restore of a server from a snapshot.
type Restore struct {
	// ID distinguishes restores: a server is restored once for each.
	ID string
	// Token is the server token of the time of the snapshot.
	Token string
}

var restoreID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// RestoreFile is where the snapshot of a restore has to be on the machine: see ReserveRestore.
func RestoreFile(id string) string { return restoreDir + "/" + id + "/snapshot.db" }

// RestoreState is how far a restore is on a machine.
type RestoreState struct {
	// Sent: the snapshot is on the machine. Done: the server has its state.
	Sent, Done bool
	// OldEtcd is the directory with the data that the server had before; empty if it had none.
	OldEtcd string
}

// ReserveRestore makes the directory for the snapshot of a restore, unless the restore is done, and checks that the
// machine has room for a snapshot of a size in bytes. It removes what is left of other restores. The error of too
// little room is of kind NoRoom.
func ReserveRestore(ctx context.Context, h *remote.Host, id string, size int64) (RestoreState, error) {
	need := (2*size + restoreMargin) >> 10
	out, err := h.RunScript(ctx, "checking the room for a restore", renderRestorePaths(id)+fmt.Sprintf(`
find_done && exit 0
mkdir -p "$dir" %[1]s/db
chmod 0700 %[2]s "$dir"
for d in %[2]s/*/; do [ "$d" = "$dir/" ] || rm -rf "$d"; done
if [ -e "$dir/snapshot.db" ]; then echo sent=1; exit 0; fi
for d in "$dir" %[1]s/db; do
  free=$(df -Pk "$d" | awk 'END {print $4}')
  [ "$free" -ge %[3]d ] || { echo "room=$free on=$d"; exit 0; }
done`, serverDir, restoreDir, need))
	if err != nil {
		return RestoreState{}, err
	}
	state, found := parseRestoreState(string(out))
	if free, lacks := found["room"]; lacks {
		kib, _ := strconv.ParseInt(free, 10, 64)
		return state, &Error{Kind: NoRoom, Machine: h.Name(), Permanent: true, Message: fmt.Sprintf(
			"restoring takes %d MiB at %s, which has %d MiB free", need>>10, found["on"], kib>>10)}
	}
	return state, nil
}

// RestoreServer restores the server of a machine from the snapshot at RestoreFile, and stops it first. The server does
// not run afterwards: see StartServer. The data that it had stays in a directory beside. A restore that is done is not
// repeated; one that was interrupted is.
func RestoreServer(ctx context.Context, h *remote.Host, n Node, r Restore) (RestoreState, error) {
	config, err := yaml.Marshal(map[string]string{"token": r.Token})
	if err != nil {
		return RestoreState{}, err
	}
	done, err := h.RunScript(ctx, "reading the state of the restore", renderRestorePaths(r.ID)+"find_done || true")
	if err != nil {
		return RestoreState{}, err
	}
	if state, _ := parseRestoreState(string(done)); state.Done {
		return state, nil
	}
	if err := StopUnit(ctx, h, n.Role); err != nil {
		return RestoreState{}, err
	}
	if err := WriteConfig(ctx, h, n); err != nil {
		return RestoreState{}, err
	}
	if err := h.WriteFile(ctx, tokenDropIn, append([]byte(writtenBySkyctl), config...), 0o600); err != nil {
		return RestoreState{}, err
	}
	out, err := h.RunScript(ctx, "restoring etcd",
		renderRestorePaths(r.ID)+"address="+remote.QuoteShell(n.NodeIP)+resetScript)
	if err != nil {
		return RestoreState{}, newResetError(h, err)
	}
	state, _ := parseRestoreState(string(out))
	return state, nil
}

// renderRestorePaths sets $dir, and defines find_done, which prints the state of a restore that is done.
func renderRestorePaths(id string) string {
	if !restoreID.MatchString(id) {
		return "echo 'the id of the restore is invalid' >&2; exit 64\n"
	}
	return "set -e\ndir=" + restoreDir + "/" + id + `
find_done() { [ -e "$dir/done" ] && echo "done=1 old=$(cat "$dir/old")"; }
`
}

func parseRestoreState(out string) (RestoreState, map[string]string) {
	kv := ParseKeyValues(out)
	return RestoreState{Sent: kv["sent"] == "1", Done: kv["done"] == "1", OldEtcd: kv["old"]}, kv
}

// The exit statuses of resetScript.
const (
	exitNoSnapshot  = 66
	exitResetFailed = 70
)

// resetScript restores etcd. RKE2 moves the data away that is there, at each run (k3s pkg/etcd/etcd.go, Restore): the
// server's own is in the first directory that was not there before the first run.
const resetScript = `
mkdir -p "$dir"
exec 9>"$dir/lock"; flock -w 900 9
if find_done; then exit 0; fi
[ -s "$dir/snapshot.db" ] || { echo "the snapshot is not on the machine" >&2; exit 66; }
list_old() { ls -d ` + etcdDir + `-old-* 2>/dev/null || true; }
if [ ! -e "$dir/before" ]; then list_old >"$dir/before.new"; mv -f "$dir/before.new" "$dir/before"; fi
rke2=/usr/local/bin/rke2; [ -x "$rke2" ] || rke2=/opt/rke2/bin/rke2
if ! "$rke2" server --cluster-reset --cluster-reset-restore-path="$dir/snapshot.db" >"$dir/log" 2>&1 9>&-; then
  tail -n 30 "$dir/log" >&2; exit 70
fi
old=$(list_old | grep -vxFf "$dir/before" | head -n 1 || true)
if [ -n "$old" ] && [ ! -d "$old/member" ]; then old=; fi
printf %s "$old" >"$dir/old"` + recordEtcdAddressScript + `
touch "$dir/done.new"; sync; mv -f "$dir/done.new" "$dir/done"
rm -f "$dir/snapshot.db"
find_done`

// newResetError is the error of resetScript.
func newResetError(h *remote.Host, err error) error {
	run := new(remote.RunError)
	if !errors.As(err, &run) {
		return err
	}
	e := &Error{Kind: ResetFailed, Machine: h.Name(), Cause: err}
	switch run.Exit {
	case exitNoSnapshot:
		return &Error{Kind: SnapshotMissing, Machine: h.Name(), Message: "restoring etcd: the snapshot is not on the " +
			"machine", Permanent: true}
	case exitResetFailed:
	default:
		return err
	}
	e.Cause, e.Lines = nil, toRedactedLines(strings.Join(run.Tail, "\n"))
	text := strings.Join(run.Tail, "\n")
	for _, refusal := range resetRefusals {
		if strings.Contains(text, refusal.text) {
			e.Kind, e.Message, e.Permanent = refusal.kind, "restoring etcd: "+refusal.message, true
			return e
		}
	}
	e.Message = "restoring etcd: " + redact.Text(componentlog.FindCause(e.Lines))
	return e
}

// resetRefusals are what RKE2 says when a restore cannot succeed: k3s pkg/cluster/bootstrap.go and storage.go, etcd
// etcdutl/snapshot/v3_snapshot.go.
var resetRefusals = []struct{ text, kind, message string }{
	{"encrypted with different token", WrongToken,
		"the token that is kept with the snapshot is not the one with which its data is sealed"},
	{newerCredentials, NewerCredentials, newerCredentialsMessage},
	{"expected sha256", SnapshotDamaged, "the snapshot is damaged"},
	{"no space left on device", NoRoom, "the machine's disk is full"},
}

// newerCredentials is in the message with which RKE2 does not start (rancher/rke2#1916).
const (
	newerCredentials        = "newer than datastore and could cause a cluster outage"
	newerCredentialsMessage = "the machine has newer certificates than the snapshot; restore it on new machines: " +
		"skyctl restore cluster with --new-machines"
)

// StopServer stops the server, and keeps a boot of the machine from starting it again, unless the restore is done.
func StopServer(ctx context.Context, h *remote.Host, id string) error {
	out, err := h.RunScript(ctx, "reading the state of the restore", renderRestorePaths(id)+"find_done || true")
	if err != nil {
		return err
	}
	if state, _ := parseRestoreState(string(out)); state.Done {
		return nil
	}
	return StopUnit(ctx, h, api.RoleHead)
}
