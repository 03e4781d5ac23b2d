package simcloud

import (
	"cmp"
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
	"github.com/sky-shift/skyctl/test/sshserver"
)

// host is a simulated machine: this computer in its own mount and process namespaces, reached over SSH at its own
// loopback address. Writable directories are empty tmpfs. Scripts stand in for systemd, its journal and curl;
// /usr/local is a mount point, so RKE2 goes to /opt/rke2.
type host struct {
	name    string
	address string
	hostKey string
	sshd    *sshserver.Server
	// outer is its address for other machines and users, if that is not address.
	outer     string
	listeners []net.Listener
	init      *exec.Cmd
	alive     io.Closer // the first process's standard input: the process ends with us
	req       cloud.LaunchRequest
	lies      *sshFaults
	// The API of the cluster, and its certificate; on a head only.
	api *apiServer
	tls *tls.Config
	// commands is the pipe through which scripts ask for RKE2's commands.
	commands io.Closer

	// etcd is the newest snapshot of the head's etcd, whose history the next one continues; nil if there is none.
	etcdMu sync.Mutex
	etcd   []byte

	mu   sync.Mutex
	sick nodeSickness
	// password is the node password, which reserves the name of its Node.
	password string
	// serving is what the API shows now.
	serving *tls.Config
}

// nodeSickness is why a Node is not Ready although its unit runs.
type nodeSickness struct {
	is bool
	// run is the run of the unit that is sick, if set: the next run is healthy.
	run string
}

//go:embed host/init.sh
var initScript string

//go:embed host/systemctl.sh
var systemctlScript string

//go:embed host/curl.sh
var curlScript string

//go:embed host/journalctl.sh
var journalctlScript string

// bootHost starts a host. For a head it also serves the cluster's API, whose answers come from the disks of the peers.
func bootHost(req cloud.LaunchRequest, d machineDefects, peers func() []*host) (*host, error) {
	h := &host{name: req.Name, req: req, lies: d.lies, password: rand.Text()}
	if err := h.bringUp(d, peers); err != nil {
		h.tearDown()
		return nil, fmt.Errorf("boot simulated machine %s: %w", req.Name, err)
	}
	return h, nil
}

func (h *host) bringUp(d machineDefects, peers func() []*host) error {
	if err := h.createNamespaces(); err != nil {
		return err
	}
	listener, err := h.takeAddress()
	if err != nil {
		return err
	}
	ports := []int{10250}
	if h.req.Role == api.RoleHead {
		if ports = append(ports, 9345); d.outside {
			h.outer = outsideAddress
		}
		err = h.setUpHead(d.certificates, peers)
	}
	err = errors.Join(err, h.listenOnPorts(ports...))
	if err == nil && h.api != nil {
		err = h.serveAPI(listener)
	} else {
		err = errors.Join(err, listener.Close())
	}
	if err != nil {
		return err
	}
	if h.hostKey, err = remote.PublicKeyOf(h.req.HostKey); err != nil {
		return err
	}
	if err := d.applyTo(h); err != nil {
		return err
	}
	return h.startSSHServer(0)
}

// startSSHServer starts the SSH server at a port; 0 is a free one.
func (h *host) startSSHServer(port int) (err error) {
	address := h.address
	if h.outer != "" {
		address = "127.0.0.1"
	}
	h.sshd, err = sshserver.New(sshserver.Options{Address: address, Port: port, HostKey: h.req.HostKey,
		AuthorizedKey: h.req.AuthorizedKey, Hooks: sshserver.Hooks{
			IsSilent: h.lies.isSilent, ShowHostKey: h.lies.shownHostKey, BuildArgv: h.shellArgv,
			WrapStdin: func(input io.Reader, conn net.Conn) io.Reader {
				return &cuttingReader{from: input, lies: h.lies, conn: conn}
			},
		}})
	if err == nil {
		h.sshd.RefuseForwards.Store(true)
	}
	return err
}

// shellArgv returns the program that runs a command on the host, as its login shell does.
func (h *host) shellArgv(command string) []string {
	argv := append(h.nsenterCommand(), h.lies.shellEnvironment()...)
	return append(argv, "sh", "-c", h.lies.shellCommand(command))
}

// createNamespaces starts the host's first process, and writes the stand-ins for systemd, its journal and curl.
func (h *host) createNamespaces() error {
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
		return fmt.Errorf("create a mount namespace; the tests need root: %w", err)
	}
	h.alive = stdin
	if _, err := io.ReadFull(stdout, make([]byte, 3)); err != nil {
		return fmt.Errorf("the namespace did not start: %w", err)
	}
	for name, text := range map[string]string{"systemctl": systemctlScript, "curl": curlScript,
		"journalctl": journalctlScript} {
		if err := h.writeFile("/opt/fake/"+name, text, 0o755); err != nil {
			return err
		}
	}
	return h.serveCommands()
}

func (h *host) nsenterCommand() []string {
	return []string{
		"nsenter", "--mount", "--pid", "--target", fmt.Sprint(h.init.Process.Pid), "--",
		"env", "PATH=/opt/fake:/usr/sbin:/usr/bin:/sbin:/bin",
	}
}

// takeAddress chooses an unused loopback address, and holds its port of the Kubernetes API.
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

