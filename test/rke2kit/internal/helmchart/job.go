package helmchart

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/node"
)

// JobCommand is the argument by which the Kubernetes program becomes what a Job's pod runs, with its files in these
// places.
const (
	JobCommand = "klipper-helm"
	ValuesDir  = "/config"
	CADir      = "/ca-files"
	ContentDir = "/chart"
	Scratch    = "/tmp"
	// programPath is none of the names by which the Kubernetes program is one thing only.
	programPath = "/kube"
)

const (
	configHash = "helmcharts.helm.cattle.io/configHash"
	// backOffLimit is the number of retries of a Job before the HelmChart has failed: the original's default, days.
	backOffLimit = 1000
	// longestLabel is the maximum length of a label's value.
	longestLabel = 63
)

// newJob returns the Job that applies the chart to the release. Its hash annotation identifies the configuration.
func (c *controller) newJob(chart *Chart) *batchv1.Job {
	limit := int32(backOffLimit)
	if chart.Spec.BackOffLimit != nil {
		limit = *chart.Spec.BackOffLimit
	}
	labels := map[string]string{chartLabel: chart.Name}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: chart.jobName(), Namespace: chart.Namespace, Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: &limit,
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: c.newPodSpec(chart)},
		},
	}
	job.Spec.Template.Annotations = map[string]string{configHash: "SHA256=" + hashJob(job, chart)}
	return job
}

func hashJob(job *batchv1.Job, chart *Chart) string {
	h := sha256.New()
	// Encoding a Job and strings cannot fail.
	_ = json.NewEncoder(h).Encode([]any{job.Spec, chart.Spec.ValuesContent, chart.Spec.ChartContent, chart.Spec.RepoCA})
	return fmt.Sprintf("%X", h.Sum(nil))
}

// readJobHash returns the hash of a Job and, shortened, the label of the release that it creates.
func readJobHash(job *batchv1.Job) (annotation, label string) {
	annotation = job.Spec.Template.Annotations[configHash]
	label = annotation
	if len(label) > len("SHA256=") {
		label = label[len("SHA256="):]
	}
	return annotation, label[:min(len(label), longestLabel)]
}

// setExpectedRelease passes the expected revision to the Job's pod. The hash omits it: it changes with each release.
func setExpectedRelease(job *batchv1.Job, revision int) {
	_, label := readJobHash(job)
	container := &job.Spec.Template.Spec.Containers[0]
	container.Env = append(container.Env,
		corev1.EnvVar{Name: "EXPECTED_RELEASE_REVISION", Value: strconv.Itoa(revision)},
		corev1.EnvVar{Name: "CONFIG_HASH", Value: label})
}

func (c *controller) newPodSpec(chart *Chart) corev1.PodSpec {
	spec := corev1.PodSpec{
		RestartPolicy:      corev1.RestartPolicyOnFailure,
		ServiceAccountName: "helm-" + chart.Name,
		PriorityClassName:  "system-cluster-critical",
		HostNetwork:        true,
		DNSPolicy:          corev1.DNSDefault,
		NodeSelector:       map[string]string{corev1.LabelOSStable: "linux"},
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   ptr.To(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "helm", Image: node.HelmJobImage, ImagePullPolicy: corev1.PullIfNotPresent,
			Command: []string{programPath, JobCommand}, Args: chart.jobArgs(), Env: jobEnv(chart),
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
	mount := func(name, at string, source corev1.VolumeSource) {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
		spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts,
			corev1.VolumeMount{Name: name, MountPath: at})
	}
	mount("program", programPath, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: c.binary}})
	inMemory := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}
	mount("tmp", Scratch, corev1.VolumeSource{EmptyDir: inMemory})
	if chart.DeletionTimestamp == nil {
		mount("values", ValuesDir, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: "chart-values-" + chart.Name, DefaultMode: ptr.To(int32(0o644)),
		}})
		mount("content", ContentDir, configMapVolume("chart-content-"+chart.Name))
	}
	if ca := chart.Spec.RepoCAConfigMap; ca != nil {
		mount("ca-files", CADir, configMapVolume(ca.Name))
	}
	if chart.Spec.Bootstrap {
		spec.NodeSelector["node-role.kubernetes.io/control-plane"] = "true"
		spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	}
	return spec
}

func configMapVolume(name string) corev1.VolumeSource {
	return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}}}
}

func jobEnv(chart *Chart) []corev1.EnvVar {
	s := chart.Spec
	env := []corev1.EnvVar{
		{Name: "NAME", Value: chart.Name},
		{Name: "VERSION", Value: s.Version},
		{Name: "REPO", Value: s.Repo},
		{Name: "HELM_DRIVER", Value: "secret"},
		{Name: "CHART_NAMESPACE", Value: chart.Namespace},
		{Name: "CHART", Value: chart.chartReference()},
		{Name: "TARGET_NAMESPACE", Value: chart.targetNamespace()},
		{Name: "INSECURE_SKIP_TLS_VERIFY", Value: strconv.FormatBool(s.InsecureSkipTLSVerify)},
		{Name: "FAILURE_POLICY", Value: s.FailurePolicy},
	}
	if s.Timeout != nil {
		env = append(env, corev1.EnvVar{Name: "TIMEOUT", Value: s.Timeout.Duration.String()})
	}
	return env
}

// Besides the Job there are its account, with all permissions, and its files.

func newServiceAccount(chart *Chart) (*corev1.ServiceAccount, *rbacv1.ClusterRoleBinding) {
	name := "helm-" + chart.Name
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "helm-" + chart.Namespace + "-" + chart.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: chart.Namespace, Name: name}},
	}
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: chart.Namespace}}, binding
}

func newJobFiles(chart *Chart) (*corev1.Secret, *corev1.ConfigMap) {
	values := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "chart-values-" + chart.Name, Namespace: chart.Namespace},
		Type:       "helmcharts.helm.cattle.io/values", Data: map[string][]byte{},
	}
	if chart.Spec.ValuesContent != "" {
		values.Data["values-0-000-HelmChart-ValuesContent.yaml"] = []byte(chart.Spec.ValuesContent)
	}
	if chart.Spec.RepoCA != "" {
		values.Data["ca-file.pem"] = []byte(chart.Spec.RepoCA)
	}
	content := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "chart-content-" + chart.Name, Namespace: chart.Namespace},
		Data:       map[string]string{},
	}
	if chart.Spec.ChartContent != "" {
		content.Data[chart.Name+".tgz.base64"] = chart.Spec.ChartContent
	}
	return values, content
}
