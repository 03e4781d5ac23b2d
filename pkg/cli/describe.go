package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/printable"
)

func (a *app) newDescribeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cluster NAME",
		Aliases: []string{"clusters"},
		Short:   "Show everything known of a cluster",
		Long: `Shows everything that is known of a cluster: what was asked for, its phase and how it got there,
its machines and what each is doing, what it costs, what is not as it was asked for and what was
done about that, what happened lately, why it failed, and what to try next.`,
		Example: `  skyctl describe cluster dev
  skyctl describe cluster dev -o yaml`,
		Args:              requireClusterName,
		ValidArgsFunction: a.completeClusterNames,
	}
	o := &describeOptions{app: a, output: addOutputFlag(cmd, asTable, asWide, asJSON, asYAML)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0]) }
	return newCommandGroup("describe", "Show everything known of a cluster",
		"Shows what you name: see skyctl describe cluster --help.",
		"  skyctl describe cluster dev", cmd)
}

// describeOptions is one describe cluster.
type describeOptions struct {
	*app
	output *enumValue
}

func (o *describeOptions) run(ctx context.Context, name string) error {
	ops, err := o.connectClient(ctx)
	if err != nil {
		return err
	}
	s, err := ops.ConnectStore(ctx)
	if err != nil {
		return err
	}
	c, damage, err := s.SalvageCluster(ctx, name)
	if err != nil {
		return err
	}
	o.warnHomeDoubt(ctx, ops)
	var wrong error
	var recorded api.Phase
	if damage != nil {
		wrong = &damagedError{name: name, why: damage}
		recorded = c.Status.Phase
		markDamaged(c)
	}
	if o.output.isStructured() {
		return errors.Join(writeStructured(o.env.Out, o.output.form(), c), wrong)
	}
	d := clusterDescription{cluster: c, recorded: recorded, operation: ops.OperationURL(name), now: o.env.Now(),
		external: o.cfg.IsExternal()}
	if path := o.cfg.KubeconfigPath(name); fileExists(path) {
		d.kubeconfig = path
	}
	if d.events, err = ops.ListEvents(ctx, name); err != nil && damage == nil {
		return err
	}
	_, err = io.WriteString(o.env.Out, d.String())
	o.noteStaleSweeps(ctx, ops, []api.Cluster{*c})
	return errors.Join(err, wrong)
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sectionedText is text in sections of names and values.
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

// alignPairs aligns names and values; those without a value are left out.
func alignPairs(namesAndValues ...string) []string {
	var rows [][]string
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		if namesAndValues[i+1] != "" {
			rows = append(rows, []string{namesAndValues[i] + ":", printable.Line(namesAndValues[i+1])})
		}
	}
	return alignColumns(rows)
}

// clusterDescription is everything known of a cluster, as text.
type clusterDescription struct {
	cluster    *api.Cluster
	recorded   api.Phase // what a damaged object says of its phase
	operation  string    // address of its page in the Web UI
	kubeconfig string    // file on this machine, where there is one
	events     []api.Event
	external   bool // the worker is elsewhere, and keeps no tunnel for the person
	now        time.Time
}

func (d clusterDescription) String() string {
	p, c, now := &sectionedText{}, d.cluster, d.now
	st := c.Status
	phase := string(st.Phase)
	if st.Phase == phaseDamaged && d.recorded != "" {
		phase += " (its object says " + string(d.recorded) + ")"
	}
	if n := len(st.Transitions); n > 0 && st.Phase != phaseDamaged {
		last := st.Transitions[n-1]
		phase += " for " + formatDuration(now.Sub(last.At))
		if last.Reason != "" {
			phase += " (" + last.Reason + ")"
		}
	}
	for _, l := range alignPairs(
		"Name", c.Metadata.Name, "UID", c.Metadata.UID, "Labels", strings.Join(labelLines(c.Metadata.Labels), ", "),
		"Created", formatTime(now, c.Metadata.CreatedAt), "Phase", phase, "Endpoint", formatEndpoint(st),
		"Kubernetes", st.Versions.Kubernetes, "RKE2", st.Versions.RKE2, "Repairs", formatPause(c, now), "Operation",
		d.operation,
	) {
		p.b.WriteString(l + "\n")
	}
	p.addSection("Spec", specLines(c.Spec)...)
	p.addSection("Placement", placementLines(c, now)...)
	if lines := resourceLines(st.Resources); lines[0] != "{}" {
		p.addSection("Resources (available/total)", lines...)
	}
	p.addSection("GPUs", gpuLines(st)...)
	p.addSection("Machines", machineLines(c, now)...)
	p.addSection("Power themselves off unless the cluster is READY before", powerOffLines(c, now)...)
	p.addSection("Conditions", conditionLines(st.Conditions, now)...)
	p.addSection("Drift", driftLines(st, st.Drift, now)...)
	p.addSection("Repairs", repairLines(st.Repairs)...)
	p.addSection("Transitions", transitionLines(st.Transitions)...)
	p.addSection("Places that could not give the machines", attemptLines(st.Attempts, now)...)
	if st.Failure != nil {
		p.addSection("Failure", failureLines(st.Failure, now)...)
	}
	p.addSection("Events", eventLines(d.events, now)...)
	p.addSection("Next", append(repairCommandLine(c), d.nextCommands()...)...)
	return p.b.String()
}

