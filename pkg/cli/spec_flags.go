package cli

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
)

// bindSpecFlags adds the flag of each field of a spec.
func bindSpecFlags(flags *pflag.FlagSet) {
	for _, f := range api.Fields {
		switch f.Flag {
		case api.FlagText:
			flags.String(f.Name, f.Default, f.Help)
		case api.FlagSwitch:
			flags.Bool(f.Name, false, f.Help)
		case api.FlagList:
			flags.Var(&listValue{}, f.Name, f.Help)
		}
	}
}

// parseSpecFlags builds a spec from the flags that were set. Its errors are *api.FieldErrors, joined.
func parseSpecFlags(flags *pflag.FlagSet) (api.GroupSpec, error) {
	return api.ParseSpec(readFlagValues(flags))
}

// readFlagValues returns the values of the flags that were set, by name.
func readFlagValues(flags *pflag.FlagSet) map[string][]string {
	values := map[string][]string{}
	flags.Visit(func(flag *pflag.Flag) {
		if list, ok := flag.Value.(*listValue); ok {
			values[flag.Name] = list.values
			return
		}
		values[flag.Name] = []string{flag.Value.String()}
	})
	return values
}

// normalizeFlagName accepts dashes and underscores in the name of every flag. The fields of a spec have underscores, as
// in SkyShift; all other flags have dashes.
func normalizeFlagName(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if field := strings.ReplaceAll(name, "-", "_"); isSpecField(field) {
		return pflag.NormalizedName(field)
	}
	return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
}

func isSpecField(name string) bool {
	_, ok := api.FindField(name)
	return ok || api.IsPoolField(name)
}

// listValue is a flag with several values, separated by commas, by repetition, or both. Unlike pflag's own it keeps an
// empty value, so that validation refuses it.
type listValue struct{ values []string }

func (l *listValue) String() string { return strings.Join(l.values, ",") }
func (l *listValue) Type() string   { return "strings" }
func (l *listValue) Set(v string) error {
	l.values = append(l.values, strings.Split(v, ",")...)
	return nil
}
