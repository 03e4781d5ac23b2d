package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagSection is a part of the list of flags of a command that has many.
type flagSection string

// The sections of flags. Flags that are in none are in sectionOther.
const (
	sectionFiles     flagSection = "Flags for files"
	sectionPrune     flagSection = "Flags for clusters that the files no longer have"
	sectionMachines  flagSection = "Flags for machines"
	sectionPlace     flagSection = "Flags for place and price"
	sectionGPUs      flagSection = "Flags for accelerators"
	sectionNetwork   flagSection = "Flags for Kubernetes and its network"
	sectionSSH       flagSection = "Flags for access through SSH"
	sectionSnapshots flagSection = "Flags for snapshots and lost servers"
	sectionLeaving   flagSection = "Flags for machines that leave"
	sectionOther     flagSection = "Other flags"
)

// flagSections are all sections, in the order of help.
var flagSections = []flagSection{sectionFiles, sectionPrune, sectionMachines, sectionPlace, sectionGPUs, sectionNetwork,
	sectionSSH, sectionSnapshots, sectionLeaving, sectionOther}

// sectionsOfFields are the sections of the flags that fill fields of a cluster or of a pool.
var sectionsOfFields = map[flagSection][]string{
	sectionMachines: {"num_nodes", "max_nodes", "replicas", "min_replicas", "max_replicas", "cpus", "memory",
		"disk_size", "image_id"},
	sectionPlace: {"cloud", "region", "zone", "use_spot", "spot_fallback", "max_hourly_cost"},
	sectionGPUs:  {"accelerators", "gpu_stack", "gpu_taint"},
	sectionNetwork: {"manager", "kubernetes_version", "cni", "ingress", "enable_servicelb", "api_access", "api_cidr",
		"ports", "labels", "taints"},
	sectionSSH: {"ssh_user", "ssh_proxy_jump", "ssh_proxy_jump_host_key", "ssh_proxy_jump_secret"},
	sectionSnapshots: {"snapshot_every", "snapshot_keep", "snapshot_keep_for", "snapshot_s3_endpoint",
		"snapshot_s3_region", "snapshot_s3_secret", "snapshot_s3_url", "snapshot_verify_every", "on_server_loss",
		"max_snapshot_age"},
	sectionLeaving: {"max_unavailable", "drain_timeout", "drain_force"},
	sectionOther:   {"provision"},
}

// sectionAnnotation is the annotation of a flag that names its section.
const sectionAnnotation = "skyctl_section"

// add puts flags of a command into the section.
func (s flagSection) add(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		panicOnError(cmd.Flags().SetAnnotation(name, sectionAnnotation, []string{string(s)}))
	}
}

// addFieldSections puts the flags of a command that fill fields into their sections.
func addFieldSections(cmd *cobra.Command) {
	for section, names := range sectionsOfFields {
		for _, name := range names {
			if cmd.Flags().Lookup(name) != nil {
				section.add(cmd, name)
			}
		}
	}
}

// titledFlags are the flags below one heading of help.
type titledFlags struct {
	title string
	flags *pflag.FlagSet
}

// splitIntoSections separates flags by their sections. Flags of which none has a section stay together.
func splitIntoSections(all *pflag.FlagSet) []titledFlags {
	found := map[flagSection]*pflag.FlagSet{}
	all.VisitAll(func(f *pflag.Flag) {
		section := sectionOther
		if names := f.Annotations[sectionAnnotation]; len(names) > 0 {
			section = flagSection(names[0])
		}
		if found[section] == nil {
			found[section] = pflag.NewFlagSet("", pflag.ContinueOnError)
		}
		found[section].AddFlag(f)
	})
	if len(found) == 1 {
		return []titledFlags{{"Flags", all}}
	}
	var parts []titledFlags
	for _, section := range flagSections {
		if flags := found[section]; flags != nil && flags.HasAvailableFlags() {
			parts = append(parts, titledFlags{string(section), flags})
		}
	}
	return parts
}
