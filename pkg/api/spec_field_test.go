package api_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

// otherHostKey is a valid host key that no example has.
const otherHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/"

// jsonNames are the JSON names of the fields of a struct, with those of the structs in it.
func jsonNames(of reflect.Type, prefix string) []string {
	var names []string
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if flags := map[string]string{"snapshots": "snapshot_", "ssh": "ssh_"}[name]; flags != "" { // without dots
			names = append(names, jsonNames(f.Type, flags)...)
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			names = append(names, jsonNames(f.Type, prefix+name+".")...)
			continue
		}
		names = append(names, prefix+name)
	}
	return names
}

func TestEverySpecFieldIsDeclared(t *testing.T) {
	var declared []string
	for _, f := range api.Fields {
		declared = append(declared, f.Name)
	}
	names := jsonNames(reflect.TypeFor[api.GroupSpec](), "")
	slices.Sort(names)
	slices.Sort(declared)
	if !slices.Equal(names, declared) {
		t.Errorf("fields of GroupSpec: %v\ndeclared: %v", names, declared)
	}
}

func TestEveryDeclarationHasAllParts(t *testing.T) {
	highest := 0
	for _, f := range api.Fields {
		highest = max(highest, f.Level)
		for part, missing := range map[string]bool{
			"Want": f.Want == "", "Example": f.Example == "",
			"Help":                           (f.Help == "") != (f.Flag == api.NoFlag),
			"Setting, for want of a flag":    f.Flag == api.NoFlag && f.Setting == "",
			"Variable of its Setting":        (f.Setting == "") != (f.Variable == ""),
			"Level":                          f.Level < 1 || f.Level > api.SpecLevel,
			"Label, or Hidden with a reason": (f.Label == "") == (f.Hidden == ""),
			"Invalid":                        f.Invalid == "",
		} {
			if missing {
				t.Errorf("%s lacks its %s", f.Name, part)
			}
		}
	}
	if highest != api.SpecLevel {
		t.Errorf("SpecLevel is %d, the highest level of a field %d", api.SpecLevel, highest)
	}
}

// specFor is a valid spec in which a field can be set.
func specFor(name string) api.GroupSpec {
	s := api.GroupSpec{NumNodes: 2, Provision: true}
	if strings.HasPrefix(name, "gpu_") {
		s.Accelerators = "A100:8"
	}
	if strings.HasPrefix(name, "snapshot_s3_") { // they go together
		s.Snapshots.S3URL, s.Snapshots.S3Secret = "s3://other", "other"
	}
	if strings.HasPrefix(name, "ssh_proxy_jump") { // so do these
		s.SSH = api.SSHAccess{ProxyJump: "other@192.0.2.1:22", ProxyJumpHostKey: otherHostKey, ProxyJumpSecret: "other"}
	}
	return s
}

func TestEveryFieldRoundTripsThroughAllItsForms(t *testing.T) {
	for _, f := range api.Fields {
		s, without := specFor(f.Name), specFor(f.Name)
		without.Provision = f.Name != "provision"
		s.Provision = without.Provision
		if err := f.Set(&s, f.Example); err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		s.SetDefaults()
		without.SetDefaults()
		if err := s.Validate(); err != nil || f.Text(s) != f.Example {
			t.Errorf("%s: %v, text %q, want %q", f.Name, err, f.Text(s), f.Example)
		}
		if shown := strings.Join(s.LabeledValues(), " "); f.Hidden == "" && !strings.Contains(shown, f.Show(s)) {
			t.Errorf("%s: describe shows %q", f.Name, shown)
		}
		if diff := api.DiffSpec(without, s); f.Name != "manager" && !slices.ContainsFunc(diff, func(d string) bool {
			return strings.HasPrefix(d, f.Name+" is ")
		}) {
			t.Errorf("%s: the comparison says %q", f.Name, diff)
		}
		if f.Level > 1 && s.RequiredLevel() != f.Level {
			t.Errorf("%s: level %d, want %d", f.Name, s.RequiredLevel(), f.Level)
		}
		if again := createAgain(t, s); !reflect.DeepEqual(again, s) {
			t.Errorf("%s: created again:\n%+v, want\n%+v", f.Name, again, s)
		}
	}
}

// createAgain parses the flags and variables that ask for a spec.
func createAgain(t *testing.T, s api.GroupSpec) api.GroupSpec {
	t.Helper()
	values := map[string][]string{}
	for _, flag := range s.CreateFlags() {
		if values[flag[0]] = []string{flag[1]}; flag[1] == "" {
			values[flag[0]] = []string{"true"}
		}
	}
	again, err := api.ParseSpec(values)
	if err != nil {
		t.Error(err)
	}
	for _, v := range s.CreateVariables() {
		i := slices.IndexFunc(api.Fields, func(f api.Field) bool { return f.Variable == v[0] })
		if err := api.Fields[i].Set(&again, v[1]); err != nil {
			t.Error(err)
		}
	}
	again.SetDefaults()
	return again
}

func TestEveryFieldRefusesAnInvalidValue(t *testing.T) {
	for _, f := range api.Fields {
		if f.Invalid == "" {
			continue
		}
		s := specFor(f.Name)
		err := errors.Join(f.Set(&s, f.Invalid), s.Validate())
		all := api.FieldErrorsOf(err)
		if len(all) == 0 || all[0].Field != f.Name || !strings.HasPrefix(all[0].Want, f.Want) {
			t.Errorf("%s %q: %v, want an error with %q", f.Name, f.Invalid, err, f.Want)
		}
	}
}

