// Package config holds the settings: the state directory, the addresses of etcd and Temporal, and the defaults that a
// user can change. It reads them from flags, the environment and a file, in that order of precedence. It has no other
// dependencies, which keeps the command line small.
package config

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
)

// Defaults that other packages and the documentation may name.
const (
	DefaultEtcdPrefix   = "/skyctl"
	DefaultNamespace    = "skyctl"
	DefaultTaskQueue    = "skyctl"
	DefaultTemporalPort = 7233
	DefaultEtcdPort     = 2379
	DefaultRKE2Version  = "v1.35.7+rke2r1"
	DefaultDockerBase   = "debian:12"

	// RKE2Release is the RKE2.Source of the official release on the internet.
	RKE2Release = "release"

	// Loopback is the only address that skyd dev listens on.
	Loopback = "127.0.0.1"
)

// Config holds the value of every setting: its default, unless it was set.
type Config struct {
	Dir string // state directory, absolute: $SKYCONF_DIR or ~/.skyconf
	// directory outside Dir in which this computer counts starts: below $XDG_STATE_HOME or ~/.local/state; may be empty
	LedgerDir      string
	Etcd           Etcd
	Temporal       Temporal
	UI             UI
	Dev            Dev
	NewSecretsKey  bool   // create a new secrets key because the current one is lost; only a flag sets it
	SecretsKeyFile string // key that secrets in etcd are encrypted with
	RKE2           RKE2
	Docker         Docker
	SkyPilot       SkyPilot
	Reconcile      Reconcile
	Snapshots      Snapshots
	GPU            GPU
	SSH            SSH
	Gateway        Gateway
	Kubeconfig     Kubeconfig
	ForeignKeys    []string // headings of config.yaml that belong to other programs

	external bool
	values   map[string]settingValue // the settings that were set, by key
	inFile   map[string]string       // the unparsed values of config.yaml, by key
}

// Etcd is the etcd that stores the objects.
type Etcd struct {
	Endpoints []string // http(s)://host:port
	Prefix    string   // of every key
	TLS       TLS
}

// Temporal is the Temporal server that runs the operations.
type Temporal struct {
	Address   string // host:port
	Namespace string
	TaskQueue string
	TLS       TLS
}

// UI is Temporal's Web UI. skyctl only displays its address and does not connect to it.
type UI struct {
	Address string
}

// Dev holds the loopback ports of skyd dev.
type Dev struct {
	TemporalPort, UIPort, EtcdPort int
}

// DevPort is a port of skyd dev: what listens there, its setting, and its number.
type DevPort struct {
	For, Key string
	Port     *int
}

// ListPorts lists the ports, which can be changed through the list.
func (d *Dev) ListPorts() []DevPort {
	return []DevPort{
		{"Temporal", "dev.temporalPort", &d.TemporalPort},
		{"the Web UI", "dev.uiPort", &d.UIPort},
		{"etcd", "dev.etcdPort", &d.EtcdPort},
	}
}

// RKE2 is the Kubernetes version to install and the source of its artifacts.
type RKE2 struct {
	Version string
	Source  string // RKE2Release, the URL of a mirror, or an absolute directory
	SHA256  string // of the artifact, hexadecimal; empty: use the checksums file of the source
	// CNI, Ingress and EnableServiceLB are those of new clusters; empty: RKE2's own choice
	CNI, Ingress    string
	EnableServiceLB bool
	// Lists are the registries, variables, keys and images that new clusters get beside their own; only the file has
	// them
	Lists api.RKE2Settings
}

// Docker configures the docker cloud on this computer.
type Docker struct {
	Image     string // image of the hosts, used unchanged; empty: the project's own, built if missing
	Network   string // empty: a network of the installation
	BaseImage string // base of the image that is built, if a registry is reachable
}

// SkyPilot configures how skyctl launches machines on other clouds.
type SkyPilot struct {
	Python             string // interpreter with SkyPilot installed; empty: the one of skyd install-skypilot
	Endpoint           string // URL of a remote API server; empty: a local one, started on demand
	TokenFile          string // file with a service account's token for the remote server
	Port               int    // of the local server, on loopback
	LaunchesAtOnce     int    // concurrent launches of the server; 0: the server decides
	FullRuntime        bool   // keep SkyPilot's own runtime on the machines
	Usage              bool   // let the local server send usage data to the SkyPilot project
	AWSInstanceProfile string // instance profile without permissions for machines on AWS; empty: none
}

