package helmchart

import (
	"context"
	"fmt"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
)

// ensureRelease creates a Job that applies the HelmChart to the release, unless an equal one exists. It deletes an
// outdated Job first.
func (c *controller) ensureRelease(ctx context.Context, raw *unstructured.Unstructured, chart *Chart) error {
	job := c.newJob(chart)
	annotation, label := readJobHash(job)
	old, err := c.jobs.Get(job.Namespace, job.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	now, err := c.latestRelease(ctx, chart)
	if err != nil {
		return err
	}
	if old != nil {
		same, _ := readJobHash(old)
		switch {
		case hasJobCondition(old, batchv1.JobComplete):
			if now.status == "deployed" && now.hash == label {
				return nil
			}
		case same == annotation && hasJobCondition(old, batchv1.JobFailed):
			return c.recordJobFailure(ctx, raw, chart)
		case same == annotation:
			return nil
		}
		return c.deleteJob(ctx, old)
	}
	if err := c.ensureJobResources(ctx, chart); err != nil {
		return err
	}
	setExpectedRelease(job, now.revision)
	if _, err := c.core.BatchV1().Jobs(job.Namespace).Create(ctx, job, metav1.CreateOptions{}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Job %s/%s: %w", job.Namespace, job.Name, err)
	}
	c.recorder.Eventf(raw, corev1.EventTypeNormal, "ApplyJob", "Applying HelmChart from %s using Job %s/%s ",
		chart.describeSource(), job.Namespace, job.Name)
	return c.setStatus(ctx, raw, Status{JobName: job.Name,
		Conditions: []Condition{jobCreatedCondition(chart), {Type: "Failed", Status: "False"}}})
}

func jobCreatedCondition(chart *Chart) Condition {
	return Condition{Type: "JobCreated", Status: "True", Reason: "Job created",
		Message: fmt.Sprintf("Applying HelmChart using Job %s/%s", chart.Namespace, chart.jobName())}
}

func (c *controller) recordJobFailure(ctx context.Context, raw *unstructured.Unstructured, chart *Chart) error {
	for _, known := range chart.Status.Conditions {
		if known.Type == "Failed" && known.Status == "True" {
			return nil
		}
	}
	const why = "Job has reached configured number of retries without succeeding"
	c.recorder.Event(raw, corev1.EventTypeWarning, "JobFailed", why)
	return c.setStatus(ctx, raw, Status{JobName: chart.jobName(), Conditions: []Condition{
		jobCreatedCondition(chart), {Type: "Failed", Status: "True", Reason: "Job failed", Message: why},
	}})
}

// deleteJob removes a Job so that another can replace it; its deletion queues the HelmChart again.
func (c *controller) deleteJob(ctx context.Context, job *batchv1.Job) error {
	if job.DeletionTimestamp != nil {
		return nil
	}
	err := c.core.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{
		PropagationPolicy: ptr.To(metav1.DeletePropagationForeground),
		Preconditions:     &metav1.Preconditions{UID: &job.UID},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func hasJobCondition(job *batchv1.Job, how batchv1.JobConditionType) bool {
	for _, condition := range job.Status.Conditions {
		if condition.Type == how && condition.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// release is the latest revision of a chart's release, all zero if there is none.
type release struct {
	revision     int
	status, hash string
}

func (c *controller) latestRelease(ctx context.Context, chart *Chart) (release, error) {
	list, err := c.core.CoreV1().Secrets(chart.targetNamespace()).List(ctx, metav1.ListOptions{
		LabelSelector: "owner=helm,name=" + chart.Name, FieldSelector: "type=helm.sh/release.v1",
	})
	if err != nil {
		return release{}, fmt.Errorf("look for the release %s/%s: %w", chart.targetNamespace(), chart.Name, err)
	}
	var latest release
	for _, secret := range list.Items {
		if revision, err := strconv.Atoi(secret.Labels["version"]); err == nil && revision > latest.revision {
			latest = release{revision: revision, status: secret.Labels["status"], hash: secret.Labels[configHash]}
		}
	}
	return latest, nil
}

// ensureJobResources creates the objects that the Job uses.
func (c *controller) ensureJobResources(ctx context.Context, chart *Chart) error {
	sa, binding := newServiceAccount(chart)
	values, content := newJobFiles(chart)
	core := c.core.CoreV1()
	if _, err := core.ServiceAccounts(chart.Namespace).Create(ctx, sa, metav1.CreateOptions{}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the Job's account: %w", err)
	}
	if _, err := c.core.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the Job's rights: %w", err)
	}
	if chart.DeletionTimestamp != nil {
		return nil
	}
	_, err := core.Secrets(chart.Namespace).Create(ctx, values, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = core.Secrets(chart.Namespace).Update(ctx, values, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write the chart's values: %w", err)
	}
	_, err = core.ConfigMaps(chart.Namespace).Create(ctx, content, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = core.ConfigMaps(chart.Namespace).Update(ctx, content, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("write the chart's content: %w", err)
	}
	return nil
}

// uninstallRelease runs a Job that uninstalls the release and then removes the HelmChart's finalizer.
func (c *controller) uninstallRelease(ctx context.Context, raw *unstructured.Unstructured, chart *Chart) error {
	if !hasFinalizer(raw) {
		return nil
	}
	now, err := c.latestRelease(ctx, chart)
	if err != nil {
		return err
	}
	job := c.newJob(chart)
	old, err := c.jobs.Get(job.Namespace, job.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	switch {
	case old != nil && hasJobCondition(old, batchv1.JobComplete) && now.revision == 0:
		c.recorder.Eventf(raw, corev1.EventTypeNormal, "RemoveJob",
			"Uninstalled HelmChart using Job %s/%s, removing resources", job.Namespace, job.Name)
		if err := c.deleteJobResources(ctx, chart); err != nil {
			return err
		}
		return c.removeFinalizer(ctx, raw)
	case old != nil && (hasJobCondition(old, batchv1.JobComplete) || hasJobCondition(old, batchv1.JobFailed)):
		return c.deleteJob(ctx, old)
	case old != nil:
		return nil
	}
	// A running or repeatedly failing installation must stop first.
	if installing, err := c.jobs.Get(chart.Namespace, "helm-install-"+chart.Name); err == nil {
		return c.deleteJob(ctx, installing)
	}
	if err := c.ensureJobResources(ctx, chart); err != nil {
		return err
	}
	setExpectedRelease(job, now.revision)
	if _, err := c.core.BatchV1().Jobs(job.Namespace).Create(ctx, job, metav1.CreateOptions{}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Job %s/%s: %w", job.Namespace, job.Name, err)
	}
	c.recorder.Eventf(raw, corev1.EventTypeNormal, "RemoveJob", "Uninstalling HelmChart using Job %s/%s ",
		job.Namespace, job.Name)
	status := chart.Status
	status.JobName = job.Name
	return c.setStatus(ctx, raw, status)
}

func hasFinalizer(raw *unstructured.Unstructured) bool {
	for _, f := range raw.GetFinalizers() {
		if f == finalizer {
			return true
		}
	}
	return false
}

func (c *controller) deleteJobResources(ctx context.Context, chart *Chart) error {
	background := metav1.DeleteOptions{PropagationPolicy: ptr.To(metav1.DeletePropagationBackground)}
	sa, binding := newServiceAccount(chart)
	values, content := newJobFiles(chart)
	core := c.core.CoreV1()
	for what, err := range map[string]error{
		"Job":      c.core.BatchV1().Jobs(chart.Namespace).Delete(ctx, chart.jobName(), background),
		"account":  core.ServiceAccounts(chart.Namespace).Delete(ctx, sa.Name, background),
		"rights":   c.core.RbacV1().ClusterRoleBindings().Delete(ctx, binding.Name, background),
		"values":   core.Secrets(chart.Namespace).Delete(ctx, values.Name, background),
		"contents": core.ConfigMaps(chart.Namespace).Delete(ctx, content.Name, background),
	} {
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove the %s of HelmChart %s/%s: %w", what, chart.Namespace, chart.Name, err)
		}
	}
	return nil
}

func (c *controller) removeFinalizer(ctx context.Context, raw *unstructured.Unstructured) error {
	own := raw.DeepCopy()
	var left []string
	for _, f := range own.GetFinalizers() {
		if f != finalizer {
			left = append(left, f)
		}
	}
	own.SetFinalizers(left)
	_, err := c.any.Resource(chartResource).Namespace(own.GetNamespace()).Update(ctx, own, metav1.UpdateOptions{})
	return err
}
