package api

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// SSHAccess says how the machines of a cluster are reached over SSH.
type SSHAccess struct {
	// ProxyJump is the bastion through which skyd and skyctl reach the machines, as a JumpHost, or ProxyJumpNone. Empty
	// leaves it to the settings of each of them.
	ProxyJump string `json:"proxy_jump,omitempty"`
	// ProxyJumpHostKey is the bastion's public host key, in authorized_keys form.
	ProxyJumpHostKey string `json:"proxy_jump_host_key,omitempty"`
	// ProxyJumpSecret names the secret whose key SecretKeySSHPrivateKey is the private key for the bastion.
	ProxyJumpSecret string `json:"proxy_jump_secret,omitempty"`
}

// ProxyJumpNone has the machines of a cluster reached directly, whatever the settings say.
const ProxyJumpNone = "none"

// SecretKeySSHPrivateKey is the key of a private SSH key in a secret, as in Kubernetes' secrets of type ssh-auth.
const SecretKeySSHPrivateKey = "ssh-privatekey"

// HasBastion reports whether the cluster names a bastion of its own.
func (a SSHAccess) HasBastion() bool { return a.ProxyJump != "" && a.ProxyJump != ProxyJumpNone }

// JumpHost is USER@HOST:PORT, one host as in ProxyJump of OpenSSH.
type JumpHost struct {
	User, Host string
	Port       int
}

// WantJumpHost describes what ParseJumpHost accepts.
const WantJumpHost = "USER@HOST or USER@HOST:PORT, one bastion, such as jump@bastion.example.com:22"

// ParseJumpHost takes a bastion apart; ok is false if it is none. An IPv6 address is in brackets, and the port is 22
// unless it is given.
func ParseJumpHost(v string) (j JumpHost, ok bool) {
	user, host, _ := strings.Cut(v, "@")
	port := "22"
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i+1:]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	isHost := isHostName(host)
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
		ip, err := netip.ParseAddr(host)
		isHost = err == nil && ip.Is6()
	}
	if !isLoginName(user) || !isHost || err != nil || n == 0 {
		return JumpHost{}, false
	}
	return JumpHost{User: user, Host: host, Port: int(n)}, true
}

// isLoginName keeps a user from being read as an option of ssh, or as something else than one word.
func isLoginName(v string) bool {
	return v != "" && !strings.HasPrefix(v, "-") && isOneWord(v) && !strings.ContainsAny(v, ",/:@%")
}

func isHostName(v string) bool {
	return v != "" && !strings.HasPrefix(v, "-") && !strings.ContainsFunc(v, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '.' && r != '-' && r != '_'
	})
}

// String is the normal form; empty for the zero value.
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

// WantBastionHostKey describes what ParseHostKey accepts.
const WantBastionHostKey = "the bastion's public host key, such as \"ssh-ed25519 AAAA…\": one line of " +
	"/etc/ssh/ssh_host_ed25519_key.pub there"

// ParseHostKey returns the normal form of a public host key, without its comment.
func ParseHostKey(v string) (normal string, err error) {
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(v))
	if err != nil || len(rest) > 0 {
		return "", errors.New(WantBastionHostKey)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), nil
}

// exampleHostKey is a valid key of nobody.
const exampleHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

// sshFields say through which bastion the machines are reached.
func sshFields() []Field {
	const cluster = 8 // the level of the fields
	changes := changesFreely("the next connection to a machine goes that way; skyd repeats a step that runs over an " +
		"earlier one")
	hidden := func(f Field) Field {
		f.Change, f.Flag, f.Level, f.Hidden = changes, FlagText, cluster, "it belongs to ssh_proxy_jump"
		return f
	}
	return []Field{
		newTextField(Field{
			Change: changes,
			Name:   "ssh_proxy_jump", Label: "Bastion", Flag: FlagText, Level: cluster,
			Example: "jump@bastion.example.com:22", Invalid: "bastion.example.com", Values: []string{ProxyJumpNone},
			Help: "bastion through which skyd and skyctl reach the machines over SSH, such as " +
				"jump@bastion.example.com, or none (default: the setting ssh.proxyJump)",
			Want: WantJumpHost + ", or none",
		}, func(s *GroupSpec) *string { return &s.SSH.ProxyJump }, normalizeProxyJump),
		newTextField(hidden(Field{
			Name: "ssh_proxy_jump_host_key", Example: exampleHostKey, Invalid: "SHA256:abc",
			Help: "public host key of the bastion: a line of its /etc/ssh/ssh_host_ed25519_key.pub (default: none)",
			Want: WantBastionHostKey,
		}), func(s *GroupSpec) *string { return &s.SSH.ProxyJumpHostKey }, func(v string) (string, bool) {
			normal, err := ParseHostKey(v)
			return normal, err == nil
		}),
		newTextField(hidden(Field{
			Name: "ssh_proxy_jump_secret", Example: "bastion", Invalid: "A secret",
			Help: "secret whose key " + SecretKeySSHPrivateKey + " is the private key for the bastion (default: none)",
			Want: WantSecretName,
		}), func(s *GroupSpec) *string { return &s.SSH.ProxyJumpSecret }, matches(IsSecretName)),
	}
}

func normalizeProxyJump(v string) (string, bool) {
	if v == "" || strings.EqualFold(v, ProxyJumpNone) {
		return strings.ToLower(v), true
	}
	j, ok := ParseJumpHost(v)
	return j.String(), ok
}

// checkProxyJump compares the fields of a bastion.
func checkProxyJump(s GroupSpec) *FieldError {
	a := s.SSH
	switch {
	case !a.HasBastion() && a.ProxyJumpHostKey+a.ProxyJumpSecret != "":
		return &FieldError{Field: "ssh_proxy_jump", Value: a.ProxyJump, Want: WantJumpHost +
			", because other fields of the bastion are set"}
	case a.HasBastion() && a.ProxyJumpHostKey == "":
		return &FieldError{Field: "ssh_proxy_jump_host_key", Value: "", Want: WantBastionHostKey}
	case a.HasBastion() && a.ProxyJumpSecret == "":
		return &FieldError{Field: "ssh_proxy_jump_secret", Value: "", Want: "the name of a secret with the key " +
			SecretKeySSHPrivateKey + ", the private key for the bastion"}
	}
	return nil
}
