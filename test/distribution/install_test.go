package distribution_test

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sky-shift/skyctl/test/distribution"
	"github.com/sky-shift/skyctl/test/eventually"
	"github.com/sky-shift/skyctl/test/needs"
	"github.com/sky-shift/skyctl/test/process"
)

// tools are the programs that install.sh may use beside curl, wget and cosign.
var tools = []string{"awk", "cat", "chmod", "cmp", "cp", "cut", "dirname", "grep", "gzip", "id", "mkdir", "mktemp",
	"mv", "rm", "sed", "sh", "sha256sum", "tar", "uname"}

// standIn is a skyctl and a skyd of a version. $SKEW makes it note that a server of another version runs.
const standIn = `#!/bin/sh
case $1 in
version)
	echo "skyctl v%[1]s (0123) go linux/amd64"
	if [ "$2" != --client ] && [ -n "$SKEW" ]; then echo "Note: run skyctl server restart" >&2; fi ;;
completion) echo "completion of $2 for %[1]s" ;;
esac
`

// person is a person with a home directory, the tools of a small computer and no skyctl.
type person struct {
	t    *testing.T
	home string
	// path has links to the programs that are installed.
	path string
	env  []string
	// uid is another user who runs install.sh; 0: whoever runs the test.
	uid uint32
}

