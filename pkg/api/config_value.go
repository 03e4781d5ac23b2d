package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sky-shift/skyctl/pkg/rke2config"
)

// ConfigValue is the value of a key of RKE2's config.yaml: one text, or several for a key that can be given several
// times. RKE2 makes --KEY=TEXT of each, so that true and 5 are texts as well
// (k3s-io/k3s, pkg/configfilearg/parser.go).
type ConfigValue []string

const wantConfig = "keys of RKE2's server or agent configuration, each with a text or a list of texts"

// MarshalJSON writes one text as it is, and several as a list.
func (v ConfigValue) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return json.Marshal(v[0])
	}
	return json.Marshal([]string(v))
}

// UnmarshalJSON reads a text, a number or a truth value, or a list of such.
func (v *ConfigValue) UnmarshalJSON(data []byte) error {
	var items []json.RawMessage
	if json.Unmarshal(data, &items) != nil || items == nil {
		items = []json.RawMessage{data}
	}
	read := ConfigValue{}
	for _, item := range items {
		var text string
		if json.Unmarshal(item, &text) == nil && string(item) != "null" {
			read = append(read, text)
			continue
		}
		var number json.Number
		var truth bool
		if json.Unmarshal(item, &number) != nil && json.Unmarshal(item, &truth) != nil || string(item) == "null" {
			return fmt.Errorf("a value of RKE2's configuration is neither a text nor a list of texts")
		}
		read = append(read, string(item))
	}
	*v = read
	return nil
}

// String is the value for people, and for comparisons.
func (v ConfigValue) String() string {
	if len(v) == 1 && !strings.HasPrefix(v[0], "[") {
		return v[0]
	}
	text, _ := json.Marshal([]string(v)) // texts can always be written
	return string(text)
}

// validate checks a key and its values.
func (v ConfigValue) validate(key string, errs *fieldErrors) {
	path := fmt.Sprintf("rke2.config[%s]", key)
	if want := rke2config.CheckKey(key); want != "" {
		errs.addField(path, "", want) // the value may be a secret
		return
	}
	if len(v) == 0 {
		errs.addField(path, "", "a value")
	}
	for _, text := range v {
		want := rke2config.CheckValue(key, text)
		switch {
		case text == "" || strings.ContainsFunc(text, isControlCharacter):
			errs.addField(path, "", "one line of text")
		case credentialsInURL.MatchString(text) || isSecretVariable(key, text):
			errs.addField(path, "", "a text without a password: this configuration is no secret")
		case want != "":
			errs.addField(path, text, want)
		}
	}
}

// isSecretVariable reports whether a value is a variable of a component, as NAME=VALUE, whose name says that it is
// secret.
func isSecretVariable(key, text string) bool {
	name, value, _ := strings.Cut(text, "=")
	return strings.HasSuffix(key, "-extra-env") && value != "" && secretEnvName.MatchString(name)
}

func isControlCharacter(r rune) bool { return r < ' ' || r == 0x7f }

// normalizeConfigValue checks KEY=TEXT pairs of one or more keys.
func normalizeConfigValue(pairs []string) ([]string, error) {
	var errs fieldErrors
	for _, pair := range pairs {
		key, text, _ := strings.Cut(pair, "=")
		ConfigValue{text}.validate(key, &errs)
	}
	return pairs, errs.joinErrors()
}

// checkProfile refuses a hardening profile where it does harm, or could not work.
func (s ClusterSpec) checkProfile() error {
	config := s.RKE2.Config
	key := "protect-kernel-defaults"
	if slices.Contains(config["profile"], "cis") {
		key = "profile"
	}
	refuse := func(why string) error {
		return &FieldError{Field: "rke2.config[" + key + "]", Value: config[key].String(), Want: why}
	}
	switch {
	case key == "profile" && slices.Contains(config["protect-kernel-defaults"], "false"):
		key = "protect-kernel-defaults"
		return refuse("true, or the key left out: profile cis needs it")
	case s.Cloud == "docker" && NeedsKernelParameters(config):
		return refuse("the key left out on docker: it sets kernel parameters, " +
			"and containers share those of this computer")
	case s.ManagesGPUs() && key == "profile":
		return refuse("the key left out with gpu_stack operator or device-plugin: the profile forbids the " +
			"privileged pods of the GPU stack")
	}
	return nil
}

// NeedsKernelParameters reports whether RKE2 starts with a configuration only if the kernel parameters of the machine
// are those of its hardening guide.
func NeedsKernelParameters(config map[string]ConfigValue) bool {
	return slices.Contains(config["profile"], "cis") || slices.Contains(config["protect-kernel-defaults"], "true")
}

// configTexts are the values of the configuration as text, by key.
func configTexts(s RKE2Settings) map[string]string {
	texts := map[string]string{}
	for key, value := range s.Config {
		texts[key] = value.String()
	}
	return texts
}
