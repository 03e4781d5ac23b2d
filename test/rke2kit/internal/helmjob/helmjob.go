// Package helmjob is what the pod of a HelmChart's Job does: it brings one release to what the HelmChart says, by
// Helm's own command line. Its arguments, environment, files, output and ends are those of RKE2's klipper-helm image,
// which people read when a chart can't be installed.
package helmjob

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ConfigHashLabel is the label of a release that says which configuration it came of.
const ConfigHashLabel = "helmcharts.helm.cattle.io/configHash"

// Job is one run.
type Job struct {
	// Args are "install" with Helm's flags, or "delete".
	Args []string
	// Env is the pod's environment.
	Env map[string]string
	// Helm is the command that is Helm.
	Helm []string
	// ValuesDir, CADir and ContentDir are where the HelmChart's parts are mounted; Scratch may be written.
	ValuesDir, CADir, ContentDir, Scratch string
	// TerminationLog is what the pod's status tells of this run.
	TerminationLog string
	Out            io.Writer
}

// release is what Helm knows of a release; an empty status means that there is none.
type release struct {
	Status   string
	Revision int
}

// Run does it. The error of a Helm command that fails is in the output already.
func (j *Job) Run(ctx context.Context) error {
	chart, err := j.resolveChart()
	if err != nil {
		return err
	}
	tls, err := j.tlsArgs()
	if err != nil {
		return err
	}
	remove := len(j.Args) > 0 && j.Args[0] == "delete"
	if !remove {
		if err := j.addRepo(ctx, chart, tls); err != nil {
			return err
		}
	}
	now, err := j.readRelease(ctx)
	if err != nil {
		return err
	}
	if remove {
		return j.uninstallRelease(ctx, now)
	}
	return j.installOrUpgrade(ctx, now, chart, tls)
}

// resolveChart is what Helm is to install: the chart within the HelmChart, or its name.
func (j *Job) resolveChart() (string, error) {
	encoded, err := os.ReadFile(filepath.Join(j.ContentDir, j.Env["NAME"]+".tgz.base64"))
	if errors.Is(err, fs.ErrNotExist) {
		return j.Env["CHART"], nil
	}
	if err != nil {
		return "", fmt.Errorf("read chart content: %w", err)
	}
	content, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(encoded)))
	if err != nil {
		return "", fmt.Errorf("decode chart content: %w", err)
	}
	file := filepath.Join(j.Scratch, j.Env["NAME"]+".tgz")
	return file, os.WriteFile(file, content, 0o600)
}

// tlsArgs gathers the authorities that a repository may be signed by.
func (j *Job) tlsArgs() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(j.CADir, "*"))
	if err != nil {
		return nil, err
	}
	if own := filepath.Join(j.ValuesDir, "ca-file.pem"); fileExists(own) {
		files = append([]string{own}, files...)
	}
	var args []string
	var bundle bytes.Buffer
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read authority: %w", err)
		}
		bundle.Write(append(pem, '\n'))
	}
	if bundle.Len() > 0 {
		file := filepath.Join(j.Scratch, "ca-file.pem")
		if err := os.WriteFile(file, bundle.Bytes(), 0o600); err != nil {
			return nil, fmt.Errorf("write authorities: %w", err)
		}
		args = append(args, "--ca-file", file)
	}
	if j.Env["INSECURE_SKIP_TLS_VERIFY"] == "true" {
		args = append(args, "--insecure-skip-tls-verify")
	}
	return args, nil
}

func fileExists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (j *Job) addRepo(ctx context.Context, chart string, tls []string) error {
	if strings.Contains(chart, "://") || j.Env["REPO"] == "" || filepath.IsAbs(chart) {
		return nil
	}
	add := append([]string{"repo", "add"}, tls...)
	if err := j.runHelm(ctx, append(add, j.Env["NAME"], j.Env["REPO"])...); err != nil {
		return err
	}
	return j.runHelm(ctx, "repo", "update")
}

func (j *Job) readRelease(ctx context.Context) (release, error) {
	args := []string{"status", "--namespace", j.Env["TARGET_NAMESPACE"], j.Env["NAME"], "--output", "json"}
	j.printCommand(args)
	cmd := j.newHelmCommand(ctx, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprint(j.Out, stderr.String())
		if strings.Contains(stderr.String(), "release: not found") {
			return release{}, nil
		}
		return release{}, fmt.Errorf("ask Helm for the release: %w", err)
	}
	var answer struct {
		Version int `json:"version"`
		Info    struct {
			Status string `json:"status"`
		} `json:"info"`
	}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		return release{}, fmt.Errorf("read Helm's answer: %w", err)
	}
	return release{Status: answer.Info.Status, Revision: answer.Version}, nil
}

