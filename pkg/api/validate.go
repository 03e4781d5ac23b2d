package api

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

const (
	// ManagerK8 is the only manager of clusters there is: Kubernetes.
	ManagerK8 = "k8"
	// DefaultNumNodes is a cluster of the head alone.
	DefaultNumNodes = 1
	// MaxNumNodes is bounded by the network of pods: 10.42.0.0/16 has room for 256 nodes with a /24 each, and a few of
	// them stay free for the successors of nodes that are being replaced.
	MaxNumNodes = 250
	// MaxNameLength leaves room for a node's name, sky-<name>-<index>-<incarnation>, within the 63 characters of a DNS
	// label.
	MaxNameLength = 49
)

var (
	clusterName = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	cloudName   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)
	regionName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
)

// Validate checks all that can be checked without asking a cloud. Its error is nil or one or more *FieldErrorsOf,
// joined; FieldErrorsOf takes them apart. Fields are named as their flags are spelled.
func (c *Cluster) Validate() error {
	var errs fieldErrors
	errs.addError(ValidateName(c.Metadata.Name))
	validateLabels(c.Metadata.Labels, &errs)
	errs.addError(c.Spec.Validate())
	return errs.joinErrors()
}

// ValidateName checks a cluster's name; its error is a *FieldError.
func ValidateName(name string) error {
	switch {
	case len(name) > MaxNameLength:
		return &FieldError{Field: "name", Value: name,
			Want: fmt.Sprintf("at most %d characters, so that the names of machines fit into a DNS label; it has %d",
				MaxNameLength, len(name))}
	case !clusterName.MatchString(name):
		return &FieldError{Field: "name", Value: name, Want: "lower-case letters, digits and '-', beginning with a " +
			"letter and ending with a letter or digit, such as my-cluster"}
	}
	return nil
}

// Validate checks a spec as Cluster.Validate does.
func (s ClusterSpec) Validate() error {
	var errs fieldErrors
	if !s.Provision {
		errs.addField("provision", "false", "add --provision: it has the machines launched and Kubernetes installed "+
			"on them; clusters that exist already can't be attached")
	}
	if _, ok := normalizeManager(s.Manager); !ok {
		errs.addField("manager", s.Manager, "the only manager is "+ManagerK8+" (Kubernetes)")
	}
	if s.Cloud != "" && !cloudName.MatchString(strings.ToLower(s.Cloud)) {
		errs.addField("cloud", s.Cloud, "the name of a cloud, such as docker or aws")
	}
	if s.Region != "" && !regionName.MatchString(s.Region) {
		errs.addField("region", s.Region, "the name of a region as its cloud spells it, such as us-east-1")
	}
	if s.Zone != "" && !regionName.MatchString(s.Zone) {
		errs.addField("zone", s.Zone, "the name of a zone as its cloud spells it, such as us-east-1a")
	}
	if !(s.MaxHourlyCost >= 0) || math.IsInf(s.MaxHourlyCost, 0) {
		errs.addField("max_hourly_cost", strconv.FormatFloat(s.MaxHourlyCost, 'f', -1, 64),
			"US dollars per hour and machine, such as 1.50")
	}
	if s.ImageID != "" && strings.ContainsFunc(s.ImageID,
		func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }) {
		errs.addField("image_id", s.ImageID, "the id of an image as its cloud spells it")
	}
	if s.APICIDR != "" {
		if _, err := netip.ParsePrefix(s.APICIDR); err != nil {
			errs.addField("api_cidr", s.APICIDR, "a range of addresses, such as 203.0.113.0/24")
		}
	}
	s.validateAPIAccess(&errs)
	if s.CPUs != "" {
		errs.addError(errorOnly(ParseCPUs(s.CPUs)))
	}
	if s.Memory != "" {
		errs.addError(errorOnly(ParseMemory(s.Memory)))
	}
	if s.DiskSize < 0 || s.DiskSize > MaxDiskGiB {
		errs.addField("disk_size", strconv.Itoa(s.DiskSize), wantDisk)
	}
	if s.Accelerators != "" {
		errs.addError(errorOnly(ParseAccelerators(s.Accelerators)))
	}
	s.validateGPU(&errs)
	s.validateReleases(&errs)
	errs.addError(errorOnly(ParsePorts(s.Ports)))
	if s.NumNodes < 1 || s.NumNodes > MaxNumNodes {
		errs.addField("num_nodes", strconv.Itoa(s.NumNodes),
			fmt.Sprintf("from 1 (the head alone) to %d machines", MaxNumNodes))
	}
	return errs.joinErrors()
}

// FieldErrorsOf are all the *FieldErrorsOf that an error is made of.
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

// fieldErrors gathers what is wrong, so that a person hears of it all at once.
type fieldErrors struct{ all []error }

func (e *fieldErrors) addField(field, value, want string) {
	e.all = append(e.all, &FieldError{Field: field, Value: value, Want: want})
}

func (e *fieldErrors) addError(err error) {
	if err != nil {
		e.all = append(e.all, err)
	}
}

func (e *fieldErrors) joinErrors() error {
	if len(e.all) == 1 {
		return e.all[0]
	}
	return errors.Join(e.all...)
}

func errorOnly[T any](_ T, err error) error { return err }
