package api_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
)

func good() api.GroupSpec {
	return api.GroupSpec{Manager: "k8", Cloud: "docker", CPUs: "2+", Memory: "4", NumNodes: 3, Provision: true}
}

func TestNewClusterNormalizesValidInput(t *testing.T) {
	in := api.GroupSpec{
		Manager: "Kubernetes", Cloud: "AWS", Region: "us-east-1", CPUs: "4+", Memory: "16GiB+", DiskSize: 100,
		Accelerators: `{"A100-80GB": 8}`, Ports: []string{"30000-30100", " 80 ", "443-443"}, NumNodes: 250,
		Provision: true,
	}
	c := api.NewCluster("cloud-cluster", "u1", in, map[string]string{"team": "ml", "example.com/x": ""},
		time.Unix(0, 0))
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	want := api.NewClusterSpec(api.GroupSpec{
		Manager: "k8", Cloud: "aws", Region: "us-east-1", CPUs: "4+", Memory: "16+", DiskSize: 100,
		Accelerators: "A100-80GB:8", GPUStack: "operator", Ports: []string{"80", "443", "30000-30100"}, NumNodes: 250,
		Provision: true,
	})
	if !reflect.DeepEqual(c.Spec, want) {
		t.Errorf("got  %+v\nwant %+v", c.Spec, want)
	}
	if c.APIVersion != api.APIVersion || c.Kind != api.Kind || c.Status.Phase != api.PhaseInit ||
		len(c.Status.Transitions) != 1 {
		t.Errorf("head and phase: %+v", c)
	}
	if !c.Metadata.CreatedAt.Equal(time.Unix(0, 0)) || c.Metadata.CreatedAt.Location() != time.UTC ||
		c.Metadata.UID != "u1" {
		t.Errorf("metadata: %+v", c.Metadata)
	}
	if in.Ports[0] != "30000-30100" || in.Ports[1] != " 80 " {
		t.Error("the caller's own ports were changed")
	}
	again := c.Spec
	if again.SetDefaults(); !reflect.DeepEqual(again, want) {
		t.Errorf("defaulting twice makes another spec: %+v", again)
	}
}

func TestMinimalInputIsValid(t *testing.T) {
	c := api.NewCluster("a", "u1", api.GroupSpec{NumNodes: api.DefaultNumNodes, Provision: true}, nil, time.Now())
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Spec.Manager != api.ManagerK8 {
		t.Errorf("manager %q", c.Spec.Manager)
	}
}

