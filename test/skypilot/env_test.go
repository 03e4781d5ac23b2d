package skypilot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// env is shared: a test that changes it must restore it.
var env *Env

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if dir := os.Getenv(childVariable); dir != "" {
		child(dir)
	}
	dir, err := os.MkdirTemp("", "skyctl-skypilot-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	if env, err = StartEnv(context.Background(), Options{Dir: dir}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("the environment was up after %v\n", time.Since(began).Round(time.Millisecond))
	code := m.Run()
	if err := env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping:", err)
		return 1
	}
	if left := leftovers(env.id); left != "" {
		fmt.Fprintln(os.Stderr, "after stopping there is", left)
		return 1
	}
	return code
}

// result is the response of GET /api/get for a finished request.
type result struct {
	Name   string
	Status string
	Value  json.RawMessage
	Error  struct{ Type, Message string }
}

// submit posts a request and returns its id.
func submit(t *testing.T, path string, body map[string]any) string {
	t.Helper()
	body["env_vars"] = map[string]string{"SKYPILOT_USER_ID": "a1b2c3d4", "SKYPILOT_USER": "tester"}
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	resp := ask(t, http.MethodPost, path, bytes.NewReader(data))
	defer resp.Body.Close()
	id := resp.Header.Get("X-Skypilot-Request-ID")
	if resp.StatusCode != http.StatusOK || id == "" {
		said, _ := io.ReadAll(resp.Body)
		t.Fatalf("POST %s: %s %s", path, resp.Status, said)
	}
	return id
}

func ask(t *testing.T, method, path string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, env.Endpoint+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-SkyPilot-API-Version", "62")
	req.Header.Set("X-SkyPilot-Version", Version)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// await returns the result of a request.
func await(t *testing.T, id string) result {
	t.Helper()
	resp := ask(t, http.MethodGet, "/api/get?request_id="+id, nil)
	defer resp.Body.Close()
	var raw struct {
		Name, Status  string
		ReturnValue   string `json:"return_value"`
		Error         *string
		StatusMessage string `json:"status_msg"`
	}
	var err error
	switch resp.StatusCode {
	case http.StatusOK:
		err = json.NewDecoder(resp.Body).Decode(&raw)
	case http.StatusInternalServerError:
		detail := struct{ Detail any }{&raw}
		err = json.NewDecoder(resp.Body).Decode(&detail)
	default:
		return result{Status: resp.Status}
	}
	if err != nil {
		t.Fatalf("the result of request %s: %v", id, err)
	}
	r := result{Name: raw.Name, Status: raw.Status, Value: json.RawMessage(raw.ReturnValue)}
	if raw.Error != nil {
		if err := json.Unmarshal([]byte(*raw.Error), &r.Error); err != nil {
			t.Fatalf("the error of request %s: %v: %s", id, err, *raw.Error)
		}
	}
	return r
}

// do submits a request and awaits its success.
func do(t *testing.T, path string, body map[string]any) json.RawMessage {
	t.Helper()
	id := submit(t, path, body)
	r := await(t, id)
	if r.Status != "SUCCEEDED" {
		t.Fatalf("%s: %s, %s: %s\n%s", path, r.Status, r.Error.Type, r.Error.Message, stream(t, id))
	}
	return r.Value
}

// stream returns the output of a finished request.
func stream(t *testing.T, id string) string {
	t.Helper()
	resp := ask(t, http.MethodGet, "/api/stream?format=plain&request_id="+id, nil)
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

// launch returns the body of a launch of one machine with these resources and the profile without rights. JSON is also
// YAML.
func launch(t *testing.T, name string, resources map[string]any) map[string]any {
	t.Helper()
	task, err := json.Marshal(map[string]any{"name": name, "resources": resources})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"task": string(task), "cluster_name": name,
		"override_skypilot_config": map[string]any{"aws": map[string]any{"remote_identity": Profile}},
	}
}

// down terminates a cluster, and checks that nothing remains that costs money.
func down(t *testing.T, name string) {
	t.Helper()
	do(t, "/down", map[string]any{"cluster_name": name, "purge": false})
	for _, m := range machines(t) {
		if strings.HasPrefix(m.Cluster, name+"-") {
			t.Errorf("after the down of %s its machine %s remains", name, m.Name)
		}
	}
}

func machines(t *testing.T) []Machine {
	t.Helper()
	list, err := env.ListMachines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// clusters returns the server's status of a cluster after it has queried the cloud.
func clusters(t *testing.T, name string) []cluster {
	t.Helper()
	var list []cluster
	raw := do(t, "/status", map[string]any{"cluster_names": []string{name}, "refresh": "FORCE", "all_users": true,
		"include_credentials": true, "include_handle": false, "summary_response": false})
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return list
}

type cluster struct {
	Name, Status, Cloud, Region string
	Credentials                 struct {
		User string `json:"ssh_user"`
		Key  string `json:"ssh_private_key_content"`
	}
}

func sshAddress(ip string) string { return net.JoinHostPort(ip, "22") }

// banner reports whether a machine's sshd answers.
func banner(ip string) bool {
	conn, err := net.DialTimeout("tcp", sshAddress(ip), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, err = conn.Read(make([]byte, 4))
	return err == nil
}
