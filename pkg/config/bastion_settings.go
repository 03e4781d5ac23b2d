package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
)

// SSH configures how machines are reached.
type SSH struct {
	// ProxyJump is the bastion through which machines are reached whose cluster says nothing; the zero value is none.
	ProxyJump         api.JumpHost
	ProxyJumpHostKey  string // its host key, in authorized_keys form
	ProxyJumpSecret   string // the named secret whose key api.SecretKeySSHPrivateKey is the private key for it
	ProxyJumpNetworks []netip.Prefix
}

func sshSettings() []setting {
	return []setting{
		{key: "ssh.proxyJump", get: func(c *Config) string { return c.SSH.ProxyJump.String() },
			set: func(c *Config, v string) (err error) { c.SSH.ProxyJump, err = parseJumpHost(v); return err }},
		textSetting("ssh.proxyJumpHostKey", "", "", noProgram,
			func(c *Config) *string { return &c.SSH.ProxyJumpHostKey }, checkHostKey),
		textSetting("ssh.proxyJumpSecret", "", "", noProgram,
			func(c *Config) *string { return &c.SSH.ProxyJumpSecret }, checkSecretName),
		{key: "ssh.proxyJumpNetworks", get: func(c *Config) string {
			var texts []string
			for _, n := range c.SSH.ProxyJumpNetworks {
				texts = append(texts, n.String())
			}
			return strings.Join(texts, ",")
		}, set: func(c *Config, v string) (err error) { c.SSH.ProxyJumpNetworks, err = parseNetworks(v); return err }},
	}
}

func parseJumpHost(v string) (api.JumpHost, error) {
	j, ok := api.ParseJumpHost(v)
	if !ok {
		return j, errors.New(api.WantJumpHost)
	}
	return j, nil
}

func checkHostKey(v string) error {
	_, err := api.ParseHostKey(v)
	return err
}

func checkSecretName(v string) error {
	if !api.IsSecretName(v) {
		return errors.New(api.WantSecretName)
	}
	return nil
}

func parseNetworks(v string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for part := range strings.SplitSeq(v, ",") {
		n, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, errors.New("address ranges separated by commas, such as 10.0.0.0/16")
		}
		all = append(all, n.Masked())
	}
	return all, nil
}

// checkJumpHost rejects a bastion without its host key or its secret, and these without a bastion.
func (c *Config) checkJumpHost(sources map[string]string) error {
	const jump = "ssh.proxyJump"
	for _, key := range []string{"ssh.proxyJumpHostKey", "ssh.proxyJumpSecret", "ssh.proxyJumpNetworks"} {
		switch {
		case sources[jump] == "" && sources[key] != "":
			return fmt.Errorf("%s is set (%s) but %s is not; set %s", key, sources[key], jump, c.HowToSet(jump))
		case sources[jump] != "" && sources[key] == "" && key != "ssh.proxyJumpNetworks":
			return fmt.Errorf("%s is set (%s) but %s is not; set %s", jump, sources[jump], key, c.HowToSet(key))
		}
	}
	return nil
}
