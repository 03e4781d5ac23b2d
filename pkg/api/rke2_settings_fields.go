package api

import (
	"slices"
	"strings"
)

// The paths of the lists of RKE2Settings in a cluster file.
const (
	pathRegistries = "spec.rke2.registries"
	pathEnv        = "spec.rke2.env"
	pathRKE2Config = "spec.rke2.config"
	pathImages     = "spec.rke2.images"
)

// changesRKE2Settings is the rule of what RKE2 reads as it starts.
var changesRKE2Settings = neverChanges("RKE2 reads it as it starts", anotherCluster)

// registryField declares a field of a Registry.
type registryField struct {
	FileField
	text func(Registry) string
}

// envField declares a field of an EnvVariable.
type envField struct {
	FileField
	text func(EnvVariable) string
}

var registryFields = []registryField{
	{FileField{Path: "host", Help: "host of the registry or of a mirror; " + AnyRegistry + " is any other host",
		Want: wantRegistryHost, Example: "registry.example.com", Required: true},
		func(r Registry) string { return r.Host }},
	{FileField{Path: "mirrors", Type: TypeList, Default: "none", Want: wantMirror,
		Example: "https://mirror.example.com",
		Help: "URLs that are tried before the host, in this order; credentials for a mirror stand under its own " +
			"host"},
		func(r Registry) string { return strings.Join(r.Mirrors, ",") }},
	{FileField{Path: "secret", Default: "none", Want: WantSecretName, Example: "registry-login",
		Help: "secret with the credentials for this host: its keys are username and password, or token; a new value " +
			"counts for machines that are launched from then on"},
		func(r Registry) string { return r.Secret }},
	{FileField{Path: "ca", Default: "the authorities of the machine's image", Want: wantCA, Example: exampleCA,
		Help: "certificates of the authorities, in PEM, that signed the certificate of this host"},
		func(r Registry) string { return r.CA }},
}

var envFields = []envField{
	{FileField{Path: "name", Help: "name of the variable", Want: wantEnvName, Example: "HTTPS_PROXY", Required: true},
		func(v EnvVariable) string { return v.Name }},
	{FileField{Path: "value", Default: "none", Help: "value of the variable, if it is no secret", Want: wantEnvValue,
		Example: "http://proxy.example.com:3128"},
		func(v EnvVariable) string { return v.Value }},
	{FileField{Path: "secret", Default: "none", Want: WantSecretName, Example: "proxy",
		Help: "secret that has the value; a new value counts for machines that are launched from then on"},
		func(v EnvVariable) string { return v.Secret }},
	{FileField{Path: "key", Default: "none", Help: "key of the secret that has the value", Want: WantSecretKey,
		Example: "url"},
		func(v EnvVariable) string { return v.Key }},
}

// imageField declares a field of an ImageArchive.
type imageField struct {
	FileField
	text func(ImageArchive) string
}

var imageFields = []imageField{
	{FileField{Path: "path", Help: "file of skyd's computer, or a URL; a name with linux-amd64 or linux-arm64 in it " +
		"goes to machines of that architecture only", Want: wantImagePath,
		Example: "/srv/rke2/rke2-images.linux-amd64.tar.zst", Required: true},
		func(a ImageArchive) string { return a.Path }},
	{FileField{Path: "sha256", Default: "the checksum that the archive has when the cluster is created",
		Want:    WantSHA256,
		Example: strings.Repeat("0a", 32), Help: "SHA-256 of the archive; a URL needs it"},
		func(a ImageArchive) string { return a.SHA256 }},
}

// rke2SettingsFileFields declares the lists of RKE2Settings.
func rke2SettingsFileFields() []FileField {
	fields := []FileField{{Path: pathRegistries, Type: TypeObjectList, Key: "host", Change: changesRKE2Settings,
		Help: "image registries that need mirrors or credentials (registries.yaml of RKE2)"}}
	for _, f := range registryFields {
		fields = append(fields, f.inList(pathRegistries))
	}
	fields = append(fields, FileField{Path: pathEnv, Type: TypeObjectList, Key: "name", Change: changesRKE2Settings,
		Help: "variables in the environment of RKE2, such as those of a proxy; skyctl adds the cluster's own " +
			"addresses to NO_PROXY"})
	for _, f := range envFields {
		fields = append(fields, f.inList(pathEnv))
	}
	fields = append(fields, FileField{Path: pathRKE2Config, Type: TypeValueMap, Default: "none",
		Change: changesRKE2Settings, Want: wantConfig, Example: "kube-proxy-arg=proxy-mode=nftables",
		normalize: normalizeConfigValue,
		Help: "further keys of RKE2's config.yaml, such as kube-apiserver-arg: [audit-log-maxage=30]; skyctl refuses " +
			"those that it sets itself"},
		FileField{Path: pathImages, Type: TypeObjectList, Key: "path", Change: changesRKE2Settings,
			Help: "archives of images that each machine gets before RKE2 starts, for machines that reach no registry"})
	for _, f := range imageFields {
		fields = append(fields, f.inList(pathImages))
	}
	return fields
}

// inList returns the declaration of a field of the items of a list.
func (f FileField) inList(list string) FileField {
	f.Path, f.Change = list+"."+f.Path, changesRKE2Settings
	return f
}

// compareRKE2Settings compares the lists by their keys.
func (c *comparison) compareRKE2Settings(before, after RKE2Settings) {
	was, is := registriesByHost(before), registriesByHost(after)
	for _, host := range mergeKeys(was, is) {
		for _, f := range registryFields {
			c.compareItem(pathRegistries, host, f.FileField, textIn(was, host, f.text), textIn(is, host, f.text))
		}
	}
	wasEnv, isEnv := envByName(before), envByName(after)
	for _, name := range mergeKeys(wasEnv, isEnv) {
		for _, f := range envFields {
			c.compareItem(pathEnv, name, f.FileField, textIn(wasEnv, name, f.text), textIn(isEnv, name, f.text))
		}
	}
	c.compareMaps(pathRKE2Config, configTexts(before), configTexts(after), changesRKE2Settings)
	wasImages, isImages := imagesByPath(before), imagesByPath(after)
	for _, path := range mergeKeys(wasImages, isImages) {
		for _, f := range imageFields {
			c.compareItem(pathImages, path, f.FileField, textIn(wasImages, path, f.text),
				textIn(isImages, path, f.text))
		}
	}
}

func (c *comparison) compareItem(list, key string, f FileField, before, after string) {
	c.compareText(list+"["+key+"]."+f.Path, before, after, changesRKE2Settings)
}

func registriesByHost(s RKE2Settings) map[string]Registry {
	m := map[string]Registry{}
	for _, r := range s.Registries {
		m[r.Host] = r
	}
	return m
}

func envByName(s RKE2Settings) map[string]EnvVariable {
	m := map[string]EnvVariable{}
	for _, v := range s.Env {
		m[v.Name] = v
	}
	return m
}

func imagesByPath(s RKE2Settings) map[string]ImageArchive {
	m := map[string]ImageArchive{}
	for _, a := range s.Images {
		m[a.Path] = a
	}
	return m
}

// textIn is a field of an item as text; empty if there is no such item.
func textIn[T any](items map[string]T, key string, text func(T) string) string {
	if item, ok := items[key]; ok {
		return text(item)
	}
	return ""
}

// mergeKeys returns the keys of two maps, sorted.
func mergeKeys[T any](a, b map[string]T) []string {
	var keys []string
	for _, m := range []map[string]T{a, b} {
		for k := range m {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