// hasUnexpectedRevision reports whether the release changed since this run was requested; another run then follows.
func (j *Job) hasUnexpectedRevision(now release) bool {
	expected := j.Env["EXPECTED_RELEASE_REVISION"]
	if expected == "" || expected == strconv.Itoa(now.Revision) {
		return false
	}
	j.printAndNote("Current release revision %d does not match expected revision %s", now.Revision, expected)
	return true
}

func (j *Job) uninstallRelease(ctx context.Context, now release) error {
	if now.Status == "" {
		j.appendTerminationLog("No helm chart installed; nothing to delete")
		return nil
	}
	if j.hasUnexpectedRevision(now) {
		return nil
	}
	j.appendTerminationLog("Uninstalling helm chart")
	// As in the original, a failure is not told here: the controller looks whether the release is gone.
	_ = j.runHelm(ctx, "uninstall", j.Env["NAME"], "--namespace", j.Env["TARGET_NAMESPACE"], "--wait")
	return nil
}

// installOrUpgrade installs or upgrades, by what is there.
func (j *Job) installOrUpgrade(ctx context.Context, now release, chart string, tls []string) error {
	tail, err := j.commonArgs(chart, tls)
	if err != nil {
		return err
	}
	install := func() error {
		j.appendTerminationLog("Installing helm chart")
		return j.runHelm(ctx, append(append([]string{}, j.Args...), tail...)...)
	}
	upgrade := func(why string) error {
		j.appendTerminationLog("Upgrading helm chart")
		j.printAndNote("%s %s", why, j.Env["NAME"])
		return j.runHelm(ctx, append(append([]string{"upgrade"}, j.Args[1:]...), tail...)...)
	}
	if now.Status == "" {
		return install()
	}
	if j.hasUnexpectedRevision(now) {
		return nil
	}
	switch now.Status {
	case "deployed":
		j.printAndNote("Already installed %s", j.Env["NAME"])
		return upgrade("Upgrading")
	case "pending-upgrade", "superseded":
		return upgrade("Retrying upgrade of")
	}
	switch policy := j.Env["FAILURE_POLICY"]; policy {
	case "", "reinstall":
		j.appendTerminationLog(fmt.Sprintf("Uninstalling %s helm chart", now.Status))
		if err := j.runHelm(ctx, "uninstall", j.Env["NAME"], "--namespace", j.Env["TARGET_NAMESPACE"],
			"--wait"); err != nil {
			return err
		}
		return install()
	case "retry":
		return upgrade("Upgrading from failed state")
	default:
		j.printAndNote("Release status is '%s' and failure policy is '%s'; waiting for operator intervention",
			now.Status, policy)
		return errors.New("the release failed earlier")
	}
}

// commonArgs is what install and upgrade have in common behind their own flags.
func (j *Job) commonArgs(chart string, tls []string) ([]string, error) {
	tail := append([]string{j.Env["NAME"], chart}, tls...)
	if j.Env["TIMEOUT"] != "" {
		tail = append(tail, "--timeout", j.Env["TIMEOUT"])
	}
	if j.Env["CONFIG_HASH"] != "" {
		tail = append(tail, "--labels", ConfigHashLabel+"="+j.Env["CONFIG_HASH"])
	}
	values, err := filepath.Glob(filepath.Join(j.ValuesDir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range values {
		tail = append(tail, "--values", file)
	}
	return tail, nil
}

func (j *Job) newHelmCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, j.Helm[0], append(j.Helm[1:], args...)...)
	cmd.Env = os.Environ()
	for _, kind := range []string{"CACHE", "CONFIG", "DATA"} {
		cmd.Env = append(cmd.Env, "HELM_"+kind+"_HOME="+filepath.Join(j.Scratch, strings.ToLower(kind)))
	}
	return cmd
}

func (j *Job) runHelm(ctx context.Context, args ...string) error {
	j.printCommand(args)
	cmd := j.newHelmCommand(ctx, args...)
	cmd.Stdout, cmd.Stderr = j.Out, j.Out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("helm %s: %w", args[0], err)
	}
	return nil
}

func (j *Job) printCommand(args []string) { fmt.Fprintf(j.Out, "+ helm %s\n", strings.Join(args, " ")) }

func (j *Job) printAndNote(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	fmt.Fprintln(j.Out, line)
	j.appendTerminationLog(line)
}

// appendTerminationLog is for the pod's status.
func (j *Job) appendTerminationLog(line string) {
	file, err := os.OpenFile(j.TerminationLog, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	defer file.Close()
	fmt.Fprintln(file, line)
}
