package client

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sky-shift/skyctl/pkg/cloud/skypilot/logtext"
)

// Identity is the user that a request is from. A server with authentication uses the token's user instead.
type Identity struct {
	ID   string // eight hexadecimal digits
	Name string
}

// RequestEnv are the variables of a request. Without both of the first two the server uses an identity of its own.
func (u Identity) RequestEnv() map[string]string {
	return map[string]string{"SKYPILOT_USER_ID": u.ID, "SKYPILOT_USER": u.Name,
		"SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
}

// RequestSettings is part of the body of every request.
type RequestSettings struct {
	Env      map[string]string `json:"env_vars"`
	Override map[string]any    `json:"override_skypilot_config,omitempty"`
}

// LaunchBody is the body of /launch.
type LaunchBody struct {
	RequestSettings
	Task        string `json:"task"`
	ClusterName string `json:"cluster_name"`
}

// StatusBody is the body of /status.
type StatusBody struct {
	RequestSettings
	ClusterNames       []string `json:"cluster_names"` // nil: all
	Refresh            string   `json:"refresh"`
	AllUsers           bool     `json:"all_users"`
	IncludeCredentials bool     `json:"include_credentials"`
	IncludeHandle      bool     `json:"include_handle"`
}

// Values of StatusBody.Refresh: whether SkyPilot asks the clouds.
const (
	RefreshNone  = "NONE"
	RefreshForce = "FORCE"
)

// DownBody is the body of /down.
type DownBody struct {
	RequestSettings
	ClusterName string `json:"cluster_name"`
	Purge       bool   `json:"purge"`
}

// StartBody is the body of /start.
type StartBody struct {
	RequestSettings
	ClusterName string `json:"cluster_name"`
	// Force looks for the machines of a cluster again that is up.
	Force bool `json:"force,omitempty"`
}

// CancelBody is the body of /api/cancel.
type CancelBody struct {
	RequestSettings
	RequestIDs []string `json:"request_ids"`
}

// CheckBody is the body of /check.
type CheckBody struct {
	RequestSettings
	Clouds []string `json:"clouds,omitempty"`
}

// CostReportBody is the body of /cost_report.
type CostReportBody struct {
	RequestSettings
	Days         int      `json:"days"`
	ClusterNames []string `json:"cluster_names"`
}

// ProvisionLogsBody is the body of /provision_logs.
type ProvisionLogsBody struct {
	RequestSettings
	ClusterName string `json:"cluster_name"`
	Follow      bool   `json:"follow"`
	Tail        int    `json:"tail"`
}

// ClusterRecord is a cluster in the result of /status.
type ClusterRecord struct {
	Name        string            `json:"name"`
	Status      string            `json:"status"`
	Cloud       string            `json:"cloud"`
	Region      string            `json:"region"`
	Labels      map[string]string `json:"labels"`
	LaunchedAt  int64             `json:"launched_at"`
	Handle      string            `json:"handle"` // a pickle in base64, for the bridge
	Yaml        string            `json:"last_creation_yaml"`
	LastEvent   string            `json:"last_event"`
	InitReason  string            `json:"init_status_reason"`
	NameOnCloud string            `json:"cluster_name_on_cloud"`
	Credentials *Credentials      `json:"credentials"`
	UpdatedAt   int64             `json:"status_updated_at"` // seconds since 1970; 0 if the server does not report it
}

// CloudName is the cloud's name in specs.
func (r ClusterRecord) CloudName() string { return strings.ToLower(r.Cloud) }

// The states of a cluster that skyctl distinguishes from stopped.
const (
	ClusterUp   = "UP"
	ClusterInit = "INIT"
)

// Credentials log in to the machine of a cluster.
type Credentials struct {
	User         string `json:"ssh_user"`
	Key          string `json:"ssh_private_key_content"`
	ProxyCommand string `json:"ssh_proxy_command"`
}

// Request is a request in the server's list.
type Request struct {
	ID          string  `json:"request_id"`
	Name        string  `json:"name"`
	Status      string  `json:"status"`
	Body        string  `json:"request_body"` // JSON; "null" if the request is another user's
	ClusterName string  `json:"cluster_name"`
	CreatedAt   float64 `json:"created_at"`
}

// LaunchRequestName is the Request.Name of launches.
const LaunchRequestName = "sky.launch"

// IsActive reports whether the server has not finished the request.
func (r Request) IsActive() bool {
	return r.Status == "PENDING" || r.Status == "WAITING" || r.Status == "RUNNING"
}

// Result is the result of a finished request.
type Result struct {
	Status      string `json:"status"`
	ReturnValue string `json:"return_value"`
	Error       string `json:"error"`
}

// DecodeInto decodes the result into answer, which may be nil, or returns the error of the request.
func (p Result) DecodeInto(answer any) error {
	switch p.Status {
	case "SUCCEEDED":
		if answer == nil {
			return nil
		}
		if err := json.Unmarshal([]byte(p.ReturnValue), answer); err != nil {
			return fmt.Errorf("read a result of the SkyPilot API server: %w", err)
		}
		return nil
	case "CANCELLED":
		return ErrCancelled
	}
	var failed struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(p.Error), &failed); err != nil || failed.Type == "" {
		failed.Type, failed.Message = "Error", "it ended as "+p.Status+" without saying why"
	}
	return &FailedRequest{Type: failed.Type, Message: strings.TrimSpace(logtext.StripEscapes(failed.Message))}
}
