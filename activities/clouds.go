package activities

import (
	"maps"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// Clouds are the clouds that this installation can use.
type Clouds struct {
	// Named maps a spec's cloud name to the cloud that serves only that name.
	Named map[string]cloud.Cloud
	// Others serves every other name, and chooses a cloud for specs without one; nil if there is none.
	Others cloud.Cloud
}

func (c Clouds) HasAny() bool { return len(c.Named) > 0 || c.Others != nil }

// FindCloud returns the cloud that serves a spec. The error for an unknown name is an *api.FieldError.
func (c Clouds) FindCloud(name string) (cloud.Cloud, error) {
	if found, ok := c.Named[name]; ok {
		return found, nil
	}
	if c.Others != nil {
		return c.Others, nil
	}
	want := "one of: " + strings.Join(slices.Sorted(maps.Keys(c.Named)), " ")
	return nil, &api.FieldError{Field: "cloud", Value: name, Want: want, Unset: name == ""}
}

// SharedProvider is the provider of all clouds that are not Named.
const SharedProvider = "skypilot"

// ProviderName returns the provider that serves a cloud.
func (c Clouds) ProviderName(name string) string {
	if _, ok := c.Named[name]; ok {
		return name
	}
	return SharedProvider
}

// CloudOfProvider returns the cloud behind a provider; nil if there is none.
func (c Clouds) CloudOfProvider(provider string) cloud.Cloud {
	if found, ok := c.Named[provider]; ok {
		return found
	}
	return c.Others
}

// CloudTargetOf returns the target that a machine's record describes.
func CloudTargetOf(owner cloud.Owner, m api.Machine) cloud.Target {
	return cloud.Target{Owner: owner, Name: m.Name, Index: m.Index, Incarnation: m.Incarnation, ID: RecordedCloudID(m),
		Cloud: m.Placement.Cloud}
}

// RecordedCloudID returns the cloud's own id of a recorded machine; "" if it is not known. An earlier version recorded
// SkyPilot's name for the machine when it did not get an id.
func RecordedCloudID(m api.Machine) string {
	if strings.HasPrefix(m.CloudID, m.Name+"-") {
		return ""
	}
	return m.CloudID
}

// KnownOfCluster returns the recorded machines of a cluster, for a cloud that may have forgotten some of them. It
// leaves out machines without an id: their launch may have created nothing.
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
