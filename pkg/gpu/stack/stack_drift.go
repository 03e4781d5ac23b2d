package stack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// FindDrift describes, one line each, how an installed stack differs from what it should be: its HelmChart was edited
// or removed, its release uninstalled, the operator or the device plugin deleted, its ClusterPolicy edited. It changes
// nothing; ReapplyChart repairs all of it. If d is nil, the HelmChart decides whether a driver is installed.
func FindDrift(ctx context.Context, c *Client, s chart.Stack, d *gpu.Driver) ([]string, error) {
	name := chart.NameOf(s.Kind)
	live, err := readChart(ctx, c, name)
	if err != nil {
		return nil, err
	}
	if live == nil || live.GetDeletionTimestamp() != nil {
		return []string{fmt.Sprintf("HelmChart %s/%s was removed", chart.ControllerNamespace, name)}, nil
	}
	if d == nil {
		d = driverFromChart(live, s.Kind)
	}
	want, err := s.RenderHelmChart(*d)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, diff := range chart.Differences(live, want) {
		found = append(found, fmt.Sprintf("HelmChart %s/%s: %s", chart.ControllerNamespace, name, diff))
	}
	parts, err := findMissingParts(ctx, c, s.Kind)
	if err != nil {
		return nil, err
	}
	found = append(found, parts...)
	if s.Kind != api.GPUStackOperator {
		return found, nil
	}
	policy, err := readClusterPolicy(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case policy == nil:
		return append(found, "ClusterPolicy "+policyName+" was removed"), nil
	}
	diffs := policyDifferences(policy, *d)
	for _, key := range slices.Sorted(maps.Keys(diffs)) {
		found = append(found, fmt.Sprintf("ClusterPolicy %s: %s.enabled is %v, should be %v", policyName, key,
			!diffs[key], diffs[key]))
	}
	return found, nil
}

// driverFromChart returns the driver that a HelmChart was rendered for, as far as its values show.
func driverFromChart(helmChart *unstructured.Unstructured, kind string) *gpu.Driver {
	if kind == api.GPUStackDevicePlugin {
		return &gpu.Driver{Installed: true}
	}
	content, _, _ := unstructured.NestedString(helmChart.Object, "spec", "valuesContent")
	value, _ := chart.ValueAt(chart.ParseValues(content), "driver.enabled")
	enabled, isBool := value.(bool)
	return &gpu.Driver{Installed: isBool && !enabled}
}

// findMissingParts describes the parts that the release should have installed but that do not exist.
func findMissingParts(ctx context.Context, c *Client, kind string) ([]string, error) {
	ns := chart.NamespaceOf(kind)
	var found []string
	released, err := hasHelmRelease(ctx, c, kind)
	if err != nil {
		return nil, err
	}
	if !released {
		found = append(found, fmt.Sprintf("Helm release %s/%s was uninstalled", ns, chart.NameOf(kind)))
	}
	own, _, err := listDaemonSets(ctx, c, kind)
	if err != nil {
		return nil, err
	}
	plugins := 0
	for i := range own {
		if isDevicePlugin(&own[i]) {
			plugins++
		}
	}
	if plugins == 0 {
		found = append(found, "the DaemonSet of the device plugin in "+ns+" was deleted")
	}
	if kind != api.GPUStackOperator {
		return found, nil
	}
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	deployment, err := c.core.AppsV1().Deployments(ns).Get(callCtx, chart.OperatorName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		found = append(found, fmt.Sprintf("Deployment %s/%s was deleted", ns, chart.OperatorName))
	case err != nil:
		return nil, fmt.Errorf("reading Deployment %s/%s: %w", ns, chart.OperatorName, err)
	case deployment.Spec.Replicas != nil && *deployment.Spec.Replicas == 0:
		found = append(found, fmt.Sprintf("Deployment %s/%s was scaled to zero", ns, chart.OperatorName))
	}
	return found, nil
}

// hasHelmRelease reports whether Helm has a record of the stack's release. Helm stores releases as Secrets with these
// labels.
func hasHelmRelease(ctx context.Context, c *Client, kind string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := c.core.CoreV1().Secrets(chart.NamespaceOf(kind)).List(ctx, metav1.ListOptions{
		LabelSelector: "owner=helm,name=" + chart.NameOf(kind), FieldSelector: "type=helm.sh/release.v1", Limit: 1})
	if err != nil {
		return false, fmt.Errorf("reading the Helm release %s/%s: %w", chart.NamespaceOf(kind), chart.NameOf(kind),
			err)
	}
	for _, s := range list.Items {
		if s.Type == corev1.SecretType("helm.sh/release.v1") {
			return true, nil
		}
	}
	return false, nil
}

// InspectState returns the status of a stack, and why it needs a repair; empty if it does not. d is as for FindDrift.
// ReapplyChart and AwaitReady are the repair.
func InspectState(ctx context.Context, c *Client, s chart.Stack, d *gpu.Driver,
	expected map[string]int) (st Status, why string, err error) {
	if st, err = ReadStatus(ctx, c, s.Kind, expected); err != nil {
		return st, "", err
	}
	if s.Kind == api.GPUStackNone {
		return st, "", nil
	}
	drift, err := FindDrift(ctx, c, s, d)
	switch {
	case err != nil:
		return st, "", err
	case len(drift) > 0:
		return st, strings.Join(drift, "; "), nil
	case !st.IsReady():
		return st, st.ToCondition().Message, nil
	}
	return st, "", nil
}
