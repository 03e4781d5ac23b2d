package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
)

const (
	restoreTarget = 1.3 // times the script
	keptName      = "kept"
	// restoreLimit is longer than a restore takes from the moment that the server counts as lost.
	restoreLimit = 4 * time.Minute
	// readTimeout bounds each try to read from an API that may be gone.
	readTimeout = time.Second
)

// restoreBench loses the only server of a cluster and brings it back in two ways. Each round has a cluster of its own,
// because skyd delays repeated repairs of one machine.
type restoreBench struct {
	*createBench
	// total is from the loss to the serving API, found until skyd takes the server for lost, and restore what follows.
	total, found, restore sample
	// byRule is the same by the script, of which waits are those of the rule for a lost server, and hand is the rest.
	byRule, waits, hand sample
	verify              sample
}

// measureRestore alternates losses that skyd finds and repairs with the script that waits by the same rule and restores
// by hand. Unless -lost_for is set, skyd sweeps every second, and its two looks are one second apart.
func measureRestore(ctx context.Context, b *bench) ([]resultRow, error) {
	settings := []string{"SKYCTL_RECONCILE_NOT_READY_FOR=" + b.lostFor.String()}
	if b.lostFor <= time.Second {
		settings = append(settings, "SKYCTL_RECONCILE_INTERVAL=1s")
	}
	c, err := newCreateBench(b, "restore", settings...)
	if err != nil {
		return nil, err
	}
	defer c.engine.Close()
	if _, err := c.place.startServer(ctx); err != nil {
		return nil, err
	}
	if b.lostFor <= time.Second { // not counted: it builds the host image if necessary and fills the caches
		warm := restoreBench{createBench: c}
		if err := warm.runRound(ctx, "warm"); err != nil {
			return nil, err
		}
	}
	r := restoreBench{createBench: c}
	for i := range b.rounds {
		if err := r.runRound(ctx, strconv.Itoa(i)); err != nil {
			return nil, err
		}
		b.logProgress("  round %d: skyctl %.2f s, %.2f s of it from the decision; by the same rule by hand %.2f s, "+
			"%.2f s of it without the waits", i+1, r.total[i]/1000, r.restore[i]/1000, r.byRule[i]/1000,
			r.hand[i]/1000)
	}
	return r.rows(), nil
}

// rows compares the whole, and what follows the decision, with the script.
func (r *restoreBench) rows() []resultRow {
	compare := func(what string, ours, by sample, name string) resultRow {
		return resultRow{what: what, value: ours.formatSeconds(),
			target: fmt.Sprintf("at most %.1f x %s", restoreTarget, name), ratio: formatPairs(ours, by, name),
			met: ours.medianRatio(by) <= restoreTarget}
	}
	rule := fmt.Sprintf("of it the waits of the rule: two looks, %v apart", r.lostFor)
	return []resultRow{
		compare("loss of the only server to a serving API", r.total, r.byRule, "by hand by the same rule"),
		{what: "of it until skyd takes the server for lost", value: r.found.formatSeconds(),
			ratio: formatPairs(r.found, r.waits, "the rule's waits")},
		compare("of it from then to a serving API", r.restore, r.hand, "launch and restore by hand"),
		{what: "baseline: by hand by the same rule (restorebyhand.sh)", value: r.byRule.formatSeconds()},
		{what: rule, value: r.waits.formatSeconds()},
		{what: "of it launch and restore by hand", value: r.hand.formatSeconds()},
		{what: "skyctl verify snapshot", value: r.verify.formatSeconds()},
	}
}

// formatPairs formats the ratio of the medians, and the least and the greatest ratio of a round.
func formatPairs(ours, base sample, name string) string {
	var pairs sample
	for i := range ours {
		pairs.addValue(ours[i] / base[i])
	}
	return fmt.Sprintf("%s (by round %.2f-%.2f)", ours.formatRatio(base, name), pairs.minValue(), pairs.maxValue())
}

// runRound measures a verification, a loss and a restore by hand from the same snapshot.
func (r *restoreBench) runRound(ctx context.Context, round string) error {
	name := "lost-" + r.id[:min(8, len(r.id))] + "-" + round
	work := filepath.Join(r.dir, "restore-"+round)
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	if err := r.createKept(ctx, name); err != nil {
		return err
	}
	if err := r.copyKept(ctx, name, work); err != nil {
		return err
	}
	awaitQuietMachine(ctx)
	began := time.Now()
	if _, err := r.place.runSkyctl(ctx, "verify", "snapshot", keptName, "--cluster", name); err != nil {
		return err
	}
	r.verify.addElapsed(began)
	if err := r.loseServer(ctx, name); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"delete", "cluster", name, "--yes", "--wait"}, {"delete", "snapshot", keptName, "--cluster", name, "--yes"},
	} {
		if _, err := r.place.runSkyctl(ctx, args...); err != nil {
			return err
		}
	}
	return r.restoreByHand(ctx, work)
}

