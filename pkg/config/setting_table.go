package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"
)

// flagAudience is the set of programs that have a flag for a setting. The environment and the file can set all
// settings.
type flagAudience int

const (
	noProgram flagAudience = iota
	everyProgram
	devOnly
)

// setting is one row of the table. The names of its flag and its environment variable are derived from its key.
type setting struct {
	key      string // dotted path in config.yaml, camel case
	def      string
	help     string
	audience flagAudience
	choices  []string // the valid values, if they are few
	path     bool     // a path on this computer, which is made absolute
	set      func(*Config, string) error
	get      func(*Config) string  // the value in the format of set
	ref      func(*Config) *string // only if path is true
}

// flagName turns etcd.tls.serverName into etcd-tls-server-name.
func (s setting) flagName() string { return s.separateWords('-') }

// envName turns etcd.tls.serverName into SKYCTL_ETCD_TLS_SERVER_NAME.
func (s setting) envName() string { return "SKYCTL_" + strings.ToUpper(s.separateWords('_')) }

func (s setting) separateWords(sep rune) string {
	var b strings.Builder
	lower := false // the previous letter was lower case, so a capital starts a word
	for _, r := range s.key {
		switch {
		case r == '.':
			b.WriteRune(sep)
		case unicode.IsUpper(r) && lower:
			b.WriteRune(sep)
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(unicode.ToLower(r))
		}
		lower = unicode.IsLower(r)
	}
	return b.String()
}

// Sources of a setting's value.
const (
	FromFlag        = "flag"
	FromEnvironment = "environment"
	FromFile        = "file"
	FromDefault     = "default"
)

// IsSet reports whether a flag, the environment or the file set a setting.
func (c *Config) IsSet(key string) bool {
	_, ok := c.values[key]
	return ok
}

// IsSetByCommand reports whether a flag or the environment of this command set a setting.
func (c *Config) IsSetByCommand(key string) bool {
	v, ok := c.values[key]
	return ok && v.kind != FromFile
}

// settingValue is the value of a setting and its source. from is empty if the setting is not set.
type settingValue struct {
	text string
	kind string // one of the From constants
	from string // the source, as shown in errors
	base string // directory of relative paths; empty: the working directory
}

func (s setting) lookUpValue(flags *pflag.FlagSet, env func(string) string, file map[string]string,
	fileName string) settingValue {
	if flags != nil {
		if f := flags.Lookup(s.flagName()); f != nil && f.Changed {
			return settingValue{text: f.Value.String(), from: "--" + s.flagName(), kind: FromFlag}
		}
	}
	if v := env(s.envName()); v != "" {
		return settingValue{text: v, from: "$" + s.envName(), kind: FromEnvironment}
	}
	if v, ok := file[s.key]; ok {
		return settingValue{text: v, from: fileName, base: filepath.Dir(fileName), kind: FromFile}
	}
	return settingValue{}
}

// makeAbsolute resolves ~/ and relative paths. Paths in a file are relative to the directory of the file.
func (s setting) makeAbsolute(c *Config, base, home string) {
	p := s.ref(c)
	if rest, ok := strings.CutPrefix(*p, "~/"); ok && home != "" {
		*p = filepath.Join(home, rest)
	}
	if *p == "" || filepath.IsAbs(*p) {
		return
	}
	if base != "" {
		*p = filepath.Join(base, *p)
	} else if abs, err := filepath.Abs(*p); err == nil {
		*p = abs
	}
}

// textSetting is a setting whose text is stored unchanged if check accepts it.
func textSetting(key, def, help string, a flagAudience, ref func(*Config) *string, check func(string) error) setting {
	get := func(c *Config) string { return *ref(c) }
	return setting{key: key, def: def, help: help, audience: a, get: get, set: func(c *Config, v string) error {
		if err := check(v); err != nil {
			return err
		}
		*ref(c) = v
		return nil
	}}
}

func pathSetting(key, help string, a flagAudience, ref func(*Config) *string) setting {
	s := textSetting(key, "", help, a, ref, checkNotEmpty)
	s.path, s.ref = true, ref
	return s
}

func portSetting(key, def, help string, ref func(*Config) *int) setting {
	get := func(c *Config) string { return strconv.Itoa(*ref(c)) }
	return setting{key: key, def: def, help: help, audience: devOnly, get: get, set: func(c *Config, v string) error {
		n, err := parsePort(v)
		if err == nil {
			*ref(c) = n
		}
		return err
	}}
}

