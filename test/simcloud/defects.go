package simcloud

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// machineDefects are the defects of the machine with a name, and of later machines with that name.
type machineDefects struct {
	// broken is a unit that fails to start.
	broken string
	// refused is the head's response to an agent that it does not admit.
	refused string
	// fullDisk means that the disk with RKE2's directories is full.
	fullDisk bool
	// busy means that the supervisor answers 503.
	busy bool
	// starting means that the API server of a head answers 503.
	starting bool
	// closed is a port of other machines that it cannot reach, and how it fails.
	closed string
	// service is a unit that runs beside RKE2's, and clock how far the machine's clock is ahead.
	service string
	clock   time.Duration
	// outside means that a head has an address outside of loopback.
	outside bool
	// certificates is the lifetime of a head's first certificates; 0 is a year.
	certificates time.Duration
	lies         *sshFaults
}

// applyTo gives a host these defects.
func (d machineDefects) applyTo(h *host) error {
	busy, starting := "", ""
	disk := "mount -o remount,size=50% /var/lib; mount -o remount,size=50% /opt; rm -f /var/lib/full /opt/full"
	if d.busy {
		busy = "yes"
	}
	if d.starting {
		starting = "yes"
	}
	if d.fullDisk {
		disk = "for d in /var/lib /opt; do mount -o remount,size=256k $d; cat /dev/zero >$d/full 2>/dev/null || " +
			"true; done"
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
		errs = append(errs, h.setMarker("broken."+unit, broken), h.setMarker("refused."+unit, refused))
	}
	return errors.Join(append(errs, h.setMarker("supervisor503", busy),
		h.setMarker("api503", starting), h.setMarker("closed", d.closed),
		h.runScript(disk), d.misconfigure(h))...)
}

// misconfigure runs the service, and sets the clock.
func (d machineDefects) misconfigure(h *host) error {
	var errs []error
	if d.service != "" {
		errs = append(errs, h.writeFile("/run/systemd/system/"+d.service+".LoadState", "loaded\n", 0o644),
			h.writeFile("/run/systemd/system/"+d.service+".ActiveState", "active\n", 0o644))
	}
	if d.clock != 0 {
		errs = append(errs, h.writeFile("/opt/fake/date", fmt.Sprintf("#!/bin/sh\n[ \"$*\" = +%%s ] || "+
			"exec /bin/date \"$@\"\necho $(($(/bin/date +%%s) + %.0f))\n", d.clock.Seconds()), 0o755))
	}
	return errors.Join(errs...)
}

// changeDefects changes the defects of machines of a name.
func (c *Cloud) changeDefects(machine string, change func(*machineDefects)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.defectsOf(machine)
	change(d)
	if m := c.findMachine(machine); m != nil && m.host != nil {
		_ = d.applyTo(m.host) // a machine that is being terminated needs no defects
	}
}

func (c *Cloud) defectsOf(machine string) *machineDefects {
	d := c.defects[machine]
	if d == nil {
		d = &machineDefects{lies: &sshFaults{}}
		c.defects[machine] = d
	}
	return d
}

// BreakUnit makes a systemd unit fail on each machine of that name, now and later; "" repairs it.
func (c *Cloud) BreakUnit(machine, unit string) {
	c.changeDefects(machine, func(d *machineDefects) { d.broken = unit })
}

// TakeNodeName makes the head refuse the agents of machines of that name, because another machine has taken the name of
// their Node; false admits them again.
func (c *Cloud) TakeNodeName(machine string, taken bool) {
	c.changeDefects(machine, func(d *machineDefects) {
		if d.refused = ""; taken {
			d.refused = passwordRejected
		}
	})
}

// FillDisk fills the disks of machines of that name, or frees them again.
func (c *Cloud) FillDisk(machine string, full bool) {
	c.changeDefects(machine, func(d *machineDefects) { d.fullDisk = full })
}

// Misconfigure has a unit run on machines of that name beside RKE2's, and their clocks be ahead.
func (c *Cloud) Misconfigure(machine, service string, ahead time.Duration) {
	c.changeDefects(machine, func(d *machineDefects) { d.service, d.clock = service, ahead })
}

// SetSupervisorBusy makes the supervisor of heads of that name answer 503, or answer again.
func (c *Cloud) SetSupervisorBusy(machine string, busy bool) {
	c.changeDefects(machine, func(d *machineDefects) { d.busy = busy })
}

// SlowAPI makes the API server of heads of that name answer 503, although their supervisor answers.
func (c *Cloud) SlowAPI(machine string) {
	c.changeDefects(machine, func(d *machineDefects) { d.starting = true })
}

// FinishAPI makes the API server of a head answer again.
func (c *Cloud) FinishAPI(machine string) {
	c.changeDefects(machine, func(d *machineDefects) { d.starting = false })
}

// HoldAgent makes the agents of machines of that name wait for the API server.
func (c *Cloud) HoldAgent(machine string) {
	c.changeDefects(machine, func(d *machineDefects) {
		d.refused = `level=info msg="Waiting to retrieve agent configuration; server is not ready: 503"`
	})
}

