package api

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// RKE2Settings are where a cluster's RKE2 comes from, and what its machines give it. GroupSpec has only the first part:
// clouds need no more.
type RKE2Settings struct {
	RKE2Release
	// Registries are the image registries that need mirrors or credentials. Hosts are unique.
	Registries []Registry `json:"registries,omitempty"`
	// Env are variables in the environment of RKE2. Names are unique.
	Env []EnvVariable `json:"env,omitempty"`
	// Config are further keys of RKE2's config.yaml, on every machine whose role knows them.
	Config map[string]ConfigValue `json:"config,omitempty"`
	// Images are archives of images that every machine gets before RKE2 starts. Paths are unique.
	Images []ImageArchive `json:"images,omitempty"`
}

// Registry says how the machines of a cluster reach an image registry.
type Registry struct {
	// Host of the registry or of a mirror, with its port if it has one. AnyRegistry stands for all other hosts.
	Host string `json:"host"`
	// Mirrors are the URLs that are tried in this order, before the host itself.
	Mirrors []string `json:"mirrors,omitempty"`
	// Secret names the secret with the credentials for this host; empty is none. Those of a mirror stand under its own
	// host.
	Secret string `json:"secret,omitempty"`
	// CA are the certificates, in PEM, of the authorities that signed the certificate of this host; empty are those of
	// the machine's image.
	CA string `json:"ca,omitempty"`
}

// AnyRegistry is the host of a Registry whose mirrors serve every registry that has none of its own.
const AnyRegistry = "*"

// EnvVariable is a variable in the environment of RKE2. It has a value, or takes it from a secret.
type EnvVariable struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// Secret and Key name the secret and the key whose value the variable gets.
	Secret string `json:"secret,omitempty"`
	Key    string `json:"key,omitempty"`
}

// The keys of a secret with the credentials of a registry: user name and password, or else a token.
const (
	SecretKeyUsername = "username"
	SecretKeyPassword = "password"
	SecretKeyToken    = "token"
)

// SecretReference is a secret that a spec refers to.
type SecretReference struct {
	// Field is the field that refers to it, such as rke2.env[HTTPS_PROXY].secret.
	Field  string
	Secret string
	// KeySets are the sets of keys of which the secret needs one.
	KeySets [][]string
}

// SecretReferences returns the secrets that a spec refers to, in the order of the spec.
func (s ClusterSpec) SecretReferences() []SecretReference {
	var all []SecretReference
	for _, r := range s.RKE2.Registries {
		if r.Secret != "" {
			all = append(all, SecretReference{Field: registryPath(r) + ".secret", Secret: r.Secret,
				KeySets: [][]string{{SecretKeyUsername, SecretKeyPassword}, {SecretKeyToken}}})
		}
	}
	for _, v := range s.RKE2.Env {
		if v.Secret != "" {
			all = append(all, SecretReference{Field: envPath(v) + ".secret", Secret: v.Secret,
				KeySets: [][]string{{v.Key}}})
		}
	}
	if p := s.Snapshots; p.S3Secret != "" {
		all = append(all, SecretReference{Field: "snapshot_s3_secret", Secret: p.S3Secret,
			KeySets: [][]string{{SecretKeyAccessKey, SecretKeySecretKey}}})
	}
	if name := s.SSH.ProxyJumpSecret; name != "" {
		all = append(all, SecretReference{Field: "ssh_proxy_jump_secret", Secret: name,
			KeySets: [][]string{{SecretKeySSHPrivateKey}}})
	}
	return all
}

