package dockersim

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
)

func drainBody(r *http.Request) (int64, error) { return io.Copy(io.Discard, r.Body) }

func (e *Engine) serveContainers(w http.ResponseWriter, r *http.Request, parts []string) {
	switch {
	case parts[0] == "json":
		writeJSON(w, http.StatusOK, e.listContainers(filtersOf(r)))
		return
	case parts[0] == "create":
		e.serveContainerCreate(w, r)
		return
	}
	h := e.findContainer(parts[0])
	if h == nil {
		writeError(w, http.StatusNotFound, "No such container: "+parts[0])
		return
	}
	if r.Method == http.MethodDelete {
		e.deleteContainer(h, r.URL.Query().Get("v") == "1")
		writeJSON(w, http.StatusNoContent, nil)
		return
	}
	switch parts[1] {
	case "json":
		writeJSON(w, http.StatusOK, e.inspectContainer(h))
	case "archive":
		_, _ = drainBody(r)
		writeJSON(w, http.StatusOK, nil)
	case "start":
		e.serveContainerStart(w, h)
	case "stop", "kill":
		h.releaseAddresses()
		h.state = container.StateExited
		writeJSON(w, http.StatusNoContent, nil)
	case "wait":
		h.state = container.StateExited
		writeJSON(w, http.StatusOK, map[string]int{"StatusCode": 0})
	case "export":
		t := tar.NewWriter(w)
		_ = t.WriteHeader(&tar.Header{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755})
		_ = t.Close()
	case "logs":
		writeJSON(w, http.StatusOK, nil)
	default:
		writeError(w, http.StatusNotFound, "page not found: "+r.URL.Path)
	}
}

func (e *Engine) serveContainerCreate(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Image            string
		Labels           map[string]string
		HostConfig       *container.HostConfig
		NetworkingConfig *network.NetworkingConfig
	}
	name := r.URL.Query().Get("name")
	err := json.NewDecoder(r.Body).Decode(&body)
	_, known := e.images[body.Image]
	switch {
	case err != nil:
		writeError(w, http.StatusBadRequest, err.Error())
		return
	case !known:
		writeError(w, http.StatusNotFound, "No such image: "+body.Image)
		return
	case name != "" && e.findContainer(name) != nil:
		writeError(w, http.StatusConflict, fmt.Sprintf(
			"Conflict. The container name %q is already in use by container %q.", "/"+name, e.findContainer(name).id))
		return
	}
	h := &host{
		id: newID(), name: name, image: body.Image, state: container.StateCreated, created: e.now.Unix(),
		labels: map[string]string{}, networks: map[string]*endpoint{},
	}
	maps.Copy(h.labels, e.images[body.Image])
	maps.Copy(h.labels, body.Labels)
	if h.name == "" {
		h.name = "random-" + h.id[:8]
	}
	for _, m := range body.HostConfig.Mounts {
		if m.Type != mount.TypeVolume {
			continue
		}
		volume := newID()
		e.volumes[volume] = map[string]string{}
		if m.VolumeOptions != nil {
			maps.Copy(e.volumes[volume], m.VolumeOptions.Labels)
		}
		h.volumes = append(h.volumes, volume)
	}
	if mode := body.HostConfig.NetworkMode; mode != "" && mode.IsUserDefined() {
		at := &endpoint{}
		if body.NetworkingConfig != nil {
			if c := body.NetworkingConfig.EndpointsConfig[string(mode)]; c != nil && c.IPAMConfig != nil {
				at.fixed = c.IPAMConfig.IPv4Address
			}
		}
		h.networks[string(mode)] = at
	}
	e.containers = append(e.containers, h)
	writeJSON(w, http.StatusCreated, map[string]string{"Id": h.id})
}

// findContainer finds a container by its name or id.
func (e *Engine) findContainer(name string) *host {
	for _, h := range e.containers {
		if name != "" && (h.id == name || h.name == name) {
			return h
		}
	}
	return nil
}

// deleteContainer removes a container.
func (e *Engine) deleteContainer(h *host, withVolumes bool) {
	h.releaseAddresses()
	e.containers = slices.DeleteFunc(e.containers, func(other *host) bool { return other == h })
	if withVolumes {
		for _, v := range h.volumes {
			delete(e.volumes, v)
		}
	}
}