func boolSetting(key string, ref func(*Config) *bool) setting {
	get := func(c *Config) string { return strconv.FormatBool(*ref(c)) }
	return setting{key: key, def: "false", audience: noProgram, choices: []string{"true", "false"}, get: get,
		set: func(c *Config, v string) error {
			b, err := strconv.ParseBool(v)
			if err != nil {
				return errors.New("true or false")
			}
			*ref(c) = b
			return nil
		}}
}

func countSetting(key, def string, ref func(*Config) *int) setting {
	get := func(c *Config) string { return strconv.Itoa(*ref(c)) }
	return setting{key: key, def: def, audience: noProgram, get: get, set: func(c *Config, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return errors.New("a whole number greater than 0")
		}
		*ref(c) = n
		return nil
	}}
}

// durationSetting is a duration of at least least. If never is true, "0" is also valid and means never.
func durationSetting(key, def string, least time.Duration, never bool, ref func(*Config) *time.Duration) setting {
	get := func(c *Config) string { return ref(c).String() }
	return setting{key: key, def: def, audience: noProgram, get: get, set: func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		switch {
		case err == nil && d == 0 && never:
		case err != nil || d < least:
			return fmt.Errorf("a duration of at least %s, such as %s", least, def)
		}
		*ref(c) = d
		return nil
	}}
}

func tlsSettings(key, what string, ref func(*Config) *TLS) []setting {
	return []setting{
		pathSetting(key+".tls.ca", "CA certificate of "+what, everyProgram,
			func(c *Config) *string { return &ref(c).CA }),
		pathSetting(key+".tls.cert", "client certificate for "+what, everyProgram,
			func(c *Config) *string { return &ref(c).Cert }),
		pathSetting(key+".tls.key", "key of the client certificate for "+what, everyProgram,
			func(c *Config) *string { return &ref(c).Key }),
		textSetting(key+".tls.serverName", "", "name on the certificate of "+what, everyProgram,
			func(c *Config) *string { return &ref(c).ServerName }, checkNotEmpty),
	}
}

// settings is the table of all settings.
var settings = newSettingTable()

