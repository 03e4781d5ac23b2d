// Package config says where things are and how to reach them: the state directory, etcd, Temporal, and the few defaults
// a person may change. It reads them from flags, the environment and a file, in that order of precedence, and does
// nothing else, so that the command line can link it without cost.
package config

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
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

	// RKE2Release as RKE2.Source stands for the official release on the internet.
	RKE2Release = "release"

	// Loopback is the only address that skyd dev ever listens on.
	Loopback = "127.0.0.1"
)

// Config holds every setting, with its default where nobody chose another value.
type Config struct {
	Dir string // state directory, absolute: $SKYCONF_DIR or ~/.skyconf
	// where this computer counts starts outside of Dir: below $XDG_STATE_HOME or ~/.local/state; may be empty
	LedgerDir      string
	Etcd           Etcd
	Temporal       Temporal
	UI             UI
	Dev            Dev
	NewSecretsKey  bool   // make a new secrets key where the one that is there is lost; set by a flag alone
	SecretsKeyFile string // key that secrets in etcd are encrypted with
	RKE2           RKE2
	Docker         Docker
	SkyPilot       SkyPilot
	Reconcile      Reconcile
	GPU            GPU
	ForeignKeys    []string // headings of config.yaml that are not ours

	external bool
	given    map[string]settingValue // what was set, by the setting's key
	inFile   map[string]string       // what config.yaml says, as it stands there
}

// Etcd is where objects are kept.
type Etcd struct {
	Endpoints []string // http(s)://host:port
	Prefix    string   // every key starts with it
	TLS       TLS
}

// Temporal is where operations run.
type Temporal struct {
	Address   string // host:port
	Namespace string
	TaskQueue string
	TLS       TLS
}

// UI is Temporal's Web UI. Nothing connects to it: the address is shown to people.
type UI struct {
	Address string
}

// Dev holds the loopback ports of skyd dev.
type Dev struct {
	TemporalPort, UIPort, EtcdPort int
}

// RKE2 says which Kubernetes is installed and where its artifacts come from.
type RKE2 struct {
	Version string
	Source  string // RKE2Release, the URL of a mirror, or an absolute directory
	SHA256  string // of the artifact, hexadecimal; empty: the checksums file of the source is used
}

// Docker names what the docker cloud uses on this machine.
type Docker struct {
	Image     string // image of the hosts, used as it is; empty: the project's own, built when missing
	Network   string // empty: one of the installation's own
	BaseImage string // what the image is built from, where a registry answers
}

// SkyPilot says how machines of other clouds are asked for.
type SkyPilot struct {
	Python             string // interpreter that has SkyPilot; empty: the one that make skypilot sets up
	Endpoint           string // URL of a remote API server; empty: a local one, started when it is absent
	TokenFile          string // file with a service account's token for the remote server
	Port               int    // of the local server, on loopback
	LaunchesAtOnce     int    // launches that the server works on at one time; 0: as many as suit it
	FullRuntime        bool   // leave SkyPilot's own runtime on the machines
	Usage              bool   // let the local server send usage data to SkyPilot's makers
	AWSInstanceProfile string // an instance profile without rights, for machines on AWS; empty: none
}

// Reconcile says how clusters are kept as they were asked for.
type Reconcile struct {
	Interval    time.Duration // between two sweeps
	NotReadyFor time.Duration // how long a Node may be not Ready before something is done about it
	OrphanGrace time.Duration // how long a machine that belongs to no cluster is left alone; 0: for good
}

// BindFlags adds the flags that every program understands. Flags that nobody sets change nothing.
func BindFlags(fs *pflag.FlagSet) {
	fs.String(dirFlag, "", "state directory (default $"+EnvDir+" or ~/.skyconf)")
	bindAudienceFlags(fs, everyProgram)
}

// BindDevFlags adds the ports of skyd dev.
func BindDevFlags(fs *pflag.FlagSet) { bindAudienceFlags(fs, devOnly) }

func bindAudienceFlags(fs *pflag.FlagSet, audience flagAudience) {
	for _, s := range settings {
		if s.audience == audience {
			fs.String(s.flagName(), "", fmt.Sprintf("%s ($%s)", s.help, s.envName()))
		}
	}
}

// LoadPaths finds the state directory and reads no settings: for what must work though they are wrong. flags and env
// are as in Load.
func LoadPaths(flags *pflag.FlagSet, env func(string) string) (*Config, error) {
	dir, err := stateDir(flags, env)
	if err != nil {
		return nil, err
	}
	return &Config{Dir: dir, LedgerDir: ledgerDir(env)}, nil
}

