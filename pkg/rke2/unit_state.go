package rke2

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// localCurl sends requests to the machine's own ports, which must not go through the proxy of its environment.
const localCurl = `curl --noproxy '*'`

// UnitState is the state of a role's unit.
type UnitState struct {
	// Active is systemd's ActiveState: active, activating, failed, inactive.
	Active string
	// For is how long the unit has been in that state, by the clock of the machine, which can differ from ours; 0 if it
	// is unknown.
	For time.Duration
	// Ready is the readiness of a head's API server, requested on the machine itself; Why is the answer if it is not
	// ready. Both are empty for a worker.
	Ready Readiness
	Why   string
}

// Readiness is the readiness that a server reports.
type Readiness string

// The values of Readiness. Undecided: the server was not asked, or its answer does not tell.
const (
	Undecided Readiness = ""
	Ready     Readiness = "ready"
	Unready   Readiness = "unready"
)

// unitScript prints the state of $unit and, for a server, whether its API is ready. If the API rejects its own
// administrator, its readiness stays undecided.
const unitScript = `
at=$(systemctl show -p StateChangeTimestamp --value "$unit"); since=
[ -z "$at" ] || since=$(date -d "$at" +%s 2>/dev/null) || true
state="active=$(systemctl show -p ActiveState --value "$unit") for=${since:+$(($(date +%s) - since))}"
ready=; why=
if [ "$unit" = rke2-server ]; then
  if ! command -v curl >/dev/null; then why="curl is missing"
  elif request_readyz; then ready=ready; why=
  else
    case "$why" in 401*|403*) ;; *) ready=unready; [ -n "$why" ] || why="no kubeconfig exists";; esac
  fi
fi
echo "$state ready=$ready why=$(printf %s "$why" | tr -s '\n\r\t ' ' ')"`

// ReadUnitState reads the state of a role's unit and, for a head, whether its API server is ready.
func ReadUnitState(ctx context.Context, h *remote.Host, role api.Role) (UnitState, error) {
	out, err := h.RunScript(ctx, "reading the state of RKE2", "unit="+unitName(role)+"\n"+requestScript+unitScript)
	if err != nil {
		return UnitState{}, err
	}
	state, why, _ := strings.Cut(string(out), " why=")
	kv := ParseKeyValues(state)
	u := UnitState{Active: kv["active"], Ready: Readiness(kv["ready"]), Why: strings.Join(toRedactedLines(why), " ")}
	if seconds, err := strconv.ParseInt(kv["for"], 10, 64); err == nil && seconds > 0 {
		u.For = time.Duration(seconds) * time.Second
	}
	return u, nil
}
