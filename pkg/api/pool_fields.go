package api

import (
	"slices"
	"strconv"
	"strings"
)

// PoolField declares a field of a Pool that is not of its machines, for flags. Fields declares those of the machines.
type PoolField struct {
	// Name is the field's name in JSON, and of its flag.
	Name string
	Flag FlagKind
	// Help is the flag's line in --help.
	Help string
	// Default is the value of a flag that is not given.
	Default string
	// Want describes a valid value.
	Want string
	// Values are those of an enumeration, for completion.
	Values []string

	// Type is that of the field in a file, and Change how it changes on a cluster that exists.
	Type   FieldType
	Change ChangeRule
	// Example is a valid value.
	Example string

	// itemKey is that of FileField.
	itemKey func(item string) string
	// set parses the values of the flag.
	set func(p *Pool, values []string) error
	// text is the value as the flag takes it; empty is unset.
	text func(p Pool) string
}

// PoolFields declares the fields of a pool, in the order of the flags.
var PoolFields = []PoolField{
	newCountField(PoolField{
		Name: "replicas", Help: "number of machines", Default: "1", Example: "3",
		Change: changesFreely("machines are added or removed"),
	}, func(p *Pool) *int { return &p.Replicas }),
	newCountField(PoolField{
		Name: "min_replicas", Help: "least number of machines that the pool can be scaled to (default 0)", Example: "1",
		Change: changesFreely("it bounds replicas"),
	}, func(p *Pool) *int { return &p.MinReplicas }),
	newCountField(PoolField{
		Name: "max_replicas", Help: "highest number of machines that the pool can be scaled to (default: no bound)",
		Example: "8", Change: changesFreely("it bounds replicas"),
	}, func(p *Pool) *int { return &p.MaxReplicas }),
	{
		Name: "labels", Flag: FlagList, Type: TypeMap, Want: "key=value, such as tier=train", Example: "tier=train",
		Help:   "label of the pool's nodes as KEY=VALUE; can be repeated",
		Change: changesFreely("the Nodes get or lose the labels"),
		set: func(p *Pool, values []string) (err error) {
			p.Labels, err = ParseLabels(values)
			return err
		},
		text: func(p Pool) string { return formatLabels(p.Labels) },
	},
	{
		Name: "taints", Flag: FlagList, Type: TypeList,
		Want:    "KEY=VALUE:EFFECT, such as nvidia.com/gpu=present:NoSchedule",
		Example: "dedicated=train:NoSchedule",
		Help:    "taint of the pool's nodes as KEY=VALUE:EFFECT; can be repeated",
		Change:  changesFreely("the Nodes get or lose the taints"),
		itemKey: taintIdentity,
		set:     func(p *Pool, values []string) error { p.Taints = values; return nil },
		text:    func(p Pool) string { return strings.Join(p.Taints, ",") },
	},
	{
		Name: "spot_fallback", Flag: FlagText, Values: []string{SpotFallbackOnDemand}, Example: SpotFallbackOnDemand,
		Want: "on_demand: machines at the full price if the cloud has no spot machine (default: wait for one)",
		Help: "what a pool with --use_spot does if the cloud has no spot machine: on_demand takes machines at the " +
			"full price (default: wait for one)",
		Change: changesFreely("it counts for machines that are launched from then on"),
		set: func(p *Pool, values []string) error {
			p.SpotFallback = strings.ReplaceAll(strings.Join(values, ","), "-", "_")
			return nil
		},
		text: func(p Pool) string { return p.SpotFallback },
	},
	newCountField(PoolField{
		Name: "max_unavailable", Help: "how many machines are replaced at the same time (default 1)", Example: "2",
		Change: changesFreely("it counts for the next replacement"),
	}, func(p *Pool) *int { return &p.MaxUnavailable }),
	{
		Name: "drain_timeout", Flag: FlagText, Want: "a duration above 0, such as 90s or 15m", Example: "20m",
		Help:   "how long pods may take to leave a machine that is removed (default 15m)",
		Change: changesFreely("it counts for the next machine that leaves"),
		set: func(p *Pool, values []string) error {
			d, err := ParseDuration(strings.Join(values, ","))
			if err != nil {
				return &FieldError{Field: "drain_timeout", Value: strings.Join(values, ","),
					Want: "a duration above 0, such as 90s or 15m"}
			}
			p.DrainTimeout = d
			return nil
		},
		text: func(p Pool) string {
			if p.DrainTimeout == 0 {
				return ""
			}
			return p.DrainTimeout.String()
		},
	},
	{
		Name: "drain_force", Flag: FlagSwitch, Type: TypeSwitch, Want: "true or false", Example: "true",
		Help:   "remove a machine after the drain timeout even if pods are left on it (default: keep it and say why)",
		Change: changesFreely("it counts for the next machine that leaves"),
		set: func(p *Pool, values []string) error {
			on, err := strconv.ParseBool(strings.Join(values, ","))
			if err != nil {
				return &FieldError{Field: "drain_force", Value: strings.Join(values, ","), Want: "true or false"}
			}
			p.DrainForce = on
			return nil
		},
		text: func(p Pool) string {
			if !p.DrainForce {
				return ""
			}
			return "true"
		},
	},
}

// newCountField declares a field that is a number of machines. Only replicas are set if they are 0.
func newCountField(f PoolField, ref func(*Pool) *int) PoolField {
	f.Flag, f.Type, f.Want = FlagText, TypeCount, "a whole number of machines"
	f.set = func(p *Pool, values []string) error {
		n, err := ParseCount(f.Name, strings.Join(values, ","))
		if err == nil {
			*ref(p) = n
		}
		return err
	}
	f.text = func(p Pool) string {
		if n := *ref(&p); n != 0 || f.Default != "" {
			return strconv.Itoa(n)
		}
		return ""
	}
	return f
}

// ParseCount parses a number of machines, of any size. Its error is a *FieldError for the field.
func ParseCount(field, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, &FieldError{Field: field, Value: text, Want: "a whole number of machines"}
	}
	return n, nil
}

// IsPoolField reports whether a pool has a field with a name, besides those of its machines.
func IsPoolField(name string) bool {
	return slices.ContainsFunc(PoolFields, func(f PoolField) bool { return f.Name == name })
}

// IsOfMachines reports whether the field is one of MachineSpec, so that each pool has a value of its own.
func (f Field) IsOfMachines() bool {
	var s GroupSpec
	_ = f.set(&s, []string{f.Example}) // an example can be set
	return s.MachineSpec() != MachineSpec{}
}

// ParsePool builds a pool from the values of flags, by the names of their fields, as ParseSpec does a spec. Fields of
// its machines are taken from the same values. The errors are *FieldErrors, joined.
func ParsePool(name string, values map[string][]string) (Pool, error) {
	p := Pool{Name: name}
	ofMachines := map[string][]string{}
	for _, f := range Fields {
		if given, ok := values[f.Name]; ok && f.IsOfMachines() {
			ofMachines[f.Name] = given
		}
	}
	spec, err := ParseSpec(ofMachines)
	var errs fieldErrors
	errs.addError(err)
	p.Machine = spec.MachineSpec()
	for _, f := range PoolFields {
		given, ok := values[f.Name]
		switch {
		case !ok && f.Default == "":
			continue
		case !ok:
			given = []string{f.Default}
		case f.Flag == FlagText && strings.Join(given, "") == "":
			errs.addField(f.Name, "", f.Want+"; for the default, omit --"+f.Name)
			continue
		}
		errs.addError(f.set(&p, given))
	}
	return p, errs.joinErrors()
}
