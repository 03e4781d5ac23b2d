package gpukit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
)

const (
	policiesPath = "/apis/nvidia.com/v1/clusterpolicies"
	operatorPoll = 2 * time.Second
	fieldManager = "gpu-operator"
	// hashAnnotation is the real operator's, which compares with what it applied last, not with the current DaemonSet.
	hashAnnotation = "nvidia.com/last-applied-hash"
)

// The real operator's reasons (github.com/NVIDIA/gpu-operator, internal/conditions).
const (
	reasonReconciled = "Reconciled"
	reasonFailed     = "ReconcileFailed"
	reasonNoLabels   = "NFDLabelsMissing"
	reasonNoNodes    = "NoGPUNodes"
	reasonNotReady   = "OperandNotReady"
)

// operator applies the ClusterPolicy.
type operator struct {
	api       *kubeapi.Client
	namespace string
	said      string
}

func newOperator(api *kubeapi.Client, namespace string) *operator {
	return &operator{api: api, namespace: namespace}
}

func (o *operator) run(ctx context.Context) error {
	return pollUntil(ctx, operatorPoll, func() (bool, error) {
		if err := crashIfRequested(os.Stderr, HostDir, "operator"); err != nil {
			return false, err
		}
		if err := o.reconcile(ctx); err != nil {
			o.logIfNew("not reconciled: " + err.Error())
		}
		return false, nil
	})
}

func (o *operator) logIfNew(line string) {
	if line != o.said {
		fmt.Println(line)
		o.said = line
	}
}

func (o *operator) reconcile(ctx context.Context) error {
	p, err := o.oldestPolicy(ctx)
	if err != nil || p == nil {
		return err
	}
	found, err := o.labelNodes(ctx)
	if err != nil {
		return o.writePolicyStatus(ctx, p, "notReady", reasonFailed, err.Error())
	}
	var waiting []string
	// Without a node that has accelerators there are no DaemonSets, as with the real operator.
	if found.gpus > 0 {
		if waiting, err = o.reconcileOperands(ctx, p); err != nil {
			return o.writePolicyStatus(ctx, p, "notReady", reasonFailed, err.Error())
		}
	}
	switch {
	case len(waiting) > 0:
		return o.writePolicyStatus(ctx, p, "notReady", reasonNotReady,
			fmt.Sprintf("ClusterPolicy is not ready, states not ready: [%s]", strings.Join(waiting, " ")))
	case !found.labelled:
		return o.writePolicyStatus(ctx, p, "ready", reasonNoLabels, "No NFD labels found")
	case found.gpus == 0:
		return o.writePolicyStatus(ctx, p, "ready", reasonNoNodes,
			"No GPU node found, watching for new nodes to join the cluster.")
	default:
		return o.writePolicyStatus(ctx, p, "ready", reasonReconciled,
			"ClusterPolicy is ready as all resources have been successfully reconciled")
	}
}

// oldestPolicy is the oldest ClusterPolicy, the only one that counts; nil if there is none.
func (o *operator) oldestPolicy(ctx context.Context) (*policy, error) {
	var list struct {
		Items []policy `json:"items"`
	}
	if err := o.api.CallJSON(ctx, http.MethodGet, policiesPath, nil, &list); err != nil {
		return nil, fmt.Errorf("list ClusterPolicies: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	oldest := slices.MinFunc(list.Items, func(a, b policy) int {
		return strings.Compare(a.Metadata.CreationTimestamp+a.Metadata.Name,
			b.Metadata.CreationTimestamp+b.Metadata.Name)
	})
	return &oldest, nil
}

// nodesFound summarizes the nodes' labels.
type nodesFound struct {
	gpus     int
	labelled bool // by Node Feature Discovery
}

