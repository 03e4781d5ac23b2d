package client

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/sdk/temporal"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
)

func TestConnectionErrorsAreInPlainWords(t *testing.T) {
	for cause, want := range map[string]string{
		`failed reaching server: connection error: desc = "transport: Error while dialing: dial tcp ` +
			`127.0.0.1:1: connect: connection refused"`: "dial tcp 127.0.0.1:1: connect: connection refused",
		`failed reaching server: connection error: desc = "error reading server preface: remote error: tls: ` +
			`certificate required"`: "remote error: tls: certificate required",
		"failed reaching server: context deadline exceeded": "context deadline exceeded",
		"it has no namespace x":                             "it has no namespace x",
	} {
		e := &UnreachableError{What: "Temporal", Where: "t:7233", Cause: errors.New(cause)}
		if got := e.Error(); got != "Temporal at t:7233 cannot be reached: "+want {
			t.Errorf("got %q", got)
		}
	}
}

func TestFailureReasonIsTheInnermostMessage(t *testing.T) {
	inner := temporal.NewApplicationError("no Node in 10m0s", "Timeout")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{inner, "no Node in 10m0s"},
		{temporal.NewApplicationErrorWithCause("the step failed", "Step", inner), "no Node in 10m0s"},
		{temporal.NewCanceledError(), "it was cancelled"},
		{nil, "it ended"},
		{errors.New("two\nlines"), "two lines"},
	} {
		if got := failureReason(tt.err); got != tt.want {
			t.Errorf("reason(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestConflictSaysWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		err  ConflictError
		want string
	}{
		{ConflictError{Name: "a", Phase: api.PhaseReady}, "cluster a exists: it is READY"},
		{ConflictError{Name: "a", Phase: api.PhaseError, Running: "Repair"}, "cluster a exists: it is ERROR, and " +
			"Repair is running; wait for it (skyctl get events a -w), then run the same create again if needed"},
		{ConflictError{Name: "a", Phase: api.PhaseProvisioning, Running: "Provision"}, "cluster a is being created " +
			"already (PROVISIONING). To watch it: run the same create with --wait, or skyctl get cluster a -w"},
		{ConflictError{Name: "a", Phase: api.PhaseDeleting}, "cluster a is being deleted (DELETING). Choose " +
			"another name, or wait for the delete: skyctl delete cluster a --wait"},
		{ConflictError{Name: "a", Phase: api.PhaseDeleting, Differs: []string{"x"}}, "cluster a is being deleted " +
			"(DELETING). Choose another name, or wait for the delete: skyctl delete cluster a --wait"},
		{ConflictError{Name: "a", Phase: api.PhaseReady, Differs: []string{"num_nodes is 5, requested is 3"}},
			"cluster a exists (READY) with another number of machines: num_nodes is 5, requested is 3. To change it: " +
				"skyctl scale cluster a --num_nodes N"},
		{ConflictError{Name: "a", Phase: api.PhaseError, Differs: []string{"x", "y"}},
			"cluster a exists (ERROR) with another spec: x, y; delete it first, or choose another name"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestUnreadableCertificateErrorNamesItsServer(t *testing.T) {
	c := newClient(t)
	none := config.TLS{CA: filepath.Join(t.TempDir(), "none.crt")}
	c.cfg.Etcd.TLS, c.cfg.Temporal.TLS = none, none
	_, etcd := c.ConnectStore(t.Context())
	_, temporal := c.ConnectTemporal(t.Context())
	for where, err := range map[string]error{c.cfg.Etcd.Endpoints[0]: etcd, c.cfg.Temporal.Address: temporal} {
		if !isUnreachable(err) || strings.Count(err.Error(), where) != 1 || !strings.Contains(err.Error(), none.CA) {
			t.Errorf("%s: %v", where, err)
		}
	}
}
