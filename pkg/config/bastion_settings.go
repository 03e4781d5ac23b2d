package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/api"
)

// SSH configures how machines are reached.
type SSH struct {
	// ProxyJump is a bastion through which machines are reached; the zero value is none.
	ProxyJump         JumpHost
	ProxyJumpHostKey  string // its host key, in authorized_keys form
	ProxyJumpSecret   string // the named secret whose key JumpSecretKey is the private key for it
	ProxyJumpNetworks []netip.Prefix
}

// JumpSecretKey is the key of a private SSH key in a secret, as in Kubernetes' secrets of type ssh-auth.
const JumpSecretKey = "ssh-privatekey"

// JumpHost is USER@HOST:PORT.
type JumpHost struct {
	User, Host string
	Port       int
}

// String is the form that the setting has.
func (j JumpHost) String() string {
	if j.Host == "" {
		return ""
	}
	host := j.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s@%s:%d", j.User, host, j.Port)
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

var errJumpHost = errors.New("USER@HOST or USER@HOST:PORT, one bastion, such as jump@bastion.example.com:22")

func parseJumpHost(v string) (JumpHost, error) {
	user, address, ok := strings.Cut(v, "@")
	if !ok || user == "" || strings.ContainsAny(v, ", \t/") || strings.HasPrefix(user, "-") {
		return JumpHost{}, errJumpHost
	}
	if strings.HasPrefix(address, "[") && strings.HasSuffix(address, "]") || !strings.Contains(address, ":") {
		address += ":22"
	}
	host, port, err := splitHostPort(address)
	if err != nil || host == "" || strings.HasPrefix(host, "-") {
		return JumpHost{}, errJumpHost
	}
	return JumpHost{User: user, Host: host, Port: port}, nil
}

func checkHostKey(v string) error {
	if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(v)); err != nil || len(rest) > 0 {
		return errors.New("the bastion's public host key, such as \"ssh-ed25519 AAAA…\": one line of " +
			"/etc/ssh/ssh_host_ed25519_key.pub there")
	}
	return nil
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
