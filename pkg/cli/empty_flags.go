package cli

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
)

// listValue is a flag of several values, given with commas, by repetition, or both. Unlike pflag's it keeps an empty
// value, which is judged like any other.
type listValue struct{ values []string }

func (l *listValue) String() string { return strings.Join(l.values, ",") }
func (l *listValue) Type() string   { return "strings" }
func (l *listValue) Set(v string) error {
	l.values = append(l.values, strings.Split(v, ",")...)
	return nil
}

// checkEmptyFlags are the flags that were given with nothing in them, as an unset variable of a shell leaves them:
// taking them for left out would launch something else than was meant. Its errors are *api.FieldErrors, joined.
func checkEmptyFlags(flags *pflag.FlagSet) error {
	var all []error
	refuse := func(field, want string) {
		if f := flags.Lookup(field); f != nil && f.Changed && f.Value.String() == "" {
			all = append(all, &api.FieldError{Field: field, Want: want})
		}
	}
	refuse("cloud", "the name of a cloud, such as docker or aws"+leaveOutHint("cloud"))
	refuse("region", "the name of a region as its cloud spells it, such as us-east-1 on aws"+leaveOutHint("region"))
	refuse("zone", "the name of a zone as its cloud spells it, such as us-east-1a on aws"+leaveOutHint("zone"))
	refuse("max_hourly_cost", wantCost+leaveOutHint("max_hourly_cost"))
	refuse("image_id", "the id of an image as its cloud spells it"+leaveOutHint("image_id"))
	refuse("api_cidr", "a range of addresses, such as 203.0.113.0/24"+leaveOutHint("api_cidr"))
	refuse("api_access", "auto, public or tunnel"+leaveOutHint("api_access"))
	refuse("gpu_stack", "operator, device-plugin or none"+leaveOutHint("gpu_stack"))
	refuse("kubernetes_version", api.WantKubernetesVersion+leaveOutHint("kubernetes_version"))
	refuse("manager", "the only manager is "+api.ManagerK8+" (Kubernetes)"+leaveOutHint("manager"))
	_, cpus := api.ParseCPUs("")
	_, memory := api.ParseMemory("")
	_, disk := api.ParseDiskSize("")
	_, accelerators := api.ParseAccelerators("")
	for _, e := range api.FieldErrorsOf(errors.Join(cpus, memory, disk, accelerators)) {
		refuse(e.Field, e.Want+leaveOutHint(e.Field))
	}
	return errors.Join(all...)
}

const wantCost = "US dollars per hour and machine, such as 1.50"

// parseHourlyCost reads --max_hourly_cost. Its error is an *api.FieldError.
func parseHourlyCost(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return 0, &api.FieldError{Field: "max_hourly_cost", Value: s, Want: wantCost}
	}
	return v, nil
}

func leaveOutHint(flag string) string { return "; leave --" + flag + " out where it does not matter" }
