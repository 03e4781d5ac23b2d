package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/store"
)

// aboutValues says what each value of an enumeration means, by the field and the value.
var aboutValues = map[string]map[string]string{
	"manager": {api.ManagerK8: "Kubernetes"},
	"cloud": {"docker": "this computer", "aws": "Amazon Web Services", "azure": "Microsoft Azure",
		"cudo": "Cudo Compute", "do": "DigitalOcean", "fluidstack": "Fluidstack", "gcp": "Google Cloud",
		"hyperbolic": "Hyperbolic",
		"ibm":        "IBM Cloud", "lambda": "Lambda Cloud", "mithril": "Mithril", "nebius": "Nebius AI Cloud",
		"oci": "Oracle Cloud Infrastructure", "paperspace": "Paperspace", "primeintellect": "Prime Intellect",
		"scp": "Samsung Cloud Platform", "seeweb": "Seeweb", "shadeform": "Shadeform", "verda": "Verda",
		"vsphere": "VMware vSphere"},
	"region": {"local": "this computer"},
	"gpu_stack": {api.GPUStackOperator: "NVIDIA's GPU Operator: driver, toolkit and device plugin as needed",
		api.GPUStackDevicePlugin: "for images with driver and toolkit", api.GPUStackNone: "you install it"},
	"api_access": {api.APIAuto: "skyctl chooses (the default)", api.APIPublic: "port 6443 of the head is open",
		api.APITunnel: "through SSH"},
	"cni": {"canal": "the default of RKE2", "cilium": "eBPF", "calico": "network policies and BGP",
		"flannel": "no network policies", "none": "you install one; nodes are Ready only then"},
	"ingress": {"traefik": "the default from 1.36 on", "ingress-nginx": "the default up to 1.35; retired upstream",
		"none": "you install one, if any"},
	"on_server_loss": {api.OnServerLossRestore: "from the newest snapshot, on a new machine (the default)",
		api.OnServerLossWait: "for a person"},
	"spot_fallback":  {api.SpotFallbackOnDemand: "machines at the full price if there is no spot machine"},
	"ssh_proxy_jump": {"none": "no bastion"},
	"dry-run":        {"client": "only show what would happen", "server": "the same", "none": "do it (the default)"},
}

// aboutPhases says what the phases of each kind of objects mean.
var aboutPhases = map[string]map[string]string{
	"cluster": {"INIT": "recorded", "PROVISIONING": "being created or repaired", "READY": "can be used",
		"ERROR": "an operation failed", "DELETING": "being deleted", "STOPPED": "no machines, state kept"},
	"machine": {"Reserved": "recorded", "Launching": "requested from its cloud", "Up": "it answers",
		"Prepared": "RKE2 is installed", "Ready": "its node is Ready", "Terminating": "being ended", "Gone": "ended"},
	"snapshot": {"Wanted": "requested", "Taken": "on the machine only", "Kept": "off the machines",
		"Failed": "it could not be taken", "Lost": "nowhere any more", "Deleting": "being deleted"},
}

// aboutConditions says what the conditions mean for which commands wait.
var aboutConditions = map[string]string{
	"Ready": "it can be used", "Stopped": "it has no machines", "Kept": "it is off the machines",
	"MachinesLaunched": "all machines are launched", "MachinesPrepared": "RKE2 is on all machines",
	"ControlPlaneReady": "the Kubernetes API answers", "NodesReady": "all nodes are Ready",
	"AddOnsReady": "pods can run as usual", "GPUReady": "all accelerators are offered to pods",
	"Reachable": "its cloud answers about the machines", "InSync": "machines and nodes are as recorded",
}

// describeValues adds to each value what it means.
func describeValues(field string, values []string) []string {
	var all []string
	for _, v := range values {
		all = append(all, cobra.CompletionWithDesc(v, aboutValues[field][v]))
	}
	return all
}

// completeValues offers the values of an enumeration.
func completeValues(field string, values []string) cobra.CompletionFunc {
	return cobra.FixedCompletions(describeValues(field, values), cobra.ShellCompDirectiveNoFileComp)
}

