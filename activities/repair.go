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

// Assessed is what is to be done about a cluster now.
type Assessed struct {
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
func (a *Sweeps) Assess(ctx context.Context, in AssessInput) (Assessed, error) {
	const step = "look at the cluster"
	c, err := lookUp(ctx, a.Store, in.Cluster)
	if err != nil {
		return Assessed{}, failed(ctx, step, "", err)
	}
	if c.Status.Phase != api.PhaseReady && c.Status.Phase != api.PhaseError {
		return Assessed{}, nil // nothing for a repair
	}
	all, err := a.list(ctx, []string{a.Clouds.provider(cloudOf(c))})
	if err != nil {
		return Assessed{}, failed(ctx, step, "", err)
	}
	if c, err = lookUp(ctx, a.Store, in.Cluster); err != nil { // after the listing: see listFor
		return Assessed{}, failed(ctx, step, "", err)
	}
	if err := plan.Valid(c); err != nil {
		a.invalid(ctx, c, err)
		return Assessed{}, nil
	}
	decision, world, err := a.assess(ctx, c, all.of(a.Clouds, c), in.Asked)
	if err != nil {
		return Assessed{}, failed(ctx, step, "", err)
	}
	found := Assessed{Fail: decision.Fail, Serves: world.CloudError == "" && world.APIError == "" && world.GPU == "" && len(world.Nodes) > 0}
	if c.Status.Placement != nil {
		found.Placement = *c.Status.Placement
	}
	for _, action := range decision.Actions {
		on := MachineRef{Cluster: in.Cluster, Index: action.Index, Name: action.Machine, Incarnation: action.Incarnation}
		for _, m := range c.Status.Machines {
			if action.Kind != api.ActionTerminate && m.Index == action.Index && m.Incarnation == action.Incarnation {
				on = refOf(in.Cluster, m) // what is terminated is just what was named, and none that is like it
			}
		}
		found.Actions = append(found.Actions, RepairAction{Action: action, On: on})
	}
	return found, nil
}

// RepairStep says that a repair begins, or how it ended.
type RepairStep struct {
	Cluster api.Ref    `json:"cluster"`
	ID      string     `json:"id"`
	Action  api.Action `json:"action"`
	// Error is why it failed; empty where it did not.
	Error string `json:"error,omitempty"`
	// Failure is the same in full, where a repair of the GPU stack failed.
	Failure *api.Failure `json:"failure,omitempty"`
}

// BeginRepair records that a repair begins. Whatever becomes of it, it counts from now on.
func (a *Clusters) BeginRepair(ctx context.Context, in RepairStep) error {
	c, err := a.Store.Update(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.BeginRepair(api.Repair{ID: in.ID, Action: in.Action, At: a.Now()})
		return nil
	})
	if err == nil {
		a.event(ctx, eventOf(c, in.Action.Machine, api.EventNormal, string(in.Action.Kind), "begun: "+in.Action.Message))
	}
	return failed(ctx, "record the repair", in.Action.Machine, err)
}

// EndRepair records how a repair ended.
func (a *Clusters) EndRepair(ctx context.Context, in RepairStep) error {
	c, err := a.Store.Update(ctx, in.Cluster, func(c *api.Cluster) error {
		c.Status.EndRepair(in.ID, redact.Text(in.Error), a.Now())
		if was := c.Status.Failure; in.Failure != nil && c.Status.Phase == api.PhaseError && was != nil && was.Step == api.StepGPU {
			now := *in.Failure // what keeps the cluster in ERROR is this by now
			now.Step, now.At = api.StepGPU, a.Now()
			c.Status.Failure = &now
		}
		return nil
	})
	if err != nil {
		return failed(ctx, "record the repair", in.Action.Machine, err)
	}
	e := eventOf(c, in.Action.Machine, api.EventNormal, string(in.Action.Kind), "done: "+in.Action.Message)
	if in.Error != "" {
		e = eventOf(c, in.Action.Machine, api.EventWarning, string(in.Action.Kind)+"Failed", in.Error)
	}
	a.event(ctx, e)
	return nil
}