// Load reads the settings. flags may be nil; env is os.Getenv outside of tests. An error names the setting, where its
// value came from, the value, and what would be right.
func Load(flags *pflag.FlagSet, env func(string) string) (*Config, error) {
	c, err := LoadPaths(flags, env)
	if err != nil {
		return nil, err
	}
	file, err := readConfigFile(c.ConfigFile())
	if err != nil {
		return nil, err
	}
	c.ForeignKeys, c.inFile, c.given = file.foreign, file.values, map[string]settingValue{}
	named := map[string]string{} // setting → where its value came from
	for _, s := range settings {
		v := s.lookUpValue(flags, env, file.values, c.ConfigFile())
		if v.from == "" {
			continue
		}
		named[s.key], c.given[s.key] = v.from, v
		if err := s.set(c, v.text); err != nil {
			return nil, fmt.Errorf("%s: %q is not a valid value for %s: %w", v.from, v.text, s.key, err)
		}
		if s.path {
			s.makeAbsolute(c, v.base, env("HOME"))
		}
	}
	if err := c.checkCombinations(named); err != nil {
		return nil, err
	}
	c.fillDefaults(named)
	if err := c.checkPortsDistinct(); err != nil {
		return nil, err
	}
	return c, nil
}

// IsExternal is true where a person named an etcd or a Temporal of their own: skyd dev is then never started.
func (c *Config) IsExternal() bool { return c.external }

// HowToSet tells a person the ways to choose a setting, named by its key in the file.
func (c *Config) HowToSet(key string) string {
	s := findSetting(key)
	if s.audience == noProgram {
		return fmt.Sprintf("$%s or %s in %s", s.envName(), s.key, c.ConfigFile())
	}
	return fmt.Sprintf("--%s, $%s or %s in %s", s.flagName(), s.envName(), s.key, c.ConfigFile())
}

// DevEnviron gives the environment in which another program loads the same settings from the same state directory.
func (c *Config) DevEnviron() []string {
	env := []string{EnvDir + "=" + c.Dir}
	for _, s := range settings {
		if v, ok := c.given[s.key]; ok && v.kind != FromFile { // the file is read by the other program too
			env = append(env, s.envName()+"="+s.get(c))
		}
	}
	return env
}

// checkCombinations finds what is wrong between settings; each alone was checked as it was read.
func (c *Config) checkCombinations(named map[string]string) error {
	etcd, temporal := named["etcd.endpoints"], named["temporal.address"]
	c.external = etcd != "" || temporal != ""
	if c.external && (etcd == "" || temporal == "") {
		have, lack := findSetting("etcd.endpoints"), findSetting("temporal.address")
		if etcd == "" {
			have, lack = lack, have
		}
		return fmt.Errorf("%s is set (%s) but %s is not: an external etcd and an external Temporal go together; set "+
			"%s, or unset %s",
			have.key, named[have.key], lack.key, c.HowToSet(lack.key), have.key)
	}
	if strings.HasPrefix(c.RKE2.Source, "http://") && c.RKE2.SHA256 == "" {
		return fmt.Errorf("rke2.source is %q (%s), which anybody on the way may change: use https://, or pin "+
			"rke2.sha256",
			c.RKE2.Source, named["rke2.source"])
	}
	for _, pair := range []struct {
		name string
		tls  TLS
	}{{"etcd.tls", c.Etcd.TLS}, {"temporal.tls", c.Temporal.TLS}} {
		name, tls := pair.name, pair.tls
		if (tls.Cert == "") != (tls.Key == "") {
			return fmt.Errorf("%s.cert is %q and %s.key is %q: a client certificate needs both, or neither", name,
				tls.Cert, name, tls.Key)
		}
		if !c.external && tls != (TLS{}) {
			return fmt.Errorf("%s is set but no external etcd and Temporal are: skyd dev makes its own "+
				"certificates; unset it, or name etcd.endpoints and temporal.address", name)
		}
	}
	return nil
}

// checkPortsDistinct runs after the defaults are in, since a chosen port may meet the default of another.
func (c *Config) checkPortsDistinct() error {
	seen := map[int]string{}
	for _, p := range []struct {
		key  string
		port int
	}{{"dev.temporalPort", c.Dev.TemporalPort}, {"dev.uiPort", c.Dev.UIPort}, {"dev.etcdPort", c.Dev.EtcdPort}} {
		if other, ok := seen[p.port]; ok {
			return fmt.Errorf("%s and %s are both %d: give each a port of its own", other, p.key, p.port)
		}
		seen[p.port] = p.key
	}
	return nil
}

func (c *Config) fillDefaults(named map[string]string) {
	for _, s := range settings {
		if _, ok := named[s.key]; !ok && s.def != "" {
			if err := s.set(c, s.def); err != nil {
				panic(fmt.Sprintf("default of %s: %v", s.key, err)) // a mistake in the table, which a test would hit
			}
		}
	}
	if c.SecretsKeyFile == "" {
		c.SecretsKeyFile = filepath.Join(c.Dir, "secrets.key")
	}
	if c.external {
		return
	}
	dev := TLS{CA: c.PKIFile("ca.crt"), Cert: c.PKIFile("client.crt"), Key: c.PKIFile("client.key")}
	c.Etcd.Endpoints, c.Etcd.TLS = []string{"https://" + LoopbackAddress(c.Dev.EtcdPort)}, dev
	c.Temporal.Address, c.Temporal.TLS = LoopbackAddress(c.Dev.TemporalPort), dev
	if c.UI.Address == "" {
		c.UI.Address = "http://" + LoopbackAddress(c.Dev.UIPort)
	}
}

// LoopbackAddress is a port of this machine as host:port, where skyd dev listens.
func LoopbackAddress(port int) string { return net.JoinHostPort(Loopback, strconv.Itoa(port)) }