// SecretNames returns the names of the secrets that a spec refers to, sorted.
func (s ClusterSpec) SecretNames() []string {
	names := map[string]bool{}
	for _, r := range s.SecretReferences() {
		names[r.Secret] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func registryPath(r Registry) string { return fmt.Sprintf("rke2.registries[%s]", r.Host) }
func envPath(v EnvVariable) string   { return fmt.Sprintf("rke2.env[%s]", v.Name) }
func (r Registry) clone() Registry   { r.Mirrors = slices.Clone(r.Mirrors); return r }

func (s RKE2Settings) clone() RKE2Settings {
	s.Registries, s.Env, s.Images = slices.Clone(s.Registries), slices.Clone(s.Env), slices.Clone(s.Images)
	for i := range s.Registries {
		s.Registries[i] = s.Registries[i].clone()
	}
	s.Config = maps.Clone(s.Config)
	for key, value := range s.Config {
		s.Config[key] = slices.Clone(value)
	}
	return s
}

// AddMissing adds the entries of other whose keys s does not have.
func (s *RKE2Settings) AddMissing(other RKE2Settings) {
	merged, other := s.clone(), other.clone()
	merged.Registries = appendMissing(merged.Registries, other.Registries, func(r Registry) string { return r.Host })
	merged.Env = appendMissing(merged.Env, other.Env, func(v EnvVariable) string { return v.Name })
	merged.Images = appendMissing(merged.Images, other.Images, ImageArchive.Name)
	for key, value := range other.Config {
		if _, has := merged.Config[key]; has {
			continue
		}
		if merged.Config == nil {
			merged.Config = map[string]ConfigValue{}
		}
		merged.Config[key] = value
	}
	*s = merged
}

func appendMissing[T any](list, others []T, key func(T) string) []T {
	for _, other := range others {
		if !slices.ContainsFunc(list, func(item T) bool { return key(item) == key(other) }) {
			list = append(list, other)
		}
	}
	return list
}

// normalize sorts what has no order.
func (s *RKE2Settings) normalize() {
	*s = s.clone()
	slices.SortStableFunc(s.Registries, func(a, b Registry) int { return cmp.Compare(a.Host, b.Host) })
	slices.SortStableFunc(s.Env, func(a, b EnvVariable) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(s.Images, func(a, b ImageArchive) int { return cmp.Compare(a.Path, b.Path) })
	for i := range s.Registries {
		s.Registries[i].CA = normalizeCA(s.Registries[i].CA)
	}
	for i := range s.Images {
		s.Images[i].SHA256 = strings.ToLower(s.Images[i].SHA256)
	}
	s.dropEmptyLists()
}

// dropEmptyLists makes an empty list the same as none.
func (s *RKE2Settings) dropEmptyLists() {
	if len(s.Registries) == 0 {
		s.Registries = nil
	}
	if len(s.Env) == 0 {
		s.Env = nil
	}
	if len(s.Images) == 0 {
		s.Images = nil
	}
	if len(s.Config) == 0 {
		s.Config = nil
	}
}

// maxRKE2Entries bounds each list: a transaction checks all secrets of a cluster, and etcd allows 128 conditions.
const maxRKE2Entries = 50

const (
	wantRegistryHost = "the host of an image registry, with its port if it has one, such as " +
		"registry.example.com:5000; " +
		AnyRegistry + " is any host"
	wantMirror   = "the URL of a registry, such as https://mirror.example.com, without a name and a password in it"
	wantEnvName  = "a name of letters, digits and '_' that does not begin with a digit, such as HTTPS_PROXY"
	wantEnvValue = "one line of text without a password"
	// WantSecretName describes what IsSecretName accepts.
	WantSecretName = "the name of a secret: at most 63 lower-case letters, digits and '-', such as registry-login"
	// WantSecretKey describes what IsSecretKey accepts.
	WantSecretKey = "the key of a secret: at most 253 letters, digits, '.', '_' and '-', such as password"
)

var (
	envName      = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	secretKey    = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$`)
	registryPort = lazyregexp.New(`:([1-9][0-9]{0,4})$`)
	// credentialsInURL matches a name with a password in a URL, or in a proxy without a scheme.
	credentialsInURL = lazyregexp.New(`(^|[/,;=\s])([^/\s:@]*:[^/\s@]+)@`)
	// secretEnvName matches variables whose values are secret by the conventions of clouds and tools.
	secretEnvName = lazyregexp.New(`(?i)(^|_)(token|secret|password|passwd|passphrase|api_?key|access_?key|` +
		`secret_?key|private_?key|secret_access_key|credentials?)$`)
	// ownedEnvName matches variables that skyctl or systemd sets for RKE2. RKE2 reads its configuration from RKE2_ and
	// K3S_ variables too, and config.yaml is skyctl's.
	ownedEnvName = lazyregexp.New(`(?i)^(RKE2_|K3S_|LD_|SYSTEMD_|(PATH|HOME|KUBECONFIG|NODE_NAME|NOTIFY_SOCKET|` +
		`INVOCATION_ID|JOURNAL_STREAM)$)`)
)

// IsSecretName reports whether a name is a DNS label.
func IsSecretName(name string) bool { return len(validation.IsDNS1123Label(name)) == 0 }

// IsSecretKey reports whether a key can be the name of a variable or of a file.
func IsSecretKey(key string) bool { return secretKey.MatchString(key) }

// validate adds what is invalid. No error quotes a value that has a password in it.
func (s RKE2Settings) validate(errs *fieldErrors) {
	for list, n := range map[string]int{"rke2.registries": len(s.Registries), "rke2.env": len(s.Env),
		"rke2.config": len(s.Config), "rke2.images": len(s.Images)} {
		if n > maxRKE2Entries {
			errs.addField(list, strconv.Itoa(n), fmt.Sprintf("at most %d entries", maxRKE2Entries))
		}
	}
	seen := map[string]bool{}
	for _, r := range s.Registries {
		if seen[r.Host] {
			errs.addField("rke2.registries.host", r.Host, "each host once")
		}
		seen[r.Host] = true
		r.validate(errs)
	}
	seen = map[string]bool{}
	for _, v := range s.Env {
		if seen[v.Name] {
			errs.addField("rke2.env.name", v.Name, "each name once")
		}
		seen[v.Name] = true
		v.validate(errs)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Config)) {
		s.Config[key].validate(key, errs)
	}
	validateImages(s.Images, errs)
}

// Validate checks what is invalid, as Cluster.Validate does.
func (s RKE2Settings) Validate() error {
	var errs fieldErrors
	s.validate(&errs)
	return errs.joinErrors()
}

func (r Registry) validate(errs *fieldErrors) {
	if !isRegistryHost(r.Host) {
		errs.addField("rke2.registries.host", hidePassword(r.Host), wantRegistryHost)
		return
	}
	path := registryPath(r)
	for _, m := range r.Mirrors {
		if !isMirror(m) {
			errs.addField(path+".mirrors", hidePassword(m), wantMirror)
		}
	}
	switch {
	case r.Secret != "" && !IsSecretName(r.Secret):
		errs.addField(path+".secret", r.Secret, WantSecretName)
	case r.Secret != "" && r.Host == AnyRegistry:
		errs.addField(path+".secret", r.Secret, "the field left out for any host: "+
			"name the host that gets the credentials")
	case r.CA != "" && r.Host == AnyRegistry:
		errs.addField(path+".ca", "", "the field left out for any host: name the host that they are for")
	case r.Secret == "" && len(r.Mirrors) == 0 && r.CA == "":
		errs.addField(path, "", "mirrors, a secret with the credentials, or a CA")
	}
	if r.CA != "" && !isCertificates(r.CA) {
		errs.addField(path+".ca", "", wantCA) // it may be a private key
	}
}

func (v EnvVariable) validate(errs *fieldErrors) {
	path := envPath(v)
	switch {
	case !envName.MatchString(v.Name):
		errs.addField("rke2.env.name", v.Name, wantEnvName)
	case ownedEnvName.MatchString(v.Name):
		errs.addField("rke2.env.name", v.Name, "a variable that neither skyctl nor systemd sets for RKE2")
	case v.Secret == "" && v.Key != "":
		errs.addField(path+".secret", "", "the name of the secret that has the key "+v.Key)
	case v.Secret != "" && v.Value != "":
		errs.addField(path+".value", "", "the field left out: the variable takes it from the secret "+v.Secret)
	case v.Secret != "":
		if !IsSecretName(v.Secret) {
			errs.addField(path+".secret", v.Secret, WantSecretName)
		}
		if !IsSecretKey(v.Key) {
			errs.addField(path+".key", v.Key, WantSecretKey)
		}
	case credentialsInURL.MatchString(v.Value) || secretEnvName.MatchString(v.Name) && v.Value != "":
		// the value itself must not be quoted
		errs.addField(path+".value", "", "a text without a password: store it with skyctl create secret, and "+
			"name its secret and key instead of the value")
	case v.Value == "":
		errs.addField(path, "", "a value, or the secret and the key that have it")
	case strings.ContainsFunc(v.Value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		errs.addField(path+".value", v.Value, wantEnvValue)
	}
}

// hidePassword replaces the name and the password in a URL.
func hidePassword(value string) string { return credentialsInURL.ReplaceAllString(value, "$1…@") }

func isRegistryHost(host string) bool {
	if host == AnyRegistry {
		return true
	}
	name := registryPort.ReplaceAllString(host, "")
	port := strings.TrimPrefix(host[len(name):], ":")
	return isPort(port) && len(validation.IsDNS1123Subdomain(name)) == 0
}

// isPort reports whether a port can be one; "" is the usual port.
func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

func isMirror(v string) bool {
	u, err := url.Parse(v)
	return err == nil && u.Hostname() != "" && isPort(u.Port()) && u.User == nil && u.RawQuery == "" &&
		u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http")
}
