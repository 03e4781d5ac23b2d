package skypilot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/aws"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/bridge"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/localserver"
)

// copiedServer is an API server with one machine on AWS, i-1. It records requests to terminate or start machines.
type copiedServer struct {
	mu      sync.Mutex
	results []string
	did     []string
}

func (s *copiedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	result := func(v any) {
		data, _ := json.Marshal(v)
		s.results = append(s.results, string(data))
		w.Header().Set("X-Skypilot-Request-ID", fmt.Sprint(len(s.results)-1))
	}
	switch r.URL.Path {
	case "/api/health":
		_, _ = w.Write([]byte(`{"status": "healthy", "api_version": "62", "version": "0.14.1"}`))
	case "/api/status":
		_, _ = w.Write([]byte(`[]`))
	case "/status":
		known := []client.ClusterRecord{{Name: "sky-lost-0", Status: client.ClusterUp, Cloud: "AWS",
			NameOnCloud: "sky-lost-0-abcd",
			Labels:      copiedLabels, Handle: "x"}}
		if slices.Contains(s.did, "/down") {
			known = nil
		}
		result(known)
	case "/enabled_clouds":
		result([]string{"aws"})
	case "/down", "/start":
		s.did = append(s.did, r.URL.Path)
		result(nil)
	case "/api/get":
		var n int
		_, _ = fmt.Sscan(r.URL.Query().Get("request_id"), &n)
		data, _ := json.Marshal(s.results[n])
		fmt.Fprintf(w, `{"status": "SUCCEEDED", "return_value": %s}`, data)
	default:
		http.NotFound(w, r)
	}
}

var copiedLabels = map[string]string{
	cloud.LabelInstallation: "inst", cloud.LabelCluster: "lost", cloud.LabelClusterUID: "u1", cloud.LabelIndex: "0",
	cloud.LabelIncarnation: "bcdfg",
}

// awsWithCopies stands in for the library: AWS has the instances in the file "instances", with our labels those in
// "labelled", and after a termination those in "left" and "left-labelled".
const awsWithCopies = `#!/bin/sh
while read -r line; do
	id=$(echo "$line" | sed 's/{"id": \([0-9]*\),.*/\1/')
	case $line in
	*aws_terminate*)
		echo "$line" >>"$DIR/ended"; cp "$DIR/left" "$DIR/instances"; cp "$DIR/left-labelled" "$DIR/labelled"
		echo "{\"id\": $id, \"ok\": {}}" ;;
	*aws_machines*ray-cluster-name*) echo "{\"id\": $id, \"ok\": $(cat "$DIR/instances")}" ;;
	*aws_machines*) echo "{\"id\": $id, \"ok\": $(cat "$DIR/labelled")}" ;;
	*handles*) echo "{\"id\": $id, \"ok\": [{\"id\": \"i-1\", \"region\": \"us-east-1\"}]}" ;;
	*) echo "{\"id\": $id, \"error\": \"unexpected\"}" ;;
	esac
done
`

