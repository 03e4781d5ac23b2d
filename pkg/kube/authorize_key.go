package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/await"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// authorizePollInterval is the time between two checks of the pod that authorizes a key.
	authorizePollInterval = 500 * time.Millisecond
	authorizeApp          = "skyctl-authorize-key"
	appLabel              = "app.kubernetes.io/name"
)

// authorizeScript adds $KEY to the authorized keys of $LOGIN, once. It runs on the file system of the machine.
const authorizeScript = `set -e
home=$(getent passwd "$LOGIN" | cut -d: -f6); [ -n "$home" ] || { echo "there is no user $LOGIN"; exit 1; }
umask 077; mkdir -p "$home/.ssh"; file=$home/.ssh/authorized_keys
grep -qxF "$KEY" "$file" 2>/dev/null || {
  [ ! -s "$file" ] || [ -z "$(tail -c1 "$file")" ] || echo >>"$file"; printf '%s\n' "$KEY" >>"$file"; }
chown "$LOGIN:" "$home/.ssh" "$file"`

// AuthorizeKey authorizes a key for a user of a node's machine when SSH is not available for that: a pod on the node
// writes the key into the user's authorized_keys. The pod pulls no image: it uses one that the node already has, from
// which it runs nothing, and the shell of the machine. AuthorizeKey can be called again; it always removes its pod.
func AuthorizeKey(ctx context.Context, cs kubernetes.Interface, node, user, publicKey string) error {
	fail := func(err error) error {
		return fmt.Errorf("authorizing a key on node %s through the Kubernetes API: %w", node, err)
	}
	n, err := getNode(ctx, cs, node)
	if err != nil {
		return fail(err)
	}
	image := smallestPresentImage(n)
	if image == "" {
		return fail(errors.New("the Node reports no local image to run the pod with"))
	}
	pods := cs.CoreV1().Pods(metav1.NamespaceSystem)
	pod, err := pods.Create(ctx, newAuthorizingPod(n, image, user, publicKey), metav1.CreateOptions{})
	if err != nil {
		return fail(err)
	}
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
		defer cancel()
		// If this fails, the pod still ends at its deadline.
		_ = pods.Delete(clean, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	}()
	if err := awaitPodSuccess(ctx, cs, pod.Name); err != nil {
		return fail(err)
	}
	return nil
}

// awaitPodSuccess waits until an authorizing pod has succeeded. A pod that failed or was deleted is an error.
func awaitPodSuccess(ctx context.Context, cs kubernetes.Interface, name string) error {
	var pod *corev1.Pod
	var failure error
	err := await.Condition(ctx, authorizePollInterval, func() (bool, error) {
		var err error
		pod, err = cs.CoreV1().Pods(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			failure = errors.New("its pod was deleted before it had finished")
		case err != nil && ctx.Err() == nil:
			failure = err
		case err == nil && pod.Status.Phase == corev1.PodFailed:
			failure = errors.New("its pod failed" + describePodEnd(pod))
		}
		return err == nil && pod.Status.Phase == corev1.PodSucceeded, failure
	})
	if err != nil && failure == nil {
		return fmt.Errorf("its pod did not finish in time%s: %w", describePodEnd(pod), err)
	}
	return err
}

// RemoveAuthorizingPods removes the pods that interrupted calls of AuthorizeKey have left.
func RemoveAuthorizingPods(ctx context.Context, cs kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := cs.CoreV1().Pods(metav1.NamespaceSystem).DeleteCollection(ctx,
		metav1.DeleteOptions{GracePeriodSeconds: new(int64)},
		metav1.ListOptions{LabelSelector: appLabel + "=" + authorizeApp})
	if err != nil {
		return fmt.Errorf("removing the pods %s-… in %s: %w", authorizeApp, metav1.NamespaceSystem, err)
	}
	return nil
}

func getNode(ctx context.Context, cs kubernetes.Interface, name string) (*corev1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return cs.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
}

// smallestPresentImage returns the name of the smallest image that a node reports. It prefers the image of the pod
// sandbox, which the kubelet never removes.
func smallestPresentImage(n *corev1.Node) string {
	images := slices.Clone(n.Status.Images)
	slices.SortFunc(images, func(a, b corev1.ContainerImage) int { return int(a.SizeBytes - b.SizeBytes) })
	smallest := ""
	for _, image := range images {
		for _, name := range image.Names {
			if strings.Contains(name, "pause") && !strings.Contains(name, "<none>") {
				return name
			}
			if smallest == "" && !strings.Contains(name, "<none>") {
				smallest = name
			}
		}
	}
	return smallest
}

// newAuthorizingPod runs the shell of the machine: its root has the programs of the machine, and from there it changes
// into the machine's file system. It needs no network, no scheduler and no privileges beyond those of every container.
func newAuthorizingPod(n *corev1.Node, image, user, publicKey string) *corev1.Pod {
	host := []string{"/usr", "/bin", "/sbin", "/lib"}
	if n.Status.NodeInfo.Architecture == "amd64" {
		host = append(host, "/lib64") // contains the dynamic loader
	}
	var volumes []corev1.Volume
	var mounts []corev1.VolumeMount
	add := func(name, from, to string, readOnly bool) {
		source := corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: from}}
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: source})
		mounts = append(mounts, corev1.VolumeMount{Name: name, MountPath: to, ReadOnly: readOnly})
	}
	for _, dir := range host {
		add(strings.Trim(dir, "/"), dir, dir, true)
	}
	add("machine", "/", "/machine", false)
	root, deadline := int64(0), int64(120)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: authorizeApp + "-", Namespace: metav1.NamespaceSystem,
			Labels: map[string]string{appLabel: authorizeApp},
		},
		Spec: corev1.PodSpec{
			NodeName: n.Name, RestartPolicy: corev1.RestartPolicyNever, HostNetwork: true,
			ActiveDeadlineSeconds:        &deadline,
			AutomountServiceAccountToken: new(bool), PriorityClassName: "system-node-critical",
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Volumes:     volumes,
			Containers: []corev1.Container{{
				Name: "authorize", Image: image, ImagePullPolicy: corev1.PullNever,
				Command: []string{"/bin/sh", "-c", `exec chroot /machine /bin/sh -c "$SCRIPT"`},
				Env: []corev1.EnvVar{
					{Name: "PATH", Value: "/usr/sbin:/usr/bin:/sbin:/bin"}, {Name: "SCRIPT", Value: authorizeScript},
					{Name: "LOGIN", Value: user}, {Name: "KEY", Value: publicKey},
				},
				VolumeMounts:             mounts,
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
				// With SELinux, the default type of containers cannot write to the machine.
				SecurityContext: &corev1.SecurityContext{RunAsUser: &root,
					SELinuxOptions: &corev1.SELinuxOptions{Type: "spc_t"}},
			}},
		},
	}
}

// describePodEnd returns why a pod's container ended or cannot start.
func describePodEnd(pod *corev1.Pod) string {
	if pod == nil {
		return ""
	}
	if pod.Status.Message != "" {
		return ": " + pod.Status.Message
	}
	for _, s := range pod.Status.ContainerStatuses {
		switch {
		case s.State.Terminated != nil:
			return fmt.Sprintf(" with exit status %d: %s", s.State.Terminated.ExitCode,
				strings.TrimSpace(s.State.Terminated.Message))
		case s.State.Waiting != nil:
			return fmt.Sprintf(": %s %s", s.State.Waiting.Reason, s.State.Waiting.Message)
		}
	}
	return ""
}
