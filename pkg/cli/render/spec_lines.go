package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/printable"
)

// specLines are the fields of a spec that are set, as api.Fields declares them. Those of the machines are the control
// plane's; pools have lines of their own.
func specLines(s api.ClusterSpec) []string {
	all := s.CreateRequest()
	all.NumNodes, all.GPUStack, all.GPUTaint = s.MachineCount(), s.GPUStack, s.GPUTaint // also those for pools
	pairs := append(all.LabeledValues(), "Registries", formatRegistries(s.RKE2.Registries), "RKE2 environment",
		formatEnv(s.RKE2.Env), "RKE2 config", formatConfig(s.RKE2.Config), "Images", formatImages(s.RKE2.Images))
	return alignPairs(pairs...)
}

func formatRegistries(registries []api.Registry) string {
	var all []string
	for _, r := range registries {
		text := r.Host
		if len(r.Mirrors) > 0 {
			text += " through " + strings.Join(r.Mirrors, " ")
		}
		if r.Secret != "" {
			text += " (secret " + r.Secret + ")"
		}
		if r.CA != "" {
			text += " (own CA)"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func formatEnv(env []api.EnvVariable) string {
	var all []string
	for _, v := range env {
		if v.Secret != "" {
			all = append(all, fmt.Sprintf("%s (secret %s, key %s)", v.Name, v.Secret, v.Key))
		} else {
			all = append(all, v.Name+"="+v.Value)
		}
	}
	return strings.Join(all, ", ")
}

func formatConfig(config map[string]api.ConfigValue) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(config)) {
		all = append(all, key+"="+config[key].String())
	}
	return strings.Join(all, ", ")
}

func formatImages(images []api.ImageArchive) string {
	var all []string
	for _, a := range images {
		all = append(all, a.Path)
	}
	return strings.Join(all, ", ")
}

// formatPinnedIngress is the ingress controller of a cluster that wants none in particular.
func formatPinnedIngress(c *api.Cluster) string {
	if c.Spec.Ingress != "" || c.Status.Artifacts == nil || c.Status.Artifacts.Ingress == "" {
		return ""
	}
	return c.Status.Artifacts.Ingress + ", as " + c.Status.Artifacts.Version + " deploys it"
}

// poolLines list the pools, each with its settings on a line below.
func poolLines(c *api.Cluster, now time.Time) []string {
	if len(c.Spec.Pools) == 0 {
		return nil
	}
	rows := [][]string{{"NAME", "REPLICAS", "READY", "INSTANCE", "RESOURCES", "SPOT", "PRICE/H", "AGE"}}
	below := []string{""}
	for _, p := range c.Spec.Pools {
		r := newPoolRow(c, p, now)
		rows = append(rows, []string{r.name, r.replicas, r.ready, r.instance, r.resources, r.spot, r.price, r.age})
		below = append(below, labelledLine("settings", formatPoolSettings(p)))
	}
	return interleaveLines(AlignColumns(rows), below)
}

// formatPoolSettings are the settings of a pool that are not the default.
func formatPoolSettings(p api.Pool) string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("zone", p.Machine.Zone)
	if p.Machine.MaxHourlyCost > 0 {
		add("at most", fmt.Sprintf("$%.2f per hour and machine", p.Machine.MaxHourlyCost))
	}
	add("image", p.Machine.ImageID)
	var labels []string
	for _, key := range slices.Sorted(maps.Keys(p.Labels)) {
		labels = append(labels, key+"="+p.Labels[key])
	}
	add("labels", strings.Join(labels, ","))
	add("taints", strings.Join(p.Taints, ","))
	add("spot_fallback", p.SpotFallback)
	if p.MaxUnavailable > 0 {
		add("max_unavailable", fmt.Sprint(p.MaxUnavailable))
	}
	if p.DrainTimeout > 0 {
		add("drain_timeout", p.DrainTimeout.String())
	}
	if p.DrainForce {
		parts = append(parts, "drain_force")
	}
	return strings.Join(parts, ", ")
}

// poolAttemptLines are the placements that could not give a pool a machine lately.
func poolAttemptLines(st api.ClusterStatus, now time.Time) []string {
	var lines []string
	for _, p := range st.Pools {
		for _, l := range attemptLines(p.Attempts, now) {
			lines = append(lines, printable.Line("pool "+p.Name+": "+l))
		}
	}
	return lines
}

// formatGeneration says how far the spec has been carried out.
func formatGeneration(c *api.Cluster) string {
	wanted, reached := c.Metadata.Generation, c.Status.ObservedGeneration
	if wanted == reached || reached == 0 && wanted <= 1 { // it is being created
		return ""
	}
	if reached == 0 {
		return fmt.Sprintf("%d is wanted, none is reached yet", wanted)
	}
	return fmt.Sprintf("%d is wanted, %d is reached", wanted, reached)
}

// formatWork says what is under way, and for how long; empty if nothing is.
func formatWork(c *api.Cluster, now time.Time) string {
	doing, under := currentWork(c), c.Status.Operation
	switch {
	case doing == "":
		return ""
	case under == nil:
		return doing + ", not started yet"
	case under.Doing != "" && under.Doing != doing:
		doing += ": " + under.Doing
	}
	if !under.Since.IsZero() {
		doing += ", for " + FormatDuration(now.Sub(under.Since))
	}
	return doing
}

// formatPrice is the price of all machines per hour, and of each if all have the same.
func formatPrice(c *api.Cluster, p *api.Placement) string {
	total := c.Status.CostPerHour()
	same := true
	for _, m := range c.Status.Machines {
		same = same && (!m.State.MayExist() || m.Placement.PricePerMachine == p.PricePerMachine)
	}
	if total == 0 {
		total, same = p.PriceTotal, true
	}
	price := FormatDollars(total, p)
	switch {
	case total > 0 && same:
		return price + fmt.Sprintf(" per hour (%s per machine)", FormatDollars(p.PricePerMachine, p))
	case total > 0:
		return price + " per hour"
	}
	return price
}
