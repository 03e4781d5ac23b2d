package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sky-shift/skyctl/test/rke2kit/internal/kubeapi"
	"github.com/sky-shift/skyctl/test/rke2kit/internal/logline"
)

const (
	resourcesPath      = "/apis/k3s.cattle.io/v1/etcdsnapshotfiles"
	nodeLabel          = "etcd.rke2.cattle.io/snapshot-storage-node"
	tokenAnnotation    = "etcd.rke2.cattle.io/snapshot-token-hash"
	comparedAnnotation = "etcd.rke2.cattle.io/local-snapshots-timestamp"
	etcdRoleLabel      = "node-role.kubernetes.io/etcd"
	fieldManager       = "rke2-supervisor"

	// A failed snapshot is shown for this long.
	failureLife = 24 * time.Hour
	// publishTimeout is how long a new snapshot waits for an apiserver that is just starting.
	publishTimeout = 30 * time.Second
)

// Resource is an ETCDSnapshotFile (k3s.cattle.io/v1).
type Resource struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Metadata   struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	} `json:"metadata"`
	Spec struct {
		SnapshotName string            `json:"snapshotName"`
		NodeName     string            `json:"nodeName"`
		Location     string            `json:"location"`
		Metadata     map[string]string `json:"metadata,omitempty"`
	} `json:"spec"`
	Status struct {
		Size         Size      `json:"size"`
		CreationTime time.Time `json:"creationTime"`
		ReadyToUse   bool      `json:"readyToUse"`
		Error        *Failure  `json:"error,omitempty"`
	} `json:"status"`
}

// Failure is why a snapshot could not be taken.
type Failure struct {
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
}

// ResourceList is what `ls` shows.
type ResourceList struct {
	Kind       string     `json:"kind"`
	APIVersion string     `json:"apiVersion"`
	Metadata   struct{}   `json:"metadata"`
	Items      []Resource `json:"items"`
}

// Size is a number of bytes, in JSON a Kubernetes quantity: 20480000 is "20480k".
type Size int64

var suffixes = []string{"", "k", "M", "G", "T"}

// MarshalJSON writes the canonical form of a decimal quantity.
func (s Size) MarshalJSON() ([]byte, error) {
	n, i := int64(s), 0
	for n != 0 && n%1000 == 0 && i < len(suffixes)-1 {
		n, i = n/1000, i+1
	}
	return json.Marshal(strconv.FormatInt(n, 10) + suffixes[i])
}

// UnmarshalJSON reads that form.
func (s *Size) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	digits := strings.TrimRight(text, "kMGT")
	n, err := strconv.ParseInt(digits, 10, 64)
	i := slices.Index(suffixes, text[len(digits):])
	if err != nil || i < 0 {
		return fmt.Errorf("size %s: want bytes as a decimal quantity", data)
	}
	for ; i > 0; i-- {
		n *= 1000
	}
	*s = Size(n)
	return nil
}

var (
	invalidKey = regexp.MustCompile(`[^-._a-zA-Z0-9]`)
	// validName is a DNS subdomain.
	validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

const (
	longestName  = 253
	digestDigits = 6
)

// resourceName is the name of the file's resource.
func (f File) resourceName() string {
	digest := sha256.Sum256([]byte(f.NodeName + f.Location))
	name := strings.ToLower(f.Name)
	if !validName.MatchString(name) || len(name)+len("local-")+1+digestDigits > longestName {
		node, _, _ := strings.Cut(f.NodeName, ".")
		name = fmt.Sprintf("etcd-snapshot-%s-%d", node, f.Created.Unix())
		if isCompressed(f.Name) {
			name += zipSuffix
		}
	}
	return "local-" + name + "-" + hex.EncodeToString(digest[:])[:digestDigits]
}

// listName is the name of the file in what `ls` shows, which is another one than its resource's.
func (f File) listName() string { return "local-" + invalidKey.ReplaceAllString(f.Name, "_") }

// toResource describes the file as a resource of this name.
func (f File) toResource(name string) Resource {
	r := Resource{Kind: "ETCDSnapshotFile", APIVersion: "k3s.cattle.io/v1"}
	r.Metadata.Name = name
	r.Metadata.Labels = map[string]string{nodeLabel: f.NodeName}
	if f.TokenHash != "" {
		r.Metadata.Annotations = map[string]string{tokenAnnotation: f.TokenHash}
	}
	r.Spec.SnapshotName, r.Spec.NodeName, r.Spec.Location, r.Spec.Metadata = f.Name, f.NodeName, f.Location, f.Metadata
	r.Status.Size, r.Status.CreationTime, r.Status.ReadyToUse = Size(f.Size), f.Created.UTC(), f.Failure == ""
	if f.Failure != "" {
		r.Status.Error = &Failure{Time: f.Created.UTC(), Message: f.Failure}
	}
	return r
}

// publish writes the resource of one snapshot. A failure is logged: the next comparison makes up for it.
func (m *Manager) publish(ctx context.Context, file File) {
	if err := m.apply(ctx, file); err != nil {
		logline.Warnf("Failed to sync ETCDSnapshotFile: %v", err)
	}
}

func (m *Manager) apply(ctx context.Context, file File) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	select {
	case <-m.served:
	case <-ctx.Done():
		return fmt.Errorf("wait for the apiserver to have ETCDSnapshotFile: %w", ctx.Err())
	}
	resource := file.toResource(file.resourceName())
	data, err := json.Marshal(resource)
	if err != nil {
		return err
	}
	return m.api.ApplyObject(ctx, resourcesPath+"/"+resource.Metadata.Name, fieldManager, data)
}

