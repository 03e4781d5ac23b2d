package config

import (
	"strings"
	"testing"
)

const externalServers = "etcd:\n  endpoints: https://e:2379\n%s\ntemporal:\n  address: t:7233\n"

func TestGatewayIsReadAndChecked(t *testing.T) {
	secured := strings.Replace(externalServers, "%s", "  tls: {ca: ca.crt, cert: c.crt, key: c.key}", 1)
	plain := strings.Replace(externalServers, "%s", "", 1)
	bastion := "ssh:\n  proxyJump: a@b\n  proxyJumpSecret: bastion\n  proxyJumpHostKey: " + testHostKey + "\n"
	for _, text := range []string{
		"gateway: {listen: '127.0.0.1:7222'}", "gateway: {listen: '[::1]:7222', address: 'localhost:7222'}",
		secured + "gateway: {listen: '0.0.0.0:7222'}", secured + "gateway: {address: 'skyctl.example.com:7222'}",
		secured + bastion + "gateway: {listen: '0.0.0.0:7222'}",
	} {
		if _, err := loadSSHSettings(t, text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"gateway: {listen: '0.0.0.0:7222'}":                         "skyd dev is for this computer only",
		"gateway: {listen: 'example.com:7222'}":                     "use a loopback address such as 127.0.0.1:7222",
		"gateway: {listen: '7222'}":                                 "host:port without a scheme",
		"gateway: {address: 'https://example.com'}":                 "skyctl.example.com:7222",
		plain + "gateway: {listen: '127.0.0.1:7222'}":               "but etcd.tls.ca is not",
		plain + "gateway: {address: 'skyctl.example.com:7222'}":     "but etcd.tls.ca is not",
		secured + bastion + "gateway: {address: 'example.com:722'}": "unset one of the two",
	} {
		if _, err := loadSSHSettings(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
