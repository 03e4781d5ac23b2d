package bridge

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// theLibrary stands in for SkyPilot. It can be imported only by a thread that makes all others wait: the real modules
// import each other, and concurrent imports find them incomplete.
var theLibrary = map[string]string{
	"__init__.py": `import sys
if not sys.modules['__main__']._LOADING.locked():
    raise ImportError('other threads may import it as well')
`,
	"utils/__init__.py":    "",
	"utils/annotations.py": "def clear_request_level_cache():\n    pass\n",
}

func TestOneThreadImportsSkyPilotWhileOthersWait(t *testing.T) {
	dir := t.TempDir()
	for name, text := range theLibrary {
		file := filepath.Join(dir, "sky", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "python3", "python/skyctl_bridge.py")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+dir)
	in, err := cmd.StdinPipe() // which stays open until the answer is there: the program ends with it
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = in.Close() }()
	if _, err := in.Write([]byte(`{"id": 1, "question": {"op": "handles", "handles": []}}` + "\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1024)
	n, err := out.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(answer[:n])); got != `{"id": 1, "ok": []}` {
		t.Error(got)
	}
}
