package api

import (
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// The declarations of Fields and PoolFields are worded for flags. This file words them for files.

var (
	flagName     = lazyregexp.New(`--([a-z][a-z_]*)`)
	helpDefault  = lazyregexp.New(` \(default:? (.*)\)$`)
	repeatedFlag = lazyregexp.New(`; can be repeated$`)
)

// WordForFile rewords a text about flags for a file, where fields have no dashes.
func WordForFile(text string) string {
	text = strings.ReplaceAll(text, "--num_nodes", "replicas")
	return flagName.ReplaceAllString(text, "$1")
}

// fileTexts are the words for a field in a file that those for its flag do not give.
type fileTexts struct{ help, want, def string }

// textsOf has the words by path, or by name for the fields of machines.
var textsOf = map[string]fileTexts{
	"spec.provision": {help: "launch machines for the cluster", def: "true",
		want: "true: skyctl launches the machines; it cannot attach an existing cluster"},
	"spec.manager":              {want: ManagerK8 + " (Kubernetes), the only manager"},
	"spec.cloud":                {def: "the cheapest cloud that is enabled"},
	"spec.gpu_taint":            {def: "false"},
	"spec.enable_servicelb":     {def: "false"},
	"spec.network.cni":          {help: "network plugin"},
	"spec.gpu_stack":            {def: "operator with accelerators of NVIDIA, none with others"},
	"spec.ports":                {help: "ports and ranges to open to the outside on every machine", def: "none"},
	"spec.rke2.source":          {help: "where RKE2 comes from"},
	"spec.rke2.sha256":          {help: "SHA-256 of the release's tarball"},
	"spec.gpu.chart_repo":       {help: "repository of the charts of NVIDIA's software"},
	"spec.gpu.operator_version": {help: "version of the GPU Operator's chart"},
	"spec.gpu.plugin_version":   {help: "version of the device plugin's chart"},
	"spec.gpu.image_mirror":     {help: "registry that mirrors the images of that software"},
	"spec.gpu.test_image":       {help: "image that tests the accelerators"},
	"spec.pools.replicas":       {def: "1 for a new pool; a pool that exists keeps its number"},
	"spec.pools.labels": {help: "labels of the pool's nodes", def: "none",
		want: "keys and values, such as tier: train"},
	"spec.pools.taints":      {help: "taints of the pool's nodes", def: "none"},
	"spec.pools.drain_force": {def: "false: skyctl keeps the machine and says why"},
	pathControlPlane + "." + pathMachine + ".cpus": {
		help: fmt.Sprintf("CPUs per machine, at least %d in a new cluster: 4 is exactly four, 4+ is at least four",
			MinServerCPUs), def: fmt.Sprintf("left to the cloud, at least %d", MinServerCPUs)},
	pathControlPlane + "." + pathMachine + ".memory": {
		help: fmt.Sprintf("memory per machine in GiB, at least %d in a new cluster: 16 or 16+", MinServerMemoryGiB),
		def:  fmt.Sprintf("left to the cloud, at least %d", MinServerMemoryGiB)},
	pathMachine + ".cpus":            {def: "left to the cloud"},
	pathMachine + ".memory":          {def: "left to the cloud"},
	pathMachine + ".disk_size":       {help: "disk per machine in GiB", def: "left to the cloud"},
	pathMachine + ".accelerators":    {def: "none"},
	pathMachine + ".use_spot":        {def: "false"},
	pathMachine + ".max_hourly_cost": {def: "no limit"},
}

// wordField words a field for files. Where the help for its flag ends with the default, that is the field's.
func wordField(f FileField) FileField {
	texts, ok := textsOf[f.Path]
	if _, machine, of := strings.Cut(f.Path, "."+pathMachine+"."); !ok && of {
		texts = textsOf[pathMachine+"."+machine]
	}
	f.Help, f.Want = WordForFile(repeatedFlag.ReplaceAllString(f.Help, "")), WordForFile(f.Want)
	f.Want = helpDefault.ReplaceAllString(f.Want, "")
	if match := helpDefault.FindStringSubmatch(f.Help); match != nil {
		f.Help, f.Default = strings.TrimSuffix(f.Help, match[0]), match[1]
	}
	if texts.help != "" {
		f.Help = texts.help
	}
	if texts.want != "" {
		f.Want = texts.want
	}
	if texts.def != "" {
		f.Default = texts.def
	}
	return f
}

// describeField is what a field is: the line of its flag, or else that of describe.
func describeField(f Field) string {
	if f.Help != "" {
		return f.Help
	}
	return f.Label + " (default: the setting " + f.Setting + ")"
}

func (f Field) inFile(path string, change ChangeRule) FileField {
	field := wordField(FileField{Path: path, Type: f.Type, Help: describeField(f), Want: f.Want, Values: f.Values,
		Example: f.Example, Change: change, Stays: f.Setting != ""})
	field.normalize = func(values []string) ([]string, error) {
		normal, err := f.normalizeValues(values)
		if wrong, ok := err.(*FieldError); ok && wrong.Want == f.Want { // the words of a flag
			return nil, &FieldError{Field: wrong.Field, Value: wrong.Value, Want: field.Want}
		}
		return normal, err
	}
	return field
}

func (f PoolField) inFile(path string) FileField {
	return wordField(FileField{Path: path, Type: f.Type, Help: f.Help, Want: f.Want, Values: f.Values,
		Example: f.Example, Change: f.Change, Stays: f.Name == "replicas", itemKey: f.itemKey,
		normalize: f.normalizeValues})
}

// normalizeValues is FileField.NormalizeValues.
func (f Field) normalizeValues(values []string) ([]string, error) {
	var s GroupSpec
	if err := f.set(&s, values); err != nil {
		return nil, err
	}
	if f.check != nil {
		if err := f.check(s); err != nil {
			return nil, err
		}
	}
	if f.normalize != nil {
		f.normalize(&s)
	}
	switch text := f.text(s); {
	case f.Type == TypeSwitch || text == "":
		return values, nil
	case f.Type == TypeList:
		return strings.Split(text, ","), nil
	default:
		return []string{text}, nil
	}
}

// normalizeValues is FileField.NormalizeValues.
func (f PoolField) normalizeValues(values []string) ([]string, error) {
	p := Pool{Name: DefaultPool, Machine: MachineSpec{UseSpot: true}} // the rules of other fields hold
	if err := f.set(&p, values); err != nil {
		return nil, err
	}
	p.Replicas = max(p.Replicas, p.MinReplicas)
	var errs fieldErrors
	validatePool(p, &errs)
	if err := errs.joinErrors(); err != nil {
		return nil, err
	}
	if text := f.text(p); f.Type == TypeText && text != "" {
		return []string{text}, nil
	}
	return values, nil
}

func normalizeLabels(values []string) ([]string, error) {
	return values, errorOnly(ParseLabels(values))
}

// checksText makes the normalize function of a field whose values have one form only.
func checksText(check func(string) error) func([]string) ([]string, error) {
	return func(values []string) ([]string, error) { return values, check(strings.Join(values, ",")) }
}

func checkServerCount(text string) error {
	if text != "1" {
		return &FieldError{Field: "control_plane.replicas", Value: text, Want: "1"}
	}
	return nil
}
