package api_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/sky-shift/skyctl/pkg/api"
)

func TestBastionsAreParsedStrictly(t *testing.T) {
	for given, want := range map[string]string{
		"jump@bastion.example.com":       "jump@bastion.example.com:22",
		"jump@bastion.example.com:2222":  "jump@bastion.example.com:2222",
		"Jump.er@Under_score-1":          "Jump.er@Under_score-1:22",
		"jump@10.0.0.1:2222":             "jump@10.0.0.1:2222",
		"jump@[2001:db8::1]":             "jump@[2001:db8::1]:22",
		"jump@[2001:db8::1]:2222":        "jump@[2001:db8::1]:2222",
		"":                               "",
		"bastion":                        "",
		"@bastion":                       "",
		"jump@":                          "",
		"jump@:22":                       "",
		"jump@b:":                        "",
		"jump@b:0":                       "",
		"jump@b:65536":                   "",
		"jump@b:ssh":                     "",
		"jump@2001:db8::1":               "",
		"jump@[bastion]":                 "",
		"jump@[10.0.0.1]:22":             "",
		"a@b,c@d":                        "",
		"a@b@c":                          "",
		"a:password@b":                   "",
		"a@-oProxyCommand=x":             "",
		"-oProxyCommand=x@b":             "",
		"a b@c":                          "",
		"a@b c":                          "",
		"a@b/c":                          "",
		"ssh://a@b":                      "",
		"a@b\nProxyCommand x":            "",
		"jump@b$(touch /tmp/x)":          "",
		"jump@bastion.example.com:22:22": "",
	} {
		j, ok := api.ParseJumpHost(given)
		if ok != (want != "") || j.String() != want {
			t.Errorf("%q: %q, %t", given, j, ok)
		}
		if again, _ := api.ParseJumpHost(j.String()); again != j {
			t.Errorf("%q is read as %q", j, again)
		}
	}
}

func TestFieldsOfABastionGoTogether(t *testing.T) {
	const jump = "jump@bastion:22"
	for _, c := range []struct{ jump, hostKey, secret, field string }{
		{"", "", "", ""},
		{"none", "", "", ""},
		{"NONE", "", "", ""},
		{jump, otherHostKey, "bastion", ""},
		{jump, otherHostKey + " root@bastion\n", "bastion", ""},
		{jump, "", "bastion", "ssh_proxy_jump_host_key"},
		{jump, otherHostKey, "", "ssh_proxy_jump_secret"},
		{jump, otherHostKey + "\n" + otherHostKey, "bastion", "ssh_proxy_jump_host_key"},
		{jump, "SHA256:abc", "bastion", "ssh_proxy_jump_host_key"},
		{jump, otherHostKey, "-----BEGIN KEY", "ssh_proxy_jump_secret"},
		{"", otherHostKey, "", "ssh_proxy_jump"},
		{"", "", "bastion", "ssh_proxy_jump"},
		{"none", otherHostKey, "bastion", "ssh_proxy_jump"},
		{"bastion", otherHostKey, "bastion", "ssh_proxy_jump"},
	} {
		s := api.GroupSpec{NumNodes: 1, Provision: true, SSH: api.SSHAccess{ProxyJump: c.jump,
			ProxyJumpHostKey: c.hostKey, ProxyJumpSecret: c.secret}}
		s.SetDefaults()
		all := api.FieldErrorsOf(s.Validate())
		if len(all) > 0 != (c.field != "") || len(all) > 0 && all[0].Field != c.field {
			t.Errorf("%+v: %v, want an error of %q", c, all, c.field)
		}
		if c.field == "" && c.hostKey != "" && s.SSH.ProxyJumpHostKey != otherHostKey {
			t.Errorf("the host key is %q", s.SSH.ProxyJumpHostKey)
		}
		if c.jump != "bastion" && s.SSH.HasBastion() != (c.jump == jump) {
			t.Errorf("%q: it has a bastion: %t", c.jump, s.SSH.HasBastion())
		}
	}
}

func TestClusterRefersToTheKeyOfItsBastion(t *testing.T) {
	c := changeable()
	if refs := c.Spec.SecretReferences(); len(refs) != 0 {
		t.Errorf("got %v", refs)
	}
	c.Spec.SSH = api.SSHAccess{ProxyJump: "jump@bastion:22", ProxyJumpHostKey: otherHostKey, ProxyJumpSecret: "bastion"}
	want := []api.SecretReference{{Field: "ssh_proxy_jump_secret", Secret: "bastion",
		KeySets: [][]string{{"ssh-privatekey"}}}}
	if refs := c.Spec.SecretReferences(); !reflect.DeepEqual(refs, want) {
		t.Errorf("got %v", refs)
	}
}

func TestStoredClusterWithoutABastionStaysAsItIs(t *testing.T) {
	const stored = `{"manager":"k8","cloud":"docker","provision":true,"control_plane":{"replicas":1},"pools":[]}`
	var s api.ClusterSpec
	if err := json.Unmarshal([]byte(stored), &s); err != nil {
		t.Fatal(err)
	}
	s.SetDefaults()
	data, err := json.Marshal(s)
	if err != nil || strings.Contains(string(data), "ssh") || s.Validate() != nil ||
		s.ControlPlaneGroup().RequiredLevel() > 7 {
		t.Errorf("%v, %v: %s", err, s.Validate(), data)
	}
}
