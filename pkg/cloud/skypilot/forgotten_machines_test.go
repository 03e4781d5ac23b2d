package skypilot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/localserver"
)

// emptyServer is an API server whose databases were lost: it has no clusters, and no enabled cloud until it checks.
type emptyServer struct {
	mu      sync.Mutex
	access  []string // the clouds to which it finds access
	enabled []string
	past    []pastCluster
	asked   map[string]string
}

func (s *emptyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	result := func(v any) {
		id := fmt.Sprint(len(s.asked))
		data, _ := json.Marshal(v)
		s.asked[id] = string(data)
		w.Header().Set("X-Skypilot-Request-ID", id)
	}
	switch r.URL.Path {
	case "/api/health":
		_, _ = w.Write([]byte(`{"status": "healthy", "api_version": "62", "version": "0.14.1"}`))
	case "/api/status":
		_, _ = w.Write([]byte(`[]`))
	case "/status":
		result([]clusterRecord{})
	case "/cost_report":
		result(s.past)
	case "/enabled_clouds":
		result(s.enabled)
	case "/check":
		var body client.CheckBody
		_ = json.NewDecoder(r.Body).Decode(&body)
		for _, name := range body.Clouds {
			if slices.Contains(s.access, name) {
				s.enabled = append(s.enabled, name)
			}
		}
		result(body.Clouds)
	case "/api/stream":
		var names []string
		_ = json.Unmarshal([]byte(s.asked[r.URL.Query().Get("request_id")]), &names)
		for _, name := range names {
			if slices.Contains(s.enabled, name) {
				fmt.Fprintf(w, "  %s: enabled [compute]\n", strings.ToUpper(name))
			} else {
				fmt.Fprintf(w, "  %s: disabled\n    Reason [compute]: the credentials have expired\n",
					strings.ToUpper(name))
			}
		}
	case "/api/get":
		data, _ := json.Marshal(s.asked[r.URL.Query().Get("request_id")])
		fmt.Fprintf(w, `{"status": "SUCCEEDED", "return_value": %s}`, data)
	default:
		http.NotFound(w, r)
	}
}

// oneInstance stands in for the library: AWS has the instance in the file "instances" until it is terminated by id.
const oneInstance = `#!/bin/sh
while read -r line; do
	id=$(echo "$line" | sed 's/{"id": \([0-9]*\),.*/\1/')
	case $line in
	*aws_terminate*'"i-1"'*) echo '[]' >"$DIR/instances"; echo "{\"id\": $id, \"ok\": {}}" ;;
	*aws_machines*) echo "{\"id\": $id, \"ok\": $(cat "$DIR/instances")}" ;;
	*) echo "{\"id\": $id, \"error\": \"unexpected\"}" ;;
	esac
done
`

func newEmptied(t *testing.T, s *emptyServer) (*Cloud, string) {
	t.Helper()
	s.asked = map[string]string{}
	endpoint := httptest.NewServer(s)
	t.Cleanup(endpoint.Close)
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	instances := `[{"id": "i-1", "region": "us-east-1", "state": "running",` + // on one line, as the script prints it
		`"tags": {"skyctl-installation": "inst", "skyctl-cluster": "lost", "skyctl-cluster-uid": "u1",` +
		`"skyctl-index": "0", "skyctl-incarnation": "bcdfg"}}]`
	for name, text := range map[string]string{"python": oneInstance, "rsync": "", "instances": instances} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c, err := New(Options{Dir: dir, Endpoint: endpoint.URL, Python: filepath.Join(dir, "python"),
		Env: []string{"DIR=" + dir}})
	if err != nil {
		t.Fatal(err)
	}
	c.server = &localserver.Server{} // the account is ours to ask
	t.Cleanup(func() { _ = c.Close() })
	return c, dir
}

var lostOwner = cloud.Owner{Installation: "inst", Cluster: "lost", ClusterUID: "u1"}

func lostTarget(at string) cloud.Target {
	return cloud.Target{Owner: lostOwner, Name: api.MachineName("lost", 0), Incarnation: "bcdfg", ID: "i-1", Cloud: at}
}

