package api

import "fmt"

// LocalData is data that is only on the disk of a cluster's machine, so that it is lost with the machine.
type LocalData struct {
	// Kind is what has the data: LocalVolume, LocalPodVolume or LocalPod.
	Kind LocalDataKind `json:"kind"`
	// Namespace and Name are those of the claim of a volume, or of the volume if nothing claims it, or of the pod.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Volume is the name of the volume, Size its capacity as Kubernetes writes it, and Source its type: local, hostPath
	// or emptyDir.
	Volume string `json:"volume,omitempty"`
	Size   string `json:"size,omitempty"`
	Source string `json:"source,omitempty"`
	// Node is the Node that has the data; empty if it is not known.
	Node string `json:"node,omitempty"`
}

// LocalDataKind is a kind of LocalData.
type LocalDataKind string

// The kinds of LocalData.
const (
	LocalVolume    LocalDataKind = "PersistentVolume"
	LocalPodVolume LocalDataKind = "PodVolume"
	// LocalPod is a pod that no controller starts again.
	LocalPod LocalDataKind = "Pod"
)

// String describes the data in a line.
func (d LocalData) String() string {
	name := d.Name
	if d.Namespace != "" {
		name = d.Namespace + "/" + d.Name
	}
	text := ""
	switch d.Kind {
	case LocalVolume:
		text = "PersistentVolume " + d.Volume
		if d.Namespace != "" {
			text += " of claim " + name
		}
		text += fmt.Sprintf(" (%s", d.Source)
		if d.Size != "" {
			text += ", " + d.Size
		}
		text += ")"
	case LocalPodVolume:
		text = fmt.Sprintf("volume %s of pod %s (%s)", d.Volume, name, d.Source)
	default:
		text = fmt.Sprintf("pod %s (no controller starts it again)", name)
	}
	if d.Node != "" {
		text += " on " + d.Node
	}
	return text
}