func newPerson(t *testing.T, more ...string) *person {
	t.Helper()
	p := &person{t: t, home: t.TempDir(), path: t.TempDir()}
	for _, name := range append(more, tools...) {
		if err := os.Symlink(needs.Program(t, name), filepath.Join(p.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// prefix is the default of a person. Root has another, so that tests name it.
func (p *person) prefix() string { return filepath.Join(p.home, ".local") }

// install runs install.sh, and returns its exit code and what it prints.
func (p *person) install(args ...string) (int, string) {
	p.t.Helper()
	script, err := filepath.Abs("../../install.sh")
	if err != nil {
		p.t.Fatal(err)
	}
	if !slices.Contains(args, "--prefix") {
		args = append(args, "--prefix", p.prefix())
	}
	o := process.Options{Argv: append([]string{"/bin/sh", script}, args...), Dir: p.home,
		Env: append([]string{"HOME=" + p.home, "PATH=" + p.path + ":" + p.prefix() + "/bin"}, p.env...)}
	if p.uid != 0 {
		o.Credential = &syscall.Credential{Uid: p.uid, Gid: p.uid}
	}
	cmd := process.Command(eventually.Context(p.t, 5*time.Minute), o)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// files lists what is in the home directory.
func (p *person) files() string {
	var found []string
	_ = filepath.WalkDir(p.home, func(name string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found = append(found, strings.TrimPrefix(name, p.home+"/.local/"))
		}
		return err
	})
	slices.Sort(found)
	return strings.Join(found, " ")
}

// newRelease makes a distribution of stand-ins, and returns its directory.
func newRelease(t *testing.T, version string, pages ...string) string {
	t.Helper()
	bin, man, dir := t.TempDir(), t.TempDir(), t.TempDir()
	for _, name := range []string{"skyctl", "skyd"} {
		write(t, filepath.Join(bin, name), fmt.Sprintf(standIn, version), 0o700)
	}
	for _, name := range pages {
		write(t, filepath.Join(man, name), "page of "+version, 0o600)
	}
	o := distribution.Options{Version: version, Bin: bin, Man: man, License: "../../LICENSE"}
	if err := distribution.Make(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func serve(t *testing.T, dir string) string {
	t.Helper()
	s := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(s.Close)
	return s.URL
}

const installedFiles = "bin/skyctl bin/skyd share/bash-completion/completions/skyctl " +
	"share/doc/skyctl/LICENSE share/fish/vendor_completions.d/skyctl.fish share/man/man1/skyctl.1 " +
	"share/skyctl/installed-files " +
	"share/zsh/site-functions/_skyctl"

func TestReleaseIsInstalledFromAnySource(t *testing.T) {
	dir := newRelease(t, "1.2.3", "skyctl.1")
	url := serve(t, dir)
	for name, tt := range map[string]struct {
		programs []string
		from     string
	}{
		"curl":      {[]string{"curl"}, url + "/"},
		"wget":      {[]string{"wget"}, url},
		"directory": {nil, dir},
		"file":      {nil, "file://" + dir},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPerson(t, tt.programs...)
			code, out := p.install("--from", tt.from)
			if code != 0 || p.files() != installedFiles {
				t.Fatalf("exit %d, files %s\n%s", code, p.files(), out)
			}
			for _, says := range []string{"Installed skyctl v1.2.3 in " + p.prefix() + "/bin.", "Verified its SHA-256",
				"Next: skyctl check"} {
				if !strings.Contains(out, says) {
					t.Errorf("it does not say %q:\n%s", says, out)
				}
			}
			if strings.Contains(out, "PATH") {
				t.Errorf("it speaks of a PATH that is right:\n%s", out)
			}
			info, err := os.Stat(filepath.Join(p.prefix(), "bin/skyd"))
			if err != nil || info.Mode().Perm() != 0o755 {
				t.Errorf("skyd: %v, %v", info, err)
			}
		})
	}
}

// serveRedirects serves over https, and redirects each request to the same path below another address.
func serveRedirects(t *testing.T, to string) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to+r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestRedirectsDoNotLeaveHTTPS(t *testing.T) {
	dir := newRelease(t, "1.2.3", "skyctl.1")
	secure := httptest.NewTLSServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(secure.Close)
	authority := filepath.Join(t.TempDir(), "ca.pem") // all servers of httptest have the same certificate
	write(t, authority, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})),
		0o600)
	settings := filepath.Join(t.TempDir(), "wgetrc")
	write(t, settings, "ca_certificate = "+authority+"\n", 0o600)
	within, out := serveRedirects(t, secure.URL), serveRedirects(t, serve(t, dir))
	longWayOut := serveRedirects(t, out.URL)
	for _, program := range []string{"curl", "wget"} {
		newUser := func() *person {
			p := newPerson(t, program)
			p.env = []string{"CURL_CA_BUNDLE=" + authority, "WGETRC=" + settings}
			return p
		}
		p := newUser()
		if code, text := p.install("--from", within.URL); code != 0 || p.files() != installedFiles {
			t.Errorf("%s, to https: exit %d, files %s\n%s", program, code, p.files(), text)
		}
		for _, from := range []*httptest.Server{out, longWayOut} {
			p := newUser()
			code, text := p.install("--from", from.URL)
			if code != 1 || !strings.Contains(text, "Nothing was changed") || p.files() != "" {
				t.Errorf("%s, to http: exit %d, files %q\n%s", program, code, p.files(), text)
			}
		}
	}
}

func TestWgetThatDoesNotSayWhereRedirectsLeadIsRefused(t *testing.T) {
	p := newPerson(t)
	write(t, filepath.Join(p.path, "wget"), "#!/bin/sh\n", 0o700)
	if code, out := p.install("--from", "https://127.0.0.1:1"); code != 1 || !strings.Contains(out, "install curl") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestInstallationIsRefusedBeforeAnythingIsChanged(t *testing.T) {
	archive := distribution.ArchiveName("1.2.3")
	good := newRelease(t, "1.2.3")
	for name, tt := range map[string]struct {
		spoil func(dir string) error
		args  []string
		code  int
		says  string
	}{
		"corrupted archive": {spoil: func(dir string) error {
			return overwrite(filepath.Join(dir, archive), []byte("x"), 100)
		}, code: 1, says: "is incomplete or was changed"},
		"truncated archive": {spoil: func(dir string) error {
			return os.Truncate(filepath.Join(dir, archive), 100)
		}, code: 1, says: "is incomplete or was changed"},
		"missing archive": {spoil: func(dir string) error { return os.Remove(filepath.Join(dir, archive)) },
			code: 1, says: "cannot get "},
		"missing checksums": {spoil: func(dir string) error {
			return os.Remove(filepath.Join(dir, distribution.Checksums))
		}, code: 1, says: "cannot get "},
		"wrong checksum": {spoil: func(dir string) error {
			return overwrite(filepath.Join(dir, distribution.Checksums), []byte("0000"), 0)
		}, code: 1, says: "and\nchecksums.txt says 0000"},
		"page instead of checksums": {spoil: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, distribution.Checksums), []byte("<html>\n</html>\n"), 0o600)
		}, code: 1, says: "names no skyctl_VERSION_linux_"},
		"no archive, though with its checksum": {spoil: func(dir string) error {
			name := filepath.Join(dir, archive)
			return errors.Join(os.WriteFile(name, []byte("not found"), 0o600), distribution.WriteChecksums(dir))
		}, code: 1, says: "cannot be unpacked"},
		"several versions": {spoil: func(dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, archive))
			name := filepath.Join(dir, distribution.ArchiveName("1.2.4"))
			return errors.Join(err, os.WriteFile(name, data, 0o600), distribution.WriteChecksums(dir))
		}, code: 1, says: "choose one with --version"},
		"another version": {args: []string{"--version", "v2.0.0"}, code: 1, says: "names no skyctl_2.0.0_linux_"},
		"unknown option":  {args: []string{"--form", "x"}, code: 2, says: "unknown argument --form"},
		"no value":        {args: []string{"--version"}, code: 2, says: "--version needs a value"},
		"odd version":     {args: []string{"--version", "../x"}, code: 2, says: "is not a version"},
		"other protocol":  {args: []string{"--from", "ftp://x"}, code: 2, says: "only http, https and file"},
		"no directory":    {args: []string{"--from", "/does/not/exist"}, code: 2, says: "neither a directory"},
		"no cosign": {args: []string{"--cosign-key", "/etc/hostname"}, code: 1,
			says: "verified with cosign, which is not installed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			if tt.spoil != nil {
				if err := tt.spoil(dir); err != nil {
					t.Fatal(err)
				}
			}
			p := newPerson(t, "curl")
			args := slices.Concat([]string{"--from", serve(t, dir)}, tt.args)
			if tt.says == "--version needs a value" {
				args = []string{"--prefix", p.prefix(), "--version"}
			}
			if code, out := p.install(args...); code != tt.code || !strings.Contains(out, tt.says) || p.files() != "" {
				t.Errorf("exit %d, files %q\n%s", code, p.files(), out)
			}
		})
	}
}

