package skypilot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/cloud"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/client"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/firstlogin"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/launches"
	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/task"
)

const (
	// launchTimeout bounds a launch, including the first login, if the caller has no deadline.
	launchTimeout = 20 * time.Minute
	// clusterPrefix marks the reference of a machine that existed already. Any other reference is a request's id.
	clusterPrefix    = "cluster/"
	roomPollInterval = 500 * time.Millisecond
	// retriesPollInterval is how often the provision log is read for retries of SkyPilot itself.
	retriesPollInterval = 10 * time.Second
	// logEndTimeout is how long to wait for the end of a failed launch's log.
	logEndTimeout = 20 * time.Second
)

// SubmitLaunch submits the launch to the server and returns the id of the request. It waits while the server runs as
// many launches as it may; the head of a cluster goes before workers.
func (c *Cloud) SubmitLaunch(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	if err := checkLaunchRequest(req); err != nil {
		return "", err
	}
	if err := c.ensureServerReady(ctx); err != nil {
		return "", err
	}
	release, err := c.names.Acquire(ctx, req.Name)
	if err != nil {
		return "", fmt.Errorf("launch machine %s: %w", req.Name, err)
	}
	defer release()
	if ref, err := c.findExistingLaunch(ctx, req); err != nil || ref != "" {
		return ref, err
	}
	return c.submitWhenRoom(ctx, req)
}

func checkLaunchRequest(req cloud.LaunchRequest) error {
	if req.Owner.Installation == "" || req.Owner.ClusterUID == "" || req.Placement.Cloud == "" {
		return &cloud.Error{Kind: cloud.Infeasible, Message: fmt.Sprintf(
			"machine %s cannot be launched: its owner or its placement is missing", req.Name)}
	}
	if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(req.AuthorizedKey)); err != nil || len(rest) > 0 {
		return &cloud.Error{Kind: cloud.Infeasible, Cause: err,
			Message: fmt.Sprintf("machine %s: the authorized key is not a single public key", req.Name)}
	}
	return nil
}

// findExistingLaunch returns a reference to the machine of that name, or to its launch, if it has the same incarnation.
// An incomplete machine that is not being launched has no reference: another launch completes it.
func (c *Cloud) findExistingLaunch(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	active, err := c.listLaunchesOf(ctx, req.Name)
	if err != nil {
		return "", err
	}
	if len(active) > 0 {
		if err := checkSameLaunch(req, launchLabels(active[0]), "a running launch"); err != nil {
			return "", err
		}
		return active[0].ID, nil
	}
	found, err := c.findClusterRecord(ctx, req.Owner, req.Name, client.RefreshNone)
	if err != nil || found == nil {
		return "", err
	}
	if err := checkSameLaunch(req, found.Labels, "a SkyPilot cluster"); err != nil {
		return "", err
	}
	if found.Status != client.ClusterUp {
		return "", nil
	}
	// After a refresh, a launch that was cut off is UP too, but has no address.
	all, err := c.readMachines(ctx, []clusterRecord{*found})
	if err != nil || all[0].Address == "" {
		return "", err
	}
	return clusterPrefix + req.Name, nil
}

// checkSameLaunch checks that labels are those of the requested machine. The error says whose they are.
func checkSameLaunch(req cloud.LaunchRequest, has map[string]string, what string) error {
	var why string
	switch {
	case has[cloud.LabelInstallation] == "":
		why = "was not created by skyctl"
	case has[cloud.LabelInstallation] != req.Owner.Installation:
		why = fmt.Sprintf("belongs to another installation of skyctl (%s)", has[cloud.LabelInstallation])
	case has[cloud.LabelClusterUID] != req.Owner.ClusterUID:
		why = fmt.Sprintf("belongs to another cluster %s (uid %s)", has[cloud.LabelCluster], has[cloud.LabelClusterUID])
	case has[cloud.LabelIncarnation] != req.Incarnation:
		why = fmt.Sprintf("is an earlier incarnation (%s)", has[cloud.LabelIncarnation])
	default:
		return nil
	}
	return &cloud.Error{Kind: cloud.Conflict, Message: fmt.Sprintf(
		"machine %s cannot be launched: %s has its name and %s; skyctl does not change it: 'sky down %s' on that "+
			"server would terminate it",
		req.Name, what, why, req.Name)}
}

// launchLabels are the labels of the machine that a launch creates.
func launchLabels(r client.Request) map[string]string {
	var body struct {
		Task string `json:"task"`
	}
	if json.Unmarshal([]byte(r.Body), &body) != nil {
		return nil
	}
	return task.ParseLabels(body.Task)
}

