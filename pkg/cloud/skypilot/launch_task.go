package skypilot

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
	// noProfile stands for an instance profile, or an identity, where the machine shall have none; the lean plugin
	// takes it out.
	noProfile = "skyctl-none"
	// What a machine has at least where the spec is silent: the least that RKE2 asks for.
	defaultCPUs   = "2+"
	defaultMemory = "4+"

	apiPort = "6443"
)

// credentialClouds are those for which SkyPilot would put a person's credentials on every machine; others have no such
// setting, since they have no credentials that it copies by themselves.
var credentialClouds = []string{"aws", "gcp", "azure", "oci", "nebius"}

// launchTask is what SkyPilot is asked to launch. It is written as JSON, which is YAML too.
type launchTask struct {
	Name      string        `json:"name"`
	Resources taskResources `json:"resources"`
}

// taskResources are those of SkyPilot's task; the order of fields is the order in which they are written.
type taskResources struct {
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

// resourcesFromSpec are what a spec asks of each machine, for the ranking.
func resourcesFromSpec(spec api.ClusterSpec) taskResources {
	r := taskResources{
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

// powerOffLabel tells the lean plugin after how many minutes the first boot of a machine is to power it off.
const powerOffLabel = "skyctl-power-off-minutes"

// powerOffDelay is how long after its launch a machine powers itself off: never where it is free, for operations stop
// the timers of machines that bill and of no others.
func (o Options) powerOffDelay(req cloud.LaunchRequest) time.Duration {
	if req.Placement.PricePerMachine <= 0 {
		return 0
	}
	return o.DeadMan
}

// renderTask renders the task of one machine, pinned to its placement, which powers itself off some time after its
// launch; 0 is never.
func renderTask(req cloud.LaunchRequest, deadMan time.Duration) (string, error) {
	p := req.Placement
	infra := []string{p.Cloud, p.Region}
	if p.Zone != "" {
		infra = append(infra, p.Zone)
	}
	labels := machineLabels(req)
	if p.Cloud == "aws" && deadMan > 0 {
		labels[powerOffLabel] = fmt.Sprint(int(deadMan.Minutes()))
	}
	t := launchTask{Name: req.Name, Resources: taskResources{
		Infra: strings.Join(infra, "/"), InstanceType: p.InstanceType, Accelerators: req.Spec.Accelerators,
		DiskSize: req.Spec.DiskSize, UseSpot: req.Spec.UseSpot, MaxHourlyCost: req.Spec.MaxHourlyCost,
		ImageID: req.Spec.ImageID, Ports: portsToOpen(req), Labels: labels,
	}}
	data, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return "", fmt.Errorf("describe machine %s to SkyPilot: %w", req.Name, err)
	}
	return string(data) + "\n", nil
}

// portsToOpen are the ports that SkyPilot is to open to the world. On AWS they belong into the group of the cluster,
// which is ours: SkyPilot would make a group for each machine, whose members don't reach each other.
func portsToOpen(req cloud.LaunchRequest) []string {
	if req.Placement.Cloud == "aws" {
		return nil
	}
	ports := append([]string(nil), req.Spec.Ports...)
	if req.Index == 0 && !req.Placement.Tunnel && req.Spec.APICIDR == "" {
		ports = append(ports, apiPort)
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

// parseTaskLabels reads the labels back from a task that renderTask rendered; of any other they are empty.
func parseTaskLabels(text string) map[string]string {
	var t launchTask
	if json.Unmarshal([]byte(text), &t) != nil {
		return nil
	}
	return t.Resources.Labels
}

// newConfigOverride is the server's configuration for the launch: no credentials and no rights on the machine, whatever
// its cloud and whatever other clouds the server has credentials of, and the group of the cluster.
func newConfigOverride(req cloud.LaunchRequest, profile string) map[string]any {
	config := map[string]any{}
	for _, name := range credentialClouds {
		config[name] = map[string]any{"remote_identity": "NO_UPLOAD"}
	}
	switch req.Placement.Cloud {
	case "aws":
		config["aws"] = map[string]any{"remote_identity": profile, "security_group_name": securityGroupName(req.Owner)}
	case "azure":
		config["azure"] = map[string]any{"remote_identity": profile}
	}
	return config
}
