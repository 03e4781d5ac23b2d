package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// MarkDamaged marks a cluster as damaged and its conditions as unknown, because its record cannot be trusted.
func MarkDamaged(c *api.Cluster) {
	c.Status.Phase = PhaseDamaged
	for i := range c.Status.Conditions {
		in := &c.Status.Conditions[i]
		in.Status, in.Reason, in.Message = api.ConditionUnknown, "Damaged", "the record in etcd is damaged"
	}
}

// sectionedText is text in titled sections.
type sectionedText struct{ b strings.Builder }

func (p *sectionedText) addSection(title string, lines ...string) {
	if len(lines) == 0 {
		return
	}
	p.b.WriteString("\n" + title + ":\n")
	for _, l := range lines {
		p.b.WriteString("  " + l + "\n")
	}
}

// alignPairs aligns names and values, and omits empty values.
func alignPairs(namesAndValues ...string) []string {
	var rows [][]string
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		if namesAndValues[i+1] != "" {
			rows = append(rows, []string{namesAndValues[i] + ":", printable.Line(namesAndValues[i+1])})
		}
	}
	return AlignColumns(rows)
}

// ClusterPage is the output of describe cluster.
type ClusterPage struct {
	Cluster        *api.Cluster
	Recorded       api.Phase // phase in a damaged record
	OperationURL   string    // of the operation in the Web UI
	KubeconfigPath string    // local file, if there is one
	Events         []api.Event
	// Snapshots are those of the cluster; nil if they could not be read.
	Snapshots []api.Snapshot
	External  bool // no local skyd keeps tunnels open
	Now       time.Time
}

func (d ClusterPage) String() string {
	p, c, now := &sectionedText{}, d.Cluster, d.Now
	st := c.Status
	phase := string(st.Phase)
	if st.Phase == PhaseDamaged && d.Recorded != "" {
		phase += " (recorded as " + string(d.Recorded) + ")"
	}
	if n := len(st.Transitions); n > 0 && st.Phase != PhaseDamaged {
		last := st.Transitions[n-1]
		phase += " for " + FormatDuration(now.Sub(last.At))
		if last.Reason != "" {
			phase += " (" + last.Reason + ")"
		}
	}
	for _, l := range alignPairs(
		"Name", c.Metadata.Name, "UID", c.Metadata.UID, "Labels", strings.Join(labelLines(c.Metadata.Labels), ", "),
		"Created", formatTime(now, c.Metadata.CreatedAt), "Phase", phase, "Generation", formatGeneration(c),
		"Under way", formatWork(c, now), "Stopped", formatStopped(c), "Endpoint", formatEndpoint(st),
		"Kubernetes", st.Versions.Kubernetes, "RKE2", st.Versions.RKE2, "Ingress", formatPinnedIngress(c), "Repairs",
		formatPause(c, now), "Operation",
		d.OperationURL,
	) {
		p.b.WriteString(l + "\n")
	}
	p.addSection("Spec", specLines(c.Spec)...)
	p.addSection("Pools", poolLines(c, now)...)
	p.addSection("Placement", placementLines(c, now)...)
	if lines := resourceLines(st.Resources, " GiB"); lines[0] != "{}" {
		p.addSection("Resources (available/total)", lines...)
	}
	p.addSection("GPUs", gpuLines(st)...)
	p.addSection("Machines", machineLines(c, now)...)
	p.addSection("Snapshots", snapshotLines(c, d.Snapshots, now)...)
	p.addSection("Scheduled power-off (removed when the cluster becomes READY)", powerOffLines(c, now)...)
	p.addSection("Conditions", conditionLines(st.Conditions, now)...)
	p.addSection("Drift", driftLines(st, st.Drift, now)...)
	p.addSection("Repairs", repairLines(st.Repairs, now)...)
	p.addSection("Transitions", transitionLines(st.Transitions, now)...)
	p.addSection("Failed placements", append(attemptLines(st.Attempts, now), poolAttemptLines(st, now)...)...)
	if st.Failure != nil {
		p.addSection("Failure", failureLines(st.Failure, now)...)
	}
	p.addSection("Events", eventLines(d.Events, now)...)
	p.addSection("Next", append(repairCommandLine(c), d.nextCommands()...)...)
	return p.b.String()
}

