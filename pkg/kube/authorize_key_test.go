package kube

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func nodeWithImages() *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{
		NodeInfo: corev1.NodeSystemInfo{Architecture: "amd64"},
		Images: []corev1.ContainerImage{
			{Names: []string{"docker.io/library/app:1"}, SizeBytes: 1000},
			{Names: []string{"a@sha256:0", "<none>@<none>"}, SizeBytes: 10},
			{Names: []string{"docker.io/rancher/mirrored-pause:3.6"}, SizeBytes: 300},
		},
	}}
}

// answering returns a client whose pods have this phase at once.
func answering(phase corev1.PodPhase, state corev1.ContainerState) *fake.Clientset {
	cs := fake.NewClientset(nodeWithImages())
	cs.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		pod := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
		pod.Name = pod.GenerateName + "x"
		pod.Status = corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{State: state}}}
		return false, nil, nil
	})
	return cs
}

func TestAuthorizeKeyUsesAPodThatPullsNothing(t *testing.T) {
	cs := answering(corev1.PodSucceeded, corev1.ContainerState{})
	if err := AuthorizeKey(t.Context(), cs, "n", "ubuntu", "ssh-ed25519 AAAA"); err != nil {
		t.Fatal(err)
	}
	var pod *corev1.Pod
	for _, a := range cs.Actions() {
		if created, ok := a.(clienttesting.CreateAction); ok {
			pod = created.GetObject().(*corev1.Pod)
		}
	}
	c := pod.Spec.Containers[0]
	if pod.Spec.NodeName != "n" || c.Image != "docker.io/rancher/mirrored-pause:3.6" ||
		c.ImagePullPolicy != corev1.PullNever || !pod.Spec.HostNetwork ||
		len(pod.Spec.Tolerations) != 1 || c.SecurityContext.Privileged != nil {
		t.Errorf("%+v", pod.Spec)
	}
	if left, err := cs.CoreV1().Pods("kube-system").List(t.Context(), metav1.ListOptions{}); err != nil ||
		len(left.Items) != 0 {
		t.Errorf("pods are left: %+v, %v", left, err)
	}
}

func TestOnlyAuthorizingPodsAreRemoved(t *testing.T) {
	cs := fake.NewClientset()
	if err := RemoveAuthorizingPods(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	removed, ok := cs.Actions()[0].(clienttesting.DeleteCollectionAction)
	if !ok || removed.GetNamespace() != "kube-system" {
		t.Fatalf("got %+v", cs.Actions())
	}
	chosen := removed.GetListRestrictions().Labels
	if !chosen.Matches(labels.Set(newAuthorizingPod(nodeWithImages(), "i", "u", "k").Labels)) ||
		chosen.Matches(labels.Set{appLabel: "dns"}) {
		t.Errorf("it removes pods with the labels %s", chosen)
	}
}

func TestAuthorizeKeyReportsWhyItsPodFailed(t *testing.T) {
	failed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1,
		Message: "there is no user ubuntu"}}
	err := AuthorizeKey(t.Context(), answering(corev1.PodFailed, failed), "n", "ubuntu", "k")
	if err == nil || !strings.Contains(err.Error(), "node n") ||
		!strings.Contains(err.Error(), "there is no user ubuntu") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerError",
		Message: "no /bin/sh"}}
	err = AuthorizeKey(ctx, answering(corev1.PodPending, waiting), "n", "ubuntu", "k")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "CreateContainerError no /bin/sh") {
		t.Errorf("got %v", err)
	}
	if err := AuthorizeKey(t.Context(), fake.NewClientset(), "n", "ubuntu", "k"); err == nil {
		t.Error("a missing node is not an error")
	}
}

func TestKeyIsAddedOnceAndOthersStay(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"getent": "echo me:x:1:1::" + home + ":/bin/sh", "chown": "exit 0"} {
		text = "#!/bin/sh\n" + text + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	keys := filepath.Join(home, ".ssh", "authorized_keys")
	add := func() string {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", authorizeScript)
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "LOGIN=me", "KEY=ssh-ed25519 NEW"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		text, err := os.ReadFile(keys)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for range 2 {
		if got := add(); got != "ssh-ed25519 NEW\n" {
			t.Errorf("got %q", got)
		}
	}
	if err := os.WriteFile(keys, []byte("ssh-rsa OLD person"), 0o600); err != nil { // without a final newline
		t.Fatal(err)
	}
	if got := add(); got != "ssh-rsa OLD person\nssh-ed25519 NEW\n" {
		t.Errorf("got %q", got)
	}
	if info, err := os.Stat(filepath.Dir(keys)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}