// Snapshots configures where skyd keeps the snapshots of clusters.
type Snapshots struct {
	Dir      string
	QuotaGiB int // of all files in Dir
}

// Kubeconfig configures what commands do with the kubeconfigs of clusters.
type Kubeconfig struct {
	Merge bool // put new clusters into the person's own kubeconfig
}

// Reconcile configures how drift of clusters is found and repaired.
type Reconcile struct {
	Interval    time.Duration // between sweeps
	NotReadyFor time.Duration // how long a Node can be not Ready before it is repaired
	OrphanGrace time.Duration // after this time an orphaned machine is terminated; 0: never
}

// BindFlags adds the flags that every program has. A flag that is not set has no effect.
func BindFlags(fs *pflag.FlagSet) {
	fs.String(DirFlag, "", "state directory (default $"+EnvDir+" or ~/.skyconf)")
	bindAudienceFlags(fs, everyProgram)
}

// BindDevFlags adds the flags for the ports of skyd dev.
func BindDevFlags(fs *pflag.FlagSet) { bindAudienceFlags(fs, devOnly) }

func bindAudienceFlags(fs *pflag.FlagSet, audience flagAudience) {
	for _, s := range settings {
		if s.audience == audience {
			fs.String(s.flagName(), "", fmt.Sprintf("%s ($%s)", s.help, s.envName()))
		}
	}
}

// LoadPaths finds the state directory without reading settings, for commands that must work although the settings are
// invalid. flags and env are as in Load.
func LoadPaths(flags *pflag.FlagSet, env func(string) string) (*Config, error) {
	dir, err := stateDir(flags, env)
	if err != nil {
		return nil, err
	}
	return &Config{Dir: dir, LedgerDir: ledgerDir(env)}, nil
}

// Load reads the settings. flags may be nil; env is os.Getenv outside tests. An error names the setting, the source of
// its value, the value, and what is valid.
func Load(flags *pflag.FlagSet, env func(string) string) (*Config, error) {
	c, err := LoadPaths(flags, env)
	if err != nil {
		return nil, err
	}
	file, err := readConfigFile(c.ConfigFile())
	if err != nil {
		return nil, err
	}
	if err := c.readSettings(flags, env, file); err != nil {
		return nil, err
	}
	return c, nil
}

// readSettings is Load with the content of config.yaml.
func (c *Config) readSettings(flags *pflag.FlagSet, env func(string) string, file fileContent) (err error) {
	c.ForeignKeys, c.inFile, c.values = file.foreign, file.values, map[string]settingValue{}
	if c.RKE2.Lists, err = decodeRKE2Lists(file.rke2); err != nil {
		return fmt.Errorf("reading the settings in %s: %w", c.ConfigFile(), err)
	}
	sources := map[string]string{} // setting → source of its value
	for _, s := range settings {
		v := s.lookUpValue(flags, env, file.values, c.ConfigFile())
		if v.from == "" {
			continue
		}
		sources[s.key], c.values[s.key] = v.from, v
		if err := s.set(c, v.text); err != nil {
			return fmt.Errorf("%s: %q is not a valid value for %s: %w", v.from, v.text, s.key, err)
		}
		if s.path {
			s.makeAbsolute(c, v.base, env("HOME"))
		}
	}
	if err := c.checkCombinations(sources); err != nil {
		return err
	}
	c.fillDefaults(sources)
	return c.checkPortsDistinct()
}

// IsExternal reports whether an external etcd or Temporal is configured. skyctl then never starts skyd dev.
func (c *Config) IsExternal() bool { return c.external }

// HowToSet returns the ways to set a setting: its flag, its variable and its key in the file.
func (c *Config) HowToSet(key string) string {
	s := findSetting(key)
	if s.audience == noProgram {
		return fmt.Sprintf("$%s or %s in %s", s.envName(), s.key, c.ConfigFile())
	}
	return fmt.Sprintf("--%s, $%s or %s in %s", s.flagName(), s.envName(), s.key, c.ConfigFile())
}