func TestErrorsNameFieldValueAndValidValues(t *testing.T) {
	// NewCluster must leave what is wrong as it was given.
	with := func(change func(*api.GroupSpec)) *api.Cluster {
		request := good()
		change(&request)
		return api.NewCluster("a", "", request, nil, time.Now())
	}
	name := func(s string) *api.Cluster { return api.NewCluster(s, "", good(), nil, time.Now()) }
	cpus := func(s string) *api.Cluster { return with(func(c *api.GroupSpec) { c.CPUs = s }) }
	memory := func(s string) *api.Cluster { return with(func(c *api.GroupSpec) { c.Memory = s }) }
	accel := func(s string) *api.Cluster { return with(func(c *api.GroupSpec) { c.Accelerators = s }) }
	ports := func(s ...string) *api.Cluster { return with(func(c *api.GroupSpec) { c.Ports = s }) }
	nodes := func(n int) *api.Cluster { return with(func(c *api.GroupSpec) { c.NumNodes = n }) }
	label := func(k, v string) *api.Cluster {
		return api.NewCluster("a", "", good(), map[string]string{k: v}, time.Now())
	}
	long := strings.Repeat("a", 50)
	for _, c := range []struct {
		in                 *api.Cluster
		field, value, says string
	}{
		{name(""), "name", "", "such as my-cluster"},
		{name("A"), "name", "A", "lower-case letters"},
		{name("1a"), "name", "1a", "beginning with a letter"},
		{name("-a"), "name", "-a", "beginning with a letter"},
		{name("a-"), "name", "a-", "ending with a letter or digit"},
		{name("a_b"), "name", "a_b", "such as my-cluster"},
		{name("a.b"), "name", "a.b", "such as my-cluster"},
		{name("a/b"), "name", "a/b", "such as my-cluster"},
		{name("a\n"), "name", "a\n", "such as my-cluster"},
		{name(long), "name", long, "at most 48 characters"},
		{cpus("0"), "cpus", "0", "from 1 to 4096"},
		{cpus("-1"), "cpus", "-1", "such as 4, or 4+"},
		{cpus("abc"), "cpus", "abc", "such as 4, or 4+"},
		{cpus("1e9"), "cpus", "1e9", "such as 4, or 4+"},
		{cpus("+"), "cpus", "+", "such as 4, or 4+"},
		{cpus("+4"), "cpus", "+4", "such as 4, or 4+"},
		{cpus("4++"), "cpus", "4++", "such as 4, or 4+"},
		{cpus("4 +"), "cpus", "4 +", "such as 4, or 4+"},
		{cpus("4.5"), "cpus", "4.5", "a whole number"},
		{cpus("04"), "cpus", "04", "a whole number"},
		{cpus("٤"), "cpus", "٤", "a whole number"},
		{cpus("4097"), "cpus", "4097", "from 1 to 4096"},
		{cpus("99999999999999999999"), "cpus", "99999999999999999999", "from 1 to 4096"},
		{memory("0"), "memory", "0", "from 1 to 65536"},
		{memory("-1"), "memory", "-1", "whole GiB"},
		{memory("16GB"), "memory", "16GB", "always in GiB"},
		{memory("16MiB"), "memory", "16MiB", "always in GiB"},
		{memory("16384M"), "memory", "16384M", "always in GiB"},
		{memory("16GB+"), "memory", "16GB+", "always in GiB"},
		{memory("16+GiB"), "memory", "16+GiB", "such as 16, or 16+"},
		{memory("1.5"), "memory", "1.5", "whole GiB"},
		{memory("GiB"), "memory", "GiB", "such as 16"},
		{memory("65537"), "memory", "65537", "from 1 to 65536"},
		{accel("A100:0"), "accelerators", "A100:0", "from 1 to 128"},
		{accel("A100:-1"), "accelerators", "A100:-1", "from 1 to 128"},
		{accel("A100:x"), "accelerators", "A100:x", "from 1 to 128"},
		{accel("A100:"), "accelerators", "A100:", "from 1 to 128"},
		{accel("A100:129"), "accelerators", "A100:129", "from 1 to 128"},
		{accel("A100:0.5"), "accelerators", "A100:0.5", "a whole number"},
		{accel(":8"), "accelerators", ":8", "such as A100:8"},
		{accel("8"), "accelerators", "8", "such as A100:8"},
		{accel("A 100"), "accelerators", "A 100", "such as A100:8"},
		{accel("{A100: 8"), "accelerators", "{A100: 8", "not closed"},
		{accel("{A100: 8, V100: 1}"), "accelerators", "{A100: 8, V100: 1}", "one kind"},
		{accel("A100:1:2"), "accelerators", "A100:1:2", "such as A100:8"},
		{ports("0"), "ports", "0", "from 1 to 65535"},
		{ports("70000"), "ports", "70000", "from 1 to 65535"},
		{ports("30-20"), "ports", "30-20", "from the lower port to the higher: 20-30"},
		{ports("80", "80"), "ports", "80", "named twice"},
		{ports("8080", "8000-9000"), "ports", "8080", "overlaps 8000-9000"},
		{ports("http"), "ports", "http", "such as 8080"},
		{ports("80-"), "ports", "80-", "such as 8080"},
		{ports("-80"), "ports", "-80", "such as 8080"},
		{ports("1-2-3"), "ports", "1-2-3", "such as 8080"},
		{ports(""), "ports", "", "such as 8080"},
		{nodes(0), "num_nodes", "0", "from 1 (the head alone) to 250"},
		{nodes(-1), "num_nodes", "-1", "to 250"},
		{nodes(251), "num_nodes", "251", "to 250"},
		{with(func(c *api.GroupSpec) { c.DiskSize = -1 }), "disk_size", "-1", "whole GiB"},
		{with(func(c *api.GroupSpec) { c.DiskSize = 65537 }), "disk_size", "65537", "from 1 to 65536"},
		{with(func(c *api.GroupSpec) { c.Manager = "slurm" }), "manager", "slurm", "k8"},
		{with(func(c *api.GroupSpec) { c.Cloud = "A b" }), "cloud", "A b", "such as docker or aws"},
		{with(func(c *api.GroupSpec) { c.Region = "us east" }), "region", "us east", "such as us-east-1"},
		{with(func(c *api.GroupSpec) { c.Region = "--x" }), "region", "--x", "such as us-east-1"},
		{with(func(c *api.GroupSpec) { c.Zone = "us east" }), "zone", "us east", "such as us-east-1a"},
		{with(func(c *api.GroupSpec) { c.MaxHourlyCost = -1 }), "max_hourly_cost", "-1", "such as 1.50"},
		{with(func(c *api.GroupSpec) { c.MaxHourlyCost = math.NaN() }), "max_hourly_cost", "NaN", "such as 1.50"},
		{with(func(c *api.GroupSpec) { c.ImageID = "ami 1" }), "image_id", "ami 1", "as its cloud spells it"},
		{with(func(c *api.GroupSpec) {
			c.APICIDR = "203.0.113.7"
		}), "api_cidr", "203.0.113.7", "such as 203.0.113.0/24"},
		{with(func(c *api.GroupSpec) { c.APIAccess = "vpn" }), "api_access", "vpn", "tunnel (through SSH)"},
		{with(func(c *api.GroupSpec) {
			c.APIAccess, c.APICIDR = "Tunnel", "203.0.113.0/24"
		}), "api_cidr", "203.0.113.0/24", "the field left out with api_access tunnel"},
		{with(func(c *api.GroupSpec) { c.Provision = false }), "provision", "false", "launches machines"},
		{label("", "x"), "labels", "=x", "such as team"},
		{label("-a", "x"), "labels", "-a=x", "begins and ends with a letter or digit"},
		{label("a", "x y"), "labels", "a=x y", "a value of at most 63"},
		{label("A.com/a", "x"), "labels", "A.com/a=x", "such as team or example.com/team"},
		{label("a/b/c", "x"), "labels", "a/b/c=x", "such as team"},
		{label("a/", "x"), "labels", "a/=x", "such as team"},
		{label(strings.Repeat("a", 64), "x"), "labels", strings.Repeat("a", 64) + "=x", "at most 63"},
		{label("a", strings.Repeat("x", 64)), "labels", "a=" + strings.Repeat("x", 64), "at most 63"},
	} {
		err := c.in.Validate()
		var one *api.FieldError
		if !errors.As(err, &one) || len(api.FieldErrorsOf(err)) != 1 {
			t.Errorf("%s %q: %v, want one *FieldError", c.field, c.value, err)
			continue
		}
		if one.Field != c.field || one.Value != c.value || !strings.Contains(one.Want, c.says) {
			t.Errorf("%s %q: got %q, want it to say %q", c.field, c.value, err, c.says)
		}
		for _, part := range []string{one.Field, fmt.Sprintf("%q", one.Value), one.Want} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q lacks %q", err, part)
			}
		}
	}
}

func TestValidateReportsAllErrorsAtOnce(t *testing.T) {
	c := api.NewCluster("A", "", api.GroupSpec{
		Manager: "x", Cloud: " ", Region: " ", CPUs: "x", Memory: "x", DiskSize: -1, Accelerators: ":",
		Ports: []string{"x", "80", "80"},
	}, map[string]string{"-": "x"}, time.Now())
	var fields []string
	for _, e := range api.FieldErrorsOf(fmt.Errorf("wrapped: %w", c.Validate())) {
		fields = append(fields, e.Field)
	}
	want := "name labels provision manager cloud region cpus memory disk_size accelerators ports ports num_nodes"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if api.FieldErrorsOf(nil) != nil || api.FieldErrorsOf(errors.New("x")) != nil {
		t.Error("field errors where there are none")
	}
}

func TestTheLongestNameFitsIntoADNSLabel(t *testing.T) {
	name := strings.Repeat("a", api.MaxNameLength)
	if err := api.ValidateName(name); err != nil {
		t.Fatal(err)
	}
	node := api.NodeName(name, 9999, strings.Repeat("x", api.IncarnationLength))
	if len(node) != 63 {
		t.Errorf("%s has %d characters, want the 63 there is room for", node, len(node))
	}
}
