package unit

import (
	"maps"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

// keptVariables are the variables of a shell that change what skyd does, besides skyctl's settings.
var keptVariables = []string{
	"HOME", "PATH", "TMPDIR", "TZ", "GOGC", "GOMEMLIMIT", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION", "DOCKER_CONFIG",
}

// cloudPrefixes begin the names of the clouds' own variables, which SkyPilot reads.
var cloudPrefixes = []string{"AWS_", "AZURE_", "ARM_", "GOOGLE_", "CLOUDSDK_", "OCI_", "IBM_"}

// secretName matches the names of variables whose value is itself a secret. AWS_WEB_IDENTITY_TOKEN_FILE names a file.
var secretName = lazyregexp.New(
	`((KEY|SECRET|TOKEN|PASSWORD|PASSPHRASE|CREDENTIAL)S?(_ID)?|CONNECTION_STRING|KEY_CONTENT|KEYFILE_JSON)$`)

// namesFile are variables that secretName takes for secrets, and that name a file.
var namesFile = []string{"GOOGLE_APPLICATION_CREDENTIALS"}

// ChooseVariables returns the environment of skyd in a unit, sorted by name: the settings, as NAME=value, and those
// variables of the person's environment that matter to skyd. withheld names the ones that are secrets of a cloud: they
// are not written into a file.
func ChooseVariables(environ, settings []string) (chosen []Variable, withheld []string) {
	values := map[string]string{}
	for _, text := range environ {
		name, value, _ := strings.Cut(text, "=")
		ofCloud := slices.ContainsFunc(cloudPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
		switch {
		case value == "":
		case ofCloud && secretName.MatchString(name) && !slices.Contains(namesFile, name):
			withheld = append(withheld, name)
		case ofCloud, slices.Contains(keptVariables, name):
			values[name] = value
		}
	}
	for _, text := range settings {
		name, value, _ := strings.Cut(text, "=")
		values[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		chosen = append(chosen, Variable{name, values[name]})
	}
	slices.Sort(withheld)
	return chosen, withheld
}
