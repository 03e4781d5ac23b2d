// Package dockersim simulates the part of a Docker engine's HTTP API that the docker cloud uses, and cuts callers off
// at a chosen call. A running host is only an SSH banner at a loopback address. Names, addresses and conflicts behave
// as in the real engine: the tests of pkg/cloud/docker run on both.
package dockersim

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// Engine is a Docker engine in the test's process. The caller closes it.
type Engine struct {
	mu         sync.Mutex
	images     map[string]map[string]string // labels by name; one without a name is "<none>:" and its id
	containers []*host
	networks   []*bridgeNetwork
	volumes    map[string]map[string]string // labels by name
	octet      byte                         // of the next loopback network
	subnets    int
	now        time.Time
}

// host is a container.
type host struct {
	id, name, image string
	labels          map[string]string
	state           container.ContainerState
	created         int64
	volumes         []string
	networks        map[string]*endpoint // by the network's id
	listener        net.Listener
}

// endpoint is a container on a network.
type endpoint struct {
	fixed, address string
}

// bridgeNetwork is a network.
type bridgeNetwork struct {
	id, name string
	labels   map[string]string
	subnet   string // its first two octets, as 127.9.
	named    bool   // the caller chose the subnet, so fixed addresses are allowed
	created  time.Time
}

// NewEngine creates an engine with the named images.
func NewEngine(images ...string) *Engine {
	e := &Engine{images: map[string]map[string]string{}, volumes: map[string]map[string]string{},
		octet: byte(1 + mathrand.IntN(120)), now: time.Now()}
	for _, name := range images {
		e.images[name] = nil
	}
	return e
}

// Close stops all hosts.
func (e *Engine) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, h := range e.containers {
		h.releaseAddresses()
	}
}

// ListLeftovers returns the names of everything in the engine except named images.
func (e *Engine) ListLeftovers(string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var left []string
	for _, h := range e.containers {
		left = append(left, fmt.Sprintf("container %s (%s, %s)", h.name, h.labels, h.state))
	}
	for _, n := range e.networks {
		left = append(left, "network "+n.name)
	}
	for name, labels := range e.volumes {
		left = append(left, fmt.Sprintf("volume %s (%s)", name, labels))
	}
	for name := range e.images {
		if strings.HasPrefix(name, "<none>:") {
			left = append(left, "image "+name)
		}
	}
	return left
}

// RemoveContainer removes a container as docker rm -f does, which leaves its volumes.
func (e *Engine) RemoveContainer(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.findContainer(name)
	if h == nil {
		return fmt.Errorf("no container %s", name)
	}
	e.deleteContainer(h, false)
	return nil
}

// ServeOnSocket serves the API on a socket in a directory until the test's end, and returns the address as DOCKER_HOST
// has it.
func ServeOnSocket(dir string, h http.Handler) (host string, stop func(), err error) {
	socket := filepath.Join(dir, newID()[:8]+".sock")
	l, err := net.Listen("unix", socket) //nolint:noctx // at once
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	return "unix://" + socket, func() { _ = s.Close(); _ = os.Remove(socket) }, nil
}

func newID() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

var _ Backend = (*Engine)(nil)

var versionPrefix = regexp.MustCompile(`^/v[0-9.]+/`)

// ServeHTTP answers one call.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	path := versionPrefix.ReplaceAllString(r.URL.Path, "/")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = e.now.Add(time.Millisecond)
	if w.Header().Set("Content-Type", "application/json"); r.Method == http.MethodHead {
		return
	}
	switch parts[0] {
	case "_ping":
		_, _ = w.Write([]byte("OK"))
	case "info":
		writeJSON(w, http.StatusOK, map[string]any{"ServerVersion": "20.10.24", "NCPU": 8, "MemTotal": 32 << 30,
			"OSType": "linux"})
	case "images":
		e.serveImages(w, r, parts[1:])
	case "containers":
		e.serveContainers(w, r, parts[1:])
	case "networks":
		e.serveNetworks(w, r, parts[1:])
	case "volumes":
		e.serveVolumes(w, r, parts[1:])
	default:
		writeError(w, http.StatusNotFound, "page not found: "+path)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	if v != nil {
		_ = json.NewEncoder(w).Encode(v)
	}
}

func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{"message": message})
}

// filtersOf returns the filters of a request: values by kind.
func filtersOf(r *http.Request) map[string][]string {
	var raw map[string]map[string]bool
	_ = json.Unmarshal([]byte(r.URL.Query().Get("filters")), &raw)
	found := map[string][]string{}
	for kind, values := range raw {
		for v := range values {
			found[kind] = append(found[kind], v)
		}
	}
	return found
}

// matchesLabels reports whether labels match all label filters.
func matchesLabels(labels map[string]string, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool {
		key, value, exact := strings.Cut(w, "=")
		has, there := labels[key]
		return !there || exact && has != value
	})
}

func (e *Engine) serveVolumes(w http.ResponseWriter, r *http.Request, parts []string) {
	if r.Method == http.MethodDelete {
		switch {
		case e.volumes[parts[0]] == nil:
			writeError(w, http.StatusNotFound, "no such volume")
		case e.isVolumeInUse(parts[0]):
			writeError(w, http.StatusConflict, "volume is in use")
		default:
			delete(e.volumes, parts[0])
			writeJSON(w, http.StatusNoContent, nil)
		}
		return
	}
	want := filtersOf(r)
	found := []map[string]any{}
	for name, labels := range e.volumes {
		dangling := len(want["dangling"]) == 0 || !e.isVolumeInUse(name)
		if dangling && matchesLabels(labels, want["label"]) {
			found = append(found, map[string]any{"Name": name, "Labels": labels, "Driver": "local"})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"Volumes": found})
}

