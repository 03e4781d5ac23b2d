package skypilot

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/process"
)

//go:embed python/skytest catalogs requirements.txt venv.sh
var files embed.FS

// catalogsUnder is SkyPilot's directory of catalogs, below its runtime directory.
const catalogsUnder = ".sky/catalogs/v8"

// The regions of AWS in the catalogs, in which the account is prepared.
var Regions = []string{"us-east-1", "us-west-2", "eu-central-1"}

// venvTimeout is how long installing SkyPilot may take, once per machine.
const venvTimeout = 20 * time.Minute

// EnsureVenv returns the directory of the virtual environment with SkyPilot and moto, and creates it if it is missing.
func EnsureVenv(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), venvTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "skytest-venv-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"requirements.txt", "venv.sh"} {
		if err := copyEmbeddedFile(name, filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "bash", filepath.Join(dir, "venv.sh"), filepath.Join(dir, "requirements.txt"))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("create the virtual environment for SkyPilot: %w\n%s", err,
			process.LastLines(said.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}

func (e *Env) homeDir() string     { return filepath.Join(e.o.Dir, "home") }
func (e *Env) runtimeDir() string  { return filepath.Join(e.o.Dir, "runtime") }
func (e *Env) pythonDir() string   { return filepath.Join(e.o.Dir, "python") }
func (e *Env) programsDir() string { return filepath.Join(e.o.Dir, "bin") }
func (e *Env) faultsDir() string   { return filepath.Join(e.o.Dir, "faults") }
func (e *Env) worldFile() string   { return filepath.Join(e.o.Dir, "world.json") }
func (e *Env) pluginsFile() string { return filepath.Join(e.o.Dir, "plugins.yaml") }

// PluginClasses are the server plugins that the environment's server loads: the second cloud, and the product's own
// plugin, because SkyPilot's runtime cannot be installed offline.
func (e *Env) PluginClasses() []string { return []string{SecondCloud, "skyctl_lean.Plugin"} }

// SecondCloud is the server plugin that makes Paperspace a cloud of Docker hosts; EnvVars make it importable.
const SecondCloud = "skytest.plugin.SecondCloud"

// pluginDir is the directory of the product's plugin in the repository.
const pluginDir = "pkg/cloud/skypilot/localserver/python"

// findPluginDir searches for pluginDir from the directory of a test upwards.
func findPluginDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if found := filepath.Join(d, pluginDir); fileExists(filepath.Join(found, "skyctl_lean.py")) {
			return found, nil
		}
	}
	return "", fmt.Errorf("no %s in %s or above", pluginDir, dir)
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// EnvVars returns the complete environment of its processes, as NAME=value, including the address of the Docker engine.
func (e *Env) EnvVars() []string {
	vars := []string{
		"HOME=" + e.homeDir(),
		"PATH=" + e.programsDir() + ":" + filepath.Join(e.venv, "bin") +
			":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8",
		"SKYTEST_WORLD=" + e.worldFile(),
		"PYTHONPATH=" + e.pythonDir(),
		"SKY_RUNTIME_DIR=" + e.runtimeDir(),
		"SKYPILOT_API_SERVER_ENDPOINT=" + e.Endpoint,
		"SKYPILOT_API_SERVER_LOCAL_PORT=" + e.ports.server,
		"SKYPILOT_SERVER_PLUGINS_CONFIG=" + e.pluginsFile(),
		"SKYPILOT_DISABLE_USAGE_COLLECTION=1",
		"SKYPILOT_SKIP_CLOUD_IDENTITY_CHECK=1",
		"AWS_ENDPOINT_URL=" + e.AWS.Endpoint,
		"AWS_EC2_METADATA_DISABLED=true",
	}
	for _, name := range []string{"DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			vars = append(vars, name+"="+value)
		}
	}
	return vars
}

// PythonInterpreter is the interpreter of the virtual environment that has SkyPilot.
func (e *Env) PythonInterpreter() string { return filepath.Join(e.venv, "bin", "python") }

