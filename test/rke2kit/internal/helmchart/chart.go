package helmchart

import (
	"fmt"
	"sort"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Chart has the supported fields of a HelmChart.
type Chart struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              Spec   `json:"spec,omitempty"`
	Status            Status `json:"status,omitempty"`
}

// Spec is the requested state.
type Spec struct {
	Chart                 string                        `json:"chart,omitempty"`
	Repo                  string                        `json:"repo,omitempty"`
	Version               string                        `json:"version,omitempty"`
	ChartContent          string                        `json:"chartContent,omitempty"`
	RepoCA                string                        `json:"repoCA,omitempty"`
	RepoCAConfigMap       *Reference                    `json:"repoCAConfigMap,omitempty"`
	InsecureSkipTLSVerify bool                          `json:"insecureSkipTLSVerify,omitempty"`
	TargetNamespace       string                        `json:"targetNamespace,omitempty"`
	CreateNamespace       bool                          `json:"createNamespace,omitempty"`
	TakeOwnership         bool                          `json:"takeOwnership,omitempty"`
	Set                   map[string]intstr.IntOrString `json:"set,omitempty"`
	ValuesContent         string                        `json:"valuesContent,omitempty"`
	Bootstrap             bool                          `json:"bootstrap,omitempty"`
	BackOffLimit          *int32                        `json:"backOffLimit,omitempty"`
	FailurePolicy         string                        `json:"failurePolicy,omitempty"`
	Timeout               *metav1.Duration              `json:"timeout,omitempty"`
}

// Reference names an object in the namespace of the HelmChart.
type Reference struct {
	Name string `json:"name,omitempty"`
}

// Status is the observed state.
type Status struct {
	JobName    string      `json:"jobName,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
}

// Condition is JobCreated or Failed.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

func parseChart(raw *unstructured.Unstructured) (*Chart, error) {
	var chart Chart
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw.Object, &chart); err != nil {
		return nil, fmt.Errorf("read HelmChart %s/%s: %w", raw.GetNamespace(), raw.GetName(), err)
	}
	return &chart, nil
}

// targetNamespace is the namespace of the release.
func (c *Chart) targetNamespace() string {
	if c.Spec.TargetNamespace != "" {
		return c.Spec.TargetNamespace
	}
	return c.Namespace
}

func (c *Chart) jobName() string {
	if c.DeletionTimestamp != nil {
		return "helm-delete-" + c.Name
	}
	return "helm-install-" + c.Name
}

// describeSource describes the chart's source for messages.
func (c *Chart) describeSource() string {
	s := c.Spec
	version := "latest stable version of " + s.Chart
	if s.Version != "" {
		version = s.Chart + " version " + s.Version
	}
	switch {
	case s.ChartContent != "":
		return "inline spec.chartContent"
	case strings.Contains(s.Chart, "://"):
		return s.Chart
	default:
		return version + " from chart repository " + s.Repo
	}
}

// chartReference is how Helm names the chart: within the repository, which is added under the HelmChart's name.
func (c *Chart) chartReference() string {
	if c.Spec.Repo != "" {
		return c.Name + "/" + c.Spec.Chart
	}
	return c.Spec.Chart
}

// jobArgs are the Job's arguments.
func (c *Chart) jobArgs() []string {
	if c.DeletionTimestamp != nil {
		return []string{"delete"}
	}
	args := []string{"install"}
	add := func(wanted bool, words ...string) {
		if wanted {
			args = append(args, words...)
		}
	}
	add(c.Spec.TargetNamespace != "", "--namespace", c.Spec.TargetNamespace)
	add(c.Spec.CreateNamespace, "--create-namespace")
	add(c.Spec.TakeOwnership, "--take-ownership")
	add(c.Spec.Version != "", "--version", c.Spec.Version)
	keys := make([]string, 0, len(c.Spec.Set))
	for key := range c.Spec.Set {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		value := c.Spec.Set[key]
		// Values that look like a number, a boolean or null are one; all others are text, commas included.
		text := value.String()
		switch {
		case value.Type == intstr.Int, strings.EqualFold(text, "true"), strings.EqualFold(text, "false"),
			strings.EqualFold(text, "null"):
			args = append(args, "--set", key+"="+text)
		default:
			args = append(args, "--set-string", key+"="+strings.ReplaceAll(text, ",", `\,`))
		}
	}
	return args
}
