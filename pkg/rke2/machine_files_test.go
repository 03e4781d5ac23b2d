package rke2

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/api"
)

// withFiles is a node with registries and variables of every kind.
func withFiles(n Node) Node {
	n.Registries = []Registry{
		{Host: "docker.io", Mirrors: []string{"https://mirror.example.com", "http://10.0.0.7:5000"}},
		{Host: "mirror.example.com", Username: "ci: #1", Password: "hunter\"22'22$x\\"},
		{Host: "registry.example.com:5000", Mirrors: []string{"https://m.example.com"}, Token: "token-of-a-registry",
			CA: "certificates"},
		{Host: "ca.example.com", CA: "others"},
		{Host: "plain.example.com"},
	}
	n.Env = map[string]string{"HTTPS_PROXY": "http://ann:hunter2222@proxy:3128", "NO_PROXY": ".corp,10.9.0.0/16",
		"ODD": "a \"b\" $c `d` \\e 'f' #g", "EMPTY": ""}
	return n
}

func TestMachineFilesMatchTheGoldenFiles(t *testing.T) {
	files, err := renderMachineFiles(withFiles(Node{NodeName: "n"}), Facts{})
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{"registries.yaml": contentOf(t, files, registriesFile),
		"rke2-server.env": contentOf(t, files, envDir+"/rke2-agent")} {
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || string(got) != string(want) {
			t.Errorf("got\n%s\nwant\n%s%v", got, want, err)
		}
	}
	var read struct {
		Configs map[string]struct {
			Auth struct{ Username, Password string }
		}
	}
	if err := yaml.Unmarshal(contentOf(t, files, registriesFile), &read); err != nil ||
		read.Configs["mirror.example.com"].Auth.Password != "hunter\"22'22$x\\" {
		t.Errorf("%+v, %v", read, err)
	}
	ca := string(contentOf(t, files, "/etc/rancher/rke2/skyctl-registry-ca/registry.example.com_5000.crt"))
	if ca != writtenBySkyctl+"certificates\n" {
		t.Errorf("the CA is %q", ca)
	}
	files, err = renderMachineFiles(Node{}, Facts{})
	if err != nil || len(files) != 2 || files[0].content != nil || files[1].content != nil {
		t.Errorf("without any: %+v, %v", files, err)
	}
}

// contentOf returns the content of a file with a name.
func contentOf(t *testing.T, files []machineFile, name string) []byte {
	t.Helper()
	for _, f := range files {
		if f.name == name {
			return f.content
		}
	}
	t.Fatalf("no file %s among %v", name, files)
	return nil
}

func TestFilesArriveOnMachinesForRootOnly(t *testing.T) {
	head := Node{Role: api.RoleHead, NodeName: "h", NodeIP: "203.0.113.7", AgentToken: "x"}
	worker := Node{Role: api.RoleWorker, NodeName: "w", NodeIP: "203.0.113.8", Server: "https://203.0.113.7:9345"}
	for unit, start := range map[string]func(*machine) error{
		"rke2-server": func(m *machine) error { return StartServer(t.Context(), m.Host, withFiles(head)) },
		"rke2-agent": func(m *machine) error {
			return JoinAgent(t.Context(), m.Host, withFiles(worker), "K10"+strings.Repeat("a", 64)+"::node:y")
		},
	} {
		m := newMachine(t)
		m.Write(registriesFile, "of the image", 0o644)
		for range 2 { // the second call changes nothing
			if err := start(m); err != nil {
				t.Fatal(err)
			}
		}
		role := worker
		if unit == "rke2-server" {
			role = head
		}
		wanted, err := renderMachineFiles(withFiles(role), Facts{})
		if err != nil || len(wanted) < 4 {
			t.Fatalf("%d files, %v", len(wanted), err)
		}
		for _, file := range wanted[:4] { // without canal's
			if got := m.RunShell("stat -c %a " + file.name + "; cat " + file.name); got != "600\n"+
				strings.TrimSpace(string(file.content)) {
				t.Errorf("%s has\n%s", file.name, got)
			}
		}
		if calls := m.RunShell("grep -c start /run/systemd/system/calls"); calls != "1" {
			t.Errorf("%s was started %s times", unit, calls)
		}
		if left := m.RunShell("ls /etc/rancher/rke2 " + envDir); strings.Contains(left, "yaml.") ||
			strings.Contains(left, unit+".") {
			t.Errorf("left behind:\n%s", left)
		}
		if config := m.RunShell("cat " + configFile); !strings.Contains(config, "node-name: ") {
			t.Errorf("the configuration is\n%s", config)
		}
		proxy := m.RunShell("cat " + proxyEnvFile)
		for _, want := range []string{"HTTPS_PROXY=http://ann:hunter2222@proxy:3128\n", ".corp,10.9.0.0/16,",
			"203.0.113.",
			"10.43.0.0/16", ".svc"} {
			if !strings.Contains(proxy, want) {
				t.Errorf("%s is not in\n%s", want, proxy)
			}
		}
		if err := UninstallRelease(t.Context(), m.Host); err != nil {
			t.Fatal(err)
		}
		left := m.RunShell("cat " + registriesFile + " " + envDir + "/" + unit + " " + registryCADir +
			"/* 2>/dev/null; true")
		if left != "" {
			t.Errorf("left behind:\n%s", left)
		}
	}
}

func TestFilesOfTheImageStayWithoutOthers(t *testing.T) {
	m := newMachine(t)
	m.Write(registriesFile, "of the image", 0o644)
	m.Write(envDir+"/rke2-server", "A=1", 0o644)
	head := Node{Role: api.RoleHead, NodeName: "h", NodeIP: "203.0.113.7", AgentToken: "x"}
	if err := StartServer(t.Context(), m.Host, head); err != nil {
		t.Fatal(err)
	}
	if err := UninstallRelease(t.Context(), m.Host); err != nil {
		t.Fatal(err)
	}
	if got := m.RunShell("cat " + registriesFile + " " + envDir + "/rke2-server"); got != "of the imageA=1" {
		t.Errorf("now %s", got)
	}
}

func TestScriptsContainNoValueOfAFile(t *testing.T) {
	n := withFiles(Node{Role: api.RoleHead, NodeIP: "203.0.113.7"})
	if script := renderReceiveFiles(n) + renderProxyScript(n); strings.Contains(script, "hunter") ||
		strings.Contains(script, "token-of") {
		t.Error(script)
	}
}