// createKept creates a cluster of one machine and takes a snapshot of it.
func (r *restoreBench) createKept(ctx context.Context, name string) error {
	if _, err := r.place.runSkyctl(ctx, "create", "cluster", name, "--provision", "--cloud", "docker", "--cpus",
		strconv.Itoa(hostCPUs), "--memory", strconv.Itoa(hostMemory), "--num_nodes", "1", "--snapshot_every", "off",
		"--wait"); err != nil {
		return err
	}
	if err := r.copyHostSettings(ctx, api.MachineName(name, 0)); err != nil {
		return err
	}
	if err := r.writeKept(ctx, name); err != nil {
		return err
	}
	_, err := r.place.runSkyctl(ctx, "create", "snapshot", "--cluster", name, "--name", keptName, "--wait")
	return err
}

// copyKept copies what the script needs: a snapshot of its own and the token from the machine, and the kubeconfig.
func (r *restoreBench) copyKept(ctx context.Context, name, work string) error {
	const server = "/var/lib/rancher/rke2/server/"
	for file, script := range map[string]string{
		"snapshot": "/usr/local/bin/rke2 etcd-snapshot save --name hand >&2 && cat " + server + "db/snapshots/hand-*",
		"token":    "cat " + server + "token",
	} {
		content, err := r.runProgram(ctx, r.env, "docker", "exec", api.MachineName(name, 0), "sh", "-c", script)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(work, file), []byte(content), 0o600); err != nil {
			return err
		}
	}
	kubeconfig, err := r.readKubeconfig(name)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(work, "kubeconfig"), kubeconfig, 0o600)
}

// loseServer removes the server with its disk, and measures how long its state is away.
func (r *restoreBench) loseServer(ctx context.Context, name string) error {
	awaitQuietMachine(ctx)
	began := time.Now()
	if err := r.engine.ContainerRemove(ctx, api.MachineName(name, 0),
		container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
		return err
	}
	limit := restoreLimit + 2*r.lostFor
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := r.readKept(limited, name)
		if err == nil {
			break
		}
		if limited.Err() != nil {
			return fmt.Errorf("%s is not back within %v: %w", name, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.total.addElapsed(began)
	served := time.Now()
	decided, err := r.readDecisionTime(limited, name)
	r.found.addValue(float64(decided.Sub(began)) / float64(time.Millisecond))
	r.restore.addValue(float64(served.Sub(decided)) / float64(time.Millisecond))
	return err
}

// readDecisionTime waits until the restore has ended, and returns when it started.
func (r *restoreBench) readDecisionTime(ctx context.Context, name string) (time.Time, error) {
	for {
		out, err := r.place.runSkyctl(ctx, "get", "cluster", name, "-o", "json")
		if err != nil {
			return time.Time{}, err
		}
		var c api.Cluster
		if err := json.Unmarshal([]byte(out), &c); err != nil {
			return time.Time{}, err
		}
		if c.Status.Phase == api.PhaseReady && c.Status.Restored != nil && c.Status.Restore == nil {
			return c.Status.Restored.StartedAt, nil
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// restoreByHand measures one run of the script, and removes what it created.
func (r *restoreBench) restoreByHand(ctx context.Context, work string) error {
	env := append(slices.Clone(r.env), "NAME=hand-"+r.id, "WORK="+work, "SNAPSHOT="+filepath.Join(work, "snapshot"),
		"TOKEN="+filepath.Join(work, "token"), "KUBECONFIG="+filepath.Join(work, "kubeconfig"),
		"WANT=/api/v1/namespaces/default/configmaps/"+keptName, fmt.Sprintf("LOST_FOR=%g", r.lostFor.Seconds()))
	awaitQuietMachine(ctx)
	began := time.Now()
	if _, err := r.runProgram(ctx, env, "bash", filepath.Join(r.scripts, "restorebyhand.sh")); err != nil {
		return err
	}
	r.byRule.addElapsed(began)
	text, err := os.ReadFile(filepath.Join(work, "waited"))
	if err != nil {
		return err
	}
	waited, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	if err != nil {
		return fmt.Errorf("how long restorebyhand.sh has waited: %w", err)
	}
	r.waits.addValue(waited)
	r.hand.addValue(r.byRule[len(r.byRule)-1] - waited)
	return r.removeHosts(ctx)
}

func (r *restoreBench) readKubeconfig(name string) ([]byte, error) {
	cfg, err := r.place.loadConfig()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(cfg.ClusterDir(name), "kubeconfig"))
}

// keptOf returns the ConfigMaps of a cluster, through the kubeconfig that is there now, and a function that ends the
// connections.
func (r *restoreBench) keptOf(name string) (typedcorev1.ConfigMapInterface, func(), error) {
	kubeconfig, err := r.readKubeconfig(name)
	if err != nil {
		return nil, nil, err
	}
	client, err := kube.NewClient(kubeconfig, kube.ShortLived)
	if err != nil {
		return nil, nil, err
	}
	return client.CoreV1().ConfigMaps(metav1.NamespaceDefault), func() { kube.CloseClient(client) }, nil
}

func (r *restoreBench) writeKept(ctx context.Context, name string) error {
	client, end, err := r.keptOf(name)
	if err != nil {
		return err
	}
	defer end()
	_, err = client.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: keptName}},
		metav1.CreateOptions{})
	return err
}

func (r *restoreBench) readKept(ctx context.Context, name string) error {
	client, end, err := r.keptOf(name)
	if err != nil {
		return err
	}
	defer end()
	limited, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err = client.Get(limited, keptName, metav1.GetOptions{})
	return err
}
