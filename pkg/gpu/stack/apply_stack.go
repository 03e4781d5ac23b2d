package stack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/gpu"
	"github.com/sky-shift/skyctl/pkg/gpu/chart"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// removalPollInterval is the time between two checks whether a deleted object is gone.
const removalPollInterval = 2 * time.Second

// ApplyChart applies the HelmChart of the stack for machines with this driver, and reports whether it changed anything.
// It first removes the other stack's chart, if skyctl applied it, and waits until its device plugin is gone. A device
// plugin that is not part of the stack is a *gpu.Failure. AwaitReady waits for the result.
func ApplyChart(ctx context.Context, c *Client, s chart.Stack, d gpu.Driver) (changed bool, err error) {
	return reconcileStack(ctx, c, s, d, "")
}

// ReapplyChart does what ApplyChart does, and applies the chart even if it is unchanged, which restores deleted parts.
// It also restarts pods that keep failing, because the kubelet can otherwise take five minutes. A chart is applied once
// per mark.
func ReapplyChart(ctx context.Context, c *Client, s chart.Stack, d gpu.Driver, mark string) error {
	if _, err := reconcileStack(ctx, c, s, d, mark); err != nil {
		return err
	}
	return restartFailingPods(ctx, c, s.Kind)
}

// restartFailingPods deletes the pods of a stack that keep failing; their owners recreate them.
func restartFailingPods(ctx context.Context, c *Client, kind string) error {
	pods, err := listPods(ctx, c, chart.NamespaceOf(kind), "")
	if err != nil {
		return err
	}
	for i := range pods {
		f := findPodTrouble(pods[i : i+1])
		if f == nil || len(pods[i].OwnerReferences) == 0 {
			continue
		}
		callCtx, cancel := context.WithTimeout(ctx, callTimeout)
		err := c.core.CoreV1().Pods(pods[i].Namespace).Delete(callCtx, pods[i].Name, metav1.DeleteOptions{})
		cancel()
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("restarting pod %s: %w", f.Pod, err)
		}
	}
	return nil
}

// reconcileStack applies the chart of a stack and corrects the operator's ClusterPolicy. A mark that is not empty
// applies the chart even if it is unchanged.
func reconcileStack(ctx context.Context, c *Client, s chart.Stack, d gpu.Driver, mark string) (changed bool,
	err error) {
	want, err := s.RenderHelmChart(d)
	if err != nil {
		return false, err
	}
	removed, err := removeOtherStack(ctx, c, s.Kind)
	if err != nil {
		return removed, err
	}
	if err := rejectForeignPlugin(ctx, c, s.Kind); err != nil {
		return removed, err
	}
	applied, err := applyChartIfNeeded(ctx, c, want, mark)
	if err != nil {
		return removed, err
	}
	corrected, err := correctClusterPolicy(ctx, c, s, d)
	return removed || applied || corrected, err
}

// rejectForeignPlugin returns a *Failure if the cluster has a device plugin that is not part of the stack.
func rejectForeignPlugin(ctx context.Context, c *Client, kind string) error {
	_, foreign, err := listDaemonSets(ctx, c, kind)
	if err != nil || len(foreign) == 0 {
		return err
	}
	return foreignPluginFailure(foreign)
}

// applyChartIfNeeded applies a HelmChart that is missing, differs, is not managed by skyctl, or is to be applied again.
func applyChartIfNeeded(ctx context.Context, c *Client, want *unstructured.Unstructured,
	mark string) (applied bool, err error) {
	live, err := readUndeletedChart(ctx, c, want.GetName())
	if err != nil {
		return false, err
	}
	if mark != "" && live != nil {
		stampChartValues(want, mark)
	}
	if mark == "" && live != nil && isManaged(live) && len(chart.Differences(live, want)) == 0 {
		return false, nil
	}
	return true, writeChart(ctx, c, want)
}

// readUndeletedChart returns a HelmChart, or nil if there is none. It waits until a HelmChart that is being deleted is
// gone.
func readUndeletedChart(ctx context.Context, c *Client, name string) (*unstructured.Unstructured, error) {
	live, err := readChart(ctx, c, name)
	if err != nil || live == nil || live.GetDeletionTimestamp() == nil {
		return live, err
	}
	return nil, awaitChartGone(ctx, c, name)
}

// stampChartValues changes the text of a chart's values but not their meaning: the Helm controller compares the text.
func stampChartValues(helmChart *unstructured.Unstructured, mark string) {
	spec := helmChart.Object["spec"].(map[string]any)
	spec["valuesContent"] = fmt.Sprintf("# applied again: %s\n%s", mark, spec["valuesContent"])
}

func writeChart(ctx context.Context, c *Client, helmChart *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.any.applyObject(ctx, chart.HelmCharts, helmChart); err != nil {
		return fmt.Errorf("applying HelmChart %s/%s: %w", helmChart.GetNamespace(), helmChart.GetName(), err)
	}
	return nil
}

