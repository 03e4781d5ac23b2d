package simcloud

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// apiServer is the part of a cluster's API that operations use: nodes to list, watch, cordon and delete, the secrets
// with their passwords, and pods that can be evicted. It always answers in JSON.
type apiServer struct {
	head     *host
	peers    func() []*host
	registry *nodeRegistry
	http     *http.Server
	// blocked means that clients outside the head get no response.
	blocked atomic.Bool
}

func newAPIServer(head *host, peers func() []*host) *apiServer {
	return &apiServer{head: head, peers: peers, registry: newNodeRegistry()}
}

// serveOn serves at a listener until stop. It can be called again after that.
func (a *apiServer) serveOn(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/nodes", a.listNodes)
	mux.HandleFunc("GET /api/v1/nodes/{name}", a.getNode)
	mux.HandleFunc("PATCH /api/v1/nodes/{name}", a.patchNode)
	mux.HandleFunc("DELETE /api/v1/nodes/{name}", a.deleteNode)
	mux.HandleFunc("GET /api/v1/pods", a.listPods)
	mux.HandleFunc("GET /api/v1/persistentvolumes", a.listVolumes)
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/pods", a.createPod)
	mux.HandleFunc("DELETE /api/v1/namespaces/{namespace}/pods", a.deletePods)
	mux.HandleFunc("GET /api/v1/namespaces/{namespace}/pods/{name}", a.getPod)
	mux.HandleFunc("DELETE /api/v1/namespaces/{namespace}/pods/{name}", a.deletePod)
	mux.HandleFunc("POST /api/v1/namespaces/{namespace}/pods/{name}/eviction", a.evictPod)
	mux.HandleFunc("GET /apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", a.listBudgets)
	mux.HandleFunc("DELETE /api/v1/namespaces/kube-system/secrets/{name}", a.deleteSecret)
	a.http = &http.Server{ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if a.blocked.Load() {
				panic(http.ErrAbortHandler) // this cuts the connection
			}
			if !a.head.isUnitActive("rke2-server") || !a.head.isAtConfiguredAddress() {
				writeFailure(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable,
					"the server is not up")
				return
			}
			a.syncRegistry()
			mux.ServeHTTP(w, r)
		})}
	go func() { _ = a.http.Serve(l) }()
}

func (a *apiServer) stopServing() {
	if a.http != nil {
		_ = a.http.Close()
	}
}

func (a *apiServer) listNodes(w http.ResponseWriter, r *http.Request) {
	_, only, _ := strings.Cut(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	if r.URL.Query().Get("watch") != "" {
		a.watchNodes(w, r, only)
		return
	}
	writeJSON(w, &corev1.NodeList{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"},
		Items: a.registry.listNodes(only),
	})
}

// watchNodes sends the nodes that exist and those that change.
func (a *apiServer) watchNodes(w http.ResponseWriter, r *http.Request, only string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush := func() { _ = http.NewResponseController(w).Flush() }
	flush()
	told := map[string]string{}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		a.syncRegistry()
		for _, n := range a.registry.listNodes(only) {
			now, _ := json.Marshal(n)
			kind := "MODIFIED"
			if told[n.Name] == "" {
				kind = "ADDED"
			}
			if told[n.Name] != string(now) {
				told[n.Name] = string(now)
				_ = json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": n})
				flush()
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func (a *apiServer) getNode(w http.ResponseWriter, r *http.Request) {
	n := a.registry.changeNode(r.PathValue("name"), func(*corev1.Node) {})
	if n == nil {
		writeNotFound(w, r)
		return
	}
	writeJSON(w, n)
}

// patchNode applies a patch of the fields that operations change: unschedulable, taints, labels and annotations.
func (a *apiServer) patchNode(w http.ResponseWriter, r *http.Request) {
	var patch struct {
		Metadata struct{ Annotations, Labels map[string]*string }
		Spec     struct {
			Unschedulable *bool
			Taints        *[]corev1.Taint
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&patch); err != nil {
		writeFailure(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	n := a.registry.changeNode(r.PathValue("name"), func(n *corev1.Node) {
		for key, value := range patch.Metadata.Annotations {
			if value == nil {
				delete(n.Annotations, key)
			} else {
				metav1.SetMetaDataAnnotation(&n.ObjectMeta, key, *value)
			}
		}
		for key, value := range patch.Metadata.Labels {
			if value == nil {
				delete(n.Labels, key)
			} else {
				metav1.SetMetaDataLabel(&n.ObjectMeta, key, *value)
			}
		}
		if patch.Spec.Taints != nil {
			n.Spec.Taints = *patch.Spec.Taints
		}
		if patch.Spec.Unschedulable != nil {
			n.Spec.Unschedulable = *patch.Spec.Unschedulable
		}
	})
	if n == nil {
		writeNotFound(w, r)
		return
	}
	writeJSON(w, n)
}

func (a *apiServer) deleteNode(w http.ResponseWriter, r *http.Request) {
	if !a.removeNode(r.PathValue("name")) {
		writeNotFound(w, r)
		return
	}
	writeSuccess(w)
}

// removeNode deletes a Node. It comes back when the unit of its machine is restarted.
func (a *apiServer) removeNode(name string) bool {
	run := ""
	for _, h := range a.peers() {
		if h.configValue("node-name") == name {
			run = h.unitInvocation(unitOf(h == a.head))
		}
	}
	return a.registry.removeNode(name, run)
}

func (a *apiServer) listPods(w http.ResponseWriter, r *http.Request) {
	_, node, _ := strings.Cut(r.URL.Query().Get("fieldSelector"), "spec.nodeName=")
	writeJSON(w, &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"},
		Items: a.registry.podsOn(node)})
}

func (a *apiServer) deleteSecret(w http.ResponseWriter, r *http.Request) {
	if !a.forgetPassword(r.PathValue("name")) {
		writeNotFound(w, r)
		return
	}
	writeSuccess(w)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func writeSuccess(w http.ResponseWriter) {
	writeJSON(w, &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status: metav1.StatusSuccess})
}

func writeNotFound(w http.ResponseWriter, r *http.Request) {
	writeFailure(w, http.StatusNotFound, metav1.StatusReasonNotFound, r.URL.Path+" is not there")
}

func writeFailure(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	writeStatus(w, &metav1.Status{Code: int32(code), Reason: reason, Message: message}) //nolint:gosec // an HTTP status
}

// writeStatus writes a failure.
func writeStatus(w http.ResponseWriter, s *metav1.Status) {
	s.TypeMeta, s.Status = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, metav1.StatusFailure
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(s.Code))
	_ = json.NewEncoder(w).Encode(s)
}