// ReleaseAgent lets the agent of a machine come up.
func (c *Cloud) ReleaseAgent(machine string) error {
	c.changeDefects(machine, func(d *machineDefects) { d.refused = "" })
	return c.withHost(machine, func(h *host) error { return h.runScript("systemctl start rke2-agent") })
}

// SetCertificateLifetime sets the lifetime of the first certificates on heads of that name that are launched from now
// on; a restart renews them.
func (c *Cloud) SetCertificateLifetime(machine string, valid time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.defectsOf(machine).certificates = valid
}

// withHost calls a function for the machine that currently has a name.
func (c *Cloud) withHost(machine string, do func(*host) error) error {
	c.mu.Lock()
	m := c.findMachine(machine)
	c.mu.Unlock()
	if m == nil || m.host == nil {
		return fmt.Errorf("no machine %s", machine)
	}
	return do(m.host)
}

// StopUnit stops RKE2 on a machine and leaves its unit in a state: failed or inactive.
func (c *Cloud) StopUnit(machine, state string) error {
	return c.withHost(machine, func(h *host) error {
		unit := h.unitName()
		return h.runScript("cd /run/systemd/system; echo " + state + " >" + unit +
			".ActiveState; date -u '+%a %Y-%m-%d %H:%M:%S UTC' >" + unit + ".StateChangeTimestamp")
	})
}

func (h *host) unitName() string { return unitOf(h.api != nil) }

// MakeNodeNotReady makes the Node of a machine not Ready although RKE2 runs there, until RKE2 is restarted or
// permanently.
func (c *Cloud) MakeNodeNotReady(machine string, forGood bool) error {
	return c.withHost(machine, func(h *host) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.sick = (nodeSickness{is: true}); !forGood {
			h.sick.run = h.unitInvocation(h.unitName())
		}
		return nil
	})
}

// MakeNodeReady undoes MakeNodeNotReady.
func (c *Cloud) MakeNodeReady(machine string) error {
	return c.withHost(machine, func(h *host) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sick = nodeSickness{}
		return nil
	})
}

// clusterAPI returns the API of a cluster's newest head; nil if it has none.
func (c *Cloud) clusterAPI(clusterUID string) *apiServer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range slices.Backward(c.machines) {
		if !m.isGone() && m.Owner.ClusterUID == clusterUID && m.host != nil && m.host.api != nil {
			return m.host.api
		}
	}
	return nil
}

// ListNodes returns the names of a cluster's Nodes, and the names with a stored password. ok is false if the cluster
// has no head.
func (c *Cloud) ListNodes(clusterUID string) (nodes, passwords []string, ok bool) {
	a := c.clusterAPI(clusterUID)
	if a == nil {
		return nil, nil, false
	}
	a.syncRegistry()
	for _, n := range a.registry.listNodes("") {
		nodes = append(nodes, n.Name)
	}
	return nodes, a.registry.passwordNodeNames(), true
}

// DeleteNode deletes a Node as kubectl does: its password stays, and its machine keeps running.
func (c *Cloud) DeleteNode(clusterUID, node string) error {
	if a := c.clusterAPI(clusterUID); a == nil || !a.removeNode(node) {
		return fmt.Errorf("no Node %s", node)
	}
	return nil
}

// ReadNode returns a copy of a Node; nil if there is none.
func (c *Cloud) ReadNode(clusterUID, node string) *corev1.Node {
	a := c.clusterAPI(clusterUID)
	if a == nil {
		return nil
	}
	return a.registry.changeNode(node, func(*corev1.Node) {})
}

// ChangeNode changes a Node as a person does.
func (c *Cloud) ChangeNode(clusterUID, node string, change func(*corev1.Node)) error {
	a := c.clusterAPI(clusterUID)
	if a == nil || a.registry.changeNode(node, change) == nil {
		return fmt.Errorf("no Node %s", node)
	}
	return nil
}

// CordonNode cordons a Node, or uncordons it.
func (c *Cloud) CordonNode(clusterUID, node string, cordoned bool) error {
	return c.ChangeNode(clusterUID, node, func(n *corev1.Node) { n.Spec.Unschedulable = cordoned })
}

// AddPod runs a pod (namespace/name) of an app on a Node.
func (c *Cloud) AddPod(clusterUID, node, pod, app string) error {
	a := c.clusterAPI(clusterUID)
	if a == nil {
		return fmt.Errorf("cluster %s has no head", clusterUID)
	}
	namespace, name, _ := strings.Cut(pod, "/")
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	a.registry.pods[pod] = &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{appLabel: app},
		},
		Spec: corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	return nil
}

// ListPods returns the names (namespace/name) of the pods on a Node.
func (c *Cloud) ListPods(clusterUID, node string) []string {
	a := c.clusterAPI(clusterUID)
	if a == nil {
		return nil
	}
	var names []string
	for _, p := range a.registry.podsOn(node) {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	return names
}

// ReadMachineFile returns the content and the mode of a file on the machine of that name.
func (c *Cloud) ReadMachineFile(machine, path string) (text string, mode fs.FileMode, err error) {
	err = c.withHost(machine, func(h *host) error {
		info, err := os.Stat(h.outsidePath(path))
		if err != nil {
			return err
		}
		text, mode = h.readFile(path), info.Mode().Perm()
		return nil
	})
	return text, mode, err
}