func placementLines(c *api.Cluster, now time.Time) []string {
	p := c.Status.Placement
	if p == nil {
		return nil
	}
	size := fmt.Sprintf("%s CPUs, %s GiB of memory", formatNumber(p.CPUs), formatNumber(p.MemoryGiB))
	if p.DiskGiB > 0 {
		size += fmt.Sprintf(", %s GiB of disk", formatNumber(p.DiskGiB))
	}
	price, spent := formatPrice(c, p), ""
	if c.Status.Phase == api.PhaseStopped && !api.AnyMachineMayExist(c.Status.Machines) {
		price = "nothing while it is stopped; else " + price
	}
	if total := c.Status.CostSoFar(now); total > 0 {
		spent = formatCostAtPlacement(c, p, now)
		if c.Status.IsCostEstimated() {
			spent += " (estimate)"
		}
	}
	return alignPairs("Cloud", p.Cloud, "Region", p.Region, "Zone", p.Zone, "Instance", p.InstanceType, "Machine", size,
		"RKE2's pods", "request "+describeOverhead(c.Spec), "Price",
		price, "Cost so far", spent)
}

// requestsKey is the key of RKE2's configuration that changes what its static pods request.
const requestsKey = "control-plane-resource-requests"

// describeOverhead says what RKE2's own pods request of the machines of a cluster.
func describeOverhead(s api.ClusterSpec) string {
	text := api.DescribeOverhead(s.Network.CNI, s.MachineCount()-s.ControlPlane.Replicas)
	if len(s.RKE2.Config[requestsKey]) > 0 {
		text += ", apart from " + requestsKey
	}
	return text
}

func machineLines(c *api.Cluster, now time.Time) []string {
	if len(c.Status.Machines) == 0 || c.Status.Phase == api.PhaseStopped && len(ExistingMachines(c)) == 0 {
		return nil
	}
	rows := [][]string{{"NAME", "NODE", "POOL", "ROLE", "STATE", "STEP", "FOR", "ADDRESS"}}
	for _, m := range c.Status.Machines {
		addr := m.Address
		if m.PrivateAddress != "" && m.PrivateAddress != addr {
			addr += " (" + m.PrivateAddress + ")"
		}
		lasts := "-"
		if !m.Since.IsZero() {
			lasts = FormatDuration(now.Sub(m.Since))
		}
		rows = append(rows, []string{m.Name, ValueOrDash(m.NodeName), ValueOrDash(m.PoolName()), string(m.Role),
			formatMachineState(m), ValueOrDash(printable.Line(m.Step)), lasts, ValueOrDash(addr)})
	}
	return AlignColumns(rows)
}

func conditionLines(conditions []api.Condition, now time.Time) []string {
	if len(conditions) == 0 {
		return nil
	}
	rows := [][]string{{"TYPE", "STATUS", "FOR", "REASON", "MESSAGE"}}
	for _, c := range conditions {
		rows = append(rows, []string{string(c.Type), string(c.Status), FormatDuration(now.Sub(c.LastTransitionTime)),
			ValueOrDash(c.Reason), ValueOrDash(printable.Line(c.Message))})
	}
	return AlignColumns(rows)
}

func transitionLines(transitions []api.Transition, now time.Time) []string {
	var rows [][]string
	for _, t := range transitions {
		rows = append(rows, []string{FormatMoment(now, t.At), string(t.Phase), printable.Line(t.Reason)})
	}
	return AlignColumns(rows)
}

func attemptLines(attempts []api.FailedPlacement, now time.Time) []string {
	var lines []string
	for _, a := range attempts {
		on := ""
		if a.Machine != "" {
			on = " (" + a.Machine + ")"
		}
		lines = append(lines, fmt.Sprintf("%s, %s ago%s: %s: %s", FormatPlacement(a.Placement),
			FormatDuration(now.Sub(a.At)), on, a.Reason, printable.Line(a.Message)))
	}
	return lines
}