// listLaunchesOf are the launches of that name that the server has not finished, the oldest first.
func (c *Cloud) listLaunchesOf(ctx context.Context, name string) ([]client.Request, error) {
	found, err := c.listActiveLaunches(ctx, "cluster_name="+url.QueryEscape(name))
	if err != nil {
		return nil, fmt.Errorf("look for launches of machine %s: %w", name, err)
	}
	return found, nil
}

// listActiveLaunches returns the launches that the server has not finished, the oldest first.
func (c *Cloud) listActiveLaunches(ctx context.Context, query string) ([]client.Request, error) {
	var all []client.Request
	if _, err := c.client.Call(ctx, "/api/status?"+query, nil, &all); err != nil {
		return nil, err
	}
	var active []client.Request
	for i := len(all) - 1; i >= 0; i-- { // the server returns the newest first
		if all[i].Name == client.LaunchRequestName && all[i].IsActive() {
			active = append(active, all[i])
		}
	}
	return active, nil
}

// submitWhenRoom submits the launch once the server runs fewer launches than it may. It asks the server itself, so that
// the limit holds across restarts of skyd and across several workers.
func (c *Cloud) submitWhenRoom(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	head := req.Role == api.RoleHead
	for {
		done, err := c.queue.AwaitTurn(ctx, head)
		if err != nil {
			return "", fmt.Errorf("launch machine %s: wait until the server has room: %w", req.Name, err)
		}
		id, err := c.submitIfRoom(ctx, req, head)
		done()
		if err != nil || id != "" {
			return id, err
		}
	}
}

// submitIfRoom waits until there is room. It returns an empty id if a head is to go first.
func (c *Cloud) submitIfRoom(ctx context.Context, req cloud.LaunchRequest, head bool) (string, error) {
	for {
		active, err := c.listActiveLaunches(ctx, "")
		if err != nil {
			return "", fmt.Errorf("launch machine %s: %w", req.Name, err)
		}
		if len(active) < c.opts.LaunchesAtOnce {
			return c.requestLaunch(ctx, req)
		}
		if !head && c.queue.HasWaitingHead() {
			return "", nil
		}
		if err := await.Pause(ctx, roomPollInterval); err != nil {
			return "", fmt.Errorf("launch machine %s: wait until the server has room: %w", req.Name, err)
		}
	}
}

func (c *Cloud) requestLaunch(ctx context.Context, req cloud.LaunchRequest) (string, error) {
	profile, err := c.chooseInstanceProfile(ctx, req)
	if err != nil {
		return "", err
	}
	text, err := task.Render(req, c.opts.powerOffDelay(req))
	if err != nil {
		return "", err
	}
	id, err := c.client.Submit(ctx, "/launch", client.LaunchBody{
		RequestSettings: client.RequestSettings{Env: installationIdentity(req.Owner.Installation).RequestEnv(),
			Override: task.NewConfigOverride(req, profile)},
		Task: text, ClusterName: req.Name,
	})
	if err != nil {
		return "", fmt.Errorf("launch machine %s: %w", req.Name, err)
	}
	return id, nil
}

// AwaitLaunch returns once the machine runs and accepts the cluster's key.
func (c *Cloud) AwaitLaunch(ctx context.Context, req cloud.LaunchRequest, ref string,
	progress func(string)) (cloud.Machine, error) {
	if err := checkLaunchRequest(req); err != nil {
		return cloud.Machine{}, err
	}
	if err := c.ensureServerReady(ctx); err != nil {
		return cloud.Machine{}, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, launchTimeout)
		defer cancel()
	}
	if !strings.HasPrefix(ref, clusterPrefix) {
		if err := c.awaitLaunchResult(ctx, req, ref, progress); err != nil {
			return cloud.Machine{}, err
		}
	}
	return c.locateAndAuthorize(ctx, req, progress)
}

// awaitLaunchResult waits for a launch. If it fails for a passing reason, it submits the launch again, as a new
// request. A server that was restarted forgets its requests but not the machines, so SubmitLaunch checks for the
// machine first.
func (c *Cloud) awaitLaunchResult(ctx context.Context, req cloud.LaunchRequest, id string,
	progress func(string)) error {
	r := launches.NewRelauncher(req.Name, c.relaunchAfter, progress)
	for {
		err := c.followLaunch(ctx, req, id, r.ReportProgress)
		if err == nil {
			return nil
		}
		if err := r.WaitAfterFailure(ctx, err); err != nil {
			return err
		}
		if req.Wanted != nil {
			if err := req.Wanted(ctx); err != nil {
				return err
			}
		}
		ref, err := c.SubmitLaunch(ctx, req)
		if err != nil || strings.HasPrefix(ref, clusterPrefix) {
			return err
		}
		id = ref
	}
}

