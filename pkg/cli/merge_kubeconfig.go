package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/client"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/kubeconfig"
)

// mergeKubeconfig puts a cluster into the person's own kubeconfig; with use its context becomes the current one.
func (a *app) mergeKubeconfig(ctx context.Context, ref api.Ref, content []byte, use bool) (kubeconfig.Merged, error) {
	p, err := a.findPerson()
	if err != nil {
		return kubeconfig.Merged{}, &usageError{err}
	}
	entries, err := kubeconfig.NewEntries(ref.Name, ref.UID, content)
	if err != nil {
		return kubeconfig.Merged{}, err
	}
	merge := p.Merge
	if use {
		merge = p.Use
	}
	done, err := merge(ctx, a.cfg.ClusterDir(ref.Name), entries)
	if err != nil {
		return done, fmt.Errorf("merging cluster %[1]s into your kubeconfig: %[2]w; skyctl kubectl %[1]s works "+
			"without it",
			ref.Name, err)
	}
	for _, path := range p.Ignored {
		a.printNote(fmt.Sprintf("$KUBECONFIG names %s, which is skyctl's own, so %s was changed. To use that: "+
			"unset KUBECONFIG", path, done.Path))
	}
	return done, nil
}

// findPerson returns where this person keeps what kubectl and SkyPilot read. The files that skyctl writes for each
// cluster do not count, not even those of other installations.
func (a *app) findPerson() (kubeconfig.Person, error) {
	dirs := []string{a.cfg.ClustersDir()}
	if a.env.Getenv("KUBECONFIG") != "" {
		all, _ := a.contextsFile().Read() // without a readable file there is only the default one
		for _, c := range a.listContexts(all) {
			dirs = append(dirs, (&config.Config{Dir: c.Dir}).ClustersDir())
		}
	}
	return kubeconfig.FindPerson(a.env.Getenv, a.findProgram("sky") != "", dirs...)
}

// wantMerge records that a cluster is to be merged into the person's own kubeconfig as soon as it has one. skyd does
// that, or this command if it waits.
func (a *app) wantMerge(ctx context.Context, ref api.Ref, waits bool) error {
	if a.cfg.IsExternal() && !waits {
		a.printNote(fmt.Sprintf("once cluster %[1]s is READY, merge its kubeconfig with: skyctl get kubeconfig %[1]s "+
			"--merge", ref.Name))
		return nil
	}
	p, err := a.findPerson()
	if err != nil {
		return &usageError{err}
	}
	return p.WantMerge(ctx, a.cfg.ClusterDir(ref.Name), ref.UID)
}

// printHowToUse ends a command after which a cluster is READY: it says how to use the cluster. If the person
// wants that, it first merges the cluster into their own kubeconfig.
func (a *app) printHowToUse(ctx context.Context, ops *client.Client, c *api.Cluster, path string) error {
	name := c.Metadata.Name
	if a.cfg.IsExternal() && c.Status.TunnelPort != 0 {
		fmt.Fprintf(a.notes(), "Its API is reached through SSH. Keep this running: skyctl tunnel %s\n", name)
	}
	if !a.cfg.Kubeconfig.Merge && !kubeconfig.IsMerged(a.cfg.ClusterDir(name), c.Metadata.UID) {
		fmt.Fprintf(a.notes(), "Use it with: export KUBECONFIG=%s\n", path)
		fmt.Fprintf(a.notes(), "Run work on it with SkyPilot: skyctl use %s && %s\n", name, formatSkyLaunch(c))
		return nil
	}
	content, err := ops.ReadKubeconfig(ctx, c.Ref())
	if err != nil {
		return err
	}
	done, err := a.mergeKubeconfig(ctx, c.Ref(), content, false)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.notes(), "Merged it into %s. Use it with: kubectl --context %s\n", done.Path,
		kubeconfig.ContextName(name))
	a.noteMerged(c, done)
	return nil
}

// noteMerged says what follows from a merge.
func (a *app) noteMerged(c *api.Cluster, done kubeconfig.Merged) {
	name := c.Metadata.Name
	if done.OpenToOthers {
		a.printNote(fmt.Sprintf("other users can read %s. To change that: chmod 600 %[1]s", done.Path))
	}
	if c.Status.Phase != api.PhaseReady {
		a.printNote(fmt.Sprintf("cluster %s is %s.", name, c.Status.Phase))
		return
	}
	if len(done.SkyPilotContexts) > 0 {
		a.printNote(fmt.Sprintf("SkyPilot uses these contexts (kubernetes.allowed_contexts in its settings): %s.",
			strings.Join(done.SkyPilotContexts, ", ")))
	}
	use := ""
	if !done.SkyPilot && !done.SkyPilotElsewhere && !done.Current { // without settings it uses the current context
		use = "skyctl use " + name + " && "
	}
	fmt.Fprintf(a.notes(), "Run work on it with SkyPilot: %s%s\n", use, formatSkyLaunch(c))
	switch {
	case done.SkyPilotElsewhere:
		a.printNote(fmt.Sprintf("SkyPilot's API server is elsewhere (api_server.endpoint or "+
			"$SKYPILOT_API_SERVER_ENDPOINT): first run skyctl get kubeconfig %s --merge on its computer.", name))
	case !done.SkyPilot:
		a.printNote("SkyPilot is not set up here: there is neither sky on $PATH nor ~/.sky. To install it: pip " +
			"install 'skypilot[kubernetes]'")
	}
}

// formatSkyLaunch is the command that runs work on a cluster with SkyPilot.
func formatSkyLaunch(c *api.Cluster) string {
	command, gpus := "hostname", ""
	for _, m := range c.Status.Machines {
		if a := c.Spec.AcceleratorsOf(m); a.Count > 0 {
			command, gpus = "nvidia-smi", fmt.Sprintf(" --gpus %s:1", a.Name)
			break
		}
	}
	return strings.Join([]string{"sky launch --infra k8s/" + kubeconfig.ContextName(c.Metadata.Name) + gpus, "--",
		command},
		" ")
}