func failureLines(f *api.Failure, now time.Time) []string {
	lines := alignPairs("Step", f.Step, "Machine", f.Machine, "Reason", f.Reason, "Message", f.Message, "At",
		formatTime(now, f.At))
	return append(lines, LogLines(f.Log)...)
}

// LogLines are the last lines of the log of a failed step.
func LogLines(log []string) []string {
	if len(log) == 0 {
		return nil
	}
	lines := []string{"Last log lines:"}
	for _, l := range log {
		lines = append(lines, "  | "+printable.Line(l))
	}
	return lines
}

// nextCommands are the commands that a person would run next.
func (d ClusterPage) nextCommands() []string {
	c, name := d.Cluster, d.Cluster.Metadata.Name
	switch c.Status.Phase {
	case api.PhaseReady:
		if d.KubeconfigPath == "" {
			return append(d.tunnelCommands(), "(umask 077; skyctl get kubeconfig "+name+" > "+name+".kubeconfig)")
		}
		return append(d.tunnelCommands(), "export KUBECONFIG="+d.KubeconfigPath, "kubectl get nodes")
	case api.PhaseError:
		if restore := d.restoreCommand(); restore != "" {
			return []string{restore, "skyctl delete cluster " + name}
		}
		return append(resumeCommands(c), "skyctl delete cluster "+name)
	case api.PhaseInit, api.PhaseProvisioning:
		return []string{"skyctl get cluster " + name + " -w"}
	case api.PhaseDeleting:
		return append([]string{"skyctl delete cluster " + name + " --wait"}, purgeHint(c)...)
	case api.PhaseStopped:
		return []string{"skyctl start cluster " + name + " --wait", "skyctl delete cluster " + name}
	case PhaseDamaged:
		return []string{"restore etcd from a backup, or:", "skyctl delete cluster " + name}
	}
	return nil
}

// resumeCommands go on with a create that failed: the file again, if the cluster was made from one, else the flags. A
// file changes nothing where a repair goes on.
func resumeCommands(c *api.Cluster) []string {
	switch {
	case !c.Metadata.CreatedByApply:
		return []string{CreateCommandLine(c)}
	case c.Status.WasReady():
		return nil
	case c.Status.CanBeRepaired():
		return []string{"skyctl reconcile " + c.Metadata.Name + " --wait"}
	}
	return []string{"skyctl apply -f FILE    # the file that the cluster was made from"}
}

// restoreCommand goes on with a restore that failed, or restores a cluster from its newest usable snapshot. It is empty
// if there is none.
func (d ClusterPage) restoreCommand() string {
	command := "skyctl restore cluster " + d.Cluster.Metadata.Name + " --snapshot "
	if r := d.Cluster.Status.Restore; r != nil {
		if r.Mode == api.RestoreNewMachines {
			return command + r.Snapshot + " --new-machines"
		}
		return command + r.Snapshot
	}
	if newest := api.NewestUsableSnapshot(d.Cluster.DropUndoneSnapshots(d.Snapshots)); newest != nil &&
		d.Cluster.Status.WasReady() {
		return command + newest.Name
	}
	return ""
}

// gpuLines show the versions of the GPU stack, and how many accelerators each node offers.
func gpuLines(st api.ClusterStatus) []string {
	v := st.Versions
	lines := alignPairs("Driver", v.GPUDriver, "Operator", v.GPUOperator, "Device plugin", v.GPUPlugin)
	if len(st.GPUs) == 0 {
		return lines
	}
	rows := [][]string{{"NODE", "OFFERED", "EXPECTED"}}
	for _, n := range st.GPUs {
		rows = append(rows, []string{n.Node, fmt.Sprint(n.Offered), fmt.Sprint(n.Expected)})
	}
	return append(lines, AlignColumns(rows)...)
}

// tunnelCommands must run before the kubeconfig can be used.
func (d ClusterPage) tunnelCommands() []string {
	if d.External && d.Cluster.Status.TunnelPort != 0 {
		return []string{"skyctl tunnel " + d.Cluster.Metadata.Name + "    # keep this running"}
	}
	return nil
}
