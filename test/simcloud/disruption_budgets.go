package simcloud

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// appLabel has the app of AddPod.
const appLabel = "app.kubernetes.io/name"

// SetDisruptionBudget creates or changes a PodDisruptionBudget (namespace/name) for the pods of an app. It allows every
// eviction or none: nothing here replaces pods.
func (c *Cloud) SetDisruptionBudget(clusterUID, budget, app string, allow bool) error {
	a := c.clusterAPI(clusterUID)
	if a == nil {
		return fmt.Errorf("cluster %s has no head", clusterUID)
	}
	namespace, name, _ := strings.Cut(budget, "/")
	b := &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: policyv1.PodDisruptionBudgetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{appLabel: app}}},
	}
	if allow {
		b.Status.DisruptionsAllowed = 1
	}
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	a.registry.budgets[budget] = b
	return nil
}

// budgetsIn returns the budgets of a namespace by name.
func (r *nodeRegistry) budgetsIn(namespace string) []policyv1.PodDisruptionBudget {
	found := []policyv1.PodDisruptionBudget{}
	for _, key := range slices.Sorted(maps.Keys(r.budgets)) {
		if b := r.budgets[key]; b.Namespace == namespace {
			found = append(found, *b)
		}
	}
	return found
}

// holdingBudget returns the name of the budget that does not allow the eviction of a pod; empty if none.
func (r *nodeRegistry) holdingBudget(pod *corev1.Pod) string {
	for _, b := range r.budgetsIn(pod.Namespace) {
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) && b.Status.DisruptionsAllowed == 0 {
			return b.Name
		}
	}
	return ""
}

func (a *apiServer) listBudgets(w http.ResponseWriter, r *http.Request) {
	a.registry.mu.Lock()
	found := a.registry.budgetsIn(r.PathValue("namespace"))
	a.registry.mu.Unlock()
	writeJSON(w, &policyv1.PodDisruptionBudgetList{
		TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudgetList"}, Items: found})
}

// evictPod deletes a pod at once if its budgets allow that.
func (a *apiServer) evictPod(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("namespace") + "/" + r.PathValue("name")
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	pod := a.registry.pods[key]
	if pod == nil {
		writeNotFound(w, r)
		return
	}
	if budget := a.registry.holdingBudget(pod); budget != "" {
		writeStatus(w, &metav1.Status{
			Code: http.StatusTooManyRequests, Reason: metav1.StatusReasonTooManyRequests,
			Message: "Cannot evict pod as it would violate the pod's disruption budget.",
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause,
				Message: "The disruption budget " + budget + " needs 2 healthy pods and has 2 currently"}}},
		})
		return
	}
	delete(a.registry.pods, key)
	writeSuccess(w)
}
