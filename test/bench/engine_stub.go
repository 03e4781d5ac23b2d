package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// engineStub is the API of a Docker Engine with thousands of hosts: it lists them, and refuses each request for a new
// host for lack of space after it has recorded the time.
type engineStub struct {
	address      string
	installation string
	network      string
	http         *http.Server

	mu     sync.Mutex
	hosts  []container.Summary
	listed []byte               // the response that lists all hosts; nil if they have changed
	asked  map[string]time.Time // when a new host was first requested, by name
}

// startEngineStub listens on a loopback port until it is closed.
func startEngineStub(ctx context.Context, networkName string) (*engineStub, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &engineStub{address: "tcp://" + l.Addr().String(), network: networkName, asked: map[string]time.Time{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("API-Version", "1.41")
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("GET /v1.41/containers/json", e.handleListContainers)
	mux.HandleFunc("POST /v1.41/containers/create", e.handleCreateContainer)
	mux.HandleFunc("GET /v1.41/networks", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, []network.Summary{{Name: e.network, ID: "bench",
			Labels: map[string]string{cloud.LabelInstallation: e.installation}}})
	})
	mux.HandleFunc("GET /v1.41/images/{name}/json", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]string{"Id": "sha256:" + strings.Repeat("0", 64)})
	})
	e.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = e.http.Serve(l) }() // returns when it is closed
	return e, nil
}

func (e *engineStub) close() error { return e.http.Close() }

// addHost adds a host to the list.
func (e *engineStub) addHost(m cloud.Machine) {
	labels := map[string]string{
		cloud.LabelInstallation: m.Owner.Installation, cloud.LabelCluster: m.Owner.Cluster,
		cloud.LabelClusterUID: m.Owner.ClusterUID,
		cloud.LabelIndex:      fmt.Sprint(m.Index), cloud.LabelIncarnation: m.Incarnation, "skyctl-cpus": "2",
		"skyctl-memory-gib": "8",
		"skyctl-host-key":   m.HostKey,
	}
	s := container.Summary{
		ID: fmt.Sprintf("%064s", m.ID), Names: []string{"/" + m.Name}, Image: "skyctl-host:bench", ImageID: "sha256:" +
			strings.Repeat("0", 64),
		Command: "/sbin/init", Created: longAgo.Unix(), State: container.StateRunning, Status: "Up 10 days",
		Labels: labels, Ports: []container.Port{},
		NetworkSettings: &container.NetworkSettingsSummary{Networks: map[string]*network.EndpointSettings{
			e.network: {NetworkID: strings.Repeat("1", 64), EndpointID: strings.Repeat("2", 64), Gateway: "172.30.0.1",
				IPAddress: m.Address, IPPrefixLen: 16, MacAddress: "02:42:ac:1e:00:02"},
		}},
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hosts, e.listed = append(e.hosts, s), nil
}

// removeHost removes a host from the list, as if it were destroyed.
func (e *engineStub) removeHost(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hosts = slices.DeleteFunc(e.hosts, func(s container.Summary) bool { return s.Names[0] == "/"+name })
	e.listed = nil
}

// createRequestedAt returns when a new host was first requested.
func (e *engineStub) createRequestedAt(name string) (time.Time, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.asked[name]
	return at, ok
}

// handleListContainers lists hosts by labels or name. The stub does as little work as possible: it builds the complete
// list once.
func (e *engineStub) handleListContainers(w http.ResponseWriter, r *http.Request) {
	by, err := filters.FromJSON(r.URL.Query().Get("filters"))
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if labels := by.Get("label"); by.Len() == 1 &&
		slices.Equal(labels, []string{cloud.LabelInstallation + "=" + e.installation}) {
		if e.listed == nil {
			e.listed, _ = json.Marshal(e.hosts) // they are plain data
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(e.listed) // the client may have hung up
		return
	}
	found := []container.Summary{}
	for _, s := range e.hosts {
		if matchesFilters(by, s) {
			found = append(found, s)
		}
	}
	writeJSON(w, found)
}

func matchesFilters(by filters.Args, s container.Summary) bool {
	for _, expression := range by.Get("name") {
		if ok, err := regexp.MatchString(expression, s.Names[0]); err != nil || !ok {
			return false
		}
	}
	return by.MatchKVList("label", s.Labels) && (len(by.Get("id")) == 0 || by.ExactMatch("id", s.ID))
}

// handleCreateContainer refuses a new host. A request without a name tests whether privileges are available.
func (e *engineStub) handleCreateContainer(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" {
		writeError(w, http.StatusForbidden, "privileged containers are not permitted")
		return
	}
	e.mu.Lock()
	if _, known := e.asked[name]; !known {
		e.asked[name] = time.Now()
	}
	e.mu.Unlock()
	writeError(w, http.StatusInternalServerError, "no space left on device")
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // to a client that may have hung up
}

func writeError(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}
