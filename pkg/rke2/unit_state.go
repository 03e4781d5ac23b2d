package rke2

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// curlHere asks the machine's own ports. The proxy of its environment is for what lies outside.
const curlHere = `curl --noproxy '*'`

// UnitState is how a role's unit stands.
type UnitState struct {
	// Active is systemd's ActiveState: active, activating, failed, inactive.
	Active string
	// For is how long it has been in that state. The machine itself says so, since its clock need not be ours; 0
	// where it doesn't.
	For time.Duration
	// Ready is what a head's API server says of itself when it is asked on the machine; Why is what it answered.
	// Both are empty for a worker, which has none.
	Ready Readiness
	Why   string
}

// Readiness is what a server says of itself.
type Readiness string

// The answers of a server. Undecided: it was not asked, or its answer says nothing about it.
const (
	Undecided Readiness = ""
	Ready     Readiness = "ready"
	Unready   Readiness = "unready"
)

// unitScript prints how $unit stands, and of a server whether its API is ready. An API that rejects its own
// administrator answers, which is all that can be said of it.
const unitScript = `
at=$(systemctl show -p StateChangeTimestamp --value "$unit"); since=
[ -z "$at" ] || since=$(date -d "$at" +%s 2>/dev/null) || true
state="active=$(systemctl show -p ActiveState --value "$unit") for=${since:+$(($(date +%s) - since))}"
ready=; why=
if [ "$unit" = rke2-server ]; then
  if ! command -v curl >/dev/null; then why="it has no curl to ask with"
  elif admin; then ready=ready; why=
  else
    case "$why" in 401*|403*) ;; *) ready=unready; [ -n "$why" ] || why="there is no kubeconfig";; esac
  fi
fi
echo "$state ready=$ready why=$(printf %s "$why" | tr -s '\n\r\t ' ' ')"`

// ReadUnitState asks a machine how a role's unit stands, and a head whether its API server is ready.
func ReadUnitState(ctx context.Context, h *remote.Host, role api.Role) (UnitState, error) {
	out, err := h.RunScript(ctx, "looking at RKE2", "unit="+unitName(role)+"\n"+askScript+unitScript)
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
