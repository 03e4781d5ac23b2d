package kube

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func settings(labels labelMap, taints ...string) api.NodeSettings {
	return api.NodeSettings{Labels: labels, Taints: taints}
}

type labelMap = map[string]string

func TestNodeSettingsAreMerged(t *testing.T) {
	for name, tt := range map[string]struct {
		has, given, wanted, want api.NodeSettings
		patches                  int
	}{
		"nothing differs": {settings(labelMap{"a": "1", "b": "2"}, "x:NoSchedule"), settings(labelMap{"a": "1"}),
			settings(labelMap{"a": "1"}, "x:NoSchedule"), settings(labelMap{"a": "1", "b": "2"}, "x:NoSchedule"), 0},
		"a label changes": {settings(labelMap{"a": "1"}), settings(labelMap{"a": "1"}), settings(labelMap{"a": "2"}),
			settings(labelMap{"a": "2"}), 1},
		"a label goes": {settings(labelMap{"a": "1", "b": "1"}), settings(labelMap{"a": "1"}), settings(nil),
			settings(labelMap{"b": "1"}), 1},
		"a label that is gone already": {settings(labelMap{"b": "1"}), settings(labelMap{"a": "1"}), settings(nil),
			settings(labelMap{"b": "1"}), 0},
		"a label that was removed comes back": {settings(labelMap{"b": "1"}), settings(labelMap{"a": "1"}),
			settings(labelMap{"a": "1"}), settings(labelMap{"a": "1", "b": "1"}), 1},
		"an empty label": {settings(labelMap{}), settings(nil), settings(labelMap{"a": ""}),
			settings(labelMap{"a": ""}), 1},
		"a taint goes": {settings(nil, "x=1:NoSchedule", "own:NoExecute"), settings(nil, "x=1:NoSchedule"),
			settings(nil), settings(nil, "own:NoExecute"), 1},
		"the last taint goes": {settings(nil, "x=1:NoSchedule"), settings(nil, "x=1:NoSchedule"), settings(nil),
			settings(nil), 1},
		"a taint changes": {settings(nil, "x=1:NoSchedule", "x=1:NoExecute"), settings(nil, "x=1:NoSchedule"),
			settings(nil, "x=2:NoSchedule"), settings(nil, "x=2:NoSchedule", "x=1:NoExecute"), 1},
		"a taint comes": {settings(nil, "own:NoExecute"), settings(nil), settings(nil, "x:NoSchedule"),
			settings(nil, "own:NoExecute", "x:NoSchedule"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			cs := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: tt.has.Labels},
				Spec: corev1.NodeSpec{Taints: parseTaints(tt.has.Taints)}})
			if err := UpdateNodeSettings(t.Context(), cs, "n", tt.given, tt.wanted); err != nil {
				t.Fatal(err)
			}
			got, err := cs.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			is := settings(got.Labels, formatTaints(got.Spec.Taints)...)
			if why := is.DescribeChange(tt.want); why != "" {
				t.Errorf("got %+v: %s", is, why)
			}
			if n := countPatches(cs); n != tt.patches {
				t.Errorf("%d patches were sent, want %d", n, tt.patches)
			}
		})
	}
}

func countPatches(cs *fake.Clientset) int {
	n := 0
	for _, a := range cs.Actions() {
		if a.GetVerb() == "patch" {
			n++
		}
	}
	return n
}

// TestTaintsOfOthersSurviveAConflict lets somebody else write the Node between the read and the patch. Like an API
// server, it refuses a patch of another version than the Node's, and takes one without a version.
func TestTaintsOfOthersSurviveAConflict(t *testing.T) {
	nodes := schema.GroupResource{Resource: "nodes"}
	node := func(version string, taints ...string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", ResourceVersion: version},
			Spec: corev1.NodeSpec{Taints: parseTaints(taints)}}
	}
	cs := fake.NewClientset(node("1"))
	is := "1"
	cs.PrependReactor("patch", "nodes", func(a ktesting.Action) (bool, runtime.Object, error) {
		if is == "1" {
			is = "2"
			err := cs.Tracker().Update(corev1.SchemeGroupVersion.WithResource("nodes"), node(is, "own:NoExecute"), "")
			if err != nil {
				return true, nil, err
			}
		}
		var sent metav1.PartialObjectMetadata
		if err := json.Unmarshal(a.(ktesting.PatchAction).GetPatch(), &sent); err != nil {
			return true, nil, err
		}
		if sent.ResourceVersion != "" && sent.ResourceVersion != is {
			return true, nil, apierrors.NewConflict(nodes, "n", errors.New("it was changed"))
		}
		return false, nil, nil
	})
	if err := UpdateNodeSettings(t.Context(), cs, "n", settings(nil), settings(nil, "x:NoSchedule")); err != nil {
		t.Fatal(err)
	}
	n, err := cs.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{})
	if got := formatTaints(n.Spec.Taints); err != nil || !slices.Equal(got, []string{"own:NoExecute", "x:NoSchedule"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func (w *drainWorld) updateSettings(given, wanted api.NodeSettings) *corev1.Node {
	w.t.Helper()
	if err := UpdateNodeSettings(w.t.Context(), w.cs, w.name, given, wanted); err != nil {
		w.t.Fatal(err)
	}
	n, err := getNode(w.t.Context(), w.cs, w.name)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func updatesLabelsAndTaints(w *drainWorld) {
	first := settings(labelMap{"a": "1", "b": "1"}, "x=1:NoSchedule")
	n := w.updateSettings(settings(nil), first)
	if n.Labels["a"] != "1" || !slices.Contains(formatTaints(n.Spec.Taints), "x=1:NoSchedule") {
		w.t.Errorf("labels %v, taints %v", n.Labels, n.Spec.Taints)
	}
	version := n.ResourceVersion
	if n = w.updateSettings(first, first); n.ResourceVersion != version {
		w.t.Error("nothing differs, and something was sent")
	}
	n = w.updateSettings(first, settings(labelMap{"b": "2"}))
	if _, has := n.Labels["a"]; has || n.Labels["b"] != "2" || slices.Contains(formatTaints(n.Spec.Taints),
		"x=1:NoSchedule") {
		w.t.Errorf("labels %v, taints %v", n.Labels, n.Spec.Taints)
	}
}