// reconcile makes the resources of this node agree with its files, removes those of nodes that run no etcd any more,
// and notes the time on the Node.
func (m *Manager) reconcile(ctx context.Context, o Options, deleted []string) error {
	logline.Infof("Reconciling ETCDSnapshotFile resources")
	defer logline.Infof("Reconciliation of ETCDSnapshotFile resources complete")
	list, err := o.listFiles()
	if err != nil {
		return err
	}
	missing := map[string]File{}
	for _, file := range list {
		missing[file.resourceName()] = file
	}
	now := time.Now()
	err = m.forEachResource(ctx, nodeLabel+" in ("+o.NodeName+")", func(r Resource) {
		if _, exists := missing[r.Metadata.Name]; exists {
			delete(missing, r.Metadata.Name)
			return
		}
		failed := r.Status.Error != nil && now.Before(r.Status.Error.Time.Add(failureLife))
		if failed && !slices.Contains(deleted, r.Spec.SnapshotName) {
			return
		}
		m.removeResource(ctx, r)
	})
	if err != nil {
		return err
	}
	for _, file := range missing {
		logline.Infof("Creating ETCDSnapshotFile for %s", file.Name)
		if err := m.apply(ctx, file); err != nil {
			logline.Errorf("Failed to create ETCDSnapshotFile: %v", err)
		}
	}
	return m.finishReconcile(ctx, o, now)
}

func (m *Manager) finishReconcile(ctx context.Context, o Options, now time.Time) error {
	var nodes struct {
		Items []kubeapi.Node `json:"items"`
	}
	path := "/api/v1/nodes?labelSelector=" + url.QueryEscape(etcdRoleLabel+"=true")
	if err := m.api.CallJSON(ctx, http.MethodGet, path, nil, &nodes); err != nil {
		return err
	}
	// This node may not have its label yet.
	known := []string{"s3", o.NodeName}
	for _, node := range nodes.Items {
		known = append(known, node.Metadata.Name)
	}
	err := m.forEachResource(ctx, nodeLabel+" notin ("+strings.Join(known, ",")+")", func(r Resource) {
		m.removeResource(ctx, r)
	})
	if err != nil {
		return err
	}
	patch := map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		comparedAnnotation: now.UTC().Format(time.RFC3339)}}}
	err = m.api.CallJSON(ctx, http.MethodPatch, "/api/v1/nodes/"+o.NodeName, patch, nil)
	if kubeapi.HasStatusCode(err, http.StatusNotFound) {
		return nil // the node has not joined yet
	}
	return err
}

func (m *Manager) removeResource(ctx context.Context, r Resource) {
	logline.Infof("Deleting ETCDSnapshotFile for %s", r.Spec.SnapshotName)
	err := m.api.CallJSON(ctx, http.MethodDelete, resourcesPath+"/"+r.Metadata.Name, nil, nil)
	if err != nil && !kubeapi.HasStatusCode(err, http.StatusNotFound) {
		logline.Errorf("Failed to delete ETCDSnapshotFile: %v", err)
	}
}

func (m *Manager) forEachResource(ctx context.Context, selector string, visit func(Resource)) error {
	var list ResourceList
	path := resourcesPath + "?labelSelector=" + url.QueryEscape(selector)
	if err := m.api.CallJSON(ctx, http.MethodGet, path, nil, &list); err != nil {
		return err
	}
	for _, resource := range list.Items {
		visit(resource)
	}
	return nil
}
