package api

// ActionKind is what a repair does.
type ActionKind string

// The kinds of actions, in the order in which the actions of one decision run.
const (
	// ActionTerminate terminates a machine that the cluster does not have.
	ActionTerminate ActionKind = "Terminate"
	// ActionForgetNode removes the Node of a machine that no longer exists.
	ActionForgetNode ActionKind = "ForgetNode"
	// ActionRecordAddress gives a machine its recorded address back, if the cloud can, or records its new one.
	ActionRecordAddress ActionKind = "RecordAddress"
	// ActionStartMachine starts a stopped machine.
	ActionStartMachine ActionKind = "StartMachine"
	// ActionReconfigure writes RKE2's configuration with the present addresses, restarts RKE2, and writes the
	// kubeconfig.
	ActionReconfigure ActionKind = "Reconfigure"
	// ActionRestart restarts RKE2 on a machine and waits for its Node.
	ActionRestart ActionKind = "Restart"
	// ActionReplace drains a worker, terminates its machine, removes its Node and records a new incarnation, which
	// ActionBringUp brings up. In operations of older versions it did that itself.
	ActionReplace ActionKind = "Replace"
	// ActionAddMachines records the machines that a pool lacks. ActionBringUp brings them up.
	ActionAddMachines ActionKind = "AddMachines"
	// ActionBringUp brings up a machine, or continues with it.
	ActionBringUp ActionKind = "BringUp"
	// ActionUpdateNode gives a machine's Node the labels and taints that are wanted now.
	ActionUpdateNode ActionKind = "UpdateNode"
	// ActionRemove drains a worker, terminates its machine, and removes its Node and its record for good.
	ActionRemove ActionKind = "Remove"
	// ActionDisarm removes a power-off timer that an interrupted repair has left on a machine.
	ActionDisarm ActionKind = "Disarm"
	// ActionRestoreKeys restores secrets that etcd has lost: it authorizes a new SSH key through the Kubernetes API,
	// and reads tokens and kubeconfig from the head.
	ActionRestoreKeys ActionKind = "RestoreKeys"
	// ActionRefresh fetches token and kubeconfig again, with certificates that last.
	ActionRefresh ActionKind = "RefreshCredentials"
	// ActionWriteKubeconfig writes the kubeconfig file again.
	ActionWriteKubeconfig ActionKind = "WriteKubeconfig"
	// ActionGPU applies the GPU stack again and waits for it.
	ActionGPU ActionKind = "RepairGPU"
	// ActionRestore is the restore of a lost head on another machine, in the record of repairs. It is no action of a
	// decision, but an operation of its own.
	ActionRestore ActionKind = "Restore"
)

// Action is one thing to do about a drift.
type Action struct {
	Kind ActionKind `json:"kind"`
	// Index, Machine and Incarnation name the machine; they are empty for an action on the whole cluster. The index of
	// an action on a pool is -1.
	Index       int    `json:"index"`
	Machine     string `json:"machine,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
	// ID is the cloud's id of the machine; empty if the cloud reported none.
	ID string `json:"id,omitempty"`
	// Pool is the pool of the machine; empty for the control plane. With ActionAddMachines, it is the target.
	Pool string `json:"pool,omitempty"`
	// Node is the Node to remove, with ActionForgetNode.
	Node   string      `json:"node,omitempty"`
	Reason DriftReason `json:"reason"`
	// Message says why, for people.
	Message string `json:"message"`
}

// RepairKey is what two tries of the same repair have in common: the kind of the action and its target, which is a
// Node, an extra machine, a pool, an index with any machine, or the cluster.
func (a Action) RepairKey() Action {
	switch a.Kind {
	case ActionForgetNode:
		return Action{Kind: a.Kind, Node: a.Node}
	case ActionTerminate:
		return Action{Kind: a.Kind, Machine: a.Machine}
	case ActionAddMachines:
		return Action{Kind: a.Kind, Index: -1, Pool: a.Pool}
	}
	return Action{Kind: a.Kind, Index: a.Index}
}