func TestAnEmptyValueIsNeverIgnored(t *testing.T) {
	for _, f := range api.Fields {
		if f.Flag != api.FlagText {
			continue
		}
		_, err := api.ParseSpec(map[string][]string{f.Name: {""}})
		all := api.FieldErrorsOf(err)
		if len(all) != 1 || all[0].Field != f.Name || !strings.Contains(all[0].Want, "omit --"+f.Name) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

// fullSpec sets every field.
func fullSpec() api.GroupSpec {
	return api.GroupSpec{
		Manager: "k8", Cloud: "aws", Region: "us-east-1", Zone: "us-east-1a", CPUs: "4+", Memory: "16+", DiskSize: 100,
		Accelerators: "A100:8", GPUStack: "operator", GPUTaint: true, UseSpot: true, MaxHourlyCost: 1.5,
		ImageID: "ami-1", SSHUser: "admin", APICIDR: "203.0.113.0/24", APIAccess: "public",
		Ports: []string{"80", "30000-30100"},
		SSH: api.SSHAccess{ProxyJump: "jump@bastion.example.com:22", ProxyJumpHostKey: otherHostKey,
			ProxyJumpSecret: "bastion"},
		CNI: "cilium", Ingress: "traefik", EnableServiceLB: new(true),
		NumNodes: 3, MaxNodes: 1000, Provision: true, KubernetesVersion: "v1.35.7+rke2r1",
		Snapshots: api.SnapshotPolicy{Every: "1h", Keep: 96, KeepFor: "720h", VerifyEvery: "24h",
			S3URL: "s3://backups/prod", S3Endpoint: "https://minio.example.com", S3Region: "eu-central-1",
			S3Secret: "backup-login"},
		OnServerLoss: "wait", MaxSnapshotAge: "6h",
		RKE2: api.RKE2Release{Source: "release", SHA256: strings.Repeat("0a", 32)},
		GPU: api.GPURelease{ChartRepo: "https://charts.example.com", OperatorVersion: "v26.3.2",
			PluginVersion: "0.19.2",
			ImageMirror:   "registry.example.com/mirror", TestImage: "registry.example.com/test:1"},
	}
}

func TestTheStoredFormOfASpecDoesNotChange(t *testing.T) {
	const golden = `{"manager":"k8","cloud":"aws","region":"us-east-1","zone":"us-east-1a",` +
		`"cpus":"4+","memory":"16+",` +
		`"disk_size":100,"accelerators":"A100:8","gpu_stack":"operator","gpu_taint":true,"use_spot":true,` +
		`"max_hourly_cost":1.5,"image_id":"ami-1","ssh_user":"admin",` +
		`"api_cidr":"203.0.113.0/24","api_access":"public",` +
		`"ports":["80","30000-30100"],"num_nodes":3,"max_nodes":1000,"provision":true,` +
		`"ssh":{"proxy_jump":"jump@bastion.example.com:22","proxy_jump_host_key":"` + otherHostKey + `",` +
		`"proxy_jump_secret":"bastion"},` +
		`"cni":"cilium","ingress":"traefik","enable_servicelb":true,` +
		`"snapshots":{"every":"1h","keep":96,"keep_for":"720h","verify_every":"24h","s3_url":"s3://backups/prod",` +
		`"s3_endpoint":"https://minio.example.com","s3_region":"eu-central-1","s3_secret":"backup-login"},` +
		`"on_server_loss":"wait","max_snapshot_age":"6h",` +
		`"kubernetes_version":"v1.35.7+rke2r1",` +
		`"rke2":{"source":"release",` +
		`"sha256":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"},` +
		`"gpu":{"chart_repo":"https://charts.example.com","operator_version":"v26.3.2","plugin_version":"0.19.2",` +
		`"image_mirror":"registry.example.com/mirror","test_image":"registry.example.com/test:1"}}`
	full := fullSpec()
	full.SetDefaults()
	if err := full.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, f := range api.Fields {
		if f.Text(full) == "" {
			t.Errorf("fullSpec does not set %s", f.Name)
		}
	}
	got, err := json.Marshal(full)
	if err != nil || string(got) != golden {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, golden)
	}
	var back api.GroupSpec
	if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, full) {
		t.Errorf("read back: %v, %+v", err, back)
	}
}

func TestASpecIsSummarizedInOneShortLine(t *testing.T) {
	s := api.GroupSpec{Cloud: "aws", Zone: "us-east-1a", CPUs: "4+", DiskSize: 100, UseSpot: true, NumNodes: 3}
	if got := s.Summarize(); got != "3 machines: cloud aws, zone us-east-1a, cpus 4+, disk_size 100, use_spot" {
		t.Errorf("got %q", got)
	}
	if got := (api.GroupSpec{NumNodes: 1}).Summarize(); got != "1 machine" {
		t.Errorf("got %q", got)
	}
	s.ImageID = strings.Repeat("é", 200)
	if got := s.Summarize(); len(got) > 200 || !strings.HasSuffix(got, "é…") {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

func TestARequestHasTheTypedValuesOfTheSpec(t *testing.T) {
	got, err := fullSpec().MachineRequest()
	want := api.MachineRequest{CPUs: api.Quantity{Value: 4, AtLeast: true},
		MemoryGiB: api.Quantity{Value: 16, AtLeast: true}, DiskGiB: 100,
		Accelerators: api.Accelerators{Name: "A100", Count: 8}, Ports: []api.PortRange{{80, 80}, {30000, 30100}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: got %+v", err, got)
	}
	got, err = api.GroupSpec{CPUs: "x", Accelerators: "A100"}.MachineRequest()
	if len(api.FieldErrorsOf(err)) != 1 || got.CPUs.IsSet() || got.Accelerators.Count != 1 {
		t.Errorf("%v: got %+v", err, got)
	}
	if got, err := (api.GroupSpec{}).MachineRequest(); err != nil || !reflect.DeepEqual(got, api.MachineRequest{}) {
		t.Errorf("%v: got %+v", err, got)
	}
}
