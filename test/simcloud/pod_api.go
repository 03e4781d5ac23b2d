package simcloud

import (
	"errors"
	"io"
	"maps"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes/scheme"
)

// createPod runs the only kind of pod that operations create: it puts the key in its environment onto the machine.
func (a *apiServer) createPod(w http.ResponseWriter, r *http.Request) {
	pod, err := readPod(r)
	if err != nil {
		writeFailure(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	pod.Name, pod.Status.Phase = pod.GenerateName+pod.Spec.NodeName, corev1.PodSucceeded
	if err := a.authorizeKey(pod); err != nil {
		pod.Status.Phase, pod.Status.Message = corev1.PodFailed, err.Error()
	}
	a.registry.mu.Lock()
	a.registry.pods[pod.Namespace+"/"+pod.Name] = pod
	a.registry.mu.Unlock()
	writeJSON(w, pod)
}

func readPod(r *http.Request) (*corev1.Pod, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	pod := &corev1.Pod{}
	_, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, pod)
	return pod, err
}

func (a *apiServer) authorizeKey(pod *corev1.Pod) error {
	for _, h := range a.peers() {
		if h.configValue("node-name") != pod.Spec.NodeName {
			continue
		}
		for _, e := range pod.Spec.Containers[0].Env {
			if e.Name == "KEY" {
				return h.sshd.AdmitKey(e.Value)
			}
		}
		return errors.New("the pod brings no key")
	}
	return errors.New("the pod's node has no machine")
}

func (a *apiServer) getPod(w http.ResponseWriter, r *http.Request) {
	a.registry.mu.Lock()
	pod := a.registry.pods[r.PathValue("namespace")+"/"+r.PathValue("name")]
	a.registry.mu.Unlock()
	if pod == nil {
		writeNotFound(w, r)
		return
	}
	writeJSON(w, pod)
}

func (a *apiServer) deletePod(w http.ResponseWriter, r *http.Request) {
	a.registry.mu.Lock()
	delete(a.registry.pods, r.PathValue("namespace")+"/"+r.PathValue("name"))
	a.registry.mu.Unlock()
	writeSuccess(w)
}

func (a *apiServer) deletePods(w http.ResponseWriter, r *http.Request) {
	chosen, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		writeFailure(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	a.registry.mu.Lock()
	maps.DeleteFunc(a.registry.pods, func(_ string, p *corev1.Pod) bool {
		return p.Namespace == r.PathValue("namespace") && chosen.Matches(labels.Set(p.Labels))
	})
	a.registry.mu.Unlock()
	writeSuccess(w)
}

// listVolumes returns no PersistentVolumes: simulated pods have none.
func (a *apiServer) listVolumes(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, &corev1.PersistentVolumeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1",
		Kind: "PersistentVolumeList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}})
}
