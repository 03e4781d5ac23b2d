package activities

import (
	"maps"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// Clouds are the clouds this installation can ask.
type Clouds struct {
	// Named are those that serve one name of a spec.
	Named map[string]cloud.Cloud
	// Others serves every other name, and the choice among them where a spec names none; nil where there is none such.
	Others cloud.Cloud
}

func (c Clouds) HasAny() bool { return len(c.Named) > 0 || c.Others != nil }

// FindCloud returns the cloud that serves a spec; an unknown one is an *api.FieldError.
func (c Clouds) FindCloud(name string) (cloud.Cloud, error) {
	if found, ok := c.Named[name]; ok {
		return found, nil
	}
	if c.Others != nil {
		return c.Others, nil
	}
	want := "one of: " + strings.Join(slices.Sorted(maps.Keys(c.Named)), " ")
	if name == "" {
		want = "name the cloud, " + want
	}
	return nil, &api.FieldError{Field: "cloud", Value: name, Want: want}
}

// SharedProvider is the provider of all clouds that none has to itself.
const SharedProvider = "skypilot"

// ProviderName is who serves a cloud.
func (c Clouds) ProviderName(name string) string {
	if _, ok := c.Named[name]; ok {
		return name
	}
	return SharedProvider
}

// CloudOfProvider is the cloud behind a provider; nil where there is none.
func (c Clouds) CloudOfProvider(provider string) cloud.Cloud {
	if found, ok := c.Named[provider]; ok {
		return found
	}
	return c.Others
}

// CloudTargetOf is the machine of a record as a target.
func CloudTargetOf(owner cloud.Owner, m api.Machine) cloud.Target {
	return cloud.Target{Owner: owner, Name: m.Name, Index: m.Index, Incarnation: m.Incarnation, ID: RecordedCloudID(m),
		Cloud: m.Placement.Cloud}
}

// RecordedCloudID is the cloud's own id of a record's machine, where it is on record: the version before recorded the
// name that SkyPilot gave a machine on its cloud where it was told no id.
func RecordedCloudID(m api.Machine) string {
	if strings.HasPrefix(m.CloudID, m.Name+"-") {
		return ""
	}
	return m.CloudID
}

// KnownOfCluster is what etcd knows of a cluster's machines, for a cloud that may have forgotten some of them. A launch
// that has not got as far as an id may have made nothing.
func KnownOfCluster(c *api.Cluster) cloud.KnownMachines {
	known := cloud.KnownMachines{Clouds: c.CloudNames()}
	for _, m := range c.Status.Machines {
		if m.CloudID != "" && m.State != api.MachineGone {
			known.Machines = append(known.Machines,
				cloud.KnownMachine{Cloud: m.Placement.Cloud, Name: m.Name, Incarnation: m.Incarnation})
		}
	}
	return known
}
