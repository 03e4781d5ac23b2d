package redact

import (
	"net/url"
	"regexp"
	"strings"
)

var (
	// secretNamePattern are names of variables and settings whose values are secret, by the conventions of clouds and
	// tools.
	secretNamePattern = regexp.MustCompile(`(?i)(?:^|[_-])(?:token|secret|password|passwd|passphrase|api_?key|` +
		`access_?key|secret_?key|private_?key|secret_access_key|credentials?|connection_?string)$`)
	// settingLinePattern is a line of a file of credentials, as INI or JSON.
	settingLinePattern = regexp.MustCompile(`(?m)^\s*"?([\w-]+)"?\s*[=:]\s*"?((?:[^"\s\\]|\\.| )+?)"?,?\s*$`)
	proxyNamePattern   = regexp.MustCompile(`(?i)_proxy$`)
)

// LearnEnvironment learns the secrets in an environment of NAME=VALUE: those whose names say that they are, such as a
// cloud's credentials, and the passwords of proxies.
func LearnEnvironment(environ []string) {
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		learnSetting(name, value)
	}
}

// LearnSettings learns the secrets in a file of credentials, as clouds' own tools write them.
func LearnSettings(text []byte) {
	for _, m := range settingLinePattern.FindAllSubmatch(text, -1) {
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

// isPathOrURL is true of the path of a file and of an address, which say where a secret is.
func isPathOrURL(value string) bool {
	return strings.HasPrefix(value, "/") || strings.HasPrefix(value, "~/") || strings.HasPrefix(value, "http://") ||
		strings.HasPrefix(value, "https://")
}

// learnURLPassword learns the password in a URL, as it is and as it is written there.
func learnURLPassword(address string) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return
	}
	if password, has := u.User.Password(); has {
		LearnSecret("", []byte(password))
	}
}
