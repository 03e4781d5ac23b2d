package config

import (
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

// audience says which programs carry a setting as a flag; the environment and the file carry all of them.
type audience int

const (
	noProgram audience = iota
	everyProgram
	devOnly
)

// setting is one line of the table: its key in the file gives the names of its flag and its environment variable.
type setting struct {
	key      string // dotted path in config.yaml, camel case
	def      string
	help     string
	audience audience
	path     bool // a path on this machine: made absolute
	set      func(*Config, string) error
	get      func(*Config) string  // the value as set takes it
	ref      func(*Config) *string // only where path is true
}

// flag turns etcd.tls.serverName into etcd-tls-server-name.
func (s setting) flag() string { return s.split('-') }

// env turns etcd.tls.serverName into SKYCTL_ETCD_TLS_SERVER_NAME.
func (s setting) env() string { return "SKYCTL_" + strings.ToUpper(s.split('_')) }

func (s setting) split(sep rune) string {
	var b strings.Builder
	lower := false // was the letter before in lower case? then a capital begins a word
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

// value is what was found for a setting: from is empty where nobody set it.
type value struct {
	text string
	kind string // one of the From constants
	from string // as an error shows it
	base string // what a relative path is relative to; empty: the working directory
}

func (s setting) lookUp(flags *pflag.FlagSet, env func(string) string, file map[string]string, fileName string) value {
	if flags != nil {
		if f := flags.Lookup(s.flag()); f != nil && f.Changed {
			return value{text: f.Value.String(), from: "--" + s.flag(), kind: FromFlag}
		}
	}
	if v := env(s.env()); v != "" {
		return value{text: v, from: "$" + s.env(), kind: FromEnvironment}
	}
	if v, ok := file[s.key]; ok {
		return value{text: v, from: fileName, base: filepath.Dir(fileName), kind: FromFile}
	}
	return value{}
}

// absolute lets a file say ~/certs/ca.crt, or a name beside itself.
func (s setting) absolute(c *Config, base, home string) {
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

// text is a setting that is kept as it is once check agrees.
func text(key, def, help string, a audience, ref func(*Config) *string, check func(string) error) setting {
	get := func(c *Config) string { return *ref(c) }
	return setting{key: key, def: def, help: help, audience: a, get: get, set: func(c *Config, v string) error {
		if err := check(v); err != nil {
			return err
		}
		*ref(c) = v
		return nil
	}}
}

func path(key, help string, a audience, ref func(*Config) *string) setting {
	s := text(key, "", help, a, ref, notEmpty)
	s.path, s.ref = true, ref
	return s
}

func port(key, def, help string, ref func(*Config) *int) setting {
	get := func(c *Config) string { return strconv.Itoa(*ref(c)) }
	return setting{key: key, def: def, help: help, audience: devOnly, get: get, set: func(c *Config, v string) error {
		n, err := parsePort(v)
		if err == nil {
			*ref(c) = n
		}
		return err
	}}
}

func yesNo(key string, ref func(*Config) *bool) setting {
	get := func(c *Config) string { return strconv.FormatBool(*ref(c)) }
	return setting{key: key, def: "false", audience: noProgram, get: get, set: func(c *Config, v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return errors.New("true or false")
		}
		*ref(c) = b
		return nil
	}}
}

func count(key, def string, ref func(*Config) *int) setting {
	get := func(c *Config) string { return strconv.Itoa(*ref(c)) }
	return setting{key: key, def: def, audience: noProgram, get: get, set: func(c *Config, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return errors.New("a whole number from 1")
		}
		*ref(c) = n
		return nil
	}}
}

// span is a length of time of at least least; "0" stands for never where that is allowed.
func span(key, def string, least time.Duration, never bool, ref func(*Config) *time.Duration) setting {
	get := func(c *Config) string { return ref(c).String() }
	return setting{key: key, def: def, audience: noProgram, get: get, set: func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		switch {
		case err == nil && d == 0 && never:
		case err != nil || d < least:
			return fmt.Errorf("a length of time of at least %s, such as %s", least, def)
		}
		*ref(c) = d
		return nil
	}}
}

func tlsSettings(key, what string, ref func(*Config) *TLS) []setting {
	return []setting{
		path(key+".tls.ca", "CA certificate of "+what, everyProgram, func(c *Config) *string { return &ref(c).CA }),
		path(key+".tls.cert", "client certificate for "+what, everyProgram, func(c *Config) *string { return &ref(c).Cert }),
		path(key+".tls.key", "key of the client certificate for "+what, everyProgram, func(c *Config) *string { return &ref(c).Key }),
		text(key+".tls.serverName", "", "name on the certificate of "+what, everyProgram,
			func(c *Config) *string { return &ref(c).ServerName }, notEmpty),
	}
}

// settings is the whole of what can be set.
var settings = table()