// MarkRepaired makes a cluster READY that was in ERROR and has been mended.
func (a *Clusters) MarkRepaired(ctx context.Context, ref api.Ref) error {
	_, err := a.Store.Update(ctx, ref, func(c *api.Cluster) error {
		if c.Status.Mendable() {
			c.Status.Failure = nil
			c.Status.SetPhase(api.PhaseReady, "Repaired", a.Now())
		}
		return nil
	})
	return failed(ctx, "mark the cluster READY", "", err)
}

// ReplaceMachine reserves a new incarnation in a place whose machine is gone, and returns it. Run twice, it returns the same.
func (a *Clusters) ReplaceMachine(ctx context.Context, old MachineRef) (MachineRef, error) {
	const step = "reserve a machine"
	c, err := lookUp(ctx, a.Store, old.Cluster)
	if err != nil {
		return MachineRef{}, failed(ctx, step, old.Name, err)
	}
	if c.Status.Placement == nil {
		return MachineRef{}, failed(ctx, step, old.Name, errors.New("the cluster has no placement"))
	}
	incarnation, err := api.Incarnation(rand.Reader)
	if err != nil {
		return MachineRef{}, failed(ctx, step, old.Name, err)
	}
	fresh := api.NewMachine(c.Metadata.Name, old.Index, incarnation, *c.Status.Placement, a.Now())
	for _, m := range c.Status.Machines {
		if m.Index == old.Index {
			fresh.Succeed(m, a.Now())
		}
	}
	stand, err := a.Store.ReserveMachines(ctx, old.Cluster, []api.Machine{fresh}, func(m api.Machine) bool {
		return m.Incarnation == old.Incarnation && !m.State.MayExist()
	})
	if err != nil {
		return MachineRef{}, failed(ctx, step, old.Name, err)
	}
	for _, m := range stand {
		if m.Index != old.Index {
			continue
		}
		if m.Incarnation == old.Incarnation {
			return MachineRef{}, failed(ctx, step, old.Name, &cloud.Error{Kind: cloud.Conflict, Message: "the machine before it may still exist"})
		}
		return refOf(old.Cluster, m), failed(ctx, step, old.Name, a.makeKeys(ctx, old.Cluster, []api.Machine{m}))
	}
	return MachineRef{}, failed(ctx, step, old.Name, errors.New("the place is not there"))
}

// StartMachine starts a machine that was stopped, and records where it is now.
func (a *Machines) StartMachine(ctx context.Context, m MachineRef) error {
	const step = "start the machine"
	c, of, owner, err := a.of(ctx, m.Cluster)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	record, err := placeOf(c, m)
	if err != nil {
		return failed(ctx, step, m.Name, err)
	}
	starter, can := of.(cloud.Starter)
	if !can {
		return failed(ctx, step, m.Name, &cloud.Error{Kind: cloud.Infeasible, Message: "this cloud can't start a machine that was stopped"})
	}
	boot, cancel := within(ctx, a.Deadlines.Boot)
	defer cancel()
	up, err := starter.Start(boot, recorded(owner, *record), record.PrivateAddress)
	if err != nil {
		return failed(ctx, step, m.Name, tooLate(boot, err))
	}
	if err := a.noteStopped(ctx, *record, m); err != nil {
		return failed(ctx, step, m.Name, err)
	}
	return failed(ctx, step, m.Name, a.moveTo(ctx, c, m, up))
}

// drainWithin bounds how long pods may take to leave a worker that is to be replaced: what does not go by then goes with it.
const drainWithin = 2 * time.Minute

// Retire has a worker's pods leave and its agent stop, as far as either can be had: the machine may be past both.
func (a *Nodes) Retire(ctx context.Context, m MachineRef) error {
	return a.doThoughLost(ctx, m, "drain the Node", func(ctx context.Context, at *place) error {
		client, err := a.client(ctx, m.Cluster)
		if err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(ctx, drainWithin)
		defer cancel()
		at.say("draining the Node")
		if err := kube.Drain(soon, client, m.NodeName, at.say); err != nil && ctx.Err() == nil {
			activity.GetLogger(ctx).Warn("a worker is replaced with pods on it", "machine", m.Name, "error", err)
		}
		if at.record.Address == "" {
			return nil
		}
		if err := a.stopAgent(ctx, at); err != nil && ctx.Err() == nil {
			activity.GetLogger(ctx).Info("the agent of a worker that is replaced was not stopped", "machine", m.Name, "error", err)
		}
		return ctx.Err()
	})
}