func overwrite(name string, with []byte, at int64) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(with, at)
	return errors.Join(err, f.Close())
}

func TestAnotherVersionReplacesTheInstalledOne(t *testing.T) {
	p := newPerson(t)
	if code, out := p.install("--from", newRelease(t, "1.2.3", "skyctl.1", "skyctl-old.1")); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	newer := newRelease(t, "1.3.0", "skyctl.1")
	p.env = []string{"SKEW=1"}
	code, out := p.install("--from", newer, "--version", "v1.3.0")
	if code != 0 || !strings.Contains(out, "Replaced skyctl v1.2.3 by v1.3.0") ||
		!strings.Contains(out, "Note: run skyctl server restart") {
		t.Errorf("exit %d\n%s", code, out)
	}
	p.env = nil
	text, err := os.ReadFile(filepath.Join(p.prefix(), "share/man/man1/skyctl.1"))
	if err != nil || string(text) != "page of 1.3.0" || p.files() != installedFiles {
		t.Errorf("the page is %q, %v; files %s", text, err, p.files())
	}
	code, out = p.install("--from", newer)
	if code != 0 || !strings.Contains(out, "skyctl v1.3.0 is in "+p.prefix()+"/bin already: nothing was changed") ||
		p.files() != installedFiles {
		t.Errorf("again: exit %d\n%s", code, out)
	}
}

func TestSkyctlThatDoesNotRunHereReplacesNothing(t *testing.T) {
	p := newPerson(t)
	if code, out := p.install("--from", newRelease(t, "1.2.3", "skyctl.1")); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	bin, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(bin, "skyctl"), "#!/bin/sh\n[ \"$1\" = completion ]\n", 0o700)
	write(t, filepath.Join(bin, "skyd"), "another", 0o700)
	o := distribution.Options{Version: "1.3.0", Bin: bin}
	if err := distribution.Make(t.Context(), dir, o); err != nil {
		t.Fatal(err)
	}
	code, out := p.install("--from", dir)
	skyd, err := os.ReadFile(filepath.Join(p.prefix(), "bin/skyd"))
	if code != 1 || !strings.Contains(out, "does not run here. Nothing was changed") || err != nil ||
		bytes.Equal(skyd, []byte("another")) || p.files() != installedFiles {
		t.Errorf("exit %d, files %s, %v\n%s", code, p.files(), err, out)
	}
}

