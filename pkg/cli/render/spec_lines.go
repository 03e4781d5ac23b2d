package render

import "github.com/sky-shift/skyctl/pkg/api"

// specLines are the fields of a spec that are set, as api.Fields declares them.
func specLines(s api.GroupSpec) []string { return alignPairs(s.LabeledValues()...) }
