package world

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"

	"go.temporal.io/sdk/activity"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/cloud"
)

// cloudCall is a call of a cloud in another process, over HTTP on a Unix socket, so that its context ends with the
// caller.
type cloudCall struct {
	Spec    api.GroupSpec
	Beside  api.Neighbors
	Launch  cloud.LaunchRequest
	Ref     string
	Owner   cloud.Owner
	Target  cloud.Target
	Address string
}

// cloudReply is the result of a call.
type cloudReply struct {
	Placements []api.Placement
	Ref        string
	Machine    cloud.Machine
	Machines   []cloud.Machine

	Kind    cloud.ErrorKind
	Message string
	Fields  []api.FieldError
}

// activityHeader names the activity that makes a call, and workerHeader the worker.
const (
	activityHeader = "Activity"
	workerHeader   = "Worker"
)

// StartableCloud is a cloud that can start stopped machines.
type StartableCloud interface {
	cloud.Cloud
	cloud.Starter
}

// ServeCloud serves a cloud to another process. It calls made after each call and before the answer, with the name of
// the activity that made the call and the worker.
func ServeCloud(c StartableCloud, made func(activity string, worker string)) http.Handler {
	mux := http.NewServeMux()
	for name, do := range cloudMethods(c) {
		mux.HandleFunc("POST /cloud/"+name, func(w http.ResponseWriter, r *http.Request) {
			var in cloudCall
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			var out cloudReply
			err := do(r.Context(), in, &out)
			out.setError(err)
			made(r.Header.Get(activityHeader), r.Header.Get(workerHeader))
			_ = json.NewEncoder(w).Encode(out)
		})
	}
	return mux
}

func cloudMethods(c StartableCloud) map[string]func(context.Context, cloudCall, *cloudReply) error {
	return map[string]func(context.Context, cloudCall, *cloudReply) error{
		"validate": func(ctx context.Context, in cloudCall, _ *cloudReply) error {
			return c.ValidateSpec(ctx, in.Spec)
		},
		"plan": func(ctx context.Context, in cloudCall, out *cloudReply) (err error) {
			out.Placements, err = c.RankPlacements(ctx, in.Spec, in.Beside)
			return err
		},
		"submit": func(ctx context.Context, in cloudCall, out *cloudReply) (err error) {
			out.Ref, err = c.SubmitLaunch(ctx, in.Launch)
			return err
		},
		"await": func(ctx context.Context, in cloudCall, out *cloudReply) (err error) {
			out.Machine, err = c.AwaitLaunch(ctx, in.Launch, in.Ref, func(string) {})
			return err
		},
		"cancel": func(ctx context.Context, in cloudCall, _ *cloudReply) error { return c.CancelLaunch(ctx, in.Ref) },
		"list": func(ctx context.Context, in cloudCall, out *cloudReply) (err error) {
			out.Machines, err = c.ListMachines(ctx, in.Owner)
			return err
		},
		"terminate": func(ctx context.Context, in cloudCall, _ *cloudReply) error {
			return c.TerminateMachine(ctx, in.Target)
		},
		"release": func(ctx context.Context, in cloudCall, _ *cloudReply) error {
			return c.RemoveClusterResources(ctx, in.Owner)
		},
		"start": func(ctx context.Context, in cloudCall, out *cloudReply) (err error) {
			out.Machine, err = c.StartMachine(ctx, in.Target, in.Address)
			return err
		},
	}
}

// setError puts an error and its kind into a reply.
func (a *cloudReply) setError(err error) {
	if err == nil {
		return
	}
	a.Message, a.Fields = err.Error(), api.FieldErrorsOf(err)
	var ofCloud *cloud.Error
	if errors.As(err, &ofCloud) {
		a.Kind = ofCloud.Kind
	}
}

func (a *cloudReply) toError() error {
	switch {
	case len(a.Fields) > 0:
		return &a.Fields[0]
	case a.Kind != "":
		return &cloud.Error{Kind: a.Kind, Message: a.Message}
	case a.Message != "":
		return errors.New(a.Message)
	}
	return nil
}

// remoteCloud is a cloud in another process.
type remoteCloud struct{ http *http.Client }

var _ StartableCloud = (*remoteCloud)(nil)

// DialCloud connects to the cloud that another process serves at a socket.
func DialCloud(socket string) StartableCloud { return &remoteCloud{http: newSocketClient(socket)} }

func newSocketClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 16,
	}}
}

func (c *remoteCloud) sendCall(ctx context.Context, method string, in cloudCall) (cloudReply, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return cloudReply{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://test/cloud/"+method, bytes.NewReader(body))
	if err != nil {
		return cloudReply{}, err
	}
	r.Header.Set(workerHeader, workerID)
	if activity.IsActivity(ctx) {
		r.Header.Set(activityHeader, activity.GetInfo(ctx).ActivityType.Name)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return cloudReply{}, fmt.Errorf("asking the simulated cloud: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out cloudReply
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return cloudReply{}, fmt.Errorf("asking the simulated cloud: %w", err)
	}
	return out, out.toError()
}

func (c *remoteCloud) ValidateSpec(ctx context.Context, spec api.GroupSpec) error {
	_, err := c.sendCall(ctx, "validate", cloudCall{Spec: spec})
	return err
}

func (c *remoteCloud) RankPlacements(ctx context.Context, spec api.GroupSpec,
	beside api.Neighbors) ([]api.Placement, error) {
	out, err := c.sendCall(ctx, "plan", cloudCall{Spec: spec, Beside: beside})
	return out.Placements, err
}

func (c *remoteCloud) SubmitLaunch(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	out, err := c.sendCall(ctx, "submit", cloudCall{Launch: req})
	return out.Ref, err
}

func (c *remoteCloud) AwaitLaunch(ctx context.Context, req cloud.LaunchRequest, ref string,
	progress func(string)) (cloud.Machine, error) {
	progress("booting")
	out, err := c.sendCall(ctx, "await", cloudCall{Launch: req, Ref: ref})
	return out.Machine, err
}

func (c *remoteCloud) CancelLaunch(ctx context.Context, ref string) error {
	_, err := c.sendCall(ctx, "cancel", cloudCall{Ref: ref})
	return err
}

func (c *remoteCloud) ListMachines(ctx context.Context, owner cloud.Owner) ([]cloud.Machine, error) {
	out, err := c.sendCall(ctx, "list", cloudCall{Owner: owner})
	return out.Machines, err
}

func (c *remoteCloud) TerminateMachine(ctx context.Context, target cloud.Target) error {
	_, err := c.sendCall(ctx, "terminate", cloudCall{Target: target})
	return err
}

func (c *remoteCloud) RemoveClusterResources(ctx context.Context, owner cloud.Owner) error {
	_, err := c.sendCall(ctx, "release", cloudCall{Owner: owner})
	return err
}

func (c *remoteCloud) StartMachine(ctx context.Context, target cloud.Target, privateAddress string) (cloud.Machine,
	error) {
	out, err := c.sendCall(ctx, "start", cloudCall{Target: target, Address: privateAddress})
	return out.Machine, err
}
