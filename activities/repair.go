package activities

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/plan"
	"github.com/sky-shift/skyctl/pkg/redact"
	"github.com/sky-shift/skyctl/pkg/rke2"
	"github.com/sky-shift/skyctl/pkg/store"
)

// AssessInput asks what is to be done about a cluster.
type AssessInput struct {
	Cluster api.Ref `json:"cluster"`
	// Asked is when a person asked for the repair: what was tried before that does not count. Zero where nobody did.
	Asked time.Time `json:"asked,omitzero"`
}

// Assessment is what is to be done about a cluster now.
type Assessment struct {
	Actions []RepairAction `json:"actions,omitempty"`
	// Fail is why the cluster is to go to ERROR; nil where it is not.
	Fail *api.Failure `json:"fail,omitempty"`
	// Serves: the cluster does what it is for, though something may be left to wait for.
	Serves bool `json:"serves,omitempty"`
	// Placement is where its machines are.
	Placement api.Placement `json:"placement"`
}

// RepairAction is an action, and the machine that it is done to.
type RepairAction struct {
	api.Action
	On MachineRef `json:"on"`
}

// Assess looks at a cluster again, and decides what is to be done about it now.
func (a *Sweeps) Assess(ctx context.Context, in AssessInput) (Assessment, error) {
	const step = "look at the cluster"
	c, err := readCluster(ctx, a.Store, in.Cluster)
	if err != nil {
		return Assessment{}, stepError(ctx, step, "", err)
	}
	if c.Status.Phase != api.PhaseReady && c.Status.Phase != api.PhaseError {
		return Assessment{}, nil // nothing for a repair
	}
	all, err := a.listProviders(ctx, []string{a.Clouds.providerName(c.CloudName())})
	if err != nil {
		return Assessment{}, stepError(ctx, step, "", err)
	}
	if c, err = readCluster(ctx, a.Store, in.Cluster); err != nil { // after the listing: see listProviderShared
		return Assessment{}, stepError(ctx, step, "", err)
	}
	if err := plan.ValidateCluster(c); err != nil {
		a.reportInvalid(ctx, c, err)
		return Assessment{}, nil
	}
	decision, world, err := a.assessCluster(ctx, c, all.forCluster(a.Clouds, c), in.Asked)
	if err != nil {
		return Assessment{}, stepError(ctx, step, "", err)
	}
	found := Assessment{Fail: decision.Fail, Serves: world.CloudError == "" && world.APIError == "" &&
		world.GPU == "" && len(world.Nodes) > 0}
	if c.Status.Placement != nil {
		found.Placement = *c.Status.Placement
	}
	for _, action := range decision.Actions {
		on := MachineRef{Cluster: in.Cluster, Index: action.Index, Name: action.Machine,
			Incarnation: action.Incarnation}
		for _, m := range c.Status.Machines {
			if action.Kind != api.ActionTerminate && m.Index == action.Index && m.Incarnation == action.Incarnation {
				on = machineRefOf(in.Cluster, m) // what is terminated is just what was named, and none that is like it
			}
		}
		found.Actions = append(found.Actions, RepairAction{Action: action, On: on})
	}
	return found, nil
}

// RepairEntry says that a repair begins, or how it ended.
type RepairEntry struct {
	Cluster api.Ref    `json:"cluster"`
	ID      string     `json:"id"`
	Action  api.Action `json:"action"`
	// Error is why it failed; empty where it did not.
	Error string `json:"error,omitempty"`
	// Failure is the same in full, where a repair of the GPU stack failed.
	Failure *api.Failure `json:"failure,omitempty"`
}

// BeginRepair records that a repair begins. Whatever becomes of it, it counts from now on.
func (a *Clusters) BeginRepair(ctx context.Context, in RepairEntry) error {
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.BeginRepair(api.Repair{ID: in.ID, Action: in.Action, At: a.Now()})
		return nil
	})
	if err == nil {
		a.recordEventNow(ctx, newEvent(c, in.Action.Machine, api.EventNormal, string(in.Action.Kind),
			"begun: "+in.Action.Message))
	}
	return stepError(ctx, "record the repair", in.Action.Machine, err)
}