// newCopied is a cloud on which AWS has these instances of sky-lost-0, and the account is ours to ask.
func newCopied(t *testing.T, s *copiedServer, instances ...bridge.Instance) (*Cloud, string) {
	t.Helper()
	endpoint := httptest.NewServer(s)
	t.Cleanup(endpoint.Close)
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	without := func(is func(bridge.Instance) bool, of []bridge.Instance) []bridge.Instance {
		return slices.DeleteFunc(slices.Clone(of), is)
	}
	ended := func(i bridge.Instance) bool { return i.ID == "i-1" }
	labelled := without(func(i bridge.Instance) bool { return i.Tags[cloud.LabelInstallation] == "" }, instances)
	files := map[string]string{"python": awsWithCopies, "rsync": ""}
	for name, list := range map[string][]bridge.Instance{
		"instances": instances, "labelled": labelled, "left": without(ended, instances),
		"left-labelled": without(ended, labelled),
	} {
		data, _ := json.Marshal(list)
		files[name] = string(data)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c, err := New(Options{Dir: dir, Endpoint: endpoint.URL, Python: filepath.Join(dir, "python"),
		Env: []string{"DIR=" + dir}})
	if err != nil {
		t.Fatal(err)
	}
	c.server = &localserver.Server{}
	t.Cleanup(func() { _ = c.Close() })
	return c, dir
}

// launched returns an instance with the tags of sky-lost-0, except for the changes.
func launched(id string, change ...string) bridge.Instance {
	tags := map[string]string{aws.ClusterNameTag: "sky-lost-0-abcd"}
	for key, value := range copiedLabels {
		tags[key] = value
	}
	for k := 0; k < len(change); k += 2 {
		tags[change[k]] = change[k+1]
	}
	return bridge.Instance{ID: id, Region: "us-east-1", State: "running", Tags: tags}
}

var copiedTarget = cloud.Target{Owner: lostOwner, Name: "sky-lost-0", Incarnation: "bcdfg", ID: "i-1", Cloud: aws.Name}

func TestCopySurvivesItsOriginal(t *testing.T) {
	s := &copiedServer{}
	c, dir := newCopied(t, s, launched("i-9"), launched("i-1"))
	listed, err := c.ListMachines(t.Context(), lostOwner)
	if err != nil || len(listed) != 2 || listed[0].ID != "i-1" || listed[1].ID != "i-9" {
		t.Fatalf("listed %+v, %v", listed, err)
	}
	_, err = c.StartMachine(t.Context(), copiedTarget, "")
	if cloud.KindOf(err) != cloud.Conflict || !strings.Contains(err.Error(), "i-9") {
		t.Errorf("started despite a copy: %v", err)
	}
	if err := c.TerminateMachine(t.Context(), copiedTarget); err != nil {
		t.Fatal(err)
	}
	ended, _ := os.ReadFile(filepath.Join(dir, "ended"))
	if !strings.Contains(string(ended), `"i-1"`) || strings.Contains(string(ended), `"i-9"`) || len(s.did) > 0 {
		t.Errorf("terminated %s, requested %v from SkyPilot, which acts on both", ended, s.did)
	}
	listed, err = c.ListMachines(t.Context(), lostOwner)
	if err != nil || len(listed) != 1 || listed[0].ID != "i-9" {
		t.Errorf("listed afterwards %+v, %v", listed, err)
	}
}

func TestCopyWithoutLabelsSurvivesItsOriginal(t *testing.T) {
	s := &copiedServer{}
	unlabelled := launched("i-9")
	for label := range copiedLabels {
		delete(unlabelled.Tags, label)
	}
	c, dir := newCopied(t, s, unlabelled, launched("i-1"))
	if err := c.TerminateMachine(t.Context(), copiedTarget); err != nil {
		t.Fatal(err)
	}
	ended, _ := os.ReadFile(filepath.Join(dir, "ended"))
	if !strings.Contains(string(ended), `"i-1"`) || strings.Contains(string(ended), `"i-9"`) || len(s.did) > 0 {
		t.Errorf("terminated %s, requested %v from SkyPilot, which acts on both", ended, s.did)
	}
	if listed, err := c.ListMachines(t.Context(), lostOwner); err != nil || len(listed) != 0 {
		t.Errorf("its record belongs to the copy, and is listed: %+v, %v", listed, err)
	}
}

func TestMachineWithChangedTagsIsNotTerminated(t *testing.T) {
	s := &copiedServer{}
	c, dir := newCopied(t, s, launched("i-1", cloud.LabelIncarnation, "other"))
	err := c.TerminateMachine(t.Context(), copiedTarget)
	if cloud.KindOf(err) != cloud.Conflict || !strings.Contains(err.Error(), "not changed") {
		t.Errorf("terminated: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ended")); err == nil || len(s.did) > 0 {
		t.Errorf("it was ended (%v)", s.did)
	}
}

func TestMachineWithoutCopiesIsTerminatedBySkyPilot(t *testing.T) {
	s := &copiedServer{}
	c, _ := newCopied(t, s, launched("i-1"))
	if err := c.TerminateMachine(t.Context(), copiedTarget); err != nil || !slices.Equal(s.did, []string{"/down"}) {
		t.Errorf("requested %v: %v", s.did, err)
	}
}
