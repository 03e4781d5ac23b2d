package external

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/sky-shift/skyctl/test/freeport"
)

const loopback = "127.0.0.1"

func loopbackAddress(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// RepositoryRoot returns the top directory of the repository.
func RepositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "docker-compose.yml")); err == nil {
			return d, nil
		}
	}
	return "", fmt.Errorf("no docker-compose.yml in %s or above", dir)
}

// LoadCompose loads docker-compose.yml as docker compose does, with the given variables only.
func LoadCompose(ctx context.Context, env []string) (*types.Project, error) {
	root, err := RepositoryRoot()
	if err != nil {
		return nil, err
	}
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithEnv(env),
		cli.WithDiscardEnvFile)
	if err != nil {
		return nil, err
	}
	p, err := o.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("load docker-compose.yml: %w", err)
	}
	return p, nil
}

// ports are the ports of all services.
type ports struct {
	postgres, etcd, etcdPeer, temporal, ui, gateway int
	temporalInternal                                [8]int
}

// hostLayout maps the containers' paths, names and ports to those of this machine.
type hostLayout struct {
	dir, bins string
	ports     ports
}

func newHostLayout(o Options) (hostLayout, error) {
	p := hostLayout{dir: o.Dir, bins: o.Bins}
	free, err := freeport.Find(14)
	if err != nil {
		return p, err
	}
	p.ports = ports{postgres: free[0], etcd: free[1], etcdPeer: free[2], temporal: free[3], ui: free[4],
		gateway: free[5], temporalInternal: [8]int(free[6:])}
	for _, d := range []string{"etcd", "ui/config", "tmp", "state"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, d), 0o700); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p hostLayout) certificatesDir() string { return filepath.Join(p.dir, "certificates") }

// mountedDir returns the directory that a service mounts at /etc/skyctl.
func (p hostLayout) mountedDir(s types.ServiceConfig) string {
	for _, v := range s.Volumes {
		if v.Target == "/etc/skyctl" {
			return filepath.Join(p.certificatesDir(), strings.TrimSuffix(v.Source, "-tls"))
		}
	}
	return p.certificatesDir()
}

// translateText replaces the container's names with this machine's.
func (p hostLayout) translateText(s types.ServiceConfig, text string) string {
	etcd := loopbackAddress(p.ports.etcd)
	return strings.NewReplacer(
		"/etc/skyctl", p.mountedDir(s),
		"/etc/temporal/dynamic.yaml", filepath.Join(p.dir, "dynamic.yaml"),
		"/var/lib/etcd", filepath.Join(p.dir, "etcd"),
		"https://0.0.0.0:2379", "https://"+etcd, "https://etcd:2379", "https://"+etcd, "https://127.0.0.1:2379",
		"https://"+etcd,
		"https://127.0.0.1:2380", "https://"+loopbackAddress(p.ports.etcdPeer),
		"temporal:7233", loopbackAddress(p.ports.temporal),
		"0.0.0.0:7222", loopbackAddress(p.ports.gateway),
		"http://127.0.0.1:8080", "http://"+loopbackAddress(p.ports.ui),
	).Replace(text)
}

// serviceEnv returns a service's environment, without this process's variables.
func (p hostLayout) serviceEnv(s types.ServiceConfig) []string {
	env := map[string]string{}
	for k, v := range s.Environment {
		if v != nil {
			env[k] = p.translateText(s, *v)
		}
	}
	port := func(n int) string { return strconv.Itoa(n) }
	set := func(k, v string) {
		if _, ok := env[k]; ok || s.Name == "temporal" || s.Name == "ui" {
			env[k] = v
		}
	}
	in := p.ports.temporalInternal
	switch s.Name {
	case "schema":
		set("SQL_HOST", "localhost")
		set("SQL_PORT", port(p.ports.postgres))
	case "temporal":
		set("POSTGRES_SEEDS", "localhost")
		set("DB_PORT", port(p.ports.postgres))
		set("BIND_ON_IP", loopback)
		set("FRONTEND_GRPC_PORT", port(p.ports.temporal))
		for i, name := range []string{
			"FRONTEND_HTTP_PORT", "FRONTEND_MEMBERSHIP_PORT", "MATCHING_GRPC_PORT", "MATCHING_MEMBERSHIP_PORT",
			"HISTORY_GRPC_PORT", "HISTORY_MEMBERSHIP_PORT", "WORKER_GRPC_PORT", "WORKER_MEMBERSHIP_PORT",
		} {
			set(name, port(in[i]))
		}
	case "ui":
		set("TEMPORAL_UI_PORT", port(p.ports.ui))
	}
	list := []string{
		"PATH=" + filepath.Join(p.bins, "external") + ":" + p.bins + ":/usr/bin:/bin",
		"HOME=" + filepath.Join(p.dir, "tmp"), "TMPDIR=" + filepath.Join(p.dir, "tmp"),
		"SKYCONF_DIR=" + filepath.Join(p.dir, "skyd"),
	}
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	return list
}

// nativeHealthCheck replaces health checks whose programs exist only in the images.
func nativeHealthCheck(argv []string) func(context.Context) error {
	last := argv[len(argv)-1]
	switch filepath.Base(argv[0]) {
	case "nc":
		return func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(argv[len(argv)-2], last))
			if err != nil {
				return err
			}
			return conn.Close()
		}
	case "wget":
		return func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, last, nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("%s answers %s", last, resp.Status)
			}
			_ = resp.Body.Close()
			return err
		}
	}
	return nil
}