// serveContainerStart starts a container.
func (e *Engine) serveContainerStart(w http.ResponseWriter, h *host) {
	if h.state == container.StateRunning {
		writeJSON(w, http.StatusNotModified, nil)
		return
	}
	switch why := e.runContainer(h); {
	case strings.HasSuffix(why, " not found"):
		writeError(w, http.StatusNotFound, why)
	case why != "":
		writeError(w, http.StatusForbidden, why)
	default:
		writeJSON(w, http.StatusNoContent, nil)
	}
}

// runContainer assigns a container's addresses and listens there. If it cannot, it returns the reason.
func (e *Engine) runContainer(h *host) string {
	for on, at := range h.networks {
		n := e.findNetwork(on)
		if n == nil {
			return "network " + on + " not found"
		}
		if why := e.connectContainer(h, n, at); why != "" {
			return why
		}
	}
	h.state = container.StateRunning
	return ""
}

// connectContainer assigns a container an address on a network. If it cannot, it returns the reason.
func (e *Engine) connectContainer(h *host, n *bridgeNetwork, at *endpoint) string {
	taken := map[string]bool{n.subnet + "0.0": true, n.subnet + "0.1": true}
	for _, other := range e.containers {
		if o := other.networks[n.id]; o != nil && other != h {
			taken[o.address] = true
		}
	}
	switch {
	case at.fixed == "":
		for i := 2; at.address == "" || taken[at.address]; i++ {
			at.address = fmt.Sprintf("%s%d.%d", n.subnet, i/256, i%256)
		}
	case !n.named:
		return "user specified IP address is supported only when connecting to networks with user configured subnets"
	case !strings.HasPrefix(at.fixed, n.subnet):
		return "Invalid address " + at.fixed + ": It does not belong to any of this network's subnets"
	case taken[at.fixed]:
		return "Address already in use"
	default:
		at.address = at.fixed
	}
	l, err := net.Listen("tcp", net.JoinHostPort(at.address, "22")) //nolint:noctx // at once
	if err != nil {
		at.address = ""
		return err.Error()
	}
	h.listener = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("SSH-2.0-dockersim\r\n"))
			_ = c.Close()
		}
	}()
	return ""
}

// releaseAddresses releases the addresses that are not fixed.
func (h *host) releaseAddresses() {
	if h.listener != nil {
		_ = h.listener.Close()
		h.listener = nil
	}
	for _, at := range h.networks {
		at.address = ""
	}
}

func (e *Engine) listContainers(want map[string][]string) []container.Summary {
	found := []container.Summary{}
	for _, h := range e.containers {
		named := len(want["name"]) == 0 || regexp.MustCompile(want["name"][0]).MatchString(h.name)
		meant := len(want["id"]) == 0 || strings.HasPrefix(h.id, want["id"][0])
		if !named || !meant || !matchesLabels(h.labels, want["label"]) {
			continue
		}
		s := container.Summary{ID: h.id, Names: []string{"/" + h.name}, Image: h.image, Labels: h.labels,
			State: h.state, Created: h.created}
		s.NetworkSettings = &container.NetworkSettingsSummary{Networks: e.endpointSettings(h)}
		found = append(found, s)
	}
	return found
}

func (e *Engine) endpointSettings(h *host) map[string]*network.EndpointSettings {
	all := map[string]*network.EndpointSettings{}
	for on, at := range h.networks {
		s := &network.EndpointSettings{IPAddress: at.address, NetworkID: on}
		if at.fixed != "" {
			s.IPAMConfig = &network.EndpointIPAMConfig{IPv4Address: at.fixed}
		}
		name := on
		if n := e.findNetwork(on); n != nil {
			name = n.name
		}
		all[name] = s
	}
	return all
}

func (e *Engine) inspectContainer(h *host) container.InspectResponse {
	return container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: h.id, Name: "/" + h.name,
			State: &container.State{Status: h.state}},
		Config:          &container.Config{Labels: h.labels},
		NetworkSettings: &container.NetworkSettings{Networks: e.endpointSettings(h)},
	}
}
