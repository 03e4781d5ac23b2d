package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/test/fixture"
)

// newUserWithoutState returns a user without servers, whose state directory must not be created.
func newUserWithoutState(t *testing.T) *testUser {
	return &testUser{t: t, env: map[string]string{config.EnvDir: filepath.Join(t.TempDir(), "never")}}
}

func (p *testUser) checkNothingWritten() {
	p.t.Helper()
	if _, err := os.Stat(p.env[config.EnvDir]); !errors.Is(err, fs.ErrNotExist) {
		p.t.Errorf("the state directory was created: %v", err)
	}
}

func TestEmptyFlagValueIsRejected(t *testing.T) {
	p := newUserWithoutState(t)
	for field, right := range map[string]string{
		"cpus": "4+", "memory": "16+", "disk_size": "100", "ports": "8080", "accelerators": "A100:8",
		"labels":    "team=ml",
		"num_nodes": "from 1", "cloud": "docker", "region": "us-east-1", "zone": "us-east-1a",
		"max_hourly_cost": "1.50", "api_access": "tunnel", "gpu_stack": "device-plugin", "image_id": "image",
		"api_cidr": "203.0.113.0/24", "manager": "k8", "timeout": "30m", "output": "table, wide",
	} {
		got := p.run("create", "cluster", "x", "--provision", "--"+field, "")
		if got.code != ExitUsage || got.out != "" || strings.Count(got.err, "\n") != 1 ||
			!strings.HasPrefix(got.err, "Error: "+field+` "": `) || !strings.Contains(got.err, right) {
			t.Errorf("%s: exit %d, %q, %q", field, got.code, got.out, got.err)
		}
	}
	if got := p.run("create", "cluster", "x", "--provision", "--cpus", "", "--ports", "80,", "--labels", "a=b",
		"--labels", ""); got.code != ExitUsage ||
		!strings.Contains(got.err, `cpus ""`) || !strings.Contains(got.err, `ports ""`) ||
		!strings.Contains(got.err, `labels ""`) {
		t.Errorf("several at once: exit %d, %q", got.code, got.err)
	}
	p.checkNothingWritten()
}

func TestListFlagsTakeCommasAndRepetition(t *testing.T) {
	o := &createOptions{}
	o.bindFlags(&cobra.Command{})
	if err := o.flags.Parse([]string{"--provision", "--ports", "80,443", "--ports=8080", "--labels",
		"a=b,c=d"}); err != nil {
		t.Fatal(err)
	}
	c, err := o.buildCluster("x", fixture.Noon)
	if err != nil || strings.Join(c.Spec.Ports, " ") != "80 443 8080" || c.Metadata.Labels["a"] != "b" ||
		c.Metadata.Labels["c"] != "d" {
		t.Errorf("%v: %+v %v", err, c.Spec, c.Metadata.Labels)
	}
}

func TestMachineFlagsAcceptBothSpellings(t *testing.T) {
	for _, dash := range []string{"_", "-"} {
		o := &createOptions{}
		cmd := &cobra.Command{}
		cmd.SetGlobalNormalizationFunc(normalizeFlagName)
		o.bindFlags(cmd)
		args := []string{"--provision", "--cloud", "aws", "--zone", "us-east-1a"}
		for _, a := range []string{"use_spot", "max_hourly_cost=1.5", "image_id=ami-1", "api_cidr=10.0.0.0/8",
			"api_access=public"} {
			args = append(args, "--"+strings.ReplaceAll(a, "_", dash))
		}
		if err := o.flags.Parse(args); err != nil {
			t.Fatal(err)
		}
		_, err := o.buildCluster("x", fixture.Noon)
		want := api.GroupSpec{Manager: "k8", Cloud: "aws", Zone: "us-east-1a", UseSpot: true, MaxHourlyCost: 1.5,
			ImageID: "ami-1",
			APICIDR: "10.0.0.0/8", APIAccess: "public", NumNodes: 1, Provision: true}
		if err != nil || !reflect.DeepEqual(o.request, want) {
			t.Errorf("%v: %+v, want %+v", err, o.request, want)
		}
	}
}

func TestMachineFlagsAreValidatedBeforeAnythingStarts(t *testing.T) {
	p := newUserWithoutState(t)
	for _, bad := range []struct{ flag, value string }{
		{"zone", "a zone"}, {"max_hourly_cost", "cheap"}, {"max_hourly_cost", "0"}, {"max_hourly_cost", "-1"},
		{"max_hourly_cost", "NaN"},
		{"max_hourly_cost", "inf"}, {"image_id", "ami 1"}, {"api_cidr", "10.0.0.1"}, {"api_access", "vpn"},
	} {
		got := p.run("create", "cluster", "x", "--provision", "--"+bad.flag, bad.value)
		if got.code != ExitUsage || strings.Count(got.err, "\n") != 1 ||
			!strings.HasPrefix(got.err, "Error: "+bad.flag+" \""+bad.value+"\": ") {
			t.Errorf("%s %q: exit %d, %q", bad.flag, bad.value, got.code, got.err)
		}
	}
	p.checkNothingWritten()
}

func TestDocsNameEverySpecFlag(t *testing.T) {
	var text strings.Builder
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md") {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	for _, f := range api.Fields {
		// manager has only one value, the default
		if f.Flag != api.NoFlag && f.Name != "manager" && !strings.Contains(text.String(), "--"+f.Name) {
			t.Errorf("no document names --%s", f.Name)
		}
	}
}