// setUpHead creates the certificates of a cluster, and prepares the files that RKE2 writes at its start. The first
// administrator's certificate has the given lifetime; 0 is a year.
func (h *host) setUpHead(valid time.Duration, peers func() []*host) error {
	dir, err := os.MkdirTemp("", "simcloud")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	now := time.Now()
	ca, err := pki.EnsureAuthority(pki.Pair{Cert: filepath.Join(dir, "ca.pem"), Key: filepath.Join(dir, "ca.key")},
		"rke2-server-ca", now)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		return err
	}
	password := make([]byte, 16)
	_, _ = rand.Read(password)
	files := map[string]string{"ca.pem": string(ca.CertificatePEM()), "ca.key": string(key),
		"server-password": hex.EncodeToString(password)}
	for name, life := range map[string]time.Duration{"kubeconfig": valid, "renewed": 0} {
		cert, key, err := ca.IssueCertificate(pki.Leaf{Subject: "system:admin", Client: true, Life: life}, now)
		if err != nil {
			return err
		}
		encode := base64.StdEncoding.EncodeToString
		files[name] = fmt.Sprintf(kubeconfigFormat, encode(ca.CertificatePEM()), encode(cert), encode(key))
	}
	for name, text := range files {
		if err := h.writeFile("/opt/fake/"+name, text, 0o600); err != nil {
			return err
		}
	}
	h.setUpAPI(ca, peers)
	return nil
}

// setUpAPI prepares the API of the host's cluster.
func (h *host) setUpAPI(ca *pki.Authority, peers func() []*host) {
	h.tls = &tls.Config{MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.serving, nil
		}}
	h.useAuthority(ca)
	h.api = newAPIServer(h, peers)
}

// useAuthority makes the API trust an authority's clients, and show its certificates.
func (h *host) useAuthority(ca *pki.Authority) {
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca.CertificatePEM())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serving = &tls.Config{ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion:     tls.VersionTLS12,
		GetCertificate: (&servingCert{host: h, ca: ca}).currentCertificate}
}

// kubeconfigFormat has the layout of RKE2's file.
const kubeconfigFormat = `apiVersion: v1
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

// outsidePath returns the path of a host's file as seen from outside.
func (h *host) outsidePath(name string) string {
	return fmt.Sprintf("/proc/%d/root%s", h.init.Process.Pid, name)
}

func (h *host) writeFile(name, text string, mode fs.FileMode) error {
	return os.WriteFile(h.outsidePath(name), []byte(text), mode)
}

// readFile returns a file's content; "" if it does not exist.
func (h *host) readFile(name string) string {
	b, err := os.ReadFile(h.outsidePath(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// installedRelease returns the release that skyctl has installed on the host, which may be that of a saved disk.
func (h *host) installedRelease() string {
	release, _, _ := strings.Cut(h.readFile("/opt/rke2/share/rke2/.skyctl"), " ")
	return cmp.Or(release, Version)
}

// isUnitActive reports whether a unit is active.
func (h *host) isUnitActive(unit string) bool {
	return h.readFile("/run/systemd/system/"+unit+".ActiveState") == "active"
}

// unitInvocation identifies the current run of a unit.
func (h *host) unitInvocation(unit string) string {
	return h.readFile("/run/systemd/system/" + unit + ".InvocationID")
}

// isHealthyRun reports whether a run of the machine's unit is healthy.
func (h *host) isHealthyRun(run string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.sick.is || h.sick.run != "" && h.sick.run != run
}

// configValue returns a value of the host's RKE2 configuration.
func (h *host) configValue(key string) string {
	files := []string{h.outsidePath("/etc/rancher/rke2/config.yaml")}
	more, _ := filepath.Glob(h.outsidePath("/etc/rancher/rke2/config.yaml.d") + "/*.yaml") // in order
	found := ""
	for _, name := range append(files, more...) {
		text, _ := os.ReadFile(name)
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, key+": "); ok {
				found = strings.TrimSpace(value)
			}
		}
	}
	return found
}

// runScript runs a script on the host, as root there.
func (h *host) runScript(script string) error {
	argv := append(h.nsenterCommand(), "sh", "-ec", script)
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput() //nolint:noctx,gosec // our own, and short
	if err != nil {
		return fmt.Errorf("on the simulated machine %s: %w: %s", h.name, err, out)
	}
	return nil
}

// setMarker writes a file for the scripts that stand in for systemd and curl; "" removes it.
func (h *host) setMarker(name, text string) error {
	if text != "" {
		return h.writeFile("/opt/fake/"+name, text+"\n", 0o644)
	}
	if err := os.Remove(h.outsidePath("/opt/fake/" + name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// tearDown switches the host off. It can be called more than once.
func (h *host) tearDown() {
	for _, l := range h.listeners {
		_ = l.Close()
	}
	if h.commands != nil {
		_ = h.commands.Close()
	}
	if h.sshd != nil {
		h.sshd.Stop()
	}
	if h.api != nil {
		h.api.stopServing()
	}
	if h.init == nil || h.init.Process == nil {
		return
	}
	if err := h.init.Process.Kill(); err == nil || !errors.Is(err, os.ErrProcessDone) {
		_ = h.init.Wait()
	}
	_ = h.alive.Close()
}
