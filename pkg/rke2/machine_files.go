package rke2

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// The files of RKE2 that a cluster's spec can fill (docs.rke2.io, "Containerd Registry Configuration" and "Configuring
// an HTTP proxy").
const (
	registriesFile = "/etc/rancher/rke2/registries.yaml"
	envDir         = "/etc/default"
)

// Registry says how a machine reaches an image registry.
type Registry struct {
	// Host of the registry or of a mirror.
	Host string
	// Mirrors are URLs.
	Mirrors []string
	// Username and Password, or else Token, are the credentials for Host; empty are none.
	Username, Password, Token string
}

// machineFiles are the files that go to a machine besides its configuration. An empty one is not written, and one of
// the image stays.
type machineFiles struct{ registries, env []byte }

func renderMachineFiles(n Node) (machineFiles, error) {
	registries, err := renderRegistries(n.Registries)
	if err != nil {
		return machineFiles{}, fmt.Errorf("rendering the registries of %s: %w", n.NodeName, err)
	}
	return machineFiles{registries, renderEnv(n.Env)}, nil
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
		switch {
		case r.Password != "":
			configs[r.Host] = map[string]any{"auth": map[string]any{"username": r.Username, "password": r.Password}}
		case r.Token != "":
			configs[r.Host] = map[string]any{"auth": map[string]any{"identity_token": r.Token}}
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

// appendTo appends the files to the answer of a script with receiveFilesScript.
func (f machineFiles) appendTo(answer []byte) []byte {
	for _, file := range [][]byte{f.registries, f.env} {
		answer = fmt.Appendf(answer, "%d\n", len(file))
		answer = append(answer, file...)
	}
	return answer
}

// renderReceiveFiles reads the files of machineFiles, each with its length, and stores those that are not empty,
// readable by root only. It comes after receiveConfigScript, whose $new it takes over, and sets changed=1 if a file
// differs.
func renderReceiveFiles(n Node) string {
	return `
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
receive_file ` + registriesFile + `
receive_file ` + envDir + "/" + unitName(n.Role) + `
`
}

// removeMachineFiles removes the files, but not those of the image.
const removeMachineFiles = `
for f in ` + registriesFile + " " + envDir + "/rke2-server " + envDir + `/rke2-agent; do
  case "$(head -n1 "$f" 2>/dev/null)" in "# Written by skyctl"*) rm -f "$f";; esac
done`
