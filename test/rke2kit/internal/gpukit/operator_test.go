package gpukit

import (
	"encoding/json"
	"strings"
	"testing"
)

func policyOf(t *testing.T, spec string) *policy {
	t.Helper()
	var p policy
	if err := json.Unmarshal([]byte(`{"metadata":{"name":"cluster-policy","uid":"1"},"spec":`+spec+`}`),
		&p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// rendered are the DaemonSets that a policy brings, by name.
func rendered(t *testing.T, p *policy) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, op := range operands {
		if !op.enabled(p) {
			continue
		}
		data, _, err := op.renderDaemonSet(p, "gpu-operator")
		if err != nil {
			t.Fatal(err)
		}
		out[op.name] = string(data)
	}
	return out
}

func TestPolicySelectsTheDaemonSets(t *testing.T) {
	all := rendered(t, policyOf(t, `{}`))
	if len(all) != len(operands) {
		t.Errorf("with everything there are %d", len(all))
	}
	some := rendered(t, policyOf(t, `{"driver":{"enabled":false},"devicePlugin":{"enabled":false},`+
		`"toolkit":{"enabled":false},"gfd":{"enabled":false}}`))
	if len(some) != 1 || some["nvidia-operator-validator"] == "" {
		t.Errorf("with everything off there are %v", some)
	}
}

func TestDaemonSetsRunOnLabelledNodesAndBelongToThePolicy(t *testing.T) {
	p := policyOf(t, `{"devicePlugin":{"repository":"r/nvidia","image":"k8s-device-plugin","version":"v1",
		"env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]},
		"daemonsets":{"tolerations":[{"key":"nvidia.com/gpu","operator":"Exists"}],"labels":{"helm.sh/chart":"c"}}}`)
	text := rendered(t, p)["nvidia-device-plugin-daemonset"]
	for _, want := range []string{
		`"nodeSelector":{"nvidia.com/gpu.deploy.device-plugin":"true"}`, `"image":"r/nvidia/k8s-device-plugin:v1"`,
		`{"name":"A","value":"2"}`,
		`"kind":"ClusterPolicy"`, `"key":"nvidia.com/gpu"`, `"helm.sh/chart":"c"`,
		`"path":"/var/lib/kubelet/device-plugins"`,
		`"args":["wait","device-plugin","toolkit-ready"]`, `"args":["device-plugin"]`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, `{"name":"A","value":"1"}`) {
		t.Errorf("a variable comes twice: %s", text)
	}
}

func TestDaemonSetChangesOnlyWithItsPartOfThePolicy(t *testing.T) {
	before, after := policyOf(t, `{"driver":{"version":"1"}}`), policyOf(t, `{"driver":{"version":"2"}}`)
	for _, op := range operands {
		_, one, _ := op.renderDaemonSet(before, "n")
		_, again, _ := op.renderDaemonSet(policyOf(t, `{"driver":{"version":"1"}}`), "n")
		_, two, _ := op.renderDaemonSet(after, "n")
		if one != again {
			t.Errorf("%s changes without a reason", op.name)
		}
		if changed := one != two; changed != (op.name == "nvidia-driver-daemonset") {
			t.Errorf("%s changes: %t", op.name, changed)
		}
	}
}

func TestConditionsKeepTheirTransitionTime(t *testing.T) {
	p := policyOf(t, `{}`)
	p.Status.Conditions = []condition{{Type: "Ready", Status: "True", LastTransitionTime: "2020-01-01T00:00:00Z"}}
	if got := p.transitionTime(condition{Type: "Ready", Status: "True"}); got != "2020-01-01T00:00:00Z" {
		t.Errorf("got %s", got)
	}
	if got := p.transitionTime(condition{Type: "Ready", Status: "False"}); got == "2020-01-01T00:00:00Z" {
		t.Error("a change keeps the time before it")
	}
}
