package api

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Field declares one field of a GroupSpec. Flags, completion, defaults, validation, comparison, describe, the command
// that creates the cluster again, settings and the clouds all read the declarations in Fields.
type Field struct {
	// Name is the field's name in JSON and in errors. A dot leads into a nested object: "rke2.source".
	Name string
	// Flag is how the flag --Name takes its value. A field with NoFlag has a Setting instead.
	Flag FlagKind
	// Help is the flag's line in --help.
	Help string
	// Default is the value of a flag that is not given.
	Default string
	// Want describes a valid value. It ends every error about the field.
	Want string
	// Values are those of an enumeration, for completion.
	Values []string
	// ValuesOn are the values for one cloud, for completion.
	ValuesOn func(cloud string) []string
	// Scope is whether the field describes each machine or the cluster as a whole.
	Scope Scope
	// Label names the field in describe. It is empty if another line shows the field; then Hidden says which.
	Label, Hidden string
	// Level is the lowest level of a worker that knows the field. See SpecLevel.
	Level int
	// Setting is the key in config.yaml that fills the field if a create does not set it, and Variable the environment
	// variable of that setting. A create that sets neither keeps the value of a cluster that exists.
	Setting, Variable string
	// Type is the form of the field in a file.
	Type FieldType
	// Change is how the field changes on a cluster that exists. That of a machine's field counts for pools.
	Change ChangeRule
	// Example is a valid value, and Invalid one that is refused with Want.
	Example, Invalid string

	// set parses the values of the flag. No values unset the field. It fails only if the field cannot hold the text;
	// check judges the rest.
	set func(s *GroupSpec, values []string) error
	// text is the value as the flag takes it; empty is unset.
	text func(s GroupSpec) string
	// show is the value as describe prints it; nil prints text.
	show func(s GroupSpec) string
	// normalize brings a valid value into its normal form, and fills in the default. nil changes nothing.
	normalize func(s *GroupSpec)
	// check returns *FieldErrors, joined. Rules check what depends on several fields.
	check func(s GroupSpec) error
	// isEqual compares two texts; nil is ==.
	isEqual func(a, b string) bool
}

// FlagKind is how a flag takes its value.
type FlagKind int

// The kinds of flags.
const (
	NoFlag     FlagKind = iota
	FlagText            // one value
	FlagSwitch          // true if it is given
	FlagList            // several values, with commas or by repetition
)

// Scope is what a field describes.
type Scope int

// The scopes of fields.
const (
	ClusterScope Scope = iota
	// MachineScope: the field decides which machines a cloud gives. Each cloud uses or refuses it.
	MachineScope
)

// FindField returns the declaration of a field.
func FindField(name string) (Field, bool) {
	i := slices.IndexFunc(Fields, func(f Field) bool { return f.Name == name })
	if i < 0 {
		return Field{}, false
	}
	return Fields[i], true
}

// Text is the field's value as its flag takes it; empty if it is unset.
func (f Field) Text(s GroupSpec) string { return f.text(s) }

// Show is the field's value for people; empty if it is unset.
func (f Field) Show(s GroupSpec) string {
	if f.show != nil {
		return f.show(s)
	}
	return f.text(s)
}

// Set sets the field to a value as its flag takes it.
func (f Field) Set(s *GroupSpec, value string) error { return f.set(s, []string{value}) }

// IsImplied reports whether a create that does not set the field gets the same value by default.
func (f Field) IsImplied(s GroupSpec) bool {
	without := s
	_ = f.set(&without, nil) // to unset a field does not fail
	without.SetDefaults()
	return f.text(without) == f.text(s)
}

func (f Field) newError(value string) error {
	return &FieldError{Field: f.Name, Value: value, Want: f.Want}
}

