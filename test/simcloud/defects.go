package simcloud

import (
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// defects are what is wrong with each machine of a name, those to come and the one that is there.
type defects struct {
	// broken is a unit that fails when it is started.
	broken string
	// refused is what the head says to an agent that it never lets in.
	refused string
	// fullDisk: nothing more can be written where RKE2 goes.
	fullDisk bool
	// busy: the supervisor answers 503.
	busy bool
	// closed is a port of other machines that it can't reach, and how.
	closed string
	// outside: a head has an address that is not a loopback one.
	outside bool
	// certificates is how long those of a head are valid at first; 0 is a year.
	certificates time.Duration
	lies         *sshLies
}

// apply makes a host that way.
func (d defects) apply(h *host) error {
	busy, disk := "", "mount -o remount,size=50% /var/lib; mount -o remount,size=50% /opt; rm -f /var/lib/full /opt/full"
	if d.busy {
		busy = "yes"
	}
	if d.fullDisk {
		disk = "for d in /var/lib /opt; do mount -o remount,size=256k $d; cat /dev/zero >$d/full 2>/dev/null || true; done"
	}
	var errs []error
	for _, unit := range []string{"rke2-server", "rke2-agent"} {
		broken, refused := "", ""
		if unit == d.broken {
			broken = "yes"
		}
		if unit == "rke2-agent" {
			refused = d.refused
		}
		errs = append(errs, h.mark("broken."+unit, broken), h.mark("refused."+unit, refused))
	}
	return errors.Join(append(errs, h.mark("supervisor503", busy), h.mark("closed", d.closed), h.run(disk))...)
}

// defect changes what is wrong with machines of a name.
func (c *Cloud) defect(machine string, change func(*defects)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.defectsOf(machine)
	change(d)
	if m := c.named(machine); m != nil && m.host != nil {
		_ = d.apply(m.host) // one that is just going needs no defects
	}
}

func (c *Cloud) defectsOf(machine string) *defects {
	d := c.defects[machine]
	if d == nil {
		d = &defects{lies: &sshLies{}}
		c.defects[machine] = d
	}
	return d
}

// BreakUnit makes a systemd unit fail on each machine of that name, those to come and the one that is there; "" mends it.
func (c *Cloud) BreakUnit(machine, unit string) {
	c.defect(machine, func(d *defects) { d.broken = unit })
}

// TakeNodeName has the head refuse the agents of machines of that name, since another machine has taken the name of their
// Node; false lets them in again.
func (c *Cloud) TakeNodeName(machine string, taken bool) {
	c.defect(machine, func(d *defects) {
		if d.refused = ""; taken {
			d.refused = `level=error msg="Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry"`
		}
	})
}

// FillDisk fills the disks of machines of that name, or frees them again.
func (c *Cloud) FillDisk(machine string, full bool) {
	c.defect(machine, func(d *defects) { d.fullDisk = full })
}

// BusySupervisor makes the supervisor of heads of that name answer 503, or answer again.
func (c *Cloud) BusySupervisor(machine string, busy bool) {
	c.defect(machine, func(d *defects) { d.busy = busy })
}

// Certificates are valid for some time only on heads of that name that are launched from now on; a restart renews them.
func (c *Cloud) Certificates(machine string, valid time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defectsOf(machine).certificates = valid
}

// on does something on the machine that bears a name now.
func (c *Cloud) on(machine string, do func(*host) error) error {
	c.mu.Lock()
	m := c.named(machine)
	c.mu.Unlock()
	if m == nil || m.host == nil {
		return fmt.Errorf("there is no machine %s", machine)
	}
	return do(m.host)
}

// StopUnit leaves RKE2 on a machine in a state in which it does not run: failed, inactive.
func (c *Cloud) StopUnit(machine, state string) error {
	return c.on(machine, func(h *host) error {
		unit := h.unit()
		return h.run("cd /run/systemd/system; echo " + state + " >" + unit + ".ActiveState; date -u '+%a %Y-%m-%d %H:%M:%S UTC' >" + unit + ".StateChangeTimestamp")
	})
}

func (h *host) unit() string { return unitOf(h.api != nil) }

// NotReady makes the Node of a machine not Ready though all runs there: until RKE2 is started anew, or for good.
func (c *Cloud) NotReady(machine string, forGood bool) error {
	return c.on(machine, func(h *host) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.sick = (sickness{is: true}); !forGood {
			h.sick.run = h.invocation(h.unit())
		}
		return nil
	})
}

// Well takes back NotReady.
func (c *Cloud) Well(machine string) error {
	return c.on(machine, func(h *host) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sick = sickness{}
		return nil
	})
}

// api is that of a cluster; nil where it has no head.
func (c *Cloud) api(clusterUID string) *apiServer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.machines {
		if !m.gone() && m.Owner.ClusterUID == clusterUID && m.host != nil && m.host.api != nil {
			return m.host.api
		}
	}
	return nil
}

// Nodes are the names of all Nodes that a cluster's API has, and of those that it keeps a password for. ok is false where the
// cluster has no head.
func (c *Cloud) Nodes(clusterUID string) (nodes, passwords []string, ok bool) {
	a := c.api(clusterUID)
	if a == nil {
		return nil, nil, false
	}
	a.sync()
	for _, n := range a.registry.list("") {
		nodes = append(nodes, n.Name)
	}
	return nodes, a.registry.secrets(), true
}

// DeleteNode takes a Node away as a person with kubectl does: its password stays, and its machine runs on.
func (c *Cloud) DeleteNode(clusterUID, node string) error {
	if a := c.api(clusterUID); a == nil || !a.remove(node) {
		return fmt.Errorf("there is no Node %s", node)
	}
	return nil
}

// Cordon marks a Node as one that takes no new pods, or takes them again.
func (c *Cloud) Cordon(clusterUID, node string, cordoned bool) error {
	a := c.api(clusterUID)
	if a == nil || a.registry.change(node, func(n *corev1.Node) { n.Spec.Unschedulable = cordoned }) == nil {
		return fmt.Errorf("there is no Node %s", node)
	}
	return nil
}

// AddPod runs a pod (namespace/name) of an app on a Node.
func (c *Cloud) AddPod(clusterUID, node, pod, app string) error {
	a := c.api(clusterUID)
	if a == nil {
		return fmt.Errorf("cluster %s has no head", clusterUID)
	}
	namespace, name, _ := strings.Cut(pod, "/")
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	a.registry.pods[pod] = &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/name": app},
		},
		Spec: corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	return nil
}

// Pods are the names (namespace/name) of the pods on a Node.
func (c *Cloud) Pods(clusterUID, node string) []string {
	a := c.api(clusterUID)
	if a == nil {
		return nil
	}
	var names []string
	for _, p := range a.registry.podsOn(node) {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	return names
}