// EndRepair records how a repair ended.
func (a *Clusters) EndRepair(ctx context.Context, in RepairEntry) error {
	c, err := a.Store.UpdateCluster(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.EndRepair(in.ID, redact.Text(in.Error), a.Now())
		if was := c.Status.Failure; in.Failure != nil && c.Status.Phase == api.PhaseError && was != nil &&
			was.Step == api.StepGPU {
			now := *in.Failure // what keeps the cluster in ERROR is this by now
			now.Step, now.At = api.StepGPU, a.Now()
			c.Status.Failure = &now
		}
		return nil
	})
	if err != nil {
		return stepError(ctx, "record the repair", in.Action.Machine, err)
	}
	e := newEvent(c, in.Action.Machine, api.EventNormal, string(in.Action.Kind), "done: "+in.Action.Message)
	if in.Error != "" {
		e = newEvent(c, in.Action.Machine, api.EventWarning, string(in.Action.Kind)+"Failed", in.Error)
	}
	a.recordEventNow(ctx, e)
	return nil
}

// MarkRepaired makes a cluster READY that was in ERROR and has been mended.
func (a *Clusters) MarkRepaired(ctx context.Context, ref api.Ref) error {
	_, err := a.Store.UpdateCluster(ctx, ref, func(c *api.Cluster) error {
		if c.Status.CanBeRepaired() {
			c.Status.Failure = nil
			c.Status.SetPhase(api.PhaseReady, "Repaired", a.Now())
		}
		return nil
	})
	return stepError(ctx, "mark the cluster READY", "", err)
}

// ReplaceMachine reserves a new incarnation in a place whose machine is gone, and returns it. Run twice, it returns the
// same.
func (a *Clusters) ReplaceMachine(ctx context.Context, old MachineRef) (MachineRef, error) {
	const step = "reserve a machine"
	c, err := readCluster(ctx, a.Store, old.Cluster)
	if err != nil {
		return MachineRef{}, stepError(ctx, step, old.Name, err)
	}
	if c.Status.Placement == nil {
		return MachineRef{}, stepError(ctx, step, old.Name, errors.New("the cluster has no placement"))
	}
	incarnation, err := api.NewIncarnation(rand.Reader)
	if err != nil {
		return MachineRef{}, stepError(ctx, step, old.Name, err)
	}
	fresh := api.NewMachine(c.Metadata.Name, old.Index, incarnation, *c.Status.Placement, a.Now())
	for _, m := range c.Status.Machines {
		if m.Index == old.Index {
			fresh.CarryOverCost(m, a.Now())
		}
	}
	stand, err := a.Store.ReserveMachines(ctx, old.Cluster, []api.Machine{fresh}, func(m api.Machine) bool {
		return m.Incarnation == old.Incarnation && !m.State.MayExist()
	})
	if err != nil {
		return MachineRef{}, stepError(ctx, step, old.Name, err)
	}
	for _, m := range stand {
		if m.Index != old.Index {
			continue
		}
		if m.Incarnation == old.Incarnation {
			return MachineRef{}, stepError(ctx, step, old.Name,
				&cloud.Error{Kind: cloud.Conflict, Message: "the machine before it may still exist"})
		}
		return machineRefOf(old.Cluster, m), stepError(ctx, step, old.Name,
			a.ensureClusterKeys(ctx, old.Cluster, []api.Machine{m}))
	}
	return MachineRef{}, stepError(ctx, step, old.Name, errors.New("the place is not there"))
}

// StartMachine starts a machine that was stopped, and records where it is now.
func (a *Machines) StartMachine(ctx context.Context, m MachineRef) error {
	const step = "start the machine"
	c, of, owner, err := a.readClusterAndCloud(ctx, m.Cluster)
	if err != nil {
		return stepError(ctx, step, m.Name, err)
	}
	record, err := findMachineRecord(c, m)
	if err != nil {
		return stepError(ctx, step, m.Name, err)
	}
	starter, can := of.(cloud.Starter)
	if !can {
		return stepError(ctx, step, m.Name, &cloud.Error{Kind: cloud.Infeasible,
			Message: "this cloud can't start a machine that was stopped"})
	}
	boot, cancel := withDeadline(ctx, a.Deadlines.Boot)
	defer cancel()
	up, err := starter.StartMachine(boot, cloudTargetOf(owner, *record), record.PrivateAddress)
	if err != nil {
		return stepError(ctx, step, m.Name, asDeadlineError(boot, err))
	}
	if err := a.recordCostEstimated(ctx, *record, m); err != nil {
		return stepError(ctx, step, m.Name, err)
	}
	return stepError(ctx, step, m.Name, a.recordNewAddress(ctx, c, m, up))
}

// drainTimeout bounds how long pods may take to leave a worker that is to be replaced: what does not go by then goes
// with it.
const drainTimeout = 2 * time.Minute