// DevEnviron returns the environment in which another program loads the same settings from the same state directory.
func (c *Config) DevEnviron() []string {
	env := []string{EnvDir + "=" + c.Dir}
	for _, s := range settings {
		if v, ok := c.values[s.key]; ok && v.kind != FromFile { // the other program reads the file too
			env = append(env, s.envName()+"="+s.get(c))
		}
	}
	return env
}

// checkCombinations rejects settings that contradict each other. Each single value was checked when it was read.
func (c *Config) checkCombinations(sources map[string]string) error {
	etcd, temporal := sources["etcd.endpoints"], sources["temporal.address"]
	c.external = etcd != "" || temporal != ""
	if c.external && (etcd == "" || temporal == "") {
		present, missing := findSetting("etcd.endpoints"), findSetting("temporal.address")
		if etcd == "" {
			present, missing = missing, present
		}
		return fmt.Errorf("%s is set (%s) but %s is not: an external etcd needs an external Temporal and vice versa; "+
			"set %s, or unset %s",
			present.key, sources[present.key], missing.key, c.HowToSet(missing.key), present.key)
	}
	if err := c.checkJumpHost(sources); err != nil {
		return err
	}
	if err := c.checkGateway(sources); err != nil {
		return err
	}
	if strings.HasPrefix(c.RKE2.Source, "http://") && c.RKE2.SHA256 == "" {
		return fmt.Errorf("rke2.source is %q (%s), and http:// downloads can be tampered with: use https://, or "+
			"set rke2.sha256",
			c.RKE2.Source, sources["rke2.source"])
	}
	for _, pair := range []struct {
		name string
		tls  TLS
	}{{"etcd.tls", c.Etcd.TLS}, {"temporal.tls", c.Temporal.TLS}} {
		name, tls := pair.name, pair.tls
		if (tls.Cert == "") != (tls.Key == "") {
			return fmt.Errorf("%s.cert is %q and %s.key is %q: set both or neither", name,
				tls.Cert, name, tls.Key)
		}
		if !c.external && tls != (TLS{}) {
			return fmt.Errorf("%s is set without an external etcd and Temporal, but skyd dev uses its own "+
				"certificates: unset it, or set etcd.endpoints and temporal.address", name)
		}
	}
	return nil
}

// checkPortsDistinct runs after fillDefaults, because a port that was set can equal the default of another.
func (c *Config) checkPortsDistinct() error {
	seen := map[int]string{}
	for _, p := range c.Dev.ListPorts() {
		if other, ok := seen[*p.Port]; ok {
			return fmt.Errorf("%s and %s are both %d: set different ports", other, p.Key, *p.Port)
		}
		seen[*p.Port] = p.Key
	}
	return nil
}

func (c *Config) fillDefaults(sources map[string]string) {
	for _, s := range settings {
		if _, ok := sources[s.key]; !ok && s.def != "" {
			if err := s.set(c, s.def); err != nil {
				panic(fmt.Sprintf("default of %s: %v", s.key, err)) // an error in the table, which tests detect
			}
		}
	}
	if c.Snapshots.Dir == "" {
		c.Snapshots.Dir = filepath.Join(c.Dir, "snapshots")
	}
	if c.SecretsKeyFile == "" {
		c.SecretsKeyFile = filepath.Join(c.Dir, "secrets.key")
	}
	if c.external {
		return
	}
	c.UseDevPorts(c.Dev)
}

// UseDevPorts has skyd dev listen on ports that may differ from those of the settings.
func (c *Config) UseDevPorts(ports Dev) {
	c.Dev = ports
	dev := TLS{CA: c.PKIFile("ca.crt"), Cert: c.PKIFile("client.crt"), Key: c.PKIFile("client.key")}
	c.Etcd.Endpoints, c.Etcd.TLS = []string{"https://" + LoopbackAddress(c.Dev.EtcdPort)}, dev
	c.Temporal.Address, c.Temporal.TLS = LoopbackAddress(c.Dev.TemporalPort), dev
	if !c.IsSet("ui.address") {
		c.UI.Address = "http://" + LoopbackAddress(c.Dev.UIPort)
	}
}

// LoopbackAddress returns the host:port at which skyd dev listens.
func LoopbackAddress(port int) string { return net.JoinHostPort(Loopback, strconv.Itoa(port)) }