func newSettingTable() []setting {
	all := []setting{
		{key: "etcd.endpoints", help: "external etcd, as http(s)://host:port, separated by commas",
			audience: everyProgram,
			get:      func(c *Config) string { return strings.Join(c.Etcd.Endpoints, ",") },
			set:      func(c *Config, v string) (err error) { c.Etcd.Endpoints, err = parseEndpoints(v); return err }},
		textSetting("etcd.prefix", DefaultEtcdPrefix, "prefix of every key in etcd", noProgram,
			func(c *Config) *string { return &c.Etcd.Prefix }, checkPrefix),
		textSetting("temporal.address", "", "external Temporal, as host:port", everyProgram,
			func(c *Config) *string { return &c.Temporal.Address }, checkHostPort),
		textSetting("temporal.namespace", DefaultNamespace, "Temporal namespace", everyProgram,
			func(c *Config) *string { return &c.Temporal.Namespace }, checkName),
		textSetting("temporal.taskQueue", DefaultTaskQueue, "Temporal task queue", noProgram,
			func(c *Config) *string { return &c.Temporal.TaskQueue }, checkName),
		textSetting("ui.address", "", "URL of Temporal's Web UI, for display", noProgram,
			func(c *Config) *string { return &c.UI.Address }, checkURL),
		portSetting("dev.temporalPort", strconv.Itoa(DefaultTemporalPort), "port of Temporal",
			func(c *Config) *int { return &c.Dev.TemporalPort }),
		portSetting("dev.uiPort", "8233", "port of the Web UI", func(c *Config) *int { return &c.Dev.UIPort }),
		portSetting("dev.etcdPort", strconv.Itoa(DefaultEtcdPort), "port of etcd",
			func(c *Config) *int { return &c.Dev.EtcdPort }),
		pathSetting("secretsKeyFile", "", noProgram, func(c *Config) *string { return &c.SecretsKeyFile }),
		textSetting("rke2.version", DefaultRKE2Version, "", noProgram,
			func(c *Config) *string { return &c.RKE2.Version }, checkRKE2Version),
		textSetting("rke2.source", RKE2Release, "", noProgram, func(c *Config) *string {
			return &c.RKE2.Source
		}, checkRKE2Source),
		textSetting("rke2.sha256", "", "", noProgram, func(c *Config) *string { return &c.RKE2.SHA256 }, checkSHA256),
		textSetting("rke2.cni", "", "", noProgram, func(c *Config) *string { return &c.RKE2.CNI },
			checkSpecField("cni")),
		textSetting("rke2.ingress", "", "", noProgram, func(c *Config) *string { return &c.RKE2.Ingress },
			checkSpecField("ingress")),
		boolSetting("kubeconfig.merge", func(c *Config) *bool { return &c.Kubeconfig.Merge }),
		boolSetting("rke2.enableServicelb", func(c *Config) *bool { return &c.RKE2.EnableServiceLB }),
		textSetting("docker.image", "", "", noProgram, func(c *Config) *string { return &c.Docker.Image }, checkImage),
		textSetting("docker.network", "", "", noProgram, func(c *Config) *string {
			return &c.Docker.Network
		}, checkName),
		pathSetting("skypilot.python", "", noProgram, func(c *Config) *string { return &c.SkyPilot.Python }),
		textSetting("skypilot.endpoint", "", "", noProgram, func(c *Config) *string {
			return &c.SkyPilot.Endpoint
		}, checkURL),
		pathSetting("skypilot.tokenFile", "", noProgram, func(c *Config) *string { return &c.SkyPilot.TokenFile }),
		countSetting("skypilot.port", "46581", func(c *Config) *int { return &c.SkyPilot.Port }),
		countSetting("skypilot.launchesAtOnce", "", func(c *Config) *int { return &c.SkyPilot.LaunchesAtOnce }),
		boolSetting("skypilot.fullRuntime", func(c *Config) *bool { return &c.SkyPilot.FullRuntime }),
		boolSetting("skypilot.usage", func(c *Config) *bool { return &c.SkyPilot.Usage }),
		textSetting("skypilot.awsInstanceProfile", "", "", noProgram,
			func(c *Config) *string { return &c.SkyPilot.AWSInstanceProfile }, checkNotEmpty),
		durationSetting("reconcile.interval", "1m", time.Second, false,
			func(c *Config) *time.Duration { return &c.Reconcile.Interval }),
		durationSetting("reconcile.notReadyFor", "5m", time.Second, false,
			func(c *Config) *time.Duration { return &c.Reconcile.NotReadyFor }),
		durationSetting("reconcile.orphanGrace", "15m", time.Second, true,
			func(c *Config) *time.Duration { return &c.Reconcile.OrphanGrace }),
		pathSetting("snapshots.dir", "", noProgram, func(c *Config) *string { return &c.Snapshots.Dir }),
		countSetting("snapshots.quotaGiB", "20", func(c *Config) *int { return &c.Snapshots.QuotaGiB }),
		textSetting("docker.baseImage", DefaultDockerBase, "", noProgram,
			func(c *Config) *string { return &c.Docker.BaseImage }, checkImage),
	}
	all = append(all, sshSettings()...)
	all = append(all, gatewaySettings()...)
	all = append(all, gpuSettings()...)
	all = append(all, tlsSettings("etcd", "etcd", func(c *Config) *TLS { return &c.Etcd.TLS })...)
	return append(all, tlsSettings("temporal", "Temporal", func(c *Config) *TLS { return &c.Temporal.TLS })...)
}

// IsPathFlag reports whether the flag of a setting takes a path.
func IsPathFlag(name string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return s.path && s.flagName() == name })
}

func findSetting(key string) setting {
	for _, s := range settings {
		if s.key == key {
			return s
		}
	}
	panic("unknown setting " + key)
}

// Setting is a row of the table, for display. Help says in a few words what it is for.
type Setting struct{ Key, Variable, Default, Help string }

// ListSettings returns all settings, sorted by key.
func ListSettings() []Setting {
	var all []Setting
	for _, s := range settings {
		all = append(all, Setting{Key: s.key, Variable: s.envName(), Default: s.def,
			Help: cmp.Or(s.help, settingHelp[s.key])})
	}
	slices.SortFunc(all, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	return all
}
