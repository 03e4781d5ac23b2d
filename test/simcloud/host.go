package simcloud

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/pki"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// host is what a machine runs on: this machine seen through a mount and a process namespace of its own, reached over
// SSH at a loopback address of its own. All directories that are written to are empty memory and go with it. systemd, its
// journal and curl are played by scripts; /usr/local is a mount point, so that RKE2 goes to /opt/rke2.
type host struct {
	name    string
	address string
	hostKey string
	sshd    *sshd
	// outer is what machines and people elsewhere know it by, where that is not address.
	outer     string
	listeners []net.Listener
	init      *exec.Cmd
	alive     io.Closer // the first process's standard input: it ends with us
	req       cloud.LaunchRequest
	lies      *sshLies
	// password is what the machine takes the name of its Node with.
	password string
	// A head only: the API of its cluster, and how it proves who it is.
	api *apiServer
	tls *tls.Config

	mu   sync.Mutex
	sick sickness
}

// sickness is why a Node is not Ready though its unit runs.
type sickness struct {
	is bool
	// run, where it is set, is the run of the unit that is sick: the next one is well.
	run string
}

//go:embed host/init.sh
var initScript string

//go:embed host/systemctl.sh
var systemctl string

//go:embed host/curl.sh
var curl string

//go:embed host/journalctl.sh
var journalctl string

// boot starts a host. Where it is a head, the API of its cluster is served beside it, made of what the peers' disks say.
func boot(req cloud.LaunchRequest, d defects, peers func() []*host) (*host, error) {
	h := &host{name: req.Name, req: req, lies: d.lies, password: rand.Text()}
	if err := h.start(d, peers); err != nil {
		h.stop()
		return nil, fmt.Errorf("booting simulated machine %s: %w", req.Name, err)
	}
	return h, nil
}

func (h *host) start(d defects, peers func() []*host) error {
	if err := h.enterNamespaces(); err != nil {
		return err
	}
	for name, text := range map[string]string{"systemctl": systemctl, "curl": curl, "journalctl": journalctl} {
		if err := h.write("/opt/fake/"+name, text, 0o755); err != nil {
			return err
		}
	}
	listener, err := h.takeAddress()
	if err != nil {
		return err
	}
	ports := []int{10250}
	if api.RoleOf(h.req.Index) == api.RoleHead {
		if ports = append(ports, 9345); d.outside {
			h.outer = outsideAddress
		}
		err = h.becomeHead(d.certificates, peers)
	}
	err = errors.Join(err, h.listenFor(ports...))
	if err == nil && h.api != nil {
		err = h.serveAPI(listener)
	} else {
		err = errors.Join(err, listener.Close())
	}
	if err != nil {
		return err
	}
	if h.hostKey, err = remote.PublicKey(h.req.HostKey); err != nil {
		return err
	}
	if err := d.apply(h); err != nil {
		return err
	}
	return h.openSSH()
}

func (h *host) openSSH() (err error) {
	address := h.address
	if h.outer != "" {
		address = "127.0.0.1"
	}
	h.sshd, err = serveSSH(address, h.req.HostKey, h.req.AuthorizedKey, h.enter(), h.lies)
	return err
}

func (h *host) enterNamespaces() error {
	h.init = exec.Command("sh", "-ec", initScript) //nolint:noctx // it ends with its standard input
	h.init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	h.init.Stderr = os.Stderr
	stdin, err := h.init.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := h.init.StdoutPipe()
	if err != nil {
		return err
	}
	if err := h.init.Start(); err != nil {
		return fmt.Errorf("a mount namespace can't be had; the tests need root: %w", err)
	}
	h.alive = stdin
	if _, err := io.ReadFull(stdout, make([]byte, 3)); err != nil {
		return fmt.Errorf("the namespace did not come up: %w", err)
	}
	return nil
}

func (h *host) enter() []string {
	return []string{
		"nsenter", "--mount", "--pid", "--target", fmt.Sprint(h.init.Process.Pid), "--",
		"env", "PATH=/opt/fake:/usr/sbin:/usr/bin:/sbin:/bin",
	}
}