// ParseSpec builds a spec from the values of flags, by the names of their fields. Absent fields get the default of
// their flag. An empty value is an error: it comes from a shell variable that is not set, and to ignore it would launch
// something else than was meant. The errors are *FieldErrors, joined; Validate checks what ParseSpec accepts.
func ParseSpec(values map[string][]string) (GroupSpec, error) {
	var s GroupSpec
	var errs fieldErrors
	for _, f := range Fields {
		given, ok := values[f.Name]
		switch {
		case !ok && f.Default == "":
			continue
		case !ok:
			given = []string{f.Default}
		case f.Flag == FlagText && strings.Join(given, "") == "":
			hint := "; to leave it open, omit --" + f.Name
			if f.Default != "" {
				hint = "; for the default, " + f.Default + ", omit --" + f.Name
			}
			errs.addField(f.Name, "", f.Want+hint)
			given = []string{f.Default}
			if f.Default == "" {
				continue
			}
		}
		errs.addError(f.set(&s, given))
	}
	return s, errs.joinErrors()
}

// newTextField declares a field that holds text. parse returns the normal form of a value, or false.
func newTextField(f Field, ref func(*GroupSpec) *string, parse func(string) (string, bool)) Field {
	return newParsedField(f, ref, func(v string) (string, error) {
		normal, ok := parse(v)
		if !ok {
			return "", f.newError(v)
		}
		return normal, nil
	})
}

// newParsedField declares a field that holds text. parse returns the normal form of a value, or a *FieldError.
func newParsedField(f Field, ref func(*GroupSpec) *string, parse func(string) (string, error)) Field {
	f.set = func(s *GroupSpec, values []string) error {
		*ref(s) = strings.Join(values, ",")
		return nil
	}
	f.text = func(s GroupSpec) string { return *ref(&s) }
	f.normalize = func(s *GroupSpec) {
		if normal, err := parse(*ref(s)); err == nil {
			*ref(s) = normal
		}
	}
	f.check = func(s GroupSpec) error {
		if *ref(&s) == "" {
			return nil
		}
		_, err := parse(*ref(&s))
		return err
	}
	return f
}

// newSwitchField declares a field that is true or false.
func newSwitchField(f Field, ref func(*GroupSpec) *bool, check func(GroupSpec) error) Field {
	f.Flag, f.Type = FlagSwitch, TypeSwitch
	f.set = func(s *GroupSpec, values []string) error {
		on, err := strconv.ParseBool(strings.Join(values, ","))
		if len(values) > 0 && err != nil {
			return f.newError(strings.Join(values, ","))
		}
		*ref(s) = on
		return nil
	}
	f.text = func(s GroupSpec) string {
		if !*ref(&s) {
			return ""
		}
		return "true"
	}
	f.check = check
	return f
}

// numberField is what distinguishes the fields that hold a number.
type numberField[T comparable] struct {
	parse  func(string) (T, error)
	format func(T) string
	isIn   func(T) bool // its range
}

// newNumberField declares a field that holds a number; 0 is unset, unless the flag has a default.
func newNumberField[T comparable](f Field, ref func(*GroupSpec) *T, n numberField[T]) Field {
	var unset T
	if f.Type = TypeNumber; reflect.TypeFor[T]().Kind() == reflect.Int {
		f.Type = TypeCount
	}
	f.set = func(s *GroupSpec, values []string) error {
		if len(values) == 0 {
			*ref(s) = unset
			return nil
		}
		v, err := n.parse(strings.Join(values, ","))
		if err == nil {
			*ref(s) = v
		} else if f.Default != "" { // leaves a valid value, so that Validate does not name the field again
			*ref(s), _ = n.parse(f.Default)
		}
		return err
	}
	f.text = func(s GroupSpec) string {
		if v := *ref(&s); v != unset || f.Default != "" {
			return n.format(v)
		}
		return ""
	}
	f.check = func(s GroupSpec) error {
		if v := *ref(&s); !n.isIn(v) {
			return f.newError(n.format(v))
		}
		return nil
	}
	return f
}

// matches makes the parse function of a field whose values have one form only.
func matches(isValid func(string) bool) func(string) (string, bool) {
	return func(v string) (string, bool) { return v, isValid(v) }
}
