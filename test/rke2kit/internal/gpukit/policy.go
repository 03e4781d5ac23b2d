package gpukit

import (
	"slices"
	"time"
)

// policy is a ClusterPolicy, as far as the stand-in looks at it.
type policy struct {
	Metadata struct {
		Name              string `json:"name"`
		UID               string `json:"uid"`
		CreationTimestamp string `json:"creationTimestamp"`
	} `json:"metadata"`
	Spec struct {
		Driver       part `json:"driver"`
		Toolkit      part `json:"toolkit"`
		DevicePlugin part `json:"devicePlugin"`
		GFD          part `json:"gfd"`
		Validator    part `json:"validator"`
		DaemonSets   struct {
			Labels            map[string]string `json:"labels"`
			Annotations       map[string]string `json:"annotations"`
			Tolerations       []any             `json:"tolerations"`
			PriorityClassName string            `json:"priorityClassName"`
		} `json:"daemonsets"`
	} `json:"spec"`
	Status status `json:"status"`
}

// part is one operand's section of the policy.
type part struct {
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

// on is true where the policy does not say otherwise.
func (p part) on() bool { return p.Enabled == nil || *p.Enabled }

func (p part) reference() string { return p.Repository + "/" + p.Image + ":" + p.Version }

type status struct {
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

func (s status) equal(o status) bool {
	return s.Namespace == o.Namespace && s.State == o.State && slices.Equal(s.Conditions, o.Conditions)
}

// since is when a condition came to be as it is.
func (p *policy) since(c condition) string {
	for _, known := range p.Status.Conditions {
		if known.Type == c.Type && known.Status == c.Status {
			return known.LastTransitionTime
		}
	}
	return time.Now().UTC().Format(time.RFC3339)
}
