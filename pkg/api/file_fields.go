package api

import (
	"slices"
	"strings"
	"sync"
)

// FieldType is the form of a field's value in a cluster file.
type FieldType int

// The types of fields.
const (
	TypeText       FieldType = iota
	TypeCount                // a whole number
	TypeNumber               // a number
	TypeSwitch               // true or false
	TypeList                 // a list of texts
	TypeMap                  // texts by key
	TypeValueMap             // texts, or lists of texts, by key
	TypeObject               // an object with declared fields
	TypeObjectList           // a list of such objects, which Key distinguishes
)

// FileField declares one field of a cluster file.
type FileField struct {
	// Path leads to the field, with dots between its parts: "spec.pools.machine.cpus". The items of a list have no part
	// of their own.
	Path string
	Type FieldType
	// Key is the field that distinguishes the items of a TypeObjectList.
	Key string
	// Help says what the field is. Want describes a valid value.
	Help, Want string
	// Default is the value of a field that is not set, for people; empty if Help says it.
	Default string
	// Values are those of an enumeration.
	Values []string
	// Example is a valid value as text.
	Example string
	Change  ChangeRule
	// Required: a file without the field is refused.
	Required bool
	// Stays: if a file that was applied named the field and the next one does not, it stays as it is. Other fields get
	// their default.
	Stays bool

	// itemKey returns what only one item of a list can have; nil is the item.
	itemKey func(item string) string
	// normalize checks values and returns their normal form; nil takes any.
	normalize func(values []string) ([]string, error)
}

// NormalizeValues returns the normal form of a field's values: one text, the items of a list, or KEY=VALUE for each
// entry of a map. Its errors are *FieldErrors, joined. It checks nothing that depends on other fields.
func (f FileField) NormalizeValues(values []string) ([]string, error) {
	if f.normalize == nil {
		return values, nil
	}
	return f.normalize(values)
}

// ItemKey returns what only one item of a TypeList can have: a taint's key and effect, and otherwise the item itself.
func (f FileField) ItemKey(item string) string {
	if f.itemKey == nil {
		return item
	}
	return f.itemKey(item)
}

// Name is the last part of the path.
func (f FileField) Name() string { return f.Path[strings.LastIndexByte(f.Path, '.')+1:] }

// Parent is the path of the object that has the field; empty at the top.
func (f FileField) Parent() string { return f.Path[:max(0, strings.LastIndexByte(f.Path, '.'))] }

// The paths of the objects of a cluster file that have fields of their own.
const (
	pathMachine      = "machine"
	pathControlPlane = "spec.control_plane"
	pathPools        = "spec.pools"
)

// FileFields declares every field of a cluster file, in the order of a file. It follows from Fields and PoolFields.
func FileFields() []FileField { return slices.Clone(fileFields()) }

// fileFields is what FileFields returns, made once.
var fileFields = sync.OnceValue(declareFileFields)

