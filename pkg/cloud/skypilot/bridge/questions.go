package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

// Location is where a machine runs, or could run, and what it costs.
type Location struct {
	Address        string  `json:"address"`
	PrivateAddress string  `json:"private_address"`
	SSHPort        int     `json:"ssh_port"`
	ID             string  `json:"id"`
	Region         string  `json:"region"`
	Zone           string  `json:"zone"`
	InstanceType   string  `json:"instance_type"`
	CPUs           float64 `json:"cpus"`
	MemoryGiB      float64 `json:"memory_gib"`
	Price          float64 `json:"price"` // US dollars per hour
	// Startable: SkyPilot can start the machine after it was stopped.
	Startable bool `json:"startable"`
}

// Ranking is the placements for a spec, the cheapest first, or the field of the spec that no placement satisfies.
type Ranking struct {
	Problem *struct {
		Field string `json:"field"`
		Want  string `json:"want"`
	} `json:"problem"`
	Placements []struct {
		Location
		Cloud   string  `json:"cloud"`
		DiskGiB float64 `json:"disk_gib"`
	} `json:"placements"`
}

// RankingQuestion asks for the placements of machines.
type RankingQuestion struct {
	Clouds    []string       `json:"clouds"`
	Resources task.Resources `json:"resources"`
	// Nodes is the number of machines that have to reach each other.
	Nodes int `json:"nodes"`
	// Larger adds instance types that are larger than needed, if the resources allow them.
	Larger bool `json:"larger,omitempty"`
}

// RankPlacements ranks the placements for machines that reach each other, as SkyPilot's optimizer does.
func (b *Bridge) RankPlacements(ctx context.Context, q RankingQuestion) (Ranking, error) {
	question := struct {
		Op string `json:"op"`
		RankingQuestion
	}{"plan", q}
	var ranking Ranking
	err := b.callLibrary(ctx, question, &ranking)
	return ranking, err
}

// ReadLocations reads the locations of machines out of the handles of their SkyPilot clusters.
func (b *Bridge) ReadLocations(ctx context.Context, handles []string) ([]Location, error) {
	question := struct {
		Op      string   `json:"op"`
		Handles []string `json:"handles"`
	}{"handles", handles}
	var locations []Location
	if err := b.callLibrary(ctx, question, &locations); err != nil {
		return nil, fmt.Errorf("read the locations of machines: %w", err)
	}
	if len(locations) != len(handles) {
		return nil, fmt.Errorf("read the locations of machines: %d answers for %d machines", len(locations),
			len(handles))
	}
	return locations, nil
}

// Addresses are the addresses of a machine, or why they are unknown.
type Addresses struct {
	Address        string `json:"address"`
	PrivateAddress string `json:"private_address"`
	Error          string `json:"error"`
}

// AskAddresses asks the clouds for the addresses that running machines have now, by the handles of their SkyPilot
// clusters. It needs the state of the local server.
func (b *Bridge) AskAddresses(ctx context.Context, within time.Duration, handles []string) ([]Addresses, error) {
	question := struct {
		Op      string   `json:"op"`
		Handles []string `json:"handles"`
	}{"addresses", handles}
	var found []Addresses
	if err := b.callCloud(ctx, within, question, &found); err != nil {
		return nil, fmt.Errorf("ask for the addresses of machines: %w", err)
	}
	if len(found) != len(handles) {
		return nil, fmt.Errorf("ask for the addresses of machines: %d answers for %d machines", len(found),
			len(handles))
	}
	return found, nil
}

// Instance is an instance on AWS.
type Instance struct {
	ID             string            `json:"id"`
	Region         string            `json:"region"`
	State          string            `json:"state"`
	Tags           map[string]string `json:"tags"`
	Address        string            `json:"address"`
	PrivateAddress string            `json:"private_address"`
}

type tagQuestion struct {
	Op   string            `json:"op"`
	Tags map[string]string `json:"tags"`
}

// ListInstances lists the instances on AWS with all of these tags, in all regions.
func (b *Bridge) ListInstances(ctx context.Context, within time.Duration, tags map[string]string) ([]Instance, error) {
	var all []Instance
	err := b.callCloud(ctx, within, tagQuestion{"aws_machines", tags}, &all)
	return all, err
}

// TerminateInstances terminates instances on AWS.
func (b *Bridge) TerminateInstances(ctx context.Context, within time.Duration, region string, ids []string) error {
	question := struct {
		Op     string   `json:"op"`
		Region string   `json:"region"`
		IDs    []string `json:"ids"`
	}{"aws_terminate", region, ids}
	return b.callCloud(ctx, within, question, nil)
}

// InstanceLifetime is when an instance on AWS was launched and when it ended.
type InstanceLifetime struct {
	ID       string            `json:"id"`
	Tags     map[string]string `json:"tags"`
	Launched float64           `json:"launched"`
	Ended    float64           `json:"ended"` // seconds since 1970; 0 if unknown
	State    string            `json:"state"`
}

// ListLifetimes lists the lifetimes of instances on AWS with all of these tags, in all regions. AWS lists an instance
// for about an hour after its end.
func (b *Bridge) ListLifetimes(ctx context.Context, within time.Duration, tags map[string]string) ([]InstanceLifetime,
	error) {
	var all []InstanceLifetime
	err := b.callCloud(ctx, within, tagQuestion{"aws_lifetimes", tags}, &all)
	return all, err
}

// PortRule opens a port ("443") or a range of ports ("8000-8010") to a range of addresses.
type PortRule struct {
	Ports string `json:"ports"`
	CIDR  string `json:"cidr"`
}

// OpenPorts adds rules to a security group on AWS. Existing rules stay.
func (b *Bridge) OpenPorts(ctx context.Context, region, group string, rules []PortRule) error {
	question := struct {
		Op     string     `json:"op"`
		Region string     `json:"region"`
		Group  string     `json:"group"`
		Rules  []PortRule `json:"rules"`
	}{"aws_open", region, group, rules}
	return b.callCloud(ctx, 0, question, nil)
}

// HeldGroup is a region in which a security group cannot be deleted yet.
type HeldGroup struct {
	Region string `json:"region"`
	Why    string `json:"why"`
}

// DeleteSecurityGroup deletes a security group on AWS in these regions, or in all if none are given. It returns the
// regions in which something still uses the group.
func (b *Bridge) DeleteSecurityGroup(ctx context.Context, group string, regions []string) ([]HeldGroup, error) {
	question := struct {
		Op      string   `json:"op"`
		Group   string   `json:"group"`
		Regions []string `json:"regions,omitempty"`
	}{"aws_release", group, regions}
	var answer struct {
		Held []HeldGroup `json:"held"`
	}
	err := b.callCloud(ctx, 0, question, &answer)
	return answer.Held, err
}