// labelNodes labels the nodes on which operands are to run.
func (o *operator) labelNodes(ctx context.Context) (nodesFound, error) {
	var list struct {
		Items []node `json:"items"`
	}
	var found nodesFound
	if err := o.api.CallJSON(ctx, http.MethodGet, nodesPath, nil, &list); err != nil {
		return found, fmt.Errorf("list nodes: %w", err)
	}
	for _, n := range list.Items {
		labels := map[string]any{presentLabel: nil}
		for _, op := range operands {
			labels[deployPrefix+op.deploy] = nil
		}
		for key := range n.Metadata.Labels {
			found.labelled = found.labelled || strings.HasPrefix(key, "feature.node.kubernetes.io/")
		}
		if n.Metadata.Labels[pciLabel] == "true" {
			found.gpus++
			for key := range labels {
				labels[key] = "true"
			}
		} else if n.Metadata.Labels[deployPrefix+"device-plugin"] == "" {
			continue // another program set the label
		}
		if err := patchNodeLabels(ctx, o.api, n, labels); err != nil {
			return found, fmt.Errorf("label node %s: %w", n.Metadata.Name, err)
		}
	}
	return found, nil
}

// reconcileOperands applies the policy to the DaemonSets and returns those that are not ready.
func (o *operator) reconcileOperands(ctx context.Context, p *policy) ([]string, error) {
	path := "/apis/apps/v1/namespaces/" + o.namespace + "/daemonsets"
	var list struct {
		Items []daemonSet `json:"items"`
	}
	if err := o.api.CallJSON(ctx, http.MethodGet, path, nil, &list); err != nil {
		return nil, fmt.Errorf("list DaemonSets: %w", err)
	}
	there := map[string]daemonSet{}
	for _, ds := range list.Items {
		there[ds.Metadata.Name] = ds
	}
	var waiting []string
	for _, op := range operands {
		now, exists := there[op.name]
		if !op.enabled(p) {
			if exists {
				if err := o.api.CallJSON(ctx, http.MethodDelete, path+"/"+op.name, nil, nil); err != nil {
					return nil, fmt.Errorf("delete DaemonSet %s: %w", op.name, err)
				}
			}
			continue
		}
		want, hash, err := op.renderDaemonSet(p, o.namespace)
		if err != nil {
			return nil, err
		}
		if !exists || now.Metadata.Annotations[hashAnnotation] != hash {
			if err := o.api.ApplyObject(ctx, path+"/"+op.name, fieldManager, want); err != nil {
				return nil, fmt.Errorf("apply DaemonSet %s: %w", op.name, err)
			}
			waiting = append(waiting, op.state)
			continue
		}
		if !now.isReady() {
			waiting = append(waiting, op.state)
		}
	}
	return waiting, nil
}

// daemonSet has the fields of a DaemonSet that the operator reads.
type daemonSet struct {
	Metadata struct {
		Name        string            `json:"name"`
		Generation  int               `json:"generation"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Status struct {
		ObservedGeneration int `json:"observedGeneration"`
		Desired            int `json:"desiredNumberScheduled"`
		Ready              int `json:"numberReady"`
		Updated            int `json:"updatedNumberScheduled"`
	} `json:"status"`
}

func (d daemonSet) isReady() bool {
	s := d.Status
	return s.ObservedGeneration >= d.Metadata.Generation && s.Ready >= s.Desired && s.Updated >= s.Desired
}

// writePolicyStatus writes the policy's status if it changed.
func (o *operator) writePolicyStatus(ctx context.Context, p *policy, state, reason, message string) error {
	o.logIfNew(fmt.Sprintf("ClusterPolicy %s: %s: %s", p.Metadata.Name, state, message))
	good, bad := condition{Type: "Ready", Status: "False", Reason: "Error"}, condition{Type: "Error", Status: "True",
		Reason: reason, Message: message}
	if state == "ready" {
		good, bad = condition{Type: "Ready", Status: "True", Reason: reason, Message: message}, condition{Type: "Error",
			Status: "False", Reason: "Ready"}
	}
	conditions := []condition{good, bad}
	for i := range conditions {
		conditions[i].LastTransitionTime = p.transitionTime(conditions[i])
	}
	want := policyStatus{Namespace: o.namespace, State: state, Conditions: conditions}
	if want.equal(p.Status) {
		return nil
	}
	data, err := json.Marshal(map[string]any{
		"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "metadata": map[string]any{"name": p.Metadata.Name},
		"status": want,
	})
	if err != nil {
		return err
	}
	if err := o.api.ApplyObject(ctx, policiesPath+"/"+p.Metadata.Name+"/status", fieldManager, data); err != nil {
		return fmt.Errorf("write status of ClusterPolicy: %w", err)
	}
	return nil
}
