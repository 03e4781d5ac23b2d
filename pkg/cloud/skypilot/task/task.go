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
	// NoProfile stands for the instance profile or identity of a machine that is to have none. The lean plugin removes
	// it.
	NoProfile = "skyctl-none"
	// APIPort is the port of the Kubernetes API.
	APIPort = "6443"
)

// Minimum sizes if the spec says nothing: those that a server needs.
var (
	defaultCPUs   = api.Quantity{Value: api.MinServerCPUs, AtLeast: true}.String()
	defaultMemory = api.Quantity{Value: api.MinServerMemoryGiB, AtLeast: true}.String()
)

// credentialClouds are the clouds for which SkyPilot would copy the user's credentials to every machine. Other clouds
// have no such setting, because SkyPilot does not copy their credentials.
var credentialClouds = []string{"aws", "gcp", "azure", "oci", "nebius"}

// launchTask is SkyPilot's task for a launch. It is written as JSON, which is YAML too.
type launchTask struct {
	Name      string    `json:"name"`
	Resources Resources `json:"resources"`
}

// Resources are those of SkyPilot's task, in the order in which they are written.
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

// ResourcesFromSpec returns the resources that a spec requests for each machine, to rank placements.
func ResourcesFromSpec(spec api.GroupSpec) Resources {
	r := Resources{
		Cloud: spec.Cloud, Region: spec.Region, Zone: spec.Zone,
		CPUs: spec.CPUs, Memory: spec.Memory, Accelerators: spec.Accelerators,
		DiskSize: spec.DiskSize, UseSpot: spec.UseSpot, MaxHourlyCost: spec.MaxHourlyCost, ImageID: spec.ImageID,
		Ports: spec.Ports, // excludes clouds that cannot open ports
	}
	if r.Accelerators == "" { // a machine with accelerators has CPUs and memory to match
		if r.CPUs == "" {
			r.CPUs = defaultCPUs
		}
		if r.Memory == "" {
			r.Memory = defaultMemory
		}
	}
	return r
}

// PowerOffLabel tells the lean plugin after how many minutes the timer of a machine's first boot powers it off.
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

// PortsToOpen returns the ports that SkyPilot opens to everyone. On AWS they belong in our security group of the
// cluster: SkyPilot would create a group for each machine, and the machines could not reach each other.
func PortsToOpen(req cloud.LaunchRequest) []string {
	if req.Placement.Cloud == "aws" {
		return nil
	}
	ports := append([]string(nil), req.Spec.Ports...)
	if req.Role == api.RoleHead && !req.Placement.Tunnel && req.Spec.APICIDR == "" {
		ports = append(ports, APIPort)
	}
	return ports
}

var (
	// plainLabel is the form of keys and values that every cloud accepts.
	plainLabel = regexp.MustCompile(`^[a-z]([-_a-z0-9]{0,61}[a-z0-9])?$`)
	// awsKey and awsValue are the forms that AWS accepts, among those that a label may have:
	// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
	awsKey   = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9_./]{0,126}$`)
	awsValue = regexp.MustCompile(`^[-A-Za-z0-9_.]{0,255}$`)
	// reservedKey is a key by which SkyPilot finds its machines, a key of skyctl, or one that SkyPilot's templates
	// would not read as text.
	reservedKey = regexp.MustCompile(`(?i)^(name|ray-.*|skypilot-.*|skyctl-.*|aws.*|true|false|yes|no|on|off|null)$`)
)

// isAllowedLabel reports whether a cloud accepts a user's label.
func isAllowedLabel(at, key, value string) bool {
	if reservedKey.MatchString(key) {
		return false
	}
	if at == "aws" {
		return awsKey.MatchString(key) && awsValue.MatchString(value)
	}
	return plainLabel.MatchString(key) && (value == "" || plainLabel.MatchString(value))
}

// machineLabels are our labels, and those of the user's that the cloud accepts.
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

// NewConfigOverride returns the server's configuration for a launch: no credentials and no rights on the machine,
// whatever its cloud and whatever other clouds the server has credentials for, and the security group of the cluster.
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

// identityLabels are skyctl's labels of a machine on its cloud.
func identityLabels(req cloud.LaunchRequest) map[string]string {
	return map[string]string{
		cloud.LabelInstallation: req.Owner.Installation,
		cloud.LabelCluster:      req.Owner.Cluster,
		cloud.LabelClusterUID:   req.Owner.ClusterUID,
		cloud.LabelIndex:        fmt.Sprint(req.Index),
		cloud.LabelIncarnation:  req.Incarnation,
	}
}
