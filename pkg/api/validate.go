package api

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

const (
	// ManagerK8 is the only manager of clusters: Kubernetes.
	ManagerK8 = "k8"
	// DefaultNumNodes is a cluster with a head and no workers.
	DefaultNumNodes = 1
	// MaxNumNodes is the largest number of machines without max_nodes: DefaultPodCIDR has 256 parts for Nodes, and
	// replacements of machines need a few of them.
	MaxNumNodes = 250
	// MaxNameLength leaves room for the name of a node, sky-<name>-<index>-<incarnation>, in the 63 characters of a DNS
	// label, with an index of four digits. Names of older versions may have one character more.
	MaxNameLength       = 48
	maxStoredNameLength = 49
)

// MaxMachineIndex is the highest index that machines of a cluster can have: records in etcd have room for four digits,
// and the name of a node for what the cluster's name leaves of 63 characters.
func MaxMachineIndex(cluster string) int {
	digits := min(4, dnsLabelLength-len(NodeName(cluster, 0, ""))+len("0")-IncarnationLength)
	highest := 1
	for range digits {
		highest *= 10
	}
	return highest - 1
}

// dnsLabelLength is the number of characters in a DNS label, and so in the name of a node and of a host.
const dnsLabelLength = 63

var (
	cloudName  = lazyregexp.New(`^[a-z][a-z0-9-]{0,30}$`)
	userName   = lazyregexp.New(`^[a-z_][a-z0-9_-]{0,31}$`)
	regionName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
)

// Validate checks everything that can be checked without a cloud. Its error is nil, or *FieldErrors, joined;
// FieldErrorsOf takes them apart. The name may be one of an older version: ValidateName checks a new one.
func (c *Cluster) Validate() error {
	var errs fieldErrors
	errs.addError(ValidateStoredName(c.Metadata.Name))
	validateLabels(c.Metadata.Labels, &errs)
	errs.addError(c.Spec.Validate())
	return errs.joinErrors()
}

// ValidateName checks the name of a new cluster. Its error is a *FieldError.
func ValidateName(name string) error { return validateName(name, MaxNameLength) }

// ValidateStoredName checks the name of a cluster that exists, which an older version may have created.
func ValidateStoredName(name string) error { return validateName(name, maxStoredNameLength) }

func validateName(name string, longest int) error {
	switch {
	case len(name) > longest:
		return &FieldError{Field: "name", Value: name,
			Want: fmt.Sprintf("at most %d characters, so that the names of machines fit into a DNS label; it has %d",
				MaxNameLength, len(name))}
	case len(validation.IsDNS1035Label(name)) > 0:
		return &FieldError{Field: "name", Value: name, Want: "lower-case letters, digits and '-', beginning with a " +
			"letter and ending with a letter or digit, such as my-cluster"}
	}
	return nil
}

// Validate checks a spec as Cluster.Validate does.
func (s ClusterSpec) Validate() error {
	var errs fieldErrors
	request := s.ControlPlaneGroup()
	request.NumNodes = s.MachineCount()
	if request.Accelerators == "" && s.HasAccelerators() {
		request.GPUStack, request.GPUTaint = "", false // they are for pools
	}
	errs.addError(request.Validate())
	if s.ControlPlane.Replicas != 1 {
		errs.addField("control_plane.replicas", strconv.Itoa(s.ControlPlane.Replicas), "1")
	}
	s.RKE2.validate(&errs)
	errs.addError(s.checkProfile())
	seen := map[string]bool{}
	for _, p := range s.Pools {
		if seen[p.Name] {
			errs.addField("pool", p.Name, "each name once")
		}
		seen[p.Name] = true
		if p.Machine != s.ControlPlane.Machine {
			group := s.PoolGroup(p)
			group.NumNodes, group.MaxNodes = DefaultNumNodes+1, 0 // checked with the machines of the whole cluster
			if p.Machine.Accelerators == "" {
				group.GPUStack, group.GPUTaint = "", false // they are for other pools
			}
			errs.addError(group.Validate())
		}
		if p.Replicas >= 0 || p.Name != DefaultPool { // num_nodes names it
			validatePool(p, &errs)
		}
	}
	return errs.joinErrors()
}

// Validate checks a spec as Cluster.Validate does.
func (s GroupSpec) Validate() error {
	var errs fieldErrors
	for _, f := range Fields {
		if f.check != nil {
			errs.addError(f.check(s))
		}
	}
	for _, check := range specRules {
		if err := check(s); err != nil {
			errs.addError(err)
		}
	}
	return errs.joinErrors()
}

// FieldErrorsOf returns all *FieldErrors that an error consists of.
func FieldErrorsOf(err error) []FieldError {
	switch e := err.(type) {
	case nil:
		return nil
	case *FieldError:
		return []FieldError{*e}
	case interface{ Unwrap() []error }:
		var all []FieldError
		for _, part := range e.Unwrap() {
			all = append(all, FieldErrorsOf(part)...)
		}
		return all
	}
	return FieldErrorsOf(errors.Unwrap(err))
}

// fieldErrors collects errors, so that one message names all of them.
type fieldErrors struct{ all []error }

func (e *fieldErrors) addField(field, value, want string) {
	e.all = append(e.all, &FieldError{Field: field, Value: value, Want: want})
}

// addError adds an error, unless it only repeats others: pools often have the machine spec of the servers.
func (e *fieldErrors) addError(err error) {
	if err == nil {
		return
	}
	known := FieldErrorsOf(errors.Join(e.all...))
	isKnown := func(f FieldError) bool { return slices.Contains(known, f) }
	if fields := FieldErrorsOf(err); len(fields) == 0 || !slices.ContainsFunc(fields, isKnown) {
		e.all = append(e.all, err)
		return
	}
	for _, f := range FieldErrorsOf(err) {
		if !isKnown(f) {
			e.all = append(e.all, &f)
		}
	}
}

func (e *fieldErrors) joinErrors() error {
	if len(e.all) == 1 {
		return e.all[0]
	}
	return errors.Join(e.all...)
}

func errorOnly[T any](_ T, err error) error { return err }
