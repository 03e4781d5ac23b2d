package printer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cli/render"
	"github.com/sky-shift/skyctl/test/fixture"
)

// newClusters returns a list of three clusters, the last without a placement.
func newClusters() render.ClusterList {
	a, b, c := fixture.NewReadyCluster(), fixture.NewReadyCluster(), fixture.NewFreshCluster()
	a.Metadata.Name, b.Metadata.Name, c.Metadata.Name = "web-10", "web-9", "dev"
	return render.NewClusterList([]api.Cluster{*a, *b, *c})
}

func print(t *testing.T, request Request, object any) string {
	t.Helper()
	p, err := New(request, os.ReadFile)
	if err != nil {
		t.Fatalf("%+v: %v", request, err)
	}
	var b strings.Builder
	if err := p.Write(&b, object); err != nil {
		t.Fatalf("%+v: %v", request, err)
	}
	return b.String()
}

func TestFormatsPrintWhatKubectlPrints(t *testing.T) {
	clusters := newClusters()
	one := clusters.Items[0]
	file := filepath.Join(t.TempDir(), "columns")
	if err := os.WriteFile(file, []byte("NAME           STATUS\n.metadata.name .status.phase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		request Request
		object  any
		want    string
	}{
		{Request{Output: "name"}, clusters, "cluster/web-10\ncluster/web-9\ncluster/dev\n"},
		{Request{Output: "name"}, one, "cluster/web-10\n"},
		{Request{Output: "jsonpath={.status.phase}"}, one, "READY"},
		{Request{Output: "jsonpath=.status.phase"}, one, "READY"},
		{Request{Output: "jsonpath={.status.none}"}, one, ""},
		{Request{Output: "jsonpath={.items[*].metadata.name}"}, clusters, "web-10 web-9 dev"},
		{Request{Output: `jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}`}, clusters, "web-10\nweb-9\ndev\n"},
		{Request{Output: `jsonpath={.items[?(@.metadata.name=="dev")].status.phase}`}, clusters, "PROVISIONING"},
		{Request{Output: "go-template={{.metadata.name}} {{len .spec.pools}}"}, one, "web-10 1"},
		{Request{Output: "go-template={{range .items}}{{.metadata.name}} {{end}}"}, clusters, "web-10 web-9 dev "},
		{Request{Output: "go-template", Template: "{{.kind}}"}, one, "Cluster"},
		{Request{Output: "custom-columns=NAME:.metadata.name,CLOUD:.status.placement.cloud"}, clusters,
			"NAME     CLOUD\nweb-10   aws\nweb-9    aws\ndev      <none>\n"},
		{Request{Output: "custom-columns=NAME:.metadata.name", NoHeaders: true}, clusters, "web-10\nweb-9\ndev\n"},
		{Request{Output: "custom-columns=ALL:.status.machines[*].index"}, one, "ALL\n0,1\n"},
		{Request{Output: "custom-columns-file=" + file}, one, "NAME     STATUS\nweb-10   READY\n"},
	} {
		if got := print(t, tt.request, tt.object); got != tt.want {
			t.Errorf("%+v:\ngot  %q\nwant %q", tt.request, got, tt.want)
		}
	}
}

func TestObjectsWithoutKindGetTheOneOfTheirList(t *testing.T) {
	machines := render.NewMachineList([]api.Machine{{Name: "sky-dev-0"}, {Name: "sky-dev-1"}})
	if got := print(t, Request{Output: "name"}, machines); got != "machine/sky-dev-0\nmachine/sky-dev-1\n" {
		t.Errorf("got %q", got)
	}
	p, err := New(Request{Output: "name"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := p.WriteKind(&b, "Machine", machines.Items[0]); err != nil || b.String() != "machine/sky-dev-0\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	err = p.Write(&b, render.NewEventList([]api.Event{{Reason: "Drift"}}))
	if err == nil || err.Error() != "-o name: these objects have no names" {
		t.Errorf("events: %v", err)
	}
}

func TestHeadingsOfColumnsArePrintedOnceInAStream(t *testing.T) {
	p, err := New(Request{Output: "custom-columns=NAME:.metadata.name"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range newClusters().Items {
		if err := p.WriteItem(&b, c); err != nil {
			t.Fatal(err)
		}
	}
	if b.String() != "NAME\nweb-10\nweb-9\ndev\n" {
		t.Errorf("got %q", b.String())
	}
}

func TestBadFormatsAreRefused(t *testing.T) {
	for output, want := range map[string]string{
		"xml":                             "must be one of table, wide, json, yaml, name, jsonpath=",
		"table=x":                         "-o table takes no template",
		"jsonpath":                        "must have its template after an equals sign",
		"jsonpath={.a":                    "must be a valid template, such as -o jsonpath='{.status.phase}' (",
		"go-template={{":                  "must be a valid template, such as -o go-template",
		"go-template-file=/no/such":       "no such file",
		"custom-columns=NAME":             `"NAME" is not HEADING:PATH`,
		"custom-columns=A:.x,B":           `"B" is not HEADING:PATH`,
		"custom-columns=A:{.x":            "A:{.x",
		"custom-columns=A B\n.metadata.x": "it has 2 headings and 1 paths",
	} {
		if _, err := New(Request{Output: output}, os.ReadFile); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", output, err, want)
		}
	}
}

func TestObjectsAreSortedAsPeopleCount(t *testing.T) {
	type object struct {
		Name  string `json:"name"`
		Size  any    `json:"size,omitempty"`
		Since string `json:"since"`
	}
	objects := []object{
		{"sky-10", 2, "2026-01-02T00:00:00Z"}, {"sky-9", 10, "2026-01-01T23:59:59.5Z"}, {"sky-9a", nil,
			"2026-01-02T00:30:00+01:00"}}
	for path, want := range map[string]string{
		"": "012", ".name": "120", "{.name}": "120", "name": "120", ".size": "201", ".since": "210",
	} {
		order, err := SortedOrder(objects, path)
		got := ""
		for _, i := range order {
			got += string(rune('0' + i))
		}
		if err != nil || got != want {
			t.Errorf("%q: %s, want %s (%v)", path, got, want, err)
		}
	}
	for path, want := range map[string]string{".nothing": "that the objects have", "{.x": "must be the path"} {
		if _, err := SortedOrder(objects, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", path, err)
		}
	}
}
