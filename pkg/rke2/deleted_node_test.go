package rke2

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/test/eventually"
)

// apiOfADeletedNode is a curl for a server whose Node is being deleted, as long as /opt/node says so: its API answers
// for a while after each start of the unit, and then never again.
const apiOfADeletedNode = `#!/bin/sh
out=; for a; do [ "$last" != -o ] || out=$a; last=$a; done
run=$(cat /run/systemd/system/rke2-server.InvocationID)
n=$(($(cat "/opt/asked.$run" 2>/dev/null || echo 0) + 1)); echo $n >"/opt/asked.$run"
echo "$*" >>/opt/requests
case "$*" in
*:9345/*) printf 200; exit;;
esac
[ "$(cat /opt/node)" != deleting ] || [ $n -lt 60 ] || { echo "curl: (7) Failed to connect" >&2; exit 7; }
case "$*" in
*/readyz) if [ "$(cat /opt/node)" != deleting ]; then printf 200; else printf 500; fi;;
*PATCH*) echo deleted >/opt/node; printf 200;;
*) case "$(cat /opt/node)" in
   deleting) printf '{"metadata":{"deletionTimestamp":"2026-11-29T04:00:00Z"}}' >"$out"; printf 200;;
   kept) printf '{"metadata":{"annotations":{"a":"{\"deletionTimestamp\": \"x\"}"}}}' >"$out"; printf 200;;
   *) printf 404;;
   esac;;
esac
`

func newServerWithNode(t *testing.T, node string) *machine {
	t.Helper()
	m := newMachine(t)
	m.InstallProgram("curl", apiOfADeletedNode)
	m.Write("/opt/node", node, 0o644)
	m.unit("rke2-server", "LoadState=loaded ActiveState=active SubState=running NRestarts=0 InvocationID=1")
	token := "K10" + strings.Repeat("a", 64) + "::node:y\n"
	m.Write(serverDir+"/token", token, 0o600)
	m.Write(serverDir+"/agent-token", token, 0o600)
	m.Write(kubeconfig, aKubeconfig, 0o600)
	return m
}

func TestServerWhoseNodeIsDeletedComesBack(t *testing.T) {
	ctx := eventually.Context(t, 5*time.Minute)
	for node, tt := range map[string]struct {
		starts, patches string
		deleted         bool
	}{
		"deleting": {"2", "1", true},
		"kept":     {"1", "0", false},
		"none":     {"1", "0", false},
	} {
		m := newServerWithNode(t, node)
		deleted, err := RestartServer(ctx, m.Host, "sky-a-0-x", nil)
		if err != nil || deleted != tt.deleted {
			t.Errorf("%s: deleted %v, %v", node, deleted, err)
		}
		if deleted {
			if again, err := RestartServer(ctx, m.Host, "sky-a-0-x", nil); err != nil || again {
				t.Errorf("%s: deleted again %v, %v", node, again, err)
			}
		}
		got := m.RunShell("grep -c '^restart' /run/systemd/system/calls; grep -c PATCH /opt/requests || true")
		if got != tt.starts+"\n"+tt.patches {
			t.Errorf("%s: starts and patches are %q, want %+v", node, got, tt)
		}
		const patch = `-d {"metadata":{"finalizers":null}} https://127.0.0.1:6443/api/v1/nodes/sky-a-0-x`
		if asked := m.RunShell("cat /opt/requests"); tt.patches == "1" && !strings.Contains(asked, patch) {
			t.Errorf("%s: asked\n%s", node, asked)
		}
	}
}

func TestRestartWithoutTheQuestionDoesNotHelp(t *testing.T) {
	m := newServerWithNode(t, "deleting")
	ctx, passDeadline := context.WithCancelCause(t.Context())
	defer passDeadline(nil)
	if err := RestartUnit(ctx, m.Host, api.RoleHead); err != nil {
		t.Fatal(err)
	}
	up := make(chan error, 1)
	go func() { up <- AwaitServer(ctx, m.Host, nil) }()
	eventually.Holds(t, "the API is asked again and again", func() bool {
		asked, _ := strconv.Atoi(m.RunShell("grep -c /readyz /opt/requests || true"))
		return asked >= 10 || len(up) > 0
	})
	passDeadline(context.DeadlineExceeded)
	if err := <-up; kindOf(err) != Deadline {
		t.Errorf("the server is up: %v", err)
	}
}