func lostKnown(at string) cloud.KnownMachines {
	return cloud.KnownMachines{Clouds: []string{at},
		Machines: []cloud.KnownMachine{{Cloud: at, Name: api.MachineName("lost", 0), Incarnation: "bcdfg"}}}
}

func isPartial(t *testing.T, err error, at string) {
	t.Helper()
	partial := new(cloud.PartialError)
	if !errors.As(err, &partial) || !partial.LacksCloud(at) || len(partial.Clouds) != 1 {
		t.Errorf("want %s alone to be in doubt: %v", at, err)
	}
}

func TestKnownCloudIsNotEmptyAfterDatabaseLoss(t *testing.T) {
	c, dir := newEmptied(t, &emptyServer{})
	_, err := c.ListVerified(t.Context(), lostOwner, cloud.KnownMachines{Clouds: []string{"aws", "docker"}})
	isPartial(t, err, "aws")
	if !strings.Contains(err.Error(), "the credentials have expired") {
		t.Errorf("the error has no reason: %v", err)
	}
	if err := c.TerminateMachine(t.Context(), lostTarget("aws")); err == nil {
		t.Error("a machine counts as terminated on an unreachable cloud")
	}
	if data, err := os.ReadFile(filepath.Join(dir, "instances")); err != nil || !strings.Contains(string(data), "i-1") {
		t.Errorf("AWS has %s, %v", data, err)
	}
	if listed, err := c.ListMachines(t.Context(), lostOwner); err != nil || len(listed) > 0 {
		t.Errorf("where nothing is known of any cloud: %v, %v", listed, err)
	}
}

func TestForgottenMachineIsListedAndTerminatedByID(t *testing.T) {
	c, dir := newEmptied(t, &emptyServer{access: []string{"aws"}})
	listed, err := c.ListVerified(t.Context(), lostOwner, lostKnown("aws"))
	if err != nil || len(listed) != 1 || listed[0].ID != "i-1" || listed[0].State != cloud.StateRunning {
		t.Fatalf("listed %+v, %v", listed, err)
	}
	other := lostTarget("aws")
	other.Incarnation = "other"
	if err := c.TerminateMachine(t.Context(), other); cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("its id under other labels: %v", err)
	}
	if err := c.TerminateMachine(t.Context(), lostTarget("aws")); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "instances")); err != nil || strings.Contains(string(data), "i-1") {
		t.Errorf("AWS has %s, %v", data, err)
	}
}

func TestMachineWithoutRecordDoesNotCountAsGone(t *testing.T) {
	s := &emptyServer{access: []string{"gcp"}}
	c, _ := newEmptied(t, s)
	_, err := c.ListVerified(t.Context(), lostOwner, lostKnown("gcp"))
	isPartial(t, err, "gcp")
	if err := c.TerminateMachine(t.Context(), lostTarget("gcp")); err == nil || cloud.KindOf(err) != cloud.Transient {
		t.Errorf("its end: %v", err)
	}
	neverUp := lostTarget("gcp")
	neverUp.ID = ""
	if err := c.TerminateMachine(t.Context(), neverUp); err != nil {
		t.Errorf("the end of one that was never up: %v", err)
	}
	s.mu.Lock()
	s.past = []pastCluster{{Name: api.MachineName("lost", 0),
		Yaml: `{"resources": {"labels": {"skyctl-incarnation": "other"}}}`}}
	s.mu.Unlock()
	_, err = c.ListVerified(t.Context(), lostOwner, lostKnown("gcp"))
	isPartial(t, err, "gcp")
	s.mu.Lock()
	s.past = append(s.past, pastCluster{Name: api.MachineName("lost", 0),
		Yaml: `{"resources": {"labels": {"skyctl-incarnation": "bcdfg"}}}`})
	s.mu.Unlock()
	if listed, err := c.ListVerified(t.Context(), lostOwner, lostKnown("gcp")); err != nil || len(listed) > 0 {
		t.Errorf("one that SkyPilot saw gone: %v, %v", listed, err)
	}
	if err := c.TerminateMachine(t.Context(), lostTarget("gcp")); err != nil {
		t.Errorf("its end: %v", err)
	}
}
