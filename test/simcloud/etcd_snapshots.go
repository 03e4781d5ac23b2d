package simcloud

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sky-shift/skyctl/test/simcloud/etcdfile"
)

// snapshotFile is an entry of `rke2 etcd-snapshot ls -o json`.
type snapshotFile struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Metadata   struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		SnapshotName string `json:"snapshotName"`
		NodeName     string `json:"nodeName"`
		Location     string `json:"location"`
	} `json:"spec"`
	Status struct {
		Size         *resource.Quantity `json:"size"`
		CreationTime time.Time          `json:"creationTime"`
		ReadyToUse   bool               `json:"readyToUse"`
	} `json:"status"`
}

// runSnapshotCommand is `rke2 etcd-snapshot`: it asks the server, which has to run.
func (c *rke2Command) runSnapshotCommand(args []string) error {
	if len(args) == 0 {
		return errors.New("no command of etcd-snapshot is given")
	}
	flags, names, err := parseFlags(args[1:], "debug")
	if err != nil {
		return err
	}
	for line := range strings.Lines(c.host.readFile("/etc/rancher/rke2/config.yaml")) {
		if key, _, is := strings.Cut(line, ": "); is && !strings.HasPrefix(key, "etcd-") {
			c.logf("warning", "Unknown flag --%s found in config.yaml, skipping", key)
		}
	}
	if c.host.api == nil || !c.host.isUnitActive("rke2-server") {
		return errors.New(`failed to get CA certs: Get "https://127.0.0.1:9345/cacerts": dial tcp 127.0.0.1:9345: ` +
			"connect: connection refused")
	}
	switch args[0] {
	case "save":
		return c.saveSnapshot(names, cmp.Or(flags["name"], "on-demand"))
	case "ls", "list", "l":
		return c.listSnapshots(cmp.Or(flags["output"], flags["o"]))
	case "delete":
		return c.deleteSnapshots(names)
	case "prune":
		keep, err := strconv.Atoi(cmp.Or(flags["snapshot-retention"], "5"))
		if err != nil {
			return fmt.Errorf("snapshot-retention %q: want a number", flags["snapshot-retention"])
		}
		return c.pruneSnapshots(cmp.Or(flags["name"], "on-demand"), keep)
	}
	return fmt.Errorf("no such command: etcd-snapshot %s", args[0])
}

// saveSnapshot prints the name of the new snapshot. As with RKE2, one that fails is named nowhere, and is no error.
func (c *rke2Command) saveSnapshot(args []string, name string) error {
	if len(args) > 0 {
		return errors.New("this command does not take any arguments")
	}
	saved, err := c.host.takeSnapshot(name)
	if err != nil {
		c.host.writeJournal("error", fmt.Sprintf("Failed to take etcd snapshot: %v", err))
		return nil
	}
	c.logf("info", "Snapshot %s saved.", saved)
	return nil
}

// takeSnapshot writes the cluster's state to a file below snapshotsDir, and returns its name.
func (h *host) takeSnapshot(name string) (string, error) {
	h.etcdMu.Lock()
	defer h.etcdMu.Unlock()
	if failure := h.readFile("/opt/fake/no-snapshots"); failure != "" {
		return "", errors.New(failure)
	}
	file, err := etcdfile.Write(h.etcd, h.stateKeys())
	if err != nil {
		return "", err
	}
	h.etcd = file
	name = fmt.Sprintf("%s-%s-%d", name, h.configValue("node-name"), time.Now().Round(time.Second).Unix())
	if err := os.MkdirAll(h.outsidePath(snapshotsDir), 0o700); err != nil {
		return "", err
	}
	target := h.outsidePath(snapshotsDir + "/" + name)
	err = os.WriteFile(target+".part", file, 0o600)
	if err == nil {
		err = os.Rename(target+".part", target)
	}
	if err != nil {
		_ = os.Remove(target + ".part")
	}
	return name, err
}

