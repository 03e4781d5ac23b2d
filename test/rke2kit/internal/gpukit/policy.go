package gpukit

import (
	"slices"
	"time"
)

// policy has the fields of a ClusterPolicy that the stand-in uses.
type policy struct {
	Metadata struct {
		Name              string `json:"name"`
		UID               string `json:"uid"`
		CreationTimestamp string `json:"creationTimestamp"`
	} `json:"metadata"`
	Spec struct {
		Driver       operandConfig `json:"driver"`
		Toolkit      operandConfig `json:"toolkit"`
		DevicePlugin operandConfig `json:"devicePlugin"`
		GFD          operandConfig `json:"gfd"`
		Validator    operandConfig `json:"validator"`
		DaemonSets   struct {
			Labels            map[string]string `json:"labels"`
			Annotations       map[string]string `json:"annotations"`
			Tolerations       []any             `json:"tolerations"`
			PriorityClassName string            `json:"priorityClassName"`
		} `json:"daemonsets"`
	} `json:"spec"`
	Status policyStatus `json:"status"`
}

// operandConfig is one operand's section of the policy.
type operandConfig struct {
	Enabled         *bool    `json:"enabled"`
	Repository      string   `json:"repository"`
	Image           string   `json:"image"`
	Version         string   `json:"version"`
	ImagePullPolicy string   `json:"imagePullPolicy"`
	Env             []envVar `json:"env"`
}

type envVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// isEnabled is true where the policy does not say otherwise.
func (p operandConfig) isEnabled() bool { return p.Enabled == nil || *p.Enabled }

func (p operandConfig) imageReference() string { return p.Repository + "/" + p.Image + ":" + p.Version }

type policyStatus struct {
	Namespace  string      `json:"namespace"`
	State      string      `json:"state"`
	Conditions []condition `json:"conditions"`
}

type condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason"`
	Message            string `json:"message"`
	LastTransitionTime string `json:"lastTransitionTime"`
}

func (s policyStatus) equal(o policyStatus) bool {
	return s.Namespace == o.Namespace && s.State == o.State && slices.Equal(s.Conditions, o.Conditions)
}

// transitionTime is when a condition came to be as it is.
func (p *policy) transitionTime(c condition) string {
	for _, known := range p.Status.Conditions {
		if known.Type == c.Type && known.Status == c.Status {
			return known.LastTransitionTime
		}
	}
	return time.Now().UTC().Format(time.RFC3339)
}
