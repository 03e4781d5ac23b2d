// Package task describes one machine to SkyPilot: its task, and the server's configuration for its launch.
package task

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

const (
	// NoProfile stands for an instance profile, or an identity, where the machine shall have none; the lean plugin
	// takes it out.
	NoProfile = "skyctl-none"
	// What a machine has at least where the spec is silent: the least that RKE2 asks for.
	defaultCPUs   = "2+"
	defaultMemory = "4+"

	APIPort = "6443"
)

// credentialClouds are those for which SkyPilot would put a person's credentials on every machine; others have no such
// setting, since they have no credentials that it copies by themselves.
var credentialClouds = []string{"aws", "gcp", "azure", "oci", "nebius"}

// launchTask is what SkyPilot is asked to launch. It is written as JSON, which is YAML too.
type launchTask struct {
	Name      string    `json:"name"`
	Resources Resources `json:"resources"`
}

// Resources are those of SkyPilot's task; the order of fields is the order in which they are written.
type Resources struct {
	Infra         string            `json:"infra,omitempty"`
	Cloud         string            `json:"cloud,omitempty"`
	Region        string            `json:"region,omitempty"`
	Zone          string            `json:"zone,omitempty"`
	InstanceType  string            `json:"instance_type,omitempty"`
	CPUs          string            `json:"cpus,omitempty"`
	Memory        string            `json:"memory,omitempty"`
	Accelerators  string            `json:"accelerators,omitempty"`
	DiskSize      int               `json:"disk_size,omitempty"`
	UseSpot       bool              `json:"use_spot,omitempty"`
	MaxHourlyCost float64           `json:"max_hourly_cost,omitempty"`
	ImageID       string            `json:"image_id,omitempty"`
	Ports         []string          `json:"ports,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
}

// ResourcesFromSpec are what a spec asks of each machine, for the ranking.
func ResourcesFromSpec(spec api.ClusterSpec) Resources {
	r := Resources{
		Cloud: spec.Cloud, Region: spec.Region, Zone: spec.Zone,
		CPUs: spec.CPUs, Memory: spec.Memory, Accelerators: spec.Accelerators,
		DiskSize: spec.DiskSize, UseSpot: spec.UseSpot, MaxHourlyCost: spec.MaxHourlyCost, ImageID: spec.ImageID,
		Ports: spec.Ports, // a cloud that can't open any is none for them
	}
	if r.Accelerators == "" { // a machine with accelerators has cores and memory to go with them
		if r.CPUs == "" {
			r.CPUs = defaultCPUs
		}
		if r.Memory == "" {
			r.Memory = defaultMemory
		}
	}
	return r
}

// PowerOffLabel tells the lean plugin after how many minutes the first boot of a machine is to power it off.
const PowerOffLabel = "skyctl-power-off-minutes"

// Render renders the task of one machine, pinned to its placement, which powers itself off some time after its
// launch; 0 is never.
func Render(req cloud.LaunchRequest, deadMan time.Duration) (string, error) {
	p := req.Placement
	infra := []string{p.Cloud, p.Region}
	if p.Zone != "" {
		infra = append(infra, p.Zone)
	}
	labels := machineLabels(req)
	if p.Cloud == "aws" && deadMan > 0 {
		labels[PowerOffLabel] = fmt.Sprint(int(deadMan.Minutes()))
	}
	t := launchTask{Name: req.Name, Resources: Resources{
		Infra: strings.Join(infra, "/"), InstanceType: p.InstanceType, Accelerators: req.Spec.Accelerators,
		DiskSize: req.Spec.DiskSize, UseSpot: req.Spec.UseSpot, MaxHourlyCost: req.Spec.MaxHourlyCost,
		ImageID: req.Spec.ImageID, Ports: PortsToOpen(req), Labels: labels,
	}}
	data, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return "", fmt.Errorf("describe machine %s to SkyPilot: %w", req.Name, err)
	}
	return string(data) + "\n", nil
}

// PortsToOpen are the ports that SkyPilot is to open to the world. On AWS they belong into the group of the cluster,
// which is ours: SkyPilot would make a group for each machine, whose members don't reach each other.
func PortsToOpen(req cloud.LaunchRequest) []string {
	if req.Placement.Cloud == "aws" {
		return nil
	}
	ports := append([]string(nil), req.Spec.Ports...)
	if req.Index == 0 && !req.Placement.Tunnel && req.Spec.APICIDR == "" {
		ports = append(ports, APIPort)
	}
	return ports
}

var (
	// plainLabel is the form of keys and values that every cloud takes.
	plainLabel = regexp.MustCompile(`^[a-z]([-_a-z0-9]{0,61}[a-z0-9])?$`)
	// awsKey and awsValue are the forms that AWS takes, of those that a label may have:
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
	awsKey   = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9_./]{0,126}$`)
	awsValue = regexp.MustCompile(`^[-A-Za-z0-9_.]{0,255}$`)
	// reservedKey is what SkyPilot finds its machines by, what is ours, and what its templates would not read as a
	// text.
	reservedKey = regexp.MustCompile(`(?i)^(name|ray-.*|skypilot-.*|skyctl-.*|aws.*|true|false|yes|no|on|off|null)$`)
)

// isAllowedLabel says whether a person's label may go to a cloud.
func isAllowedLabel(at, key, value string) bool {
	if reservedKey.MatchString(key) {
		return false
	}
	if at == "aws" {
		return awsKey.MatchString(key) && awsValue.MatchString(value)
	}
	return plainLabel.MatchString(key) && (value == "" || plainLabel.MatchString(value))
}

// machineLabels are our labels and those of the person's that the cloud takes.
func machineLabels(req cloud.LaunchRequest) map[string]string {
	all := map[string]string{}
	for k, v := range req.Labels {
		if isAllowedLabel(req.Placement.Cloud, k, v) {
			all[k] = v
		}
	}
	for k, v := range identityLabels(req) {
		all[k] = v
	}
	return all
}

// ParseLabels reads the labels back from a task that Render rendered; of any other they are empty.
func ParseLabels(text string) map[string]string {
	var t launchTask
	if json.Unmarshal([]byte(text), &t) != nil {
		return nil
	}
	return t.Resources.Labels
}

// NewConfigOverride is the server's configuration for the launch: no credentials and no rights on the machine, whatever
// its cloud and whatever other clouds the server has credentials of, and the group of the cluster.
func NewConfigOverride(req cloud.LaunchRequest, profile string) map[string]any {
	config := map[string]any{}
	for _, name := range credentialClouds {
		config[name] = map[string]any{"remote_identity": "NO_UPLOAD"}
	}
	switch req.Placement.Cloud {
	case "aws":
		aws := map[string]any{"remote_identity": profile, "security_group_name": SecurityGroupName(req.Owner)}
		if req.Spec.SSHUser != "" {
			aws["ssh_user"] = req.Spec.SSHUser
		}
		config["aws"] = aws
	case "azure":
		config["azure"] = map[string]any{"remote_identity": profile}
	}
	return config
}

// SecurityGroupName names the security group of a cluster.
func SecurityGroupName(owner cloud.Owner) string { return "skyctl-" + owner.ClusterUID }

// identityLabels are the labels of a machine on its cloud.
func identityLabels(req cloud.LaunchRequest) map[string]string {
	return map[string]string{
		cloud.LabelInstallation: req.Owner.Installation,
		cloud.LabelCluster:      req.Owner.Cluster,
		cloud.LabelClusterUID:   req.Owner.ClusterUID,
		cloud.LabelIndex:        fmt.Sprint(req.Index),
		cloud.LabelIncarnation:  req.Incarnation,
	}
}