func (e *Env) writeFiles() error {
	for _, dir := range []string{e.homeDir(), e.runtimeDir(), e.faultsDir(), e.programsDir(),
		filepath.Join(e.homeDir(), ".aws")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := copyEmbeddedTree("python", e.pythonDir()); err != nil {
		return err
	}
	if err := InstallCatalogs(e.runtimeDir()); err != nil {
		return err
	}
	lean, err := findPluginDir()
	if err != nil {
		return err
	}
	if err := os.CopyFS(e.pythonDir(), os.DirFS(lean)); err != nil {
		return err
	}
	var plugins strings.Builder
	plugins.WriteString("plugins:\n")
	for _, class := range e.PluginClasses() {
		fmt.Fprintf(&plugins, "- class: %s\n", class)
	}
	world, err := e.renderWorld()
	if err != nil {
		return err
	}
	if err := e.writeAWSProgram(); err != nil {
		return err
	}
	for name, text := range map[string]string{
		e.pluginsFile(): plugins.String(),
		e.worldFile():   world,
		filepath.Join(e.homeDir(), ".aws", "credentials"): "[default]\naws_access_key_id = " +
			"AKIATEST\naws_secret_access_key = test\n",
		// With a custom endpoint, boto3 requires a region even for services without regions.
		filepath.Join(e.homeDir(), ".aws", "config"): "[default]\nregion = us-east-1\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// rememberingAWS answers as the AWS CLI did to the same arguments, variables and files. SkyPilot asks for the account's
// configuration with each launch, which takes the CLI 0.3 s of processor time.
const rememberingAWS = `#!/bin/sh
key=$( (echo "$*"; env | grep ^AWS_ | sort; cat "$HOME"/.aws/* 2>&1) | sha256sum | cut -c1-32)
answer=$(dirname "$0")/answer-$key
if [ ! -e "$answer" ]; then
	%q "$@" >"$answer.$$" || exit
	mv "$answer.$$" "$answer"
fi
cat "$answer"
`

func (e *Env) writeAWSProgram() error {
	text := fmt.Sprintf(rememberingAWS, filepath.Join(e.venv, "bin", "aws"))
	return os.WriteFile(filepath.Join(e.programsDir(), "aws"), []byte(text), 0o700)
}

// renderWorld returns the settings for the Python side.
func (e *Env) renderWorld() (string, error) {
	types, accelerators, err := readMachineTypes()
	if err != nil {
		return "", err
	}
	drivers, err := listDriverImages()
	if err != nil {
		return "", err
	}
	world, err := json.Marshal(map[string]any{
		"id": e.id, "network": e.networkName(), "image": e.engine.image, "privileged": e.engine.privileged,
		"cpus": runtime.NumCPU(), "modules": fileExists("/lib/modules") && e.engine.isLocal(), "faults": e.faultsDir(),
		"regions": Regions, "profile": Profile, "types": types,
		"accelerators": accelerators, "drivers": drivers,
	})
	return string(world), err
}

// readMachineTypes returns the cores and GiB of each machine type in the catalogs, and the name and count of its
// accelerators.
func readMachineTypes() (types map[string][2]float64, accelerators map[string][2]any, err error) {
	types, accelerators = map[string][2]float64{}, map[string][2]any{}
	for _, cloud := range []string{"aws", "paperspace"} {
		rows, err := readCatalog(cloud + "/vms.csv")
		if err != nil {
			return nil, nil, err
		}
		for _, row := range rows {
			name := row["InstanceType"]
			var size [2]float64
			for k, column := range []string{"vCPUs", "MemoryGiB"} {
				if size[k], err = strconv.ParseFloat(row[column], 64); err != nil {
					return nil, nil, fmt.Errorf("the catalog of %s, %s: %w", cloud, name, err)
				}
			}
			types[name] = size
			if row["AcceleratorName"] == "" {
				continue
			}
			count, err := strconv.ParseFloat(row["AcceleratorCount"], 64)
			if err != nil {
				return nil, nil, fmt.Errorf("the catalog of %s, %s: %w", cloud, name, err)
			}
			accelerators[name] = [2]any{row["AcceleratorName"], int(count)}
		}
	}
	return types, accelerators, nil
}

// listDriverImages returns the AWS machine images with NVIDIA's driver, such as SkyPilot's own.
func listDriverImages() ([]string, error) {
	rows, err := readCatalog("aws/images.csv")
	var ids []string
	for _, row := range rows {
		if strings.Contains(row["Tag"], "-gpu-") {
			ids = append(ids, row["ImageId"])
		}
	}
	return ids, err
}

// readCatalog returns the rows of a catalog, by column.
func readCatalog(name string) ([]map[string]string, error) {
	data, err := files.ReadFile("catalogs/" + name)
	if err != nil {
		return nil, err
	}
	all, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("the catalog %s: %w", name, err)
	}
	var rows []map[string]string
	for _, fields := range all[1:] {
		row := map[string]string{}
		for k, column := range all[0] {
			row[column] = fields[k]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// InstallCatalogs installs the prices for a SkyPilot with this SKY_RUNTIME_DIR, so that it downloads none.
func InstallCatalogs(runtimeDir string) error {
	return copyEmbeddedTree("catalogs", filepath.Join(runtimeDir, catalogsUnder))
}

func copyEmbeddedTree(from, to string) error {
	return fs.WalkDir(files, from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return copyEmbeddedFile(path, filepath.Join(to, rel))
	})
}

func copyEmbeddedFile(name, to string) error {
	data, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

func newRandomID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}