// Retire has a worker's pods leave and its agent stop, as far as either can be had: the machine may be past both.
func (a *Nodes) Retire(ctx context.Context, m MachineRef) error {
	return a.runStepThoughLost(ctx, m, "drain the Node", func(ctx context.Context, at *machineStep) error {
		client, err := a.newKubeClient(ctx, m.Cluster)
		if err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, drainTimeout)
		defer cancel()
		at.say("draining the Node")
		if err := kube.DrainNode(soon, client, m.NodeName, at.say); err != nil && ctx.Err() == nil {
			activity.GetLogger(ctx).Warn("a worker is replaced with pods on it", "machine", m.Name, "error", err)
		}
		if at.record.Address == "" {
			return nil
		}
		if err := a.stopAgent(ctx, at); err != nil && ctx.Err() == nil {
			activity.GetLogger(ctx).Info("the agent of a worker that is replaced was not stopped", "machine", m.Name,
				"error", err)
		}
		return ctx.Err()
	})
}

func (a *Nodes) stopAgent(ctx context.Context, at *machineStep) error {
	key, err := a.Store.ReadSecret(ctx, at.machine.Cluster, store.SecretSSHKey)
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, goneMachineTimeout)
	defer cancel()
	h, err := a.Pool.GetHost(soon, sshTargetOf(at.record), key)
	if err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(ctx, unitTimeout)
	defer cancel()
	return rke2.StopUnit(ctx, h, at.machine.Role)
}

// ForgetNodeInput names a Node of a machine that is no more.
type ForgetNodeInput struct {
	Cluster api.Ref `json:"cluster"`
	Node    string  `json:"node"`
}

// ForgetNode removes a Node, and the secret with which RKE2 remembers its password.
func (a *Nodes) ForgetNode(ctx context.Context, in ForgetNodeInput) error {
	client, err := a.newKubeClient(ctx, in.Cluster)
	if err == nil {
		err = kube.DeleteNode(ctx, client, in.Node)
	}
	return stepError(ctx, "forget the Node", in.Node, err)
}

// Restart starts RKE2 on a machine anew, and returns once its Node is Ready.
func (a *Nodes) Restart(ctx context.Context, m MachineRef) error {
	return a.runStep(ctx, m, "restart RKE2", func(ctx context.Context, at *machineStep) error {
		at.say("restarting RKE2")
		h, err := a.connectToMachine(ctx, at)
		if err != nil {
			return err
		}
		if err := rke2.RestartUnit(ctx, h, m.Role); err != nil {
			return err
		}
		up, cancel := withDeadline(ctx, a.Deadlines.Recover)
		defer cancel()
		if m.Role == api.RoleHead {
			err = rke2.AwaitServer(up, h, at.say)
		} else {
			err = rke2.AwaitAgent(up, h, at.say)
		}
		if err != nil {
			return err
		}
		client, err := a.newKubeClient(ctx, m.Cluster)
		if err != nil {
			return err
		}
		return kube.AwaitNodeReady(up, client, m.NodeName, at.say)
	})
}

// RefreshCredentials fetches token and kubeconfig from the head anew. Where the head's own end soon too, its server is
// restarted before, which renews them.
func (a *Nodes) RefreshCredentials(ctx context.Context, m MachineRef) error {
	return a.runStep(ctx, m, "refresh the credentials", func(ctx context.Context, at *machineStep) error {
		h, err := a.connectToMachine(ctx, at)
		if err != nil {
			return err
		}
		creds, err := rke2.ReadCredentials(ctx, h)
		if err != nil {
			return err
		}
		expire, err := kube.KubeconfigExpiry(creds.Kubeconfig)
		if err != nil {
			return err
		}
		if expire.Before(a.Now().Add(a.RenewWithin)) {
			at.say("restarting the server, which renews its certificates")
			if err := rke2.RestartUnit(ctx, h, m.Role); err != nil {
				return err
			}
			up, cancel := withDeadline(ctx, a.Deadlines.Server)
			defer cancel()
			if err := rke2.AwaitServer(up, h, at.say); err != nil {
				return err
			}
		}
		return a.recordCredentials(ctx, at, h)
	})
}

// WriteKubeconfig writes the person's kubeconfig file again.
func (a *Nodes) WriteKubeconfig(ctx context.Context, ref api.Ref) error {
	const step = "write the kubeconfig"
	if a.ClusterDir == nil {
		return nil
	}
	kubeconfig, err := a.Store.ReadSecret(ctx, ref, store.SecretKubeconfig)
	if err == nil {
		err = kube.WriteKubeconfigFile(filepath.Join(a.ClusterDir(ref.Name), "kubeconfig"), kubeconfig)
	}
	if pathErr := new(os.PathError); errors.As(err, &pathErr) {
		err = fmt.Errorf("%w; skyctl get kubeconfig %s prints it", err, ref.Name)
		return makeFinal(stepError(ctx, step, "", err))
	}
	return stepError(ctx, step, "", err)
}