func table() []setting {
	all := []setting{
		{key: "etcd.endpoints", help: "external etcd, as http(s)://host:port, separated by commas", audience: everyProgram,
			get: func(c *Config) string { return strings.Join(c.Etcd.Endpoints, ",") },
			set: func(c *Config, v string) (err error) { c.Etcd.Endpoints, err = parseEndpoints(v); return err }},
		text("etcd.prefix", DefaultEtcdPrefix, "prefix of every key in etcd", noProgram,
			func(c *Config) *string { return &c.Etcd.Prefix }, checkPrefix),
		text("temporal.address", "", "external Temporal, as host:port", everyProgram,
			func(c *Config) *string { return &c.Temporal.Address }, checkHostPort),
		text("temporal.namespace", DefaultNamespace, "Temporal namespace", everyProgram,
			func(c *Config) *string { return &c.Temporal.Namespace }, checkName),
		text("temporal.taskQueue", DefaultTaskQueue, "Temporal task queue", noProgram,
			func(c *Config) *string { return &c.Temporal.TaskQueue }, checkName),
		text("ui.address", "", "URL of Temporal's Web UI, as shown to people", noProgram,
			func(c *Config) *string { return &c.UI.Address }, checkURL),
		port("dev.temporalPort", strconv.Itoa(DefaultTemporalPort), "port of Temporal", func(c *Config) *int { return &c.Dev.TemporalPort }),
		port("dev.uiPort", "8233", "port of the Web UI", func(c *Config) *int { return &c.Dev.UIPort }),
		port("dev.etcdPort", strconv.Itoa(DefaultEtcdPort), "port of etcd", func(c *Config) *int { return &c.Dev.EtcdPort }),
		path("secretsKeyFile", "", noProgram, func(c *Config) *string { return &c.SecretsKeyFile }),
		text("rke2.version", DefaultRKE2Version, "", noProgram, func(c *Config) *string { return &c.RKE2.Version }, checkRKE2Version),
		text("rke2.source", RKE2Release, "", noProgram, func(c *Config) *string { return &c.RKE2.Source }, checkRKE2Source),
		text("rke2.sha256", "", "", noProgram, func(c *Config) *string { return &c.RKE2.SHA256 }, checkSHA256),
		text("docker.image", "", "", noProgram, func(c *Config) *string { return &c.Docker.Image }, checkImage),
		text("docker.network", "", "", noProgram, func(c *Config) *string { return &c.Docker.Network }, checkName),
		path("skypilot.python", "", noProgram, func(c *Config) *string { return &c.SkyPilot.Python }),
		text("skypilot.endpoint", "", "", noProgram, func(c *Config) *string { return &c.SkyPilot.Endpoint }, checkURL),
		path("skypilot.tokenFile", "", noProgram, func(c *Config) *string { return &c.SkyPilot.TokenFile }),
		count("skypilot.port", "46581", func(c *Config) *int { return &c.SkyPilot.Port }),
		count("skypilot.launchesAtOnce", "", func(c *Config) *int { return &c.SkyPilot.LaunchesAtOnce }),
		yesNo("skypilot.fullRuntime", func(c *Config) *bool { return &c.SkyPilot.FullRuntime }),
		yesNo("skypilot.usage", func(c *Config) *bool { return &c.SkyPilot.Usage }),
		text("skypilot.awsInstanceProfile", "", "", noProgram, func(c *Config) *string { return &c.SkyPilot.AWSInstanceProfile }, notEmpty),
		span("reconcile.interval", "1m", time.Second, false, func(c *Config) *time.Duration { return &c.Reconcile.Interval }),
		span("reconcile.notReadyFor", "5m", time.Second, false, func(c *Config) *time.Duration { return &c.Reconcile.NotReadyFor }),
		span("reconcile.orphanGrace", "15m", time.Second, true, func(c *Config) *time.Duration { return &c.Reconcile.OrphanGrace }),
		text("docker.baseImage", DefaultDockerBase, "", noProgram, func(c *Config) *string { return &c.Docker.BaseImage }, checkImage),
	}
	all = append(all, gpuSettings()...)
	all = append(all, tlsSettings("etcd", "etcd", func(c *Config) *TLS { return &c.Etcd.TLS })...)
	return append(all, tlsSettings("temporal", "Temporal", func(c *Config) *TLS { return &c.Temporal.TLS })...)
}

func settingNamed(key string) setting {
	for _, s := range settings {
		if s.key == key {
			return s
		}
	}
	panic("no setting " + key)
}

// Setting is a line of the table, for who shows it to people.
type Setting struct{ Key, Variable, Default string }

// Settings are all settings, by the names of their keys.
func Settings() []Setting {
	var all []Setting
	for _, s := range settings {
		all = append(all, Setting{Key: s.key, Variable: s.env(), Default: s.def})
	}
	slices.SortFunc(all, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	return all
}
