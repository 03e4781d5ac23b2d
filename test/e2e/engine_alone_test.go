package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/image"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// importImage adds an image to the engine that skyctl takes for a host image of its own, and returns its name.
func (i *installation) importImage() string {
	i.t.Helper()
	var empty bytes.Buffer
	if err := tar.NewWriter(&empty).Close(); err != nil {
		i.t.Fatal(err)
	}
	name := "skyctl-host:e2e-" + strings.ToLower(rand.Text()[:8])
	out, err := i.docker.ImageImport(i.t.Context(), image.ImportSource{Source: &empty, SourceName: "-"}, name,
		image.ImportOptions{Changes: []string{"LABEL skyctl-host-image=e2e"}})
	if err == nil {
		_, err = io.Copy(io.Discard, out)
		_ = out.Close()
	}
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { // with a client of its own, because the test's is closed before
		client := &http.Client{Transport: i.dialEngine()}
		request, err := http.NewRequest(http.MethodDelete, "http://docker/images/"+name, nil)
		if err != nil {
			i.t.Error(err)
			return
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
		}
	})
	return name
}

func (i *installation) dialEngine() *http.Transport {
	socket := strings.TrimPrefix(i.docker.DaemonHost(), "unix://")
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
}

// serveEngineAlone serves the Docker engine as it is for somebody who is alone on it, and returns its socket: lists
// have nothing of other installations, and of the images only one. What is removed is removed from the engine. Only
// the newcomer and root may connect, because whoever reaches the engine is root on this computer.
func (i *installation) serveEngineAlone(onlyImage string) (socket string) {
	i.t.Helper()
	dir, err := os.MkdirTemp("", "skyctl-docker-") // names of sockets are short
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		i.t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		i.t.Fatal(err)
	}
	for _, name := range []string{socket, dir} { // MkdirTemp has made the directory with mode 0700
		if err := os.Chown(name, newcomerID, newcomerID); err != nil {
			i.t.Fatal(err)
		}
	}
	s := &http.Server{Handler: &httputil.ReverseProxy{Transport: i.dialEngine(), FlushInterval: -1,
		Rewrite:        func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		ModifyResponse: func(r *http.Response) error { return i.hideOthers(r, onlyImage) }}}
	go func() { _ = s.Serve(l) }()
	i.t.Cleanup(func() { _ = s.Close() })
	return socket
}

// listed is what a list of the engine's says of an image, a container or a network.
type listed struct {
	Name            string
	RepoTags        []string
	Labels          map[string]string
	NetworkSettings struct{ Networks map[string]any }
}

// hideOthers removes from a list of the engine what is not of this installation.
func (i *installation) hideOthers(r *http.Response, onlyImage string) error {
	var hidden func(listed) bool
	switch call := r.Request.URL.Path; {
	case r.Request.Method != http.MethodGet || r.StatusCode != http.StatusOK:
		return nil
	case strings.HasSuffix(call, "/images/json"):
		hidden = func(l listed) bool { return !slices.Contains(l.RepoTags, onlyImage) }
	case strings.HasSuffix(call, "/containers/json"), path.Base(call) == "networks":
		hidden = func(l listed) bool {
			networks := append(slices.Collect(maps.Keys(l.NetworkSettings.Networks)), l.Name)
			return l.Labels[cloud.LabelInstallation] != "" && !slices.Contains(networks, i.network)
		}
	default:
		return nil
	}
	var all []json.RawMessage
	err := json.NewDecoder(r.Body).Decode(&all)
	_ = r.Body.Close()
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(all, func(raw json.RawMessage) bool {
		var l listed
		return json.Unmarshal(raw, &l) == nil && hidden(l)
	})
	body, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Del("Content-Length")
	return nil
}
