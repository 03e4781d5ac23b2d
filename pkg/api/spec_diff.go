package api

import "fmt"

// DiffSpec names the fields in which a requested spec differs from that of a cluster, with both values. Two spellings
// of the same value do not differ. A create that does not set a field with a setting keeps the cluster's value.
func DiffSpec(have, want GroupSpec) []string {
	have.SetDefaults()
	want.SetDefaults()
	if (have.Accelerators == "") != (want.Accelerators == "") {
		have.GPUStack = want.GPUStack // follows from the accelerators, which differ already
	}
	var diff []string
	for _, f := range Fields {
		is, wanted := f.text(have), f.text(want)
		if is == wanted || f.Setting != "" && wanted == "" || f.isEqual != nil && f.isEqual(is, wanted) {
			continue
		}
		diff = append(diff, fmt.Sprintf("%s is %s, requested is %s", f.Name, valueOrUnset(is), valueOrUnset(wanted)))
	}
	return diff
}

func valueOrUnset(s string) string {
	if s == "" {
		return "unset"
	}
	return s
}
