package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJm2y6Zk4c9kq0Jr2mNnE0b1kq3cYkQnq0b4X0m8m2Qd"

func loadSSHSettings(t *testing.T, text string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(nil, func(name string) string {
		if name == EnvDir {
			return dir
		}
		return ""
	})
}

func TestBastionIsReadAndChecked(t *testing.T) {
	rest := "\n  proxyJumpHostKey: " + testHostKey + "\n  proxyJumpSecret: bastion\n"
	for text, want := range map[string]string{
		"ssh:\n  proxyJump: jump@bastion.example.com" + rest:                            "jump@bastion.example.com:22",
		"ssh:\n  proxyJump: jump@10.0.0.1:2222" + rest:                                  "jump@10.0.0.1:2222",
		"ssh:\n  proxyJump: 'jump@[2001:db8::1]:2222'" + rest:                           "jump@[2001:db8::1]:2222",
		"ssh:\n  proxyJump: 'jump@[2001:db8::1]'" + rest:                                "jump@[2001:db8::1]:22",
		"ssh:\n  proxyJump: j@h\n  proxyJumpNetworks: 10.1.2.3/16, 192.0.2.0/24" + rest: "j@h:22",
	} {
		c, err := loadSSHSettings(t, text)
		if err != nil || c.SSH.ProxyJump.String() != want {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && strings.Contains(text, "Networks") && c.SSH.ProxyJumpNetworks[0].String() != "10.1.0.0/16" {
			t.Errorf("got %v", c.SSH.ProxyJumpNetworks)
		}
	}
	for text, want := range map[string]string{
		"ssh:\n  proxyJump: bastion" + rest:                                 "USER@HOST",
		"ssh:\n  proxyJump: a@b,c@d" + rest:                                 "one bastion",
		"ssh:\n  proxyJump: a@-oProxyCommand=x" + rest:                      "USER@HOST",
		"ssh:\n  proxyJump: a@b:0" + rest:                                   "USER@HOST",
		"ssh:\n  proxyJump: a@b\n  proxyJumpSecret: bastion\n":              "ssh.proxyJumpHostKey is not",
		"ssh:\n  proxyJump: a@b\n  proxyJumpHostKey: " + testHostKey + "\n": "ssh.proxyJumpSecret is not",
		"ssh:\n  proxyJumpSecret: bastion\n":                                "ssh.proxyJump is not",
		"ssh:\n  proxyJump: a@b\n  proxyJumpHostKey: nonsense\n":            "public host key",
		"ssh:\n  proxyJump: a@b\n  proxyJumpSecret: A B\n":                  "proxyJumpSecret",
		"ssh:\n  proxyJump: a@b\n  proxyJumpNetworks: here" + rest:          "10.0.0.0/16",
	} {
		if _, err := loadSSHSettings(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
