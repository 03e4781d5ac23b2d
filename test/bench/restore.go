package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	// restoreLimit is longer than a restore takes.
	restoreLimit = 4 * time.Minute
	// readTimeout bounds each try to read from an API that may be gone.
	readTimeout = time.Second
)

// restoreBench loses the only server of a cluster and brings it back in two ways. Each round has a cluster of its own,
// because skyd delays repeated repairs of one machine.
type restoreBench struct {
	*createBench
	total, restore, hand, pairs, verify sample
}

// measureRestore alternates losses that skyd finds and repairs with the script that restores by hand. skyd sweeps every
// second and waits one second before it takes the server for lost, because the waits are settings, and not work.
func measureRestore(ctx context.Context, b *bench) ([]resultRow, error) {
	c, err := newCreateBench(b, "restore", "SKYCTL_RECONCILE_INTERVAL=1s", "SKYCTL_RECONCILE_NOT_READY_FOR=1s")
	if err != nil {
		return nil, err
	}
	defer c.engine.Close()
	if _, err := c.place.startServer(ctx); err != nil {
		return nil, err
	}
	warm := restoreBench{createBench: c} // not counted: it builds the host image if necessary and fills the caches
	if err := warm.runRound(ctx, "warm"); err != nil {
		return nil, err
	}
	r := restoreBench{createBench: c}
	for i := range b.rounds {
		if err := r.runRound(ctx, strconv.Itoa(i)); err != nil {
			return nil, err
		}
		b.logProgress("  round %d: skyctl %.2f s, %.2f s of it from the decision, by hand %.2f s: the decision's part "+
			"is %.2f times that", i+1,
			r.total[i]/1000, r.restore[i]/1000, r.hand[i]/1000, r.pairs[i])
	}
	const name = "by hand"
	return []resultRow{
		{what: "loss of the only server to a serving API", value: r.total.formatSeconds(),
			ratio: r.total.formatRatio(r.hand, name)},
		{what: "of it from skyd's decision to restore", value: r.restore.formatSeconds(),
			target: fmt.Sprintf("at most %.1f x by hand", restoreTarget),
			ratio: fmt.Sprintf("%s (by round %.2f-%.2f)", r.restore.formatRatio(r.hand, name), r.pairs.minValue(),
				r.pairs.maxValue()),
			met: r.restore.medianRatio(r.hand) <= restoreTarget},
		{what: "baseline: launch and restore by hand (restorebyhand.sh)", value: r.hand.formatSeconds()},
		{what: "skyctl verify snapshot", value: r.verify.formatSeconds()},
	}, nil
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
	limited, cancel := context.WithTimeout(ctx, restoreLimit)
	defer cancel()
	for {
		err := r.readKept(limited, name)
		if err == nil {
			break
		}
		if limited.Err() != nil {
			return fmt.Errorf("%s is not back within %v: %w", name, restoreLimit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.total.addElapsed(began)
	served := time.Now()
	decided, err := r.readDecisionTime(limited, name)
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
		"WANT=/api/v1/namespaces/default/configmaps/"+keptName)
	awaitQuietMachine(ctx)
	began := time.Now()
	if _, err := r.runProgram(ctx, env, "bash", filepath.Join(r.scripts, "restorebyhand.sh")); err != nil {
		return err
	}
	r.hand.addElapsed(began)
	n := len(r.hand) - 1
	r.pairs.addValue(r.restore[n] / r.hand[n])
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
