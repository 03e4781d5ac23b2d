package rke2

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/rke2/componentlog"
)

// etcdAddressFile holds the address to which MoveEtcd has moved the machine's etcd, or at which it was restored.
const etcdAddressFile = "/var/lib/skyctl/etcd-address"

// MoveEtcd makes the etcd of a cluster's only server a member at the server's address in n, if it was one at another
// address: a server whose node-ip has changed does not start ("this server is a not a member of the etcd cluster",
// rancher/rke2#3176), until `rke2 server --cluster-reset` has written the address anew (rancher/rke2#2015). The server
// does not run afterwards: see StartServer. Its data stays. A move that is done is not repeated. An address that the
// machine does not have is refused before the server is stopped: it would not start there.
func MoveEtcd(ctx context.Context, h *remote.Host, n Node) error {
	address, err := netip.ParseAddr(n.NodeIP)
	if err != nil {
		return fmt.Errorf("moving etcd of %s to the server's address: %w", h.Name(), err)
	}
	paths := "set -e\naddress=" + remote.QuoteShell(address.String()) + moveIsDone
	out, err := h.RunScript(ctx, "reading the address of etcd", paths+checkMoveScript)
	if err != nil {
		return err
	}
	switch answer := strings.TrimSpace(string(out)); {
	case answer == "done":
		return nil
	case answer != "":
		return &Error{Kind: ResetFailed, Machine: h.Name(), Permanent: true, Message: fmt.Sprintf(
			"moving etcd to the server's new address %s: the machine has only %s", address,
			strings.TrimSuffix(answer, " none"))}
	}
	if err := StopUnit(ctx, h, n.Role); err != nil {
		return err
	}
	if err := WriteConfig(ctx, h, n); err != nil {
		return err
	}
	if _, err := h.RunScript(ctx, "moving etcd", paths+moveScript); err != nil {
		return newMoveError(h, n, err)
	}
	return nil
}

// moveIsDone defines is_done, which is true if etcd is at $address, or has no data yet.
const moveIsDone = `
is_done() { [ ! -d ` + etcdDir + `/member ] || [ "$(cat ` + etcdAddressFile + ` 2>/dev/null)" = "$address" ]; }
`

// checkMoveScript prints "done", or the addresses of the machine if the new one is not among them. A machine without ip
// cannot tell.
const checkMoveScript = `
if is_done; then echo done; exit 0; fi
command -v ip >/dev/null || exit 0
case "$(ip route get "$address" 2>/dev/null)" in local*|*" dev lo "*) ;;
*) echo $(ip -o addr show | awk '{sub("/.*", "", $4); print $4}') none;; esac`

// recordEtcdAddressScript records that etcd is at $address.
const recordEtcdAddressScript = `
echo "$address" >` + etcdAddressFile + `.new; sync; mv -f ` + etcdAddressFile + `.new ` + etcdAddressFile + `
`

// moveScript resets etcd's membership. RKE2 leaves a flag that refuses a second reset until a start (k3s
// pkg/cluster/managed.go), also if the first one was for an earlier address.
const moveScript = `
exec 9>` + etcdAddressFile + `.lock; flock -w 900 9
if is_done; then exit 0; fi
rm -f ` + serverDir + `/db/reset-flag
rke2=/usr/local/bin/rke2; [ -x "$rke2" ] || rke2=/opt/rke2/bin/rke2
log=` + etcdAddressFile + `.log
if ! "$rke2" server --cluster-reset >"$log" 2>&1 9>&-; then tail -n 30 "$log" >&2; exit 70; fi` +
	recordEtcdAddressScript

// newMoveError is the error of moveScript.
func newMoveError(h *remote.Host, n Node, err error) error {
	run := new(remote.RunError)
	if !errors.As(err, &run) || run.Exit != exitResetFailed {
		return err
	}
	e := &Error{Kind: ResetFailed, Machine: h.Name(), Lines: toRedactedLines(strings.Join(run.Tail, "\n"))}
	e.Message = fmt.Sprintf("moving etcd to the server's new address %s: %s", n.NodeIP,
		redact.Text(componentlog.FindCause(e.Lines)))
	return e
}