// takeAddress chooses a loopback address that nobody else has, and holds its port of the Kubernetes API.
func (h *host) takeAddress() (net.Listener, error) {
	var err error
	for range 20 {
		ip := net.IPv4(127, byte(64+mathrand.IntN(128)), byte(mathrand.IntN(256)), byte(1+mathrand.IntN(254)))
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort(ip.String(), "6443")); err == nil { //nolint:noctx // at once
			h.address = ip.String()
			return l, nil
		}
	}
	return nil, err
}

// becomeHead makes the certificates of a cluster, and leaves what RKE2 would write for its start to put in place. The first
// administrator's certificate is valid for some time; 0 is a year.
func (h *host) becomeHead(valid time.Duration, peers func() []*host) error {
	dir, err := os.MkdirTemp("", "simcloud")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	now := time.Now()
	ca, err := pki.EnsureAuthority(pki.Pair{Cert: filepath.Join(dir, "ca.pem"), Key: filepath.Join(dir, "ca.key")}, "rke2-server-ca", now)
	if err != nil {
		return err
	}
	password := make([]byte, 16)
	_, _ = rand.Read(password)
	files := map[string]string{"ca.pem": string(ca.PEM()), "server-password": hex.EncodeToString(password)}
	for name, life := range map[string]time.Duration{"kubeconfig": valid, "renewed": 0} {
		cert, key, err := ca.Issue(pki.Leaf{Subject: "system:admin", Client: true, Life: life}, now)
		if err != nil {
			return err
		}
		encode := base64.StdEncoding.EncodeToString
		files[name] = fmt.Sprintf(kubeconfig, encode(ca.PEM()), encode(cert), encode(key))
	}
	for name, text := range files {
		if err := h.write("/opt/fake/"+name, text, 0o600); err != nil {
			return err
		}
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca.PEM())
	h.tls = &tls.Config{
		ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}
	h.tls.GetCertificate = (&servingCert{host: h, ca: ca}).get
	h.api = newAPI(h, peers)
	return nil
}

// kubeconfig is laid out as RKE2 writes it.
const kubeconfig = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %s
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {}
users:
- name: default
  user:
    client-certificate-data: %s
    client-key-data: %s
`

// path is where a file of the host is seen from outside.
func (h *host) path(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", h.init.Process.Pid, name)
}

func (h *host) write(name, text string, mode fs.FileMode) error {
	return os.WriteFile(h.path(name), []byte(text), mode)
}

// read returns a file's content; "" where there is none.
func (h *host) read(name string) string {
	b, err := os.ReadFile(h.path(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// running says whether a unit is up.
func (h *host) running(unit string) bool {
	return h.read("/run/systemd/system/"+unit+".ActiveState") == "active"
}

// invocation names the run of a unit.
func (h *host) invocation(unit string) string {
	return h.read("/run/systemd/system/" + unit + ".InvocationID")
}

// wellAt says whether a run of the machine's unit is well.
func (h *host) wellAt(run string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.sick.is || h.sick.run != "" && h.sick.run != run
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

// run runs a script on the host, as root there.
func (h *host) run(script string) error {
	argv := append(h.enter(), "sh", "-ec", script)
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput() //nolint:noctx,gosec // our own, and short
	if err != nil {
		return fmt.Errorf("on the simulated machine %s: %w: %s", h.name, err, out)
	}
	return nil
}

// mark leaves a file for the scripts that play systemd and curl; "" takes it away.
func (h *host) mark(name, text string) error {
	if text != "" {
		return h.write("/opt/fake/"+name, text+"\n", 0o644)
	}
	if err := os.Remove(h.path("/opt/fake/" + name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// stop takes the power away. It may be called again.
func (h *host) stop() {
	for _, l := range h.listeners {
		_ = l.Close()
	}
	if h.sshd != nil {
		h.sshd.stop()
	}
	if h.api != nil {
		h.api.stop()
	}
	if h.init == nil || h.init.Process == nil {
		return
	}
	if err := h.init.Process.Kill(); err == nil || !errors.Is(err, os.ErrProcessDone) {
		_ = h.init.Wait()
	}
	_ = h.alive.Close()
}
