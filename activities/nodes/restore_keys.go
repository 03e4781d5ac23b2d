package nodes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/sky-shift/skyctl/activities"
	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/kube"
	"github.com/sky-shift/skyctl/pkg/remote"
	"github.com/sky-shift/skyctl/pkg/sshtarget"
	"github.com/sky-shift/skyctl/pkg/store"
)

const (
	// authorizeKeyTimeout bounds the authorization of a new key on one machine, loginTimeout the login with it.
	authorizeKeyTimeout = 2 * time.Minute
	loginTimeout        = 10 * time.Second
	// keysAtOnce bounds the machines that get a new key at the same time.
	keysAtOnce = 20
)

// RestoreKeys restores secrets that etcd has lost. A new SSH key is authorized on every machine through the Kubernetes
// API; tokens and kubeconfig are read from the head. The new SSH key is used once no reachable machine refuses it, so a
// working key is never given up.
func (a *Activities) RestoreKeys(ctx context.Context, ref api.Ref) error {
	const step = "restore the cluster's keys"
	c, err := activities.ReadCluster(ctx, a.Store, ref)
	if err != nil {
		return activities.StepError(ctx, step, "", err)
	}
	missing, err := a.Store.MissingSecrets(ctx, ref)
	if err != nil || len(missing) == 0 {
		return activities.StepError(ctx, step, "", err)
	}
	if slices.Contains(missing, store.SecretSSHKey) {
		if err := a.restoreSSHKey(ctx, c); err != nil {
			return activities.MakeFinal(activities.StepError(ctx, step, "", err)) // a later sweep retries
		}
		missing = slices.DeleteFunc(missing, func(key string) bool { return key == store.SecretSSHKey })
	}
	if len(missing) == 0 {
		return nil
	}
	head, err := c.Head()
	if err != nil {
		return activities.StepError(ctx, step, "", err)
	}
	return a.runStep(ctx, activities.MachineRefOf(ref, *head), step, func(ctx context.Context, at *machineStep) error {
		h, err := a.connectToMachine(ctx, at)
		if err != nil {
			return err
		}
		return a.recordCredentials(ctx, at, h)
	})
}

// restoreSSHKey creates a new SSH key, once, authorizes it on every machine, and makes it the cluster's key.
func (a *Activities) restoreSSHKey(ctx context.Context, c *api.Cluster) error {
	key, public, err := a.ensureNextSSHKey(ctx, c.Ref())
	if err != nil {
		return err
	}
	var mu sync.Mutex
	refusing := map[string]error{}
	var group errgroup.Group
	group.SetLimit(keysAtOnce)
	for i := range c.Status.Machines {
		m := &c.Status.Machines[i]
		if m.Address == "" || !m.State.MayExist() {
			continue
		}
		group.Go(func() error {
			err := a.ensureKeyAuthorized(ctx, c, m, key, public)
			if remote.IsLost(err) && m.Role != api.RoleHead {
				// It does not answer, whatever the key. If it comes back it refuses the new key, and is replaced as
				// unreachable.
				activity.GetLogger(ctx).Warn("could not authorize the new SSH key on a machine", "machine", m.Name,
					"error",
					err)
				err = nil
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				refusing[m.Name] = err
			}
			return nil
		})
	}
	_ = group.Wait() // none returns an error
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(refusing) > 0 {
		first := slices.Sorted(maps.Keys(refusing))[0]
		return fmt.Errorf("%s did not accept a new SSH key (%w): append this line to ~/.ssh/authorized_keys of "+
			"the "+
			"login user there, through the cloud's console or docker exec, then run skyctl reconcile %s: %s",
			strings.Join(slices.Sorted(maps.Keys(refusing)), ", "), refusing[first], c.Metadata.Name, public)
	}
	if err := a.Store.PutSecret(ctx, c.Ref(), store.SecretSSHKey, key); err != nil {
		return err
	}
	a.removeKeyPods(ctx, c)
	return a.Store.DeleteSecret(ctx, c.Ref(), store.SecretNextSSHKey)
}

// removeKeyPods removes pods of killed tries. They have stopped, but would stay visible.
func (a *Activities) removeKeyPods(ctx context.Context, c *api.Cluster) {
	client, err := activities.NewClusterClient(ctx, c, a.Store, a.Pool)
	if err == nil {
		err = kube.RemoveAuthorizingPods(ctx, client)
		kube.CloseClient(client)
	}
	if err != nil {
		activity.GetLogger(ctx).Info("pods of an interrupted try may still exist", "cluster", c.Metadata.Name, "error",
			err)
	}
}

// ensureNextSSHKey returns the key that will replace the lost one; the same for every try.
func (a *Activities) ensureNextSSHKey(ctx context.Context, ref api.Ref) (private []byte, public string, err error) {
	fresh, _, err := remote.NewKeyPair()
	if err != nil {
		return nil, "", err
	}
	private, err = a.Store.CreateSecret(ctx, ref, store.SecretNextSSHKey, fresh)
	if corrupt := new(store.CorruptError); errors.As(err, &corrupt) {
		private, err = fresh, a.Store.PutSecret(ctx, ref, store.SecretNextSSHKey, fresh)
	}
	if err != nil {
		return nil, "", err
	}
	public, err = remote.PublicKeyOf(private)
	return private, public, err
}

// ensureKeyAuthorized authorizes a key on a machine unless it works already, and checks that it works.
func (a *Activities) ensureKeyAuthorized(ctx context.Context, c *api.Cluster, m *api.Machine, key []byte,
	public string) error {
	ctx, cancel := context.WithTimeout(ctx, authorizeKeyTimeout)
	defer cancel()
	login := func() error {
		loginCtx, cancel := context.WithTimeout(ctx, loginTimeout)
		defer cancel()
		_, err := a.Pool.GetHost(loginCtx, sshtarget.Of(c, m), key)
		return err
	}
	err := login()
	if refused := new(remote.AuthFailed); !errors.As(err, &refused) {
		return err
	}
	client, err := activities.NewClusterClient(ctx, c, a.Store, a.Pool)
	if missing := new(store.NotFoundError); errors.As(err, &missing) {
		return fmt.Errorf("the kubeconfig is lost too: %w", err)
	}
	if err != nil {
		return err
	}
	defer kube.CloseClient(client)
	if err := kube.AuthorizeKey(ctx, client, m.NodeName, m.SSHUser, public); err != nil {
		return err
	}
	return login()
}

// parseAgentPassword returns the password in a full agent token. The head was configured to accept it from agents.
func parseAgentPassword(agentToken string) string {
	_, credentials, _ := strings.Cut(agentToken, "::")
	_, password, _ := strings.Cut(credentials, ":")
	return password
}
