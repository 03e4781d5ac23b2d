package simcloud

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// apiServer is as much of a cluster's API as a provision asks: nodes, to list and to watch, and no pods. There is a Node
// for each host of the cluster whose unit runs and whose token is the head's.
type apiServer struct {
	head  *host
	peers func() []*host
	http  *http.Server
}

func serveAPI(head *host, peers func() []*host, l net.Listener) *apiServer {
	a := &apiServer{head: head, peers: peers}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/nodes", a.nodes)
	mux.HandleFunc("GET /api/v1/pods", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}})
	})
	a.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = a.http.Serve(l) }()
	return a
}

func (a *apiServer) stop() { _ = a.http.Close() }

func (a *apiServer) nodes(w http.ResponseWriter, r *http.Request) {
	if !a.head.running("rke2-server") {
		http.Error(w, "the server is not up", http.StatusServiceUnavailable)
		return
	}
	_, only, _ := strings.Cut(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	if r.URL.Query().Get("watch") != "" {
		a.watch(w, r, only)
		return
	}
	answer(w, &corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: a.list(only)})
}

// watch tells of nodes once they are there.
func (a *apiServer) watch(w http.ResponseWriter, r *http.Request, only string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush := func() { _ = http.NewResponseController(w).Flush() }
	flush()
	told := map[string]bool{}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, n := range a.list(only) {
			if !told[n.Name] {
				told[n.Name] = true
				_ = json.NewEncoder(w).Encode(map[string]any{"type": "ADDED", "object": n})
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

func (a *apiServer) list(only string) []corev1.Node {
	token := a.head.read("/var/lib/rancher/rke2/server/agent-token")
	nodes := []corev1.Node{}
	for _, h := range a.peers() {
		joined := h == a.head || h.running("rke2-agent") && h.read("/etc/rancher/rke2/join-token") == token &&
			h.setting("server") == "https://"+net.JoinHostPort(a.head.address, "9345")
		if name := h.setting("node-name"); joined && (only == "" || only == name) {
			nodes = append(nodes, nodeOf(name))
		}
	}
	return nodes
}

// setting is a value of the host's RKE2 configuration.
func (h *host) setting(key string) string {
	for line := range strings.Lines(h.read("/etc/rancher/rke2/config.yaml")) {
		if value, ok := strings.CutPrefix(line, key+": "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func nodeOf(name string) corev1.Node {
	has := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("40Gi"),
	}
	return corev1.Node{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "2"},
		Status: corev1.NodeStatus{
			Capacity: has, Allocatable: has, NodeInfo: corev1.NodeSystemInfo{KubeletVersion: Version},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}},
		},
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
