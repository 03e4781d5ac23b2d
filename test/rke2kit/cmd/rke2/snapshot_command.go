package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/config"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/join"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/snapshot"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/supervisor"
)

const snapshotTimeout = 2 * time.Minute

const snapshotUsage = `NAME:
   rke2 etcd-snapshot - Manage etcd snapshots

COMMANDS:
   save         Trigger an immediate etcd snapshot
   delete       Delete given snapshot(s)
   ls, list, l  List snapshots
   prune        Remove snapshots that match the name prefix that exceed the configured retention count
`

// newSnapshotOptions reads a server's settings.
func newSnapshotOptions(v config.Values) (snapshot.Options, error) {
	o := snapshot.Options{Schedule: v.LastValue("etcd-snapshot-schedule-cron", snapshot.DefaultSchedule),
		Dir: v.LastValue("etcd-snapshot-dir", ""), Name: v.LastValue("etcd-snapshot-name", snapshot.DefaultName)}
	var err error
	if o.Disabled, err = v.Switch("etcd-disable-snapshots"); err != nil {
		return o, err
	}
	if o.Compress, err = v.Switch("etcd-snapshot-compress"); err != nil {
		return o, err
	}
	retention := v.LastValue("etcd-snapshot-retention", strconv.Itoa(snapshot.DefaultRetention))
	if o.Retention, err = strconv.Atoi(retention); err != nil {
		return o, fmt.Errorf("etcd-snapshot-retention %q: want a number", retention)
	}
	interval := v.LastValue("etcd-snapshot-reconcile-interval", snapshot.DefaultReconcile.String())
	if o.Reconcile, err = time.ParseDuration(interval); err != nil || o.Reconcile <= 0 {
		return o, fmt.Errorf("etcd-snapshot-reconcile-interval %q: want a duration such as 10m", interval)
	}
	return o, nil
}

// snapshotCommand is a parsed `rke2 etcd-snapshot`.
type snapshotCommand struct {
	request map[string]any
	names   []string // the arguments that are no flags
	server  string
	token   string
	dataDir string
	output  string
}

// runSnapshot asks the server to work on its snapshots: all that is done is the server's.
func runSnapshot(ctx context.Context, args []string) error {
	if len(args) == 0 || slices.Contains([]string{"--help", "-h", "help"}, args[0]) {
		fmt.Print(snapshotUsage)
		return nil
	}
	operations := map[string]string{"save": "save", "delete": "delete", "prune": "prune", "ls": "list", "list": "list",
		"l": "list"}
	operation, known := operations[args[0]]
	if !known {
		return fmt.Errorf("no such command: etcd-snapshot %s", args[0])
	}
	command, err := parseSnapshotCommand(operation, args[1:])
	if err != nil {
		return err
	}
	answer, err := command.send(ctx)
	if err != nil {
		return err
	}
	if operation == "list" {
		return printSnapshots(os.Stdout, answer, command.output)
	}
	return reportSnapshots(answer, operation, command.names)
}

// snapshotFlags maps the names of flags to the keys of a configuration that set them too.
var snapshotFlags = map[string]string{
	"dir": "etcd-snapshot-dir", "snapshot-compress": "etcd-snapshot-compress",
	"snapshot-retention": "etcd-snapshot-retention", "name": "name", "data-dir": "data-dir", "d": "data-dir",
	"node-name": "node-name", "config": "config", "c": "config", "etcd-server": "etcd-server", "s": "etcd-server",
	"etcd-token": "etcd-token", "t": "etcd-token", "output": "output", "o": "output", "debug": "debug",
}

var snapshotSwitches = []string{"etcd-snapshot-compress", "debug"}

func parseSnapshotCommand(operation string, args []string) (snapshotCommand, error) {
	var command snapshotCommand
	flags, names, err := parseSnapshotFlags(args)
	if err != nil {
		return command, err
	}
	if err := addConfiguredFlags(flags); err != nil {
		return command, err
	}
	command = snapshotCommand{
		names:   names,
		server:  flags.LastValue("etcd-server", "https://127.0.0.1:"+supervisor.Port),
		token:   flags.LastValue("etcd-token", os.Getenv("RKE2_TOKEN")),
		dataDir: flags.LastValue("data-dir", defaultDataDir),
		output:  strings.ToLower(flags.LastValue("output", "")),
	}
	if err := command.checkArguments(operation); err != nil {
		return command, err
	}
	command.request, err = newSnapshotRequest(operation, flags, names)
	return command, err
}

func (c *snapshotCommand) checkArguments(operation string) error {
	switch {
	case operation == "delete" && len(c.names) == 0:
		return errors.New("no snapshots given for removal")
	case operation == "save" && len(c.names) > 0:
		return errors.New("this command does not take any arguments")
	case operation == "list" && !slices.Contains([]string{"", "json", "yaml", "table"}, c.output):
		return fmt.Errorf("invalid output format: %s", c.output)
	}
	return nil
}

