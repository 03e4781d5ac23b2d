package simcloud

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/sky-shift/skyctl/pkg/pki"
)

// The keys of a cluster's state in its etcd.
const (
	nodesKey     = "/registry/minions/"
	passwordsKey = "/registry/secrets/kube-system/"
	podsKey      = "/registry/pods/"
	budgetsKey   = "/registry/poddisruptionbudgets/"
	objectsKey   = "/registry/configmaps/default/"
	bootstrapKey = "/bootstrap/"
)

// errOtherToken is RKE2's, of a datastore whose authorities are sealed with another server token.
var errOtherToken = errors.New("bootstrap data already found and encrypted with different token")

// authorityFiles are a head's files in /opt/fake that its etcd keeps: what a new machine needs to be the same server.
var authorityFiles = []string{"ca.pem", "ca.key", "kubeconfig", "renewed"}

// hashToken is the part of a server token's hash that RKE2 shows. The token may be the password alone.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(passwordOf(token)))
	return hex.EncodeToString(sum[:])[:12]
}

func passwordOf(token string) string {
	token = strings.TrimSpace(token)
	return token[strings.LastIndexByte(token, ':')+1:]
}

// stateKeys returns the cluster's state as the keys of its etcd.
func (h *host) stateKeys() map[string][]byte {
	keys := h.api.registry.stateKeys()
	files := map[string]string{}
	for _, name := range authorityFiles {
		b, _ := os.ReadFile(h.outsidePath("/opt/fake/" + name))
		files[name] = string(b)
	}
	keys[bootstrapKey+hashToken(h.readFile("/opt/fake/server-password"))], _ = json.Marshal(files)
	return keys
}

func (r *nodeRegistry) stateKeys() map[string][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := map[string][]byte{}
	for name, node := range r.nodes {
		keys[nodesKey+name], _ = json.Marshal(node)
	}
	for name, password := range r.passwords {
		keys[passwordsKey+name+passwordSecretSuffix] = []byte(password)
	}
	for name, pod := range r.pods {
		keys[podsKey+name], _ = json.Marshal(pod)
	}
	for name, budget := range r.budgets {
		keys[budgetsKey+name], _ = json.Marshal(budget)
	}
	for name, text := range r.objects {
		keys[objectsKey+name] = []byte(text)
	}
	return keys
}

// loadState replaces the state by that of the keys. Units that run keep their Nodes as they are until they are
// restarted.
func (r *nodeRegistry) loadState(keys map[string][]byte) error {
	fresh := newNodeRegistry()
	var errs []error
	for key, value := range keys {
		if name, is := strings.CutPrefix(key, nodesKey); is {
			node := &corev1.Node{}
			errs = append(errs, json.Unmarshal(value, node))
			fresh.nodes[name] = node
		} else if name, is := strings.CutPrefix(key, passwordsKey); is {
			fresh.passwords[strings.TrimSuffix(name, passwordSecretSuffix)] = string(value)
		} else if name, is := strings.CutPrefix(key, podsKey); is {
			pod := &corev1.Pod{}
			errs = append(errs, json.Unmarshal(value, pod))
			fresh.pods[name] = pod
		} else if name, is := strings.CutPrefix(key, budgetsKey); is {
			budget := &policyv1.PodDisruptionBudget{}
			errs = append(errs, json.Unmarshal(value, budget))
			fresh.budgets[name] = budget
		} else if name, is := strings.CutPrefix(key, objectsKey); is {
			fresh.objects[name] = string(value)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("read the state of a snapshot: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes, r.passwords, r.pods, r.budgets, r.objects = fresh.nodes, fresh.passwords, fresh.pods, fresh.budgets,
		fresh.objects
	r.removed, r.labeled = fresh.removed, fresh.labeled
	return nil
}

// takeOverAuthority makes the head the server that the files describe.
func (h *host) takeOverAuthority(bootstrap []byte, token string) error {
	files := map[string]string{}
	if err := json.Unmarshal(bootstrap, &files); err != nil {
		return fmt.Errorf("decrypt bootstrap data: %w", err)
	}
	files["server-password"] = passwordOf(token)
	for name, text := range files {
		if err := h.writeFile("/opt/fake/"+name, text, 0o600); err != nil {
			return err
		}
	}
	ca, err := pki.LoadAuthority(pki.Pair{Cert: h.outsidePath("/opt/fake/ca.pem"),
		Key: h.outsidePath("/opt/fake/ca.key")}, time.Now())
	if err != nil {
		return err
	}
	h.useAuthority(ca)
	return nil
}

// WriteObject writes a named object to a cluster's state, as a person does with kubectl.
func (c *Cloud) WriteObject(clusterUID, name, text string) error {
	a := c.clusterAPI(clusterUID)
	if a == nil {
		return fmt.Errorf("cluster %s has no head", clusterUID)
	}
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	a.registry.objects[name] = text
	return nil
}

// ReadObjects returns the objects of WriteObject that are in a cluster's state; nil if the cluster has no head.
func (c *Cloud) ReadObjects(clusterUID string) map[string]string {
	a := c.clusterAPI(clusterUID)
	if a == nil {
		return nil
	}
	a.registry.mu.Lock()
	defer a.registry.mu.Unlock()
	return maps.Clone(a.registry.objects)
}
