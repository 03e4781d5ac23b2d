package redact

import (
	"net/url"
	"strings"

	"github.com/sky-shift/skyctl/pkg/lazyregexp"
)

var (
	// secretNamePattern matches variables and settings whose values are secret by the conventions of clouds and tools.
	secretNamePattern = lazyregexp.New(`(?i)(?:^|[_-])(?:token|secret|password|passwd|passphrase|api_?key|` +
		`access_?key|secret_?key|private_?key|secret_access_key|credentials?|connection_?string)$`)
	// settingLinePattern matches a line of a credentials file in INI or JSON.
	settingLinePattern = lazyregexp.New(`(?m)^\s*"?([\w-]+)"?\s*[=:]\s*"?((?:[^"\s\\]|\\.| )+?)"?,?\s*$`)
	proxyNamePattern   = lazyregexp.New(`(?i)_proxy$`)
)

// LearnEnvironment learns the secrets in an environment of NAME=VALUE: values with the name of a secret, such as a
// cloud's credentials, and the passwords of proxies.
func LearnEnvironment(environ []string) {
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		learnSetting(name, value)
	}
}

// LearnSettings learns the secrets in a credentials file, as the clouds' tools write them.
func LearnSettings(text []byte) {
	for _, m := range settingLinePattern.Compiled().FindAllSubmatch(text, -1) {
		learnSetting(string(m[1]), string(m[2]))
	}
}

func learnSetting(name, value string) {
	switch {
	case proxyNamePattern.MatchString(name):
		learnURLPassword(value)
	case secretNamePattern.MatchString(name) && !isPathOrURL(value):
		LearnSecret("", []byte(value))
	}
}

// isPathOrURL reports whether a value is the path or the address of a secret, not the secret itself.
func isPathOrURL(value string) bool {
	return strings.HasPrefix(value, "/") || strings.HasPrefix(value, "~/") || strings.HasPrefix(value, "http://") ||
		strings.HasPrefix(value, "https://")
}

// learnURLPassword learns the password in a URL, unescaped.
func learnURLPassword(address string) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return
	}
	if password, has := u.User.Password(); has {
		LearnSecret("", []byte(password))
	}
}