func (a *Nodes) stopAgent(ctx context.Context, at *place) error {
	key, err := a.Store.GetSecret(ctx, at.machine.Cluster, store.SecretSSHKey)
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, goneWithin)
	defer cancel()
	h, err := a.Pool.Get(soon, targetOf(at.record), key)
	if err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(ctx, unitWithin)
	defer cancel()
	return rke2.Stop(ctx, h, at.machine.Role)
}

// ForgetNodeInput names a Node of a machine that is no more.
type ForgetNodeInput struct {
	Cluster api.Ref `json:"cluster"`
	Node    string  `json:"node"`
}

// ForgetNode removes a Node, and the secret with which RKE2 remembers its password.
func (a *Nodes) ForgetNode(ctx context.Context, in ForgetNodeInput) error {
	client, err := a.client(ctx, in.Cluster)
	if err == nil {
		err = kube.DeleteNode(ctx, client, in.Node)
	}
	return failed(ctx, "forget the Node", in.Node, err)
}

// Restart starts RKE2 on a machine anew, and returns once its Node is Ready.
func (a *Nodes) Restart(ctx context.Context, m MachineRef) error {
	return a.do(ctx, m, "restart RKE2", func(ctx context.Context, at *place) error {
		at.say("restarting RKE2")
		h, err := a.reach(ctx, at)
		if err != nil {
			return err
		}
		if err := rke2.Restart(ctx, h, m.Role); err != nil {
			return err
		}
		up, cancel := within(ctx, a.Deadlines.Recover)
		defer cancel()
		if m.Role == api.RoleHead {
			err = rke2.WaitServer(up, h, at.say)
		} else {
			err = rke2.WaitAgent(up, h, at.say)
		}
		if err != nil {
			return err
		}
		client, err := a.client(ctx, m.Cluster)
		if err != nil {
			return err
		}
		return kube.WaitNodeReady(up, client, m.NodeName, at.say)
	})
}

// RefreshCredentials fetches token and kubeconfig from the head anew. Where the head's own end soon too, its server is
// restarted before, which renews them.
func (a *Nodes) RefreshCredentials(ctx context.Context, m MachineRef) error {
	return a.do(ctx, m, "refresh the credentials", func(ctx context.Context, at *place) error {
		h, err := a.reach(ctx, at)
		if err != nil {
			return err
		}
		creds, err := rke2.FetchCredentials(ctx, h)
		if err != nil {
			return err
		}
		expire, err := kube.Expires(creds.Kubeconfig)
		if err != nil {
			return err
		}
		if expire.Before(a.Now().Add(a.RenewWithin)) {
			at.say("restarting the server, which renews its certificates")
			if err := rke2.Restart(ctx, h, m.Role); err != nil {
				return err
			}
			up, cancel := within(ctx, a.Deadlines.Server)
			defer cancel()
			if err := rke2.WaitServer(up, h, at.say); err != nil {
				return err
			}
		}
		return a.keepCredentials(ctx, at, h)
	})
}

// WriteKubeconfig writes the person's kubeconfig file again.
func (a *Nodes) WriteKubeconfig(ctx context.Context, ref api.Ref) error {
	const step = "write the kubeconfig"
	if a.ClusterDir == nil {
		return nil
	}
	kubeconfig, err := a.Store.GetSecret(ctx, ref, store.SecretKubeconfig)
	if err == nil {
		err = kube.WriteKubeconfigFile(filepath.Join(a.ClusterDir(ref.Name), "kubeconfig"), kubeconfig)
	}
	if pathErr := new(os.PathError); errors.As(err, &pathErr) {
		err = fmt.Errorf("%w; skyctl get kubeconfig %s prints it", err, ref.Name)
		return forGood(failed(ctx, step, "", err))
	}
	return failed(ctx, step, "", err)
}