func TestInstallationSaysWhatToDoAboutThePath(t *testing.T) {
	dir := newRelease(t, "1.2.3")
	p := newPerson(t)
	if code, out := p.install("--from", dir, "--prefix", p.home+"/else"); code != 0 ||
		!strings.Contains(out, `export PATH="`+p.home+`/else/bin:$PATH"`) {
		t.Errorf("outside of the PATH: exit %d\n%s", code, out)
	}
	write(t, filepath.Join(p.path, "skyctl"), "#!/bin/sh\n", 0o700)
	if code, out := p.install("--from", dir); code != 0 ||
		!strings.Contains(out, p.path+"/skyctl comes first in your PATH") {
		t.Errorf("behind another skyctl: exit %d\n%s", code, out)
	}
}

func TestDownloadNeedsCurlOrWget(t *testing.T) {
	p := newPerson(t)
	if code, out := p.install("--from", "http://127.0.0.1:1"); code != 1 ||
		!strings.Contains(out, "neither curl nor wget is installed") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestPrefixThatCannotBeWrittenIsRefused(t *testing.T) {
	needs.Root(t)
	dir := newRelease(t, "1.2.3")
	p := newPerson(t)
	p.uid = 65534
	if err := os.Chmod(filepath.Dir(p.home), 0o755); err != nil { // the test's directory
		t.Fatal(err)
	}
	prefix := filepath.Join(filepath.Dir(p.home), "of-root")
	if err := os.Mkdir(prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	code, out := p.install("--from", dir, "--prefix", prefix)
	if code != 1 || !strings.Contains(out, "cannot write to "+prefix) || !strings.Contains(out, "--prefix") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if entries, err := os.ReadDir(prefix); err != nil || len(entries) > 0 {
		t.Errorf("it wrote %v, %v", entries, err)
	}
}

func TestSignatureIsVerifiedWithTheKey(t *testing.T) {
	dir := newRelease(t, "1.2.3")
	write(t, filepath.Join(dir, distribution.Checksums+".sig"), "signature", 0o600)
	p := newPerson(t)
	key := filepath.Join(p.path, "cosign.pub")
	write(t, key, "key", 0o600)
	calls := filepath.Join(p.path, "calls")
	cosign := func(code int) {
		write(t, filepath.Join(p.path, "cosign"), fmt.Sprintf("#!/bin/sh\necho \"$@\" >%s\nexit %d\n", calls, code),
			0o700)
	}
	cosign(1)
	if code, out := p.install("--from", dir, "--cosign-key", key); code != 1 ||
		!strings.Contains(out, "is not signed with "+key) || p.files() != "" {
		t.Errorf("exit %d, files %q\n%s", code, p.files(), out)
	}
	cosign(0)
	code, out := p.install("--from", dir, "--cosign-key", key)
	called, err := os.ReadFile(calls)
	if code != 0 || !strings.Contains(out, "Verified the signature") || err != nil ||
		!strings.HasPrefix(string(called), "verify-blob --key "+key) {
		t.Errorf("exit %d, cosign %s, %v\n%s", code, called, err, out)
	}
}

func TestScriptThatWasCutOffDoesNothing(t *testing.T) {
	script, err := os.ReadFile("../../install.sh")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(script), "\n")
	for n := 1; n < len(lines)-1; n += 20 {
		p := newPerson(t)
		cmd := exec.Command("/bin/sh")
		cmd.Stdin = strings.NewReader(strings.Join(lines[:n], ""))
		cmd.Env = []string{"HOME=" + p.home, "PATH=" + p.path}
		if out, _ := cmd.CombinedOutput(); p.files() != "" || strings.Contains(string(out), "Downloading") {
			t.Errorf("the first %d lines: %s\n%s", n, p.files(), out)
		}
	}
}

func TestScriptsOfReleasesArePortableShell(t *testing.T) {
	scripts := []string{"../../install.sh", "../../pkg/cloud/skypilot/venv/setup/install.sh"}
	for _, pattern := range []string{"../../release/*.sh", "../../release/packages/*.sh"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		scripts = append(scripts, found...)
	}
	if out, err := exec.Command(needs.Program(t, "shellcheck"), scripts...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