// listFiles returns the snapshots on the host, oldest first.
func (h *host) listFiles() ([]snapshotFile, error) {
	entries, err := os.ReadDir(h.outsidePath(snapshotsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all := []snapshotFile{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		f := snapshotFile{Kind: "ETCDSnapshotFile", APIVersion: "k3s.cattle.io/v1"}
		f.Metadata.Name = "local-" + info.Name()
		f.Spec.SnapshotName, f.Spec.NodeName = info.Name(), h.configValue("node-name")
		f.Metadata.Labels = map[string]string{"etcd.rke2.cattle.io/snapshot-storage-node": f.Spec.NodeName}
		f.Spec.Location = "file://" + snapshotsDir + "/" + info.Name()
		f.Status.Size, f.Status.ReadyToUse = resource.NewQuantity(info.Size(), resource.DecimalSI), true
		f.Status.CreationTime = info.ModTime().UTC().Truncate(time.Second)
		base := info.Name()
		if seconds, err := strconv.ParseInt(base[strings.LastIndexByte(base, '-')+1:], 10, 64); err == nil {
			f.Status.CreationTime = time.Unix(seconds, 0).UTC()
		}
		all = append(all, f)
	}
	slices.SortStableFunc(all, func(a, b snapshotFile) int {
		return cmp.Or(a.Status.CreationTime.Compare(b.Status.CreationTime),
			strings.Compare(a.Spec.SnapshotName, b.Spec.SnapshotName))
	})
	return all, nil
}

func (c *rke2Command) listSnapshots(format string) error {
	all, err := c.host.listFiles()
	if err != nil {
		return err
	}
	switch format {
	case "json":
		encoder := json.NewEncoder(&c.stdout)
		encoder.SetIndent("", "    ")
		return encoder.Encode(struct {
			Kind       string         `json:"kind"`
			APIVersion string         `json:"apiVersion"`
			Metadata   struct{}       `json:"metadata"`
			Items      []snapshotFile `json:"items"`
		}{"List", "v1", struct{}{}, all})
	case "", "table":
	default:
		return fmt.Errorf("invalid output format: %s", format)
	}
	table := tabwriter.NewWriter(&c.stdout, 0, 0, 1, ' ', 0)
	_, _ = fmt.Fprint(table, "Name\tLocation\tSize\tCreated\n")
	for _, f := range all {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", f.Spec.SnapshotName, f.Spec.Location, f.Status.Size.Value(),
			f.Status.CreationTime.Local().Format(time.RFC3339))
	}
	return table.Flush()
}

func (c *rke2Command) deleteSnapshots(names []string) error {
	if len(names) == 0 {
		return errors.New("no snapshots given for removal")
	}
	var missing []string
	for _, name := range names {
		if path.Base(name) != name {
			return errors.New("see server log for details: https://127.0.0.1:9345/db/snapshot: 500 Internal Server " +
				"Error")
		}
		if err := os.Remove(c.host.outsidePath(snapshotsDir + "/" + name)); err != nil {
			missing = append(missing, name)
			continue
		}
		c.logf("info", "Snapshot %s deleted.", name)
	}
	for _, name := range missing {
		c.logf("warning", "Snapshot %s not found.", name)
	}
	return nil
}

func (c *rke2Command) pruneSnapshots(prefix string, keep int) error {
	pruned, err := c.host.keepNewest(prefix, keep)
	for _, name := range pruned {
		c.logf("info", "Snapshot %s deleted.", name)
	}
	return err
}

// keepNewest removes older snapshots whose names begin with prefix, and returns their names; 0 keeps all.
func (h *host) keepNewest(prefix string, keep int) (removed []string, err error) {
	all, err := h.listFiles()
	if err != nil || keep < 1 {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(f snapshotFile) bool { return !strings.HasPrefix(f.Spec.SnapshotName, prefix) })
	for _, f := range all[:max(0, len(all)-keep)] {
		if err := os.Remove(h.outsidePath(snapshotsDir + "/" + f.Spec.SnapshotName)); err != nil {
			return removed, err
		}
		removed = append(removed, f.Spec.SnapshotName)
	}
	return removed, nil
}

// TakeScheduledSnapshot takes a snapshot on the head of that name, as the schedule in its configuration does when it is
// due, and returns the name of the file.
func (c *Cloud) TakeScheduledSnapshot(head string) (name string, err error) {
	err = c.withHost(head, func(h *host) error {
		if h.api == nil || !h.isUnitActive("rke2-server") || h.configValue("etcd-disable-snapshots") == "true" {
			return fmt.Errorf("%s takes no snapshots", head)
		}
		prefix := cmp.Or(h.configValue("etcd-snapshot-name"), "etcd-snapshot")
		if name, err = h.takeSnapshot(prefix); err != nil {
			return err
		}
		keep, _ := strconv.Atoi(cmp.Or(h.configValue("etcd-snapshot-retention"), "5"))
		_, err = h.keepNewest(prefix, keep)
		return err
	})
	return name, err
}

// FailSnapshots makes every snapshot on the head of that name fail with a message, or succeed again ("").
func (c *Cloud) FailSnapshots(head, message string) error {
	return c.withHost(head, func(h *host) error { return h.setMarker("no-snapshots", message) })
}

// writeJournal adds a line to the host's journal.
func (h *host) writeJournal(level, message string) {
	f, err := os.OpenFile(h.outsidePath("/run/systemd/system/journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return // the machine is gone
	}
	writeLogLine(f, level, message)
	_ = f.Close()
}
