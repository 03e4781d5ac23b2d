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

// call is a call of a cloud that crosses to another process, over HTTP at a Unix socket: so that the far side's context ends
// with the caller.
type call struct {
	Spec    api.ClusterSpec
	Launch  cloud.LaunchRequest
	Ref     string
	Owner   cloud.Owner
	Target  cloud.Target
	Address string
}

// answer is what came of a call.
type answer struct {
	Placements []api.Placement
	Ref        string
	Machine    cloud.Machine
	Machines   []cloud.Machine

	Kind    cloud.Kind
	Message string
	Fields  []api.FieldError
}

// activityHeader says on behalf of which activity a call is made.
const activityHeader = "Activity"

// StartableCloud is a cloud that can start machines that were stopped.
type StartableCloud interface {
	cloud.Cloud
	cloud.Starter
}

// ServeCloud offers a cloud to another process. Made is told of each call once it is done and before it is answered, with the
// name of the activity that made it.
func ServeCloud(c StartableCloud, made func(activity string)) http.Handler {
	mux := http.NewServeMux()
	for name, do := range methods(c) {
		mux.HandleFunc("POST /cloud/"+name, func(w http.ResponseWriter, r *http.Request) {
			var in call
			if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			var out answer
			err := do(r.Context(), in, &out)
			out.take(err)
			made(r.Header.Get(activityHeader))
			_ = json.NewEncoder(w).Encode(out)
		})
	}
	return mux
}

func methods(c StartableCloud) map[string]func(context.Context, call, *answer) error {
	return map[string]func(context.Context, call, *answer) error{
		"validate": func(ctx context.Context, in call, _ *answer) error { return c.Validate(ctx, in.Spec) },
		"plan": func(ctx context.Context, in call, out *answer) (err error) {
			out.Placements, err = c.Plan(ctx, in.Spec)
			return err
		},
		"submit": func(ctx context.Context, in call, out *answer) (err error) {
			out.Ref, err = c.Submit(ctx, in.Launch)
			return err
		},
		"await": func(ctx context.Context, in call, out *answer) (err error) {
			out.Machine, err = c.Await(ctx, in.Launch, in.Ref, func(string) {})
			return err
		},
		"cancel": func(ctx context.Context, in call, _ *answer) error { return c.Cancel(ctx, in.Ref) },
		"list": func(ctx context.Context, in call, out *answer) (err error) {
			out.Machines, err = c.List(ctx, in.Owner)
			return err
		},
		"terminate": func(ctx context.Context, in call, _ *answer) error { return c.Terminate(ctx, in.Target) },
		"release":   func(ctx context.Context, in call, _ *answer) error { return c.Release(ctx, in.Owner) },
		"start": func(ctx context.Context, in call, out *answer) (err error) {
			out.Machine, err = c.Start(ctx, in.Target, in.Address)
			return err
		},
	}
}

// take puts an error into an answer, with what matters of its kind.
func (a *answer) take(err error) {
	if err == nil {
		return
	}
	a.Message, a.Fields = err.Error(), api.FieldErrors(err)
	var ofCloud *cloud.Error
	if errors.As(err, &ofCloud) {
		a.Kind = ofCloud.Kind
	}
}

func (a *answer) err() error {
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

// remoteCloud is a cloud that another process offers.
type remoteCloud struct{ http *http.Client }

var _ StartableCloud = (*remoteCloud)(nil)

// DialCloud reaches the cloud that another process offers at a socket.
func DialCloud(socket string) StartableCloud { return &remoteCloud{http: overSocket(socket)} }

func overSocket(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 16,
	}}
}

func (c *remoteCloud) call(ctx context.Context, method string, in call) (answer, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return answer{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://test/cloud/"+method, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if activity.IsActivity(ctx) {
		r.Header.Set(activityHeader, activity.GetInfo(ctx).ActivityType.Name)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("asking the simulated cloud: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out answer
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return answer{}, fmt.Errorf("asking the simulated cloud: %w", err)
	}
	return out, out.err()
}

func (c *remoteCloud) Validate(ctx context.Context, spec api.ClusterSpec) error {
	_, err := c.call(ctx, "validate", call{Spec: spec})
	return err
}

func (c *remoteCloud) Plan(ctx context.Context, spec api.ClusterSpec) ([]api.Placement, error) {
	out, err := c.call(ctx, "plan", call{Spec: spec})
	return out.Placements, err
}

func (c *remoteCloud) Submit(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	out, err := c.call(ctx, "submit", call{Launch: req})
	return out.Ref, err
}

func (c *remoteCloud) Await(ctx context.Context, req cloud.LaunchRequest, ref string, progress func(string)) (cloud.Machine, error) {
	progress("booting")
	out, err := c.call(ctx, "await", call{Launch: req, Ref: ref})
	return out.Machine, err
}

func (c *remoteCloud) Cancel(ctx context.Context, ref string) error {
	_, err := c.call(ctx, "cancel", call{Ref: ref})
	return err
}

func (c *remoteCloud) List(ctx context.Context, owner cloud.Owner) ([]cloud.Machine, error) {
	out, err := c.call(ctx, "list", call{Owner: owner})
	return out.Machines, err
}

func (c *remoteCloud) Terminate(ctx context.Context, target cloud.Target) error {
	_, err := c.call(ctx, "terminate", call{Target: target})
	return err
}

func (c *remoteCloud) Release(ctx context.Context, owner cloud.Owner) error {
	_, err := c.call(ctx, "release", call{Owner: owner})
	return err
}

func (c *remoteCloud) Start(ctx context.Context, target cloud.Target, privateAddress string) (cloud.Machine, error) {
	out, err := c.call(ctx, "start", call{Target: target, Address: privateAddress})
	return out.Machine, err
}