func (e *Engine) isVolumeInUse(volume string) bool {
	return slices.ContainsFunc(e.containers, func(h *host) bool { return slices.Contains(h.volumes, volume) })
}

func (e *Engine) serveNetworks(w http.ResponseWriter, r *http.Request, parts []string) {
	switch {
	case len(parts) == 0:
		want, found := filtersOf(r), []network.Summary{}
		for _, n := range e.networks {
			named := len(want["name"]) == 0 || strings.Contains(n.name, want["name"][0])
			if named && matchesLabels(n.labels, want["label"]) {
				found = append(found, e.inspectNetwork(n))
			}
		}
		writeJSON(w, http.StatusOK, found)
	case parts[0] == "create":
		e.serveNetworkCreate(w, r)
	default:
		n := e.findNetwork(parts[0])
		if n == nil {
			writeError(w, http.StatusNotFound, "network "+parts[0]+" not found")
			return
		}
		e.serveNetwork(w, r, n, parts[1:])
	}
}

func (e *Engine) serveNetwork(w http.ResponseWriter, r *http.Request, n *bridgeNetwork, parts []string) {
	var body struct {
		Container      string
		EndpointConfig *network.EndpointSettings
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	h := e.findContainer(body.Container)
	switch {
	case r.Method == http.MethodDelete:
		if len(e.inspectNetwork(n).Containers) > 0 {
			writeError(w, http.StatusForbidden, "error while removing network: network "+n.name+" has active endpoints")
			return
		}
		e.networks = slices.DeleteFunc(e.networks, func(other *bridgeNetwork) bool { return other == n })
		writeJSON(w, http.StatusNoContent, nil)
	case len(parts) == 0:
		writeJSON(w, http.StatusOK, e.inspectNetwork(n))
	case h == nil:
		writeError(w, http.StatusNotFound, "No such container: "+body.Container)
	case parts[0] == "disconnect":
		if h.networks[n.id] == nil {
			writeError(w, http.StatusForbidden, "container is not connected to the network")
			return
		}
		delete(h.networks, n.id)
		h.releaseAddresses()
		writeJSON(w, http.StatusOK, nil)
	default:
		at := &endpoint{}
		if c := body.EndpointConfig; c != nil && c.IPAMConfig != nil {
			at.fixed = c.IPAMConfig.IPv4Address
		}
		h.networks[n.id] = at
		if h.state != container.StateRunning {
			writeJSON(w, http.StatusOK, nil)
			return
		}
		if err := e.connectContainer(h, n, at); err != "" {
			delete(h.networks, n.id)
			writeError(w, http.StatusForbidden, err)
			return
		}
		writeJSON(w, http.StatusOK, nil)
	}
}

func (e *Engine) serveNetworkCreate(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name   string
		Labels map[string]string
		IPAM   *network.IPAM
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	if slices.ContainsFunc(e.networks, func(n *bridgeNetwork) bool { return n.name == body.Name }) {
		writeError(w, http.StatusConflict, "network with name "+body.Name+" already exists")
		return
	}
	n := &bridgeNetwork{id: newID(), name: body.Name, labels: body.Labels, created: e.now}
	if body.IPAM != nil && len(body.IPAM.Config) > 0 && body.IPAM.Config[0].Subnet != "" {
		n.subnet, n.named = strings.TrimSuffix(body.IPAM.Config[0].Subnet, "0.0/16"), true
		if slices.ContainsFunc(e.networks, func(other *bridgeNetwork) bool { return other.subnet == n.subnet }) {
			writeError(w, http.StatusForbidden, "Pool overlaps with other one on this address space")
			return
		}
	} else {
		for n.subnet = ""; n.subnet == "" || slices.ContainsFunc(e.networks,
			func(other *bridgeNetwork) bool { return other.subnet == n.subnet }); {
			n.subnet = fmt.Sprintf("127.%d.", 193+(int(e.octet)+e.subnets)%60)
			e.subnets++
		}
	}
	e.networks = append(e.networks, n)
	writeJSON(w, http.StatusCreated, map[string]string{"Id": n.id})
}

func (e *Engine) findNetwork(name string) *bridgeNetwork {
	for _, n := range e.networks {
		if n.id == name || n.name == name {
			return n
		}
	}
	return nil
}

func (e *Engine) inspectNetwork(n *bridgeNetwork) network.Inspect {
	s := network.Inspect{
		Name: n.name, ID: n.id, Created: n.created, Driver: "bridge", Labels: n.labels,
		Containers: map[string]network.EndpointResource{},
		IPAM: network.IPAM{Config: []network.IPAMConfig{{Subnet: n.subnet + "0.0/16", Gateway: n.subnet +
			"0.1"}}},
	}
	for _, h := range e.containers {
		if at := h.networks[n.id]; at != nil && at.address != "" {
			s.Containers[h.id] = network.EndpointResource{Name: h.name, IPv4Address: at.address + "/16"}
		}
	}
	return s
}

// StopContainer stops a container, as docker stop does.
func (e *Engine) StopContainer(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.findContainer(name); h != nil {
		h.releaseAddresses()
		h.state = container.StateExited
	}
}

// StartContainer starts a container, as docker start does.
func (e *Engine) StartContainer(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.findContainer(name)
	if h == nil {
		return fmt.Errorf("no container %s", name)
	}
	if why := e.runContainer(h); why != "" {
		return fmt.Errorf("start %s: %s", name, why)
	}
	return nil
}

// MakeLegacyContainer turns a stopped host into one of earlier versions, which had no fixed address and no labels on
// volumes.
func (e *Engine) MakeLegacyContainer(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.findContainer(name)
	delete(h.labels, "skyctl-address")
	for _, at := range h.networks {
		at.fixed = ""
	}
	for _, v := range h.volumes {
		e.volumes[v] = map[string]string{}
	}
}
