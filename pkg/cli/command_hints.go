package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/spelling"
)

const (
	useCreate   = "skyctl create cluster NAME --provision"
	useDelete   = "skyctl delete cluster NAME"
	useGet      = "skyctl get clusters"
	useDescribe = "skyctl describe cluster NAME"
	useMachines = "skyctl get machines"
	useSSH      = "skyctl ssh NAME"
	useEdit     = "skyctl edit cluster NAME"
	useReplace  = "skyctl replace machine NAME"
	useServer   = "skyctl server status"
	useConfig   = "skyctl get kubeconfig NAME"
)

// rootHints are the commands for words of kubectl, kind, eksctl, sky, gcloud, docker and terraform that skyctl has not.
var rootHints = map[string]string{
	"ls": useGet, "list": useGet, "ps": useGet, "status": useGet + ", or " + useDescribe, "clusters": useGet,
	"cluster": useGet, "watch": "skyctl get clusters -w", "show": useDescribe, "info": useDescribe,
	"inspect": useDescribe, "cluster-info": useDescribe, "top": useDescribe,
	"up": useCreate, "launch": useCreate, "provision": useCreate, "new": useCreate, "add": useCreate, "init": useCreate,
	"run": useCreate, "spawn": useCreate, "deploy": useCreate,
	"down": useDelete, "rm": useDelete, "remove": useDelete, "destroy": useDelete, "terminate": useDelete,
	"kill": useDelete, "del": useDelete,
	"node": useMachines, "nodes": useMachines, "machine": useMachines, "machines": useMachines, "hosts": useMachines,
	"instances": useMachines, "vms": useMachines, "pool": "skyctl get pools", "pools": "skyctl get pools",
	"nodegroup": "skyctl get pools", "nodegroups": "skyctl get pools", "event": "skyctl get events",
	"events": "skyctl get events", "history": "skyctl get events NAME", "snapshots": "skyctl get snapshots",
	"snapshot": "skyctl create snapshot --cluster NAME", "backup": "skyctl create snapshot --cluster NAME, or skyctl " +
		"server backup FILE", "secrets": "skyctl get secrets", "orphans": "skyctl get orphans",
	"gc": "skyctl get orphans", "cleanup": "skyctl get orphans",
	"resize": "skyctl scale cluster NAME --num_nodes N", "set": useEdit, "patch": useEdit, "update": useEdit,
	"upgrade": useEdit + " (its RKE2), or skyctl server upgrade", "rename": "skyctl label cluster NAME KEY=VALUE",
	"annotate": "skyctl label cluster NAME KEY=VALUE", "drain": useReplace, "cordon": useReplace,
	"repair": "skyctl reconcile NAME", "heal": "skyctl reconcile NAME", "sync": "skyctl reconcile NAME",
	"plan": "skyctl apply -f FILE --dry-run", "validate": "skyctl apply -f FILE --dry-run",
	"import": "skyctl apply -f FILE",
	"export": "skyctl get cluster NAME --export", "price": useCreate + " --dry-run", "prices": useCreate + " --dry-run",
	"cost": useCreate + " --dry-run", "show-gpus": useCreate + " --accelerators A100:8 --dry-run",
	"shell": useSSH, "connect": useSSH, "attach": useSSH, "login": useSSH, "scp": "skyctl cp SRC DST",
	"port-forward": "skyctl tunnel NAME", "proxy": "skyctl tunnel NAME",
	"kubeconfig": useConfig, "get-credentials": useConfig,
	"doctor": "skyctl check", "auth": "skyctl check", "clouds": "skyctl check",
	"ui": useServer, "web": useServer, "dashboard": useServer, "daemon": useServer, "skyd": useServer,
	"autostop": "skyctl stop cluster NAME", "queue": "skyctl kubectl NAME -- get jobs -A",
	"rollout": "skyctl kubectl NAME -- rollout status -w deployment/web",
	"gpus":    useCreate + " --accelerators A100:8 --dry-run",
	"load":    "skyctl explain cluster.spec.rke2.images",
	"docs":    "skyctl help", "man": "skyctl help",
	"api-resources": "skyctl explain cluster",
}

// inClusterHints are objects of Kubernetes, which kubectl shows.
var inClusterHints = []string{"pod", "pods", "po", "deployment", "deployments", "deploy", "service", "services", "svc",
	"namespace", "namespaces", "ns", "configmap", "configmaps", "job", "jobs", "ingress", "pvc", "pv", "all"}

// findCommandHint returns what a person runs instead of an unknown subcommand; empty if that is not known. The word can
// be misspelt.
func findCommandHint(cmd *cobra.Command, word string) string {
	if cmd.HasParent() {
		if slices.Contains(inClusterHints, word) {
			return "skyctl kubectl -- get " + word
		}
		return findOwnSubcommand(cmd, word)
	}
	if hint := rootHints[word]; hint != "" {
		return hint
	}
	if own := findOwnSubcommand(cmd, word); own != "" {
		return own
	}
	return rootHints[spelling.FindNearest(word, slices.Sorted(maps.Keys(rootHints)))]
}

// findOwnSubcommand returns the subcommand that a misspelt or shortened word means.
func findOwnSubcommand(cmd *cobra.Command, word string) string {
	var names, begin []string
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() && c.Name() != "help" {
			continue
		}
		if names = append(names, c.Name()); strings.HasPrefix(c.Name(), word) {
			begin = append(begin, c.Name())
		}
		names = append(names, c.Aliases...)
	}
	if len(begin) > 0 {
		return strings.Join(begin, " or ")
	}
	return spelling.FindNearest(word, names)
}

// refuseUnknownSubcommand refuses an unknown subcommand, and says which command the person probably wants.
func refuseUnknownSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	msg := fmt.Sprintf("unknown command %q for %s", args[0], cmd.CommandPath())
	if hint := findCommandHint(cmd, args[0]); hint != "" {
		return usageErrorf("%s; did you mean %s?", msg, hint)
	}
	return usageErrorf("%s; see %s --help", msg, cmd.CommandPath())
}

// prepareHelp makes help fit the terminal, and returns the width.
func (a *app) prepareHelp(root *cobra.Command) int {
	width := a.chooseHelpWidth()
	fitHelp(root, width)
	a.refuseHelpOfUnknown(root)
	return width
}

// refuseHelpOfUnknown makes --help refuse an unknown subcommand, as every command line does. Cobra would print the help
// of its parent.
func (a *app) refuseHelpOfUnknown(root *cobra.Command) {
	show := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd.HasSubCommands() {
			if a.helpErr = cmd.ValidateArgs(cmd.Flags().Args()); a.helpErr != nil {
				return
			}
		}
		show(cmd, args)
	})
}