// readChart returns a HelmChart, or nil if there is none.
func readChart(ctx context.Context, c *Client, name string) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	helmChart, err := c.any.getObject(ctx, chart.HelmCharts, chart.ControllerNamespace, name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading HelmChart %s/%s: %w", chart.ControllerNamespace, name, err)
	}
	return helmChart, nil
}

func isManaged(o *unstructured.Unstructured) bool {
	return o.GetLabels()["app.kubernetes.io/managed-by"] == gpu.FieldManager
}

// removeOtherStack removes the chart of the other stack if skyctl applied it, and waits until its device plugins are
// gone.
func removeOtherStack(ctx context.Context, c *Client, kind string) (removed bool, err error) {
	name := chart.NameOf(chart.OtherKind(kind))
	live, err := readChart(ctx, c, name)
	if err != nil || live == nil {
		return false, err
	}
	if !isManaged(live) {
		return false, &gpu.Failure{Kind: gpu.SecondDevicePlugin, Message: fmt.Sprintf(
			"HelmChart %s/%s, which skyctl does not manage, also installs a device plugin for NVIDIA GPUs: "+
				"remove it (kubectl -n %[1]s delete helmchart %[2]s), or create the cluster with --gpu_stack none",
			chart.ControllerNamespace, name)}
	}
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = c.any.deleteObject(callCtx, chart.HelmCharts, chart.ControllerNamespace, name)
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("deleting HelmChart %s/%s: %w", chart.ControllerNamespace, name, err)
	}
	if err := awaitChartGone(ctx, c, name); err != nil {
		return true, err
	}
	return true, awaitPluginGone(ctx, c, chart.OtherKind(kind))
}

// awaitChartGone waits until a HelmChart is gone. Its controller uninstalls the release first.
func awaitChartGone(ctx context.Context, c *Client, name string) error {
	return pollUntilDone(ctx, "HelmChart "+chart.ControllerNamespace+"/"+name+" to be uninstalled",
		func() (bool, error) {
			live, err := readChart(ctx, c, name)
			return live == nil, err
		})
}

// awaitPluginGone waits until the device plugins of an uninstalled stack are gone.
func awaitPluginGone(ctx context.Context, c *Client, kind string) error {
	return pollUntilDone(ctx, "the device plugin in "+chart.NamespaceOf(kind)+" to be gone", func() (bool, error) {
		own, _, err := listDaemonSets(ctx, c, kind)
		for i := range own {
			if isDevicePlugin(&own[i]) {
				return false, nil
			}
		}
		return true, err
	})
}

// pollUntilDone calls check until it reports true without an error, or ctx ends. Errors of the API server are retried.
func pollUntilDone(ctx context.Context, what string, check func() (bool, error)) error {
	var lastErr error
	err := await.Condition(ctx, removalPollInterval, func() (done bool, err error) {
		done, lastErr = check()
		return done && lastErr == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", what, errors.Join(err, lastErr))
	}
	return nil
}

// ownedPolicyFields returns the fields of the ClusterPolicy that follow from the chart values. The chart writes them
// once, and Helm does not notice later edits.
func ownedPolicyFields(d gpu.Driver) map[string]bool {
	return map[string]bool{"devicePlugin": true, "toolkit": true, "driver": !d.Installed}
}

// readClusterPolicy returns the ClusterPolicy, or nil if it or its kind does not exist.
func readClusterPolicy(ctx context.Context, c *Client) (*unstructured.Unstructured, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	policy, err := c.any.getObject(ctx, clusterPolicies, "", policyName)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ClusterPolicy of the GPU Operator: %w", err)
	}
	return policy, nil
}

// policyDifferences returns the owned fields that a ClusterPolicy sets differently. The operator decides about fields
// that are not set.
func policyDifferences(policy *unstructured.Unstructured, d gpu.Driver) map[string]bool {
	found := map[string]bool{}
	for key, want := range ownedPolicyFields(d) {
		if got, ok, err := unstructured.NestedBool(policy.Object, "spec", key, "enabled"); ok && err == nil &&
			got != want {
			found[key] = want
		}
	}
	return found
}

func correctClusterPolicy(ctx context.Context, c *Client, s chart.Stack, d gpu.Driver) (corrected bool, err error) {
	if s.Kind != api.GPUStackOperator {
		return false, nil
	}
	policy, err := readClusterPolicy(ctx, c)
	if err != nil || policy == nil {
		return false, err
	}
	spec := map[string]any{}
	for key, want := range policyDifferences(policy, d) {
		spec[key] = map[string]any{"enabled": want}
	}
	if len(spec) == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.any.mergeObject(ctx, clusterPolicies, "", policyName, map[string]any{"spec": spec}); err != nil {
		return false, fmt.Errorf("correcting the ClusterPolicy of the GPU Operator: %w", err)
	}
	return true, nil
}