func specLines(s api.ClusterSpec) []string {
	disk := ""
	if s.DiskSize > 0 {
		disk = fmt.Sprintf("%d GiB", s.DiskSize)
	}
	memory := s.Memory
	if memory != "" {
		memory += " GiB"
	}
	spot, most := "", ""
	if s.UseSpot {
		spot = "yes: the cloud may take machines back"
	}
	if s.MaxHourlyCost > 0 {
		most = fmt.Sprintf("$%.2f per hour and machine", s.MaxHourlyCost)
	}
	return alignPairs("Manager", s.Manager, "Cloud", s.Cloud, "Region", s.Region, "Zone", s.Zone, "Nodes",
		fmt.Sprint(s.NumNodes), "CPUs", s.CPUs,
		"Memory", memory, "Disk", disk, "Accelerators", s.Accelerators, "GPU stack", formatGPUStack(s), "Spot", spot,
		"At most", most, "Image", s.ImageID,
		"Ports", strings.Join(s.Ports, ", "), "API open to", s.APICIDR, "API access", s.APIAccess, "Provision",
		fmt.Sprint(s.Provision))
}

func placementLines(c *api.Cluster, now time.Time) []string {
	p := c.Status.Placement
	if p == nil {
		return nil
	}
	size := fmt.Sprintf("%s CPUs, %s GB of memory", formatNumber(p.CPUs), formatNumber(p.MemoryGiB))
	if p.DiskGiB > 0 {
		size += fmt.Sprintf(", %s GB of disk", formatNumber(p.DiskGiB))
	}
	price, spent := formatDollars(p.PriceTotal, p), ""
	if p.PriceTotal > 0 {
		price += fmt.Sprintf(" per hour (%s per machine)", formatDollars(p.PricePerMachine, p))
	}
	if total := c.Status.CostSoFar(now); total > 0 {
		spent = formatCostAtPlacement(c, p, now)
		if c.Status.IsCostEstimated() {
			spent += " (an estimate)"
		}
	}
	return alignPairs("Cloud", p.Cloud, "Region", p.Region, "Zone", p.Zone, "Instance", p.InstanceType, "Machine", size,
		"Price", price, "Cost so far", spent)
}

func machineLines(c *api.Cluster, now time.Time) []string {
	if len(c.Status.Machines) == 0 {
		return nil
	}
	rows := [][]string{{"NAME", "NODE", "ROLE", "STATE", "STEP", "FOR", "ADDRESS"}}
	for _, m := range c.Status.Machines {
		addr := m.Address
		if m.PrivateAddress != "" && m.PrivateAddress != addr {
			addr += " (" + m.PrivateAddress + ")"
		}
		lasts := "-"
		if !m.Since.IsZero() {
			lasts = formatDuration(now.Sub(m.Since))
		}
		rows = append(rows, []string{m.Name, valueOrDash(m.NodeName), string(m.Role), string(m.State),
			valueOrDash(printable.Line(m.Step)), lasts, valueOrDash(addr)})
	}
	return alignColumns(rows)
}

func conditionLines(conditions []api.Condition, now time.Time) []string {
	if len(conditions) == 0 {
		return nil
	}
	rows := [][]string{{"TYPE", "STATUS", "FOR", "REASON", "MESSAGE"}}
	for _, c := range conditions {
		rows = append(rows, []string{string(c.Type), string(c.Status), formatDuration(now.Sub(c.LastTransitionTime)),
			valueOrDash(c.Reason), valueOrDash(printable.Line(c.Message))})
	}
	return alignColumns(rows)
}