func newSnapshotRequest(operation string, flags config.Values, names []string) (map[string]any, error) {
	request := map[string]any{"operation": operation}
	switch operation {
	case "delete":
		request["name"] = names
	case "save", "prune":
		request["name"] = []string{flags.LastValue("name", snapshot.OnDemandName)}
	}
	if dir := flags.LastValue("etcd-snapshot-dir", ""); dir != "" {
		request["dir"] = dir
	}
	if flags.LastValue("etcd-snapshot-compress", "") != "" {
		compress, err := flags.Switch("etcd-snapshot-compress")
		if err != nil {
			return nil, err
		}
		request["compress"] = compress
	}
	if text := flags.LastValue("etcd-snapshot-retention", ""); text != "" {
		retention, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("snapshot-retention %q: want a number", text)
		}
		request["retention"] = retention
	}
	if operation == "save" {
		request["retention"] = 0 // on-demand snapshots never remove others
	}
	return request, nil
}

// parseSnapshotFlags reads --key value, --key=value and switches up to the first argument that is none.
func parseSnapshotFlags(args []string) (config.Values, []string, error) {
	flags := config.Values{}
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			return flags, args[i:], nil
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		key := snapshotFlags[name]
		if key == "" && slices.Contains([]string{"etcd-snapshot-dir", "etcd-snapshot-compress",
			"etcd-snapshot-retention"}, name) {
			key = name
		}
		switch {
		case key == "" && (strings.HasPrefix(name, "s3") || strings.HasPrefix(name, "etcd-s3")):
			return nil, nil, fmt.Errorf("the kit does not implement --%s: use a release of RKE2 itself", name)
		case key == "":
			return nil, nil, fmt.Errorf("flag provided but not defined: -%s", name)
		case hasValue:
		case slices.Contains(snapshotSwitches, key):
			value = "true"
		case i+1 == len(args):
			return nil, nil, fmt.Errorf("flag needs an argument: -%s", name)
		default:
			i++
			value = args[i]
		}
		flags[key] = append(flags[key], value)
	}
	return flags, nil, nil
}

// addConfiguredFlags adds what the server's configuration sets. As RKE2, the command warns of every other key there.
func addConfiguredFlags(flags config.Values) error {
	file := flags.LastValue("config", config.DefaultFile)
	values, _, err := config.Load(file, config.Server)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, key := range snapshotFlags {
		known[key] = true
	}
	var keys []string
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		switch {
		case !known[key] && !strings.HasPrefix(key, "etcd-s3"):
			logline.Warnf("Unknown flag --%s found in %s, skipping", key, filepath.Base(file))
		case known[key] && flags[key] == nil:
			flags[key] = values[key]
		}
	}
	return nil
}

// send asks the server, as the user `server`, and returns its answer.
func (c *snapshotCommand) send(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	if c.token == "" {
		data, err := os.ReadFile(filepath.Join(c.dataDir, "server", "token"))
		if err != nil {
			return nil, err
		}
		c.token = string(bytes.TrimSpace(data))
	}
	body, err := json.Marshal(c.request)
	if err != nil {
		return nil, err
	}
	answer, err := join.PostAsServer(ctx, c.server, c.token, supervisor.SnapshotPath, body)
	if join.IsRefusal(err) {
		return nil, fmt.Errorf("see server log for details: %w", err)
	}
	return answer, err
}

// reportSnapshots logs what was done, in the lines that programs look for.
func reportSnapshots(answer []byte, operation string, names []string) error {
	var done struct{ Created, Deleted []string }
	if err := json.Unmarshal(answer, &done); err != nil {
		return fmt.Errorf("parse the server's answer: %w", err)
	}
	for _, name := range done.Created {
		logline.Infof("Snapshot %s saved.", name)
	}
	if operation == "save" {
		return nil
	}
	for _, name := range done.Deleted {
		logline.Infof("Snapshot %s deleted.", name)
	}
	for _, name := range names {
		if !slices.Contains(done.Deleted, name) {
			logline.Warnf("Snapshot %s not found.", name)
		}
	}
	return nil
}

func printSnapshots(w io.Writer, answer []byte, format string) error {
	var list snapshot.ResourceList
	if err := json.Unmarshal(answer, &list); err != nil {
		return fmt.Errorf("parse the server's answer: %w", err)
	}
	sort.Slice(list.Items, func(i, j int) bool {
		a, b := list.Items[i], list.Items[j]
		if a.Status.CreationTime.Equal(b.Status.CreationTime) {
			return a.Spec.SnapshotName < b.Spec.SnapshotName
		}
		return a.Status.CreationTime.Before(b.Status.CreationTime)
	})
	switch format {
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "    ")
		return encoder.Encode(list)
	case "yaml":
		return printYAML(w, list)
	}
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprint(table, "Name\tLocation\tSize\tCreated\n")
	for _, item := range list.Items {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", item.Spec.SnapshotName, item.Spec.Location, item.Status.Size,
			item.Status.CreationTime.Local().Format(time.RFC3339))
	}
	return table.Flush()
}

// printYAML prints the same fields as in JSON, in alphabetical order.
func printYAML(w io.Writer, list snapshot.ResourceList) error {
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(fields); err != nil {
		return err
	}
	return encoder.Close()
}
