package skypilot

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// identity is who a request is from. A server with authentication takes the token's user instead.
type identity struct {
	ID   string // eight hexadecimal digits
	Name string
}

// requestEnv are the variables of a request; without both of the first two the server would use an identity of its own.
func (u identity) requestEnv() map[string]string {
	return map[string]string{"SKYPILOT_USER_ID": u.ID, "SKYPILOT_USER": u.Name,
		"SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
}

// requestSettings is what every request's body has.
type requestSettings struct {
	Env      map[string]string `json:"env_vars"`
	Override map[string]any    `json:"override_skypilot_config,omitempty"`
}

type launchBody struct {
	requestSettings
	Task        string `json:"task"`
	ClusterName string `json:"cluster_name"`
}

type statusBody struct {
	requestSettings
	ClusterNames       []string `json:"cluster_names"` // nil: all
	Refresh            string   `json:"refresh"`
	AllUsers           bool     `json:"all_users"`
	IncludeCredentials bool     `json:"include_credentials"`
	IncludeHandle      bool     `json:"include_handle"`
}

// How much of a status is asked from the cloud itself.
const (
	refreshNone  = "NONE"
	refreshForce = "FORCE"
)

type downBody struct {
	requestSettings
	ClusterName string `json:"cluster_name"`
	Purge       bool   `json:"purge"`
}

type startBody struct {
	requestSettings
	ClusterName string `json:"cluster_name"`
}

type cancelBody struct {
	requestSettings
	RequestIDs []string `json:"request_ids"`
}

type checkBody struct {
	requestSettings
	Clouds []string `json:"clouds,omitempty"`
}

type costReportBody struct {
	requestSettings
	Days         int      `json:"days"`
	ClusterNames []string `json:"cluster_names"`
}

type provisionLogsBody struct {
	requestSettings
	ClusterName string `json:"cluster_name"`
	Follow      bool   `json:"follow"`
	Tail        int    `json:"tail"`
}

// clusterRecord is a cluster as the server's status has it.
type clusterRecord struct {
	Name        string            `json:"name"`
	Status      string            `json:"status"`
	Cloud       string            `json:"cloud"`
	Region      string            `json:"region"`
	Labels      map[string]string `json:"labels"`
	LaunchedAt  int64             `json:"launched_at"`
	Handle      string            `json:"handle"` // a pickle, base64; for the bridge
	Yaml        string            `json:"last_creation_yaml"`
	LastEvent   string            `json:"last_event"`
	InitReason  string            `json:"init_status_reason"`
	NameOnCloud string            `json:"cluster_name_on_cloud"`
	Credentials *credentials      `json:"credentials"`
	UpdatedAt   int64             `json:"status_updated_at"` // s since 1970; 0 from a server that does not tell

	// unasked: what is told is what was known before, for the cloud did not answer, or SkyPilot is at work on the
	// machine.
	unasked bool
}

// cloudName is the cloud's name as specs have it.
func (r clusterRecord) cloudName() string { return strings.ToLower(r.Cloud) }

// The states of a cluster that matter here.
const (
	clusterUp   = "UP"
	clusterInit = "INIT"
)

type credentials struct {
	User         string `json:"ssh_user"`
	Key          string `json:"ssh_private_key_content"`
	ProxyCommand string `json:"ssh_proxy_command"`
}

// serverRequest is one that the server knows of, as its listing shows it.
type serverRequest struct {
	ID          string  `json:"request_id"`
	Name        string  `json:"name"`
	Status      string  `json:"status"`
	Body        string  `json:"request_body"` // JSON; "null" where the request is another user's
	ClusterName string  `json:"cluster_name"`
	CreatedAt   float64 `json:"created_at"`
}

const launchRequestName = "sky.launch"

func (r serverRequest) isActive() bool {
	return r.Status == "PENDING" || r.Status == "WAITING" || r.Status == "RUNNING"
}

// launchLabels of the machine that a launch is to make.
func (r serverRequest) launchLabels() map[string]string {
	var body struct {
		Task string `json:"task"`
	}
	if json.Unmarshal([]byte(r.Body), &body) != nil {
		return nil
	}
	return parseTaskLabels(body.Task)
}

// requestResult is a finished request.
type requestResult struct {
	Status      string `json:"status"`
	ReturnValue string `json:"return_value"`
	Error       string `json:"error"`
}

// decodeInto decodes the result of a request that succeeded.
func (p requestResult) decodeInto(answer any) error {
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
		return errCancelled
	}
	var failed struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(p.Error), &failed); err != nil || failed.Type == "" {
		failed.Type, failed.Message = "Error", "it ended as "+p.Status+" without saying why"
	}
	return &failedRequest{Type: failed.Type, Message: strings.TrimSpace(stripEscapes(failed.Message))}
}

// terminalEscapes are what a text says to a terminal rather than to a reader: colours, the cursor, and titles.
var terminalEscapes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\x1b\\][^\a\x1b]*(\a|\x1b\\\\)|\x1b[^\\[\\]]|" +
	"[\x00-\x08\x0b-\x1f\x7f]")

// stripEscapes is a text without them.
func stripEscapes(s string) string { return terminalEscapes.ReplaceAllString(s, "") }

// shortenText is a text of a length that fits into an error.
func shortenText(s string) string {
	const most = 600
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// forEachLine hands over the lines of a log that say anything. The server pads some with thousands of spaces.
func forEachLine(r io.Reader, line func(string)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	for lines.Scan() {
		if s := strings.TrimSpace(stripEscapes(lines.Text())); s != "" && !strings.HasPrefix(s, "<sky-payload") {
			line(s)
		}
	}
	return lines.Err()
}