func declareFileFields() []FileField {
	fields := []FileField{
		{Path: "apiVersion", Help: "version of the file's format", Want: APIVersion, Values: []string{APIVersion},
			Example: APIVersion, Required: true,
			Change: neverChanges("it is the format of the file", "leave it as it is")},
		{Path: "kind", Help: "kind of the object", Want: Kind, Values: []string{Kind}, Example: Kind, Required: true,
			Change: neverChanges("clusters are the only objects in files", "leave it as it is")},
		{Path: "metadata", Type: TypeObject, Help: "name and labels of the cluster", Required: true},
		{Path: "metadata.name", Help: "name of the cluster", Want: "lower-case letters, digits and '-', such as dev",
			// that of a new cluster is checked later
			Example: "dev", Required: true, normalize: checksText(ValidateStoredName),
			Change: neverChanges("machines, keys and kubeconfig have this name", "create another cluster")},
		{Path: "metadata.labels", Type: TypeMap,
			Help: "labels of the cluster, and of its nodes where the keys are allowed there",
			Want: "keys and values as Kubernetes allows them, such as team: vision", Example: "team=vision",
			Default: "none", normalize: normalizeLabels,
			Change: changesFreely("the Nodes get or lose the labels")},
		{Path: "spec", Type: TypeObject, Help: "what is wanted", Required: true},
	}
	for _, f := range Fields {
		if path := f.filePath(); path != "" && !f.IsOfMachines() {
			fields = append(fields, newObjectOf(path, fields)...)
			fields = append(fields, f.inFile(path, f.Change))
		}
		if f.Name == "rke2.sha256" {
			fields = append(fields, rke2SettingsFileFields()...)
		}
	}
	fields = append(fields,
		FileField{Path: pathControlPlane, Type: TypeObject, Help: "machines that run the Kubernetes servers"},
		FileField{Path: pathControlPlane + ".replicas", Type: TypeCount, Help: "number of servers", Want: "1",
			Default: "1", Example: "1", Change: changesServer, normalize: checksText(checkServerCount)})
	fields = append(fields, machineFileFields(pathControlPlane, func(Field) ChangeRule { return changesServer })...)
	fields = append(fields,
		FileField{Path: pathPools, Type: TypeObjectList, Key: "name", Help: "groups of workers that are alike",
			Change: changesFreely("a pool that is new is created; one that is gone is deleted with its machines")},
		FileField{Path: pathPools + ".name", Help: "name of the pool", Want: wantPoolName, Example: "gpu",
			Required: true, normalize: checksText(ValidatePoolName),
			Change: ChangeRule{Way: ChangeByReplacing, Why: "another name is another pool"}})
	for _, f := range PoolFields {
		fields = append(fields, f.inFile(pathPools+"."+f.Name))
	}
	return append(fields, machineFileFields(pathPools, func(f Field) ChangeRule { return f.Change })...)
}

// machineFileFields declares the machine spec of a group.
func machineFileFields(group string, change func(Field) ChangeRule) []FileField {
	path := group + "." + pathMachine
	fields := []FileField{{Path: path, Type: TypeObject, Help: "what each of the machines is requested with"}}
	for _, f := range Fields {
		if f.IsOfMachines() {
			fields = append(fields, f.inFile(path+"."+f.Name, change(f)))
		}
	}
	return fields
}

// objectHelp says what the objects are that group fields of the spec.
var objectHelp = map[string]string{
	"spec.network":   "network of the cluster",
	"spec.ssh":       "how skyd and skyctl reach the machines over SSH",
	"spec.snapshots": "snapshots of etcd: when they are taken, and where they are kept",
	"spec.rke2":      "source of the release of RKE2, and what RKE2 needs to reach others",
	"spec.gpu":       "releases of the software for accelerators",
}

// newObjectOf declares the object that has the field with a path, unless it is declared already.
func newObjectOf(path string, declared []FileField) []FileField {
	parent := FileField{Path: path}.Parent()
	if slices.ContainsFunc(declared, func(f FileField) bool { return f.Path == parent }) {
		return nil
	}
	return []FileField{{Path: parent, Type: TypeObject, Help: objectHelp[parent]}}
}

// FilePathOf returns where the field with a name stands in a cluster file; empty if there is none, or it is of
// machines.
func FilePathOf(name string) string {
	if f, known := FindField(name); known && !f.IsOfMachines() {
		return f.filePath()
	}
	return ""
}

// filePath is where a field that is not of machines stands in a cluster file; empty if it has no place there.
func (f Field) filePath() string {
	switch f.Name {
	case "num_nodes": // the replicas of the groups
		return ""
	case "max_nodes", "cni":
		return "spec.network." + f.Name
	}
	if name, is := strings.CutPrefix(f.Name, "snapshot_"); is {
		return "spec.snapshots." + name
	}
	if name, is := strings.CutPrefix(f.Name, "ssh_"); is {
		return "spec.ssh." + name
	}
	return "spec." + f.Name
}
