package cli

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
)

// list is a flag of several values, given with commas, by repetition, or both. Unlike pflag's it keeps an empty value,
// which is judged like any other.
type list struct{ values []string }

func (l *list) String() string     { return strings.Join(l.values, ",") }
func (l *list) Type() string       { return "strings" }
func (l *list) Set(v string) error { l.values = append(l.values, strings.Split(v, ",")...); return nil }

// empties are the flags that were given with nothing in them, as an unset variable of a shell leaves them: taking them for
// left out would launch something else than was meant. Its errors are *api.FieldErrors, joined.
func empties(flags *pflag.FlagSet) error {
	var all []error
	refuse := func(field, want string) {
		if f := flags.Lookup(field); f != nil && f.Changed && f.Value.String() == "" {
			all = append(all, &api.FieldError{Field: field, Want: want})
		}
	}
	refuse("cloud", "the name of a cloud: "+strings.Join(clouds, " or "))
	refuse("region", "the name of a region as its cloud spells it, such as local on docker"+orOut("region"))
	refuse("manager", "the only manager is "+api.ManagerK8+" (Kubernetes)"+orOut("manager"))
	_, cpus := api.ParseCPUs("")
	_, memory := api.ParseMemory("")
	_, disk := api.ParseDiskSize("")
	_, accelerators := api.ParseAccelerators("")
	for _, e := range api.FieldErrors(errors.Join(cpus, memory, disk, accelerators)) {
		refuse(e.Field, e.Want+orOut(e.Field))
	}
	return errors.Join(all...)
}

func orOut(flag string) string { return "; leave --" + flag + " out where it does not matter" }
