package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/spelling"
)

// foreignFlags are flags of kubectl, kind, eksctl, sky, gcloud and terraform, with those of skyctl that do the same.
var foreignFlags = map[string]string{
	"nodes": "num_nodes", "node-count": "num_nodes", "workers": "num_nodes", "size": "num_nodes",
	"count": "num_nodes", "gpus": "accelerators", "gpu": "accelerators", "accelerator": "accelerators",
	"spot": "use_spot", "preemptible": "use_spot", "infra": "cloud", "provider": "cloud", "location": "region",
	"version": "kubernetes_version", "cluster-version": "kubernetes_version", "image": "image_id",
	"disk": "disk_size", "volume-size": "disk_size", "price": "max_hourly_cost", "nodes-min": "min_replicas",
	"nodes-max": "max_replicas", "node-labels": "labels", "label": "labels", "file": "filename",
	"config": "filename", "config-file": "filename", "approve": "yes", "auto-approve": "yes",
	"assume-yes": "yes", "no-confirm": "yes", "lines": "tail", "plan": "dry-run", "format": "output",
	"json": "output", "plain": "no-headers", "filter": "selector", "v": "verbose",
}

// flagHints say what to do instead of flags for which skyctl has no other.
var flagHints = map[string]string{
	"namespace": noNamespaces, "n": noNamespaces, "all-namespaces": noNamespaces, "A": noNamespaces,
	"name":       "the name is an argument, such as dev in skyctl create cluster dev",
	"kubeconfig": "skyctl get kubeconfig NAME, or skyctl kubectl NAME -- …",
	"detach":     returnsAtOnce, "d": returnsAtOnce,
	"instance-type": chosenBySize, "node-type": chosenBySize, "machine-type": chosenBySize,
	"jq": "-o jsonpath='{.PATH}' chooses fields, and jq reads -o json", "show-labels": showsLabels, "L": showsLabels,
	"web": "skyctl server status has the address of the Web UI",
}

// commandFlagHints are flagHints of single commands, by what is behind skyctl, which go before the others.
var commandFlagHints = map[string]map[string]string{
	"create": {"f": createsFromFile, "filename": createsFromFile}, "create cluster": {"f": createsFromFile,
		"filename": createsFromFile},
	"delete": {"f": deletesByName, "filename": deletesByName, "force": deletesForSure}, "delete cluster": {
		"f": deletesByName, "filename": deletesByName, "force": deletesForSure},
	"exec": {"i": noInput, "t": noInput, "stdin": noInput, "tty": noInput},
	"logs": {"n": "--tail says how many lines", "c": "--unit chooses the log"},
}

const (
	createsFromFile = "files are for skyctl apply -f FILE, which creates clusters and changes them"
	deletesByName   = "clusters are deleted by name, by labels or all: skyctl delete cluster NAME, -l or --all; " +
		"skyctl apply -f FILE --prune deletes those that a file no longer has"
	deletesForSure = "delete cluster -y does not ask, and --purge deletes a cluster whose cloud cannot be reached"

	noInput     = "exec gives commands no input; for that, and for a terminal: skyctl ssh NAME -t -- COMMAND"
	showsLabels = "the table of clusters has a column LABELS; for one label: " +
		"-o custom-columns=NAME:.metadata.name,TEAM:.metadata.labels.team"

	noNamespaces  = "skyctl has no namespaces; for those of Kubernetes: skyctl kubectl NAME -- …"
	returnsAtOnce = "commands return at once, unless you use --wait"
	chosenBySize  = "--cpus, --memory and --accelerators choose it"
)

// findFlagHint returns what a person uses instead of an unknown flag; empty if that is not known.
func findFlagHint(cmd *cobra.Command, name string) string {
	if hint := commandFlagHints[strings.TrimPrefix(cmd.CommandPath(), "skyctl ")][name]; hint != "" {
		return hint + "."
	}
	if own := foreignFlags[name]; own != "" && cmd.Flag(own) != nil {
		return "did you mean --" + own + "?"
	}
	if hint := flagHints[name]; hint != "" {
		return hint + "."
	}
	if len(name) == 1 {
		return ""
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	if near := spelling.FindNearest(name, known); near != "" {
		return "did you mean --" + near + "?"
	}
	return ""
}

// newFlagError returns pflag's error about a flag, with what to do instead.
func newFlagError(cmd *cobra.Command, err error) error {
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		if hint := findFlagHint(cmd, unknown.GetSpecifiedName()); hint != "" {
			return usageErrorf("%w; %s See %s --help", err, hint, cmd.CommandPath())
		}
	}
	return usageErrorf("%w; see %s --help", err, cmd.CommandPath())
}
