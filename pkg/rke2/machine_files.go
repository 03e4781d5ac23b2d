package rke2

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/remote"
)

// The files of RKE2 that a cluster's spec can fill (docs.rke2.io, "Containerd Registry Configuration" and "Configuring
// an HTTP proxy").
const (
	registriesFile = "/etc/rancher/rke2/registries.yaml"
	envDir         = "/etc/default"
	// registryCADir has the certificates of registries, one file for each host.
	registryCADir = "/etc/rancher/rke2/skyctl-registry-ca"
)

// Registry says how a machine reaches an image registry.
type Registry struct {
	// Host of the registry or of a mirror.
	Host string
	// Mirrors are URLs.
	Mirrors []string
	// Username and Password, or else Token, are the credentials for Host; empty are none.
	Username, Password, Token string
	// CA are certificates in PEM; empty are those of the image.
	CA string
}

// machineFile is a file that goes to a machine besides its configuration. An empty one is not written, and one of the
// image stays.
type machineFile struct {
	name    string
	content []byte
	// receive is the part of a script that receives the file; empty is receive_file with its name.
	receive string
}

// listMachineFiles returns the names of the files of a node, in the order in which they are sent: certificates come
// before the file that refers to them.
func listMachineFiles(n Node) []machineFile {
	var files []machineFile
	for _, r := range n.Registries {
		if r.CA != "" {
			files = append(files, machineFile{name: registryCAFile(r), content: []byte(writtenBySkyctl + r.CA + "\n")})
		}
	}
	files = append(files, machineFile{name: registriesFile},
		machineFile{name: envDir + "/" + unitName(n.Role), content: renderEnv(n.Env)})
	if n.Role == api.RoleHead {
		files = append(files, machineFile{name: canalManifest, receive: receiveCanalConfig})
	}
	return files
}

// renderMachineFiles returns the files of a node with their content.
func renderMachineFiles(n Node, f Facts) ([]machineFile, error) {
	registries, err := renderRegistries(n.Registries)
	if err != nil {
		return nil, fmt.Errorf("rendering the registries of %s: %w", n.NodeName, err)
	}
	files := listMachineFiles(n)
	for i := range files {
		switch files[i].name {
		case registriesFile:
			files[i].content = registries
		case canalManifest:
			files[i].content = renderCanalConfig(n, f)
		}
	}
	return files, nil
}

// registryCAFile is the file with the certificates of a registry. A colon before a port is no part of a file's name on
// some systems.
func registryCAFile(r Registry) string {
	return registryCADir + "/" + strings.ReplaceAll(r.Host, ":", "_") + ".crt"
}

const writtenBySkyctl = "# Written by skyctl, which writes it again when the machine is prepared again.\n"

// renderRegistries renders registries.yaml; nothing if there are no registries.
func renderRegistries(registries []Registry) ([]byte, error) {
	if len(registries) == 0 {
		return nil, nil
	}
	mirrors, configs := map[string]any{}, map[string]any{}
	for _, r := range registries {
		if len(r.Mirrors) > 0 {
			mirrors[r.Host] = map[string]any{"endpoint": r.Mirrors}
		}
		if config := renderRegistryConfig(r); len(config) > 0 {
			configs[r.Host] = config
		}
	}
	file := map[string]any{}
	for name, part := range map[string]map[string]any{"mirrors": mirrors, "configs": configs} {
		if len(part) > 0 {
			file[name] = part
		}
	}
	b, err := yaml.Marshal(file)
	return append([]byte(writtenBySkyctl), b...), err
}

// renderRegistryConfig renders how containerd talks to one host.
func renderRegistryConfig(r Registry) map[string]any {
	config := map[string]any{}
	switch {
	case r.Password != "":
		config["auth"] = map[string]any{"username": r.Username, "password": r.Password}
	case r.Token != "":
		config["auth"] = map[string]any{"identity_token": r.Token}
	}
	if r.CA != "" {
		config["tls"] = map[string]any{"ca_file": registryCAFile(r)}
	}
	return config
}

// envQuoter quotes what systemd would not read as it is between double quotes (systemd.exec, EnvironmentFile=).
var envQuoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$", `\$`)

// renderEnv renders the environment file of a unit; nothing if there are no variables. Values have one line.
func renderEnv(env map[string]string) []byte {
	if len(env) == 0 {
		return nil
	}
	var b bytes.Buffer
	b.WriteString(writtenBySkyctl)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "%s=\"%s\"\n", name, envQuoter.Replace(env[name]))
	}
	return b.Bytes()
}

// appendFiles appends files to the answer of a script with renderReceiveFiles.
func appendFiles(answer []byte, files []machineFile) []byte {
	for _, file := range files {
		answer = fmt.Appendf(answer, "%d\n", len(file.content))
		answer = append(answer, file.content...)
	}
	return answer
}

// renderReceiveFiles reads the files of listMachineFiles, each with its length, and stores those that are not empty,
// readable by root only. It comes after receiveConfigScript, whose $new it takes over, and sets changed=1 if a file
// differs.
func renderReceiveFiles(n Node) string {
	script := `
rm -f "$new"
receive_file() {
  read -r size
  if [ "$size" -eq 0 ]; then return 0; fi
  mkdir -p "${1%/*}"
  new=$(mktemp "$1.XXXXXX")
  head -c "$size" >"$new"
  [ "$(wc -c <"$new")" -eq "$size" ] || { echo "$1 arrived truncated" >&2; exit 65; }
  if cmp -s "$new" "$1"; then chmod 0600 "$1"; rm -f "$new"; else mv -f "$new" "$1"; changed=1; fi
}
`
	for _, file := range listMachineFiles(n) {
		script += cmp.Or(file.receive, "receive_file "+remote.QuoteShell(file.name)+"\n")
	}
	return script
}

// removeMachineFiles removes the files, but not those of the image.
const removeMachineFiles = `
rm -rf ` + registryCADir + `
for f in ` + registriesFile + " " + envDir + "/rke2-server " + envDir + `/rke2-agent; do
  case "$(head -n1 "$f" 2>/dev/null)" in "# Written by skyctl"*) rm -f "$f";; esac
done`
