package external

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// entrypoints are the entrypoints of the images; a service of docker-compose.yml can override them.
var entrypoints = map[string][]string{
	"certificates": {"skyd"}, "namespace": {"skyd"}, "worker": {"skyd"},
	"temporal": {"temporal-server", "start"},
	"ui":       {"temporal-ui-server", "--env", "docker", "start"},
}

// command is a program of a service, translated to this machine.
type command struct {
	argv, env  []string
	dir        string
	credential *syscall.Credential
}

func (c *Stack) newServiceCommand(name string) (command, error) {
	s := c.project.Services[name]
	argv := entrypoints[name]
	if s.Entrypoint != nil {
		argv = s.Entrypoint
	}
	argv = append(append([]string{}, argv...), s.Command...)
	if name == "certificates" {
		argv = removeItem(argv, "--give-away") // here all services but Postgres run as this user
	}
	cmd, err := c.translateCommand(name, argv)
	switch {
	case err != nil:
		return cmd, err
	case name == "worker":
		cmd.env = append(cmd.env, c.o.WorkerEnv...)
	case name == "temporal":
		err = os.WriteFile(filepath.Join(c.o.Dir, "dynamic.yaml"), []byte(c.project.Configs["temporal"].Content), 0o600)
	case name == "ui":
		cmd.dir = filepath.Join(c.o.Dir, "ui")
		err = copyUIConfig(filepath.Join(cmd.dir, "config"))
	case name == "postgres":
		err = c.postgres.adaptCommand(&cmd, c.project.Configs["pg_hba"].Content)
	}
	return cmd, err
}

func (c *Stack) translateCommand(name string, argv []string) (command, error) {
	s := c.project.Services[name]
	cmd := command{env: c.place.serviceEnv(s)}
	for _, a := range argv {
		cmd.argv = append(cmd.argv, c.place.translateText(s, a))
	}
	cmd.argv = c.adaptHealthCheck(cmd.argv)
	program, err := c.findProgram(cmd.argv[0])
	if err != nil {
		return cmd, err
	}
	cmd.argv[0] = program
	return cmd, nil
}

// adaptHealthCheck replaces the container's port in a health check with this machine's.
func (c *Stack) adaptHealthCheck(argv []string) []string {
	switch filepath.Base(argv[0]) {
	case "nc":
		argv[len(argv)-1] = strconv.Itoa(c.place.ports.temporal)
	case "pg_isready":
		argv = append(argv, "--port="+strconv.Itoa(c.place.ports.postgres))
	}
	return argv
}

// findProgram finds a program that the images have in /usr/local/bin or in their PATH.
func (c *Stack) findProgram(name string) (string, error) {
	base := filepath.Base(name)
	switch base {
	case "nc", "wget": // see replacedCheck
		return base, nil
	case "postgres", "pg_isready":
		return c.postgres.programPath(base), nil
	case "sh":
		return name, nil
	}
	for _, dir := range []string{c.o.Bins, filepath.Join(c.o.Bins, "external")} {
		if file, err := exec.LookPath(filepath.Join(dir, base)); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no %s in %s or its directory external: run make build external", base, c.o.Bins)
}

// copyUIConfig copies the configuration template of the UI's image.
func copyUIConfig(dir string) error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/temporalio/ui-server/v2").Output()
	if err != nil {
		return fmt.Errorf("find the UI's configuration: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "config", "docker.yaml"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "docker.yaml"), data, 0o600)
}

func removeItem(list []string, item string) []string {
	var kept []string
	for _, s := range list {
		if s != item {
			kept = append(kept, s)
		}
	}
	return kept
}