func transitionLines(transitions []api.Transition) []string {
	var rows [][]string
	for _, t := range transitions {
		rows = append(rows, []string{t.At.UTC().Format(time.RFC3339), string(t.Phase), printable.Line(t.Reason)})
	}
	return alignColumns(rows)
}

func attemptLines(attempts []api.FailedPlacement, now time.Time) []string {
	var lines []string
	for _, a := range attempts {
		on := ""
		if a.Machine != "" {
			on = " (" + a.Machine + ")"
		}
		lines = append(lines, fmt.Sprintf("%s, %s ago%s: %s: %s", formatPlacement(a.Placement),
			formatDuration(now.Sub(a.At)), on, a.Reason, printable.Line(a.Message)))
	}
	return lines
}

func failureLines(f *api.Failure, now time.Time) []string {
	lines := alignPairs("Step", f.Step, "Machine", f.Machine, "Reason", f.Reason, "Message", f.Message, "At",
		formatTime(now, f.At))
	return append(lines, logLines(f.Log)...)
}

func logLines(log []string) []string {
	if len(log) == 0 {
		return nil
	}
	lines := []string{"Last lines of its log:"}
	for _, l := range log {
		lines = append(lines, "  | "+printable.Line(l))
	}
	return lines
}

// printFailureLog adds what a failure's one line leaves out.
func printFailureLog(w io.Writer, f *client.OperationFailedError) {
	if f.Failure == nil {
		return
	}
	for _, l := range logLines(f.Failure.Log) {
		fmt.Fprintln(w, "  "+l)
	}
}

// nextCommands is what a person would do now.
func (d clusterDescription) nextCommands() []string {
	c, name := d.cluster, d.cluster.Metadata.Name
	switch c.Status.Phase {
	case api.PhaseReady:
		if d.kubeconfig == "" {
			return append(d.tunnelCommands(), "(umask 077; skyctl get kubeconfig "+name+" > "+name+".kubeconfig)")
		}
		return append(d.tunnelCommands(), "export KUBECONFIG="+d.kubeconfig, "kubectl get nodes")
	case api.PhaseError:
		return []string{createCommandLine(c), "skyctl delete cluster " + name}
	case api.PhaseInit, api.PhaseProvisioning:
		return []string{"skyctl get cluster " + name + " -w"}
	case api.PhaseDeleting:
		return append([]string{"skyctl delete cluster " + name + " --wait"}, purgeHint(c)...)
	case phaseDamaged:
		return []string{"restore etcd from a backup, or:", "skyctl delete cluster " + name}
	}
	return nil
}

func formatFailureHints(name, operation string) string {
	s := fmt.Sprintf("Look closer with: skyctl describe cluster %s\nGo on with the same create again, or remove it "+
		"with: skyctl delete cluster %s\n", name, name)
	if operation != "" {
		s += "Every step is at " + operation + "\n"
	}
	return s
}

// createCommandLine is the command that made the cluster, which goes on with it.
func createCommandLine(c *api.Cluster) string {
	s := c.Spec
	cmd := releaseVariables(s) + "skyctl create cluster " + c.Metadata.Name
	add := func(flag, value string) {
		if value != "" && value != "0" {
			cmd += " --" + flag + " " + value
		}
	}
	if s.Provision {
		cmd += " --provision"
	}
	add("cloud", s.Cloud)
	add("region", s.Region)
	add("zone", s.Zone)
	add("cpus", s.CPUs)
	add("memory", s.Memory)
	add("disk_size", fmt.Sprint(s.DiskSize))
	add("accelerators", s.Accelerators)
	cmd += formatGPUFlags(s)
	if s.UseSpot {
		cmd += " --use_spot"
	}
	add("max_hourly_cost", strconv.FormatFloat(s.MaxHourlyCost, 'f', -1, 64))
	add("image_id", s.ImageID)
	add("api_cidr", s.APICIDR)
	add("api_access", s.APIAccess)
	add("ports", strings.Join(s.Ports, ","))
	add("num_nodes", fmt.Sprint(s.NumNodes))
	add("kubernetes_version", quoteShellWord(s.KubernetesVersion))
	var l []string
	for _, k := range slices.Sorted(maps.Keys(c.Metadata.Labels)) {
		l = append(l, k+"="+c.Metadata.Labels[k])
	}
	add("labels", strings.Join(l, ","))
	if c.Status.KeepOnFailure {
		cmd += " --keep-on-failure"
	}
	return cmd
}