// completeFiles has the shell offer files.
func completeFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// registerCompletion sets what a flag is completed with.
func registerCompletion(cmd *cobra.Command, flag string, complete cobra.CompletionFunc) {
	panicOnError(cmd.RegisterFlagCompletionFunc(flag, complete))
}

// registerFieldCompletions sets what the flags of fields are completed with, if their values are known.
func (a *app) registerFieldCompletions(cmd *cobra.Command) {
	register := func(name string, complete cobra.CompletionFunc) {
		if cmd.Flags().Lookup(name) != nil {
			registerCompletion(cmd, name, complete)
		}
	}
	for _, f := range api.Fields {
		switch {
		case f.ValuesOn != nil:
			register(f.Name, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
				cloud, _ := cmd.Flags().GetString("cloud") // "" without the flag
				return describeValues(f.Name, f.ValuesOn(cloud)), cobra.ShellCompDirectiveNoFileComp
			})
		case len(f.Values) > 0:
			register(f.Name, completeValues(f.Name, f.Values))
		}
	}
	for _, f := range api.PoolFields {
		if len(f.Values) > 0 {
			register(f.Name, completeValues(f.Name, f.Values))
		}
	}
	register("kubernetes_version", a.completeReleases)
	for _, name := range []string{"snapshot_s3_secret", "ssh_proxy_jump_secret"} {
		register(name, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return a.completeSecretNames(cmd, nil, "")
		})
	}
}

// completeReleases offers the release of the settings and those of the clusters.
func (a *app) completeReleases(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	usual := config.DefaultRKE2Version
	if cfg, err := a.loadSettings(); err == nil {
		usual = cfg.RKE2.Version
	}
	releases := []string{cobra.CompletionWithDesc(usual, "the setting rke2.version")}
	of, _ := a.completeFromStore(cmd, func(ctx context.Context, s *store.Store) (more []string) {
		clusters, _ := s.ListClusters(ctx) // unreadable clusters have no release
		seen := map[string]bool{"": true, usual: true}
		for _, c := range clusters {
			if v := c.Spec.KubernetesVersion; !seen[v] {
				seen[v] = true
				more = append(more, cobra.CompletionWithDesc(v, "of cluster "+c.Metadata.Name))
			}
		}
		return more
	})
	return append(releases, of...), cobra.ShellCompDirectiveNoFileComp
}

// describeSettingValues returns the values of a setting that are known, each with what it means.
func describeSettingValues(key string) []string {
	for _, f := range api.Fields {
		if f.Setting == key && f.Values != nil {
			return describeValues(f.Name, f.Values)
		}
	}
	var all []string
	for _, v := range config.ListChoices(key) {
		about := map[string]string{"true": "on", "false": "off"}[v]
		all = append(all, cobra.CompletionWithDesc(v, cmp.Or(about, "the default")))
	}
	return all
}

// describeGoals returns the values of --for, each with what it means.
func (s waitSubject) describeGoals() []string {
	goals := []string{cobra.CompletionWithDesc("delete", "the "+s.kind+" is gone")}
	add := func(goal, about string) { goals = append(goals, cobra.CompletionWithDesc(goal, about)) }
	for name := range s.conditions {
		add("condition="+name, aboutConditions[name])
	}
	for _, name := range s.listed {
		add("condition="+name, aboutConditions[name])
	}
	for _, phase := range s.phases {
		add("phase="+phase, aboutPhases[s.kind][phase])
	}
	slices.Sort(goals)
	return goals
}

// completeGoals offers the values of --for.
func (o *waitOptions) completeGoals(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	const path = "jsonpath="
	if typed != "" && strings.HasPrefix(path, typed) {
		return []string{cobra.CompletionWithDesc(path, "a field has a value: '{.PATH}'=VALUE")},
			cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	return o.subject.describeGoals(), cobra.ShellCompDirectiveNoFileComp
}

// completePersistentFlags has the shell offer files and directories for the flags of every command that take them.
func (a *app) completePersistentFlags(root *cobra.Command) {
	panicOnError(root.MarkPersistentFlagDirname("config-dir"))
	a.flags.VisitAll(func(f *pflag.Flag) {
		if config.IsPathFlag(f.Name) {
			registerCompletion(root, f.Name, completeFiles)
		}
	})
}