// followLaunch waits for a request and reports progress from its log. It returns errors for which launches.IsForgotten
// holds unchanged.
func (c *Cloud) followLaunch(ctx context.Context, req cloud.LaunchRequest, id string, progress func(string)) error {
	log := launches.NewLog(progress)
	streaming, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.client.StreamLog(streaming, id, log.AddLine); err != nil && streaming.Err() == nil {
			c.log.Debug("reading the log of a launch failed", "machine", req.Name, "error", err)
		}
	}()
	retriesReported := make(chan struct{})
	go func() {
		defer close(retriesReported)
		launches.ReportRetries(streaming, c.retriesEvery, req.Placement.Cloud,
			func(ctx context.Context) []string { return c.readProvisionLog(ctx, req) }, progress)
	}()
	err := c.client.AwaitResult(ctx, id, nil)
	if err != nil && ctx.Err() == nil { // the last lines say why
		select {
		case <-ended:
		case <-time.After(logEndTimeout):
		}
	}
	stop()
	<-ended
	<-retriesReported
	var failed *client.FailedRequest
	switch {
	case err == nil, launches.IsForgotten(err):
		return err
	case errors.Is(err, client.ErrCancelled) && req.Wanted == nil: // the cancellation may be intended
		return &cloud.Error{Kind: cloud.Transient,
			Message: fmt.Sprintf("launch machine %s: it was cancelled", req.Name)}
	case errors.Is(err, client.ErrCancelled):
		return &launches.PassingFailure{Why: "it was cancelled", Kind: cloud.Capacity}
	case errors.As(err, &failed):
		said := append(c.readProvisionLog(ctx, req), log.All()...)
		return launches.ToError(req.Name, failed, said)
	}
	return fmt.Errorf("launch machine %s: %w", req.Name, err)
}

// readProvisionLog returns SkyPilot's log of its calls to the cloud for a machine.
func (c *Cloud) readProvisionLog(ctx context.Context, req cloud.LaunchRequest) []string {
	return c.client.ReadProvisionLog(ctx, installationIdentity(req.Owner.Installation), req.Name)
}

// locateAndAuthorize finds the machine's addresses, and authorizes the cluster's key.
func (c *Cloud) locateAndAuthorize(ctx context.Context, req cloud.LaunchRequest, progress func(string)) (cloud.Machine,
	error) {
	none := cloud.Machine{}
	found, err := c.findClusterRecord(ctx, req.Owner, req.Name, client.RefreshNone)
	if err != nil {
		return none, err
	}
	if found == nil {
		return none, &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
			"machine %s: SkyPilot no longer knows it; it was terminated in the meantime", req.Name)}
	}
	if err := checkSameLaunch(req, found.Labels, "a SkyPilot cluster"); err != nil {
		return none, err
	}
	all, err := c.readMachines(ctx, []clusterRecord{*found})
	if err != nil {
		return none, fmt.Errorf("machine %s: %w", req.Name, err)
	}
	m := all[0]
	if found.Status != client.ClusterUp || m.Address == "" {
		return none, &cloud.Error{Kind: cloud.Transient, Message: fmt.Sprintf(
			"machine %s: SkyPilot reports it as %s and has no address for it", req.Name, found.Status)}
	}
	if req.Role == api.RoleHead && req.Placement.Cloud == "aws" {
		if err := c.aws.OpenPorts(ctx, req); err != nil {
			progress(err.Error())
			c.log.Warn("could not open the cluster's ports", "machine", req.Name, "error", err)
		}
	}
	var route cloud.Route
	if req.FindRoute != nil {
		route = req.FindRoute(m)
	}
	login, err := firstlogin.New(m, found.Credentials, route, c.opts.powerOffDelay(req))
	if err != nil {
		return none, err
	}
	if m.HostKey, err = login.AuthorizeKey(ctx, strings.TrimSpace(req.AuthorizedKey), progress); err != nil {
		return none, err
	}
	return m, nil
}

// CancelLaunch cancels a running launch. TerminateMachine removes what it has created.
func (c *Cloud) CancelLaunch(ctx context.Context, ref string) error {
	if ref == "" || strings.HasPrefix(ref, clusterPrefix) {
		return nil
	}
	if err := c.ensureServerReady(ctx); err != nil {
		return err
	}
	return c.cancelRequests(ctx, client.Identity{ID: installationIdentity("").ID, Name: "skyctl"}, ref)
}

func (c *Cloud) cancelRequests(ctx context.Context, as client.Identity, ids ...string) error {
	id, err := c.client.Submit(ctx, "/api/cancel",
		client.CancelBody{RequestSettings: client.RequestSettings{Env: as.RequestEnv()}, RequestIDs: ids})
	if err == nil {
		err = c.client.AwaitResult(ctx, id, nil)
	}
	if err != nil && !client.IsNotFound(err) {
		return fmt.Errorf("cancel a launch: %w", err)
	}
	return nil
}
