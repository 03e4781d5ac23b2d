package external

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/sky-shift/skyctl/test/process"
)

// postgres does what PostgreSQL's image does: it creates a database and runs as a user other than root.
type postgres struct {
	bin, dir   string
	port       int
	credential *syscall.Credential
}

// newPostgres creates an empty database in a new directory.
func newPostgres(ctx context.Context, port int) (postgres, error) {
	p := postgres{port: port}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return p, errors.New("there is no PostgreSQL in /usr/lib/postgresql: install the package postgresql")
	}
	slices.Sort(found)
	p.bin = filepath.Dir(found[len(found)-1])
	if p.dir, err = os.MkdirTemp("", "skyctl-postgres-"); err != nil {
		return p, err
	}
	if os.Geteuid() == 0 {
		if p.credential, err = lookUpCredential("postgres"); err != nil {
			return p, err
		}
	}
	if err := os.Mkdir(p.filePath("tls"), 0o700); err != nil {
		return p, err
	}
	if err := p.changeOwner(); err != nil {
		return p, err
	}
	initdb := command{
		argv: []string{p.programPath("initdb"), "--pgdata=" + p.filePath("data"), "--username=temporal",
			"--auth=reject", "--no-sync", "--encoding=UTF8", "--locale=C"},
		env: []string{"PATH=/usr/bin:/bin", "HOME=" + p.dir}, dir: p.dir, credential: p.credential,
	}
	if out, err := initdb.runToEnd(ctx); err != nil {
		return p, fmt.Errorf("create a database in %s: %w\n%s", p.dir, err, process.LastLines(out))
	}
	return p, nil
}

func lookUpCredential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("find a user to run PostgreSQL as: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (p postgres) filePath(name string) string    { return filepath.Join(p.dir, name) }
func (p postgres) programPath(name string) string { return filepath.Join(p.bin, name) }

// changeOwner gives all files to the user that the server runs as.
func (p postgres) changeOwner() error {
	if p.credential == nil {
		return nil
	}
	return filepath.WalkDir(p.dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(p.credential.Uid), int(p.credential.Gid))
	})
}

func (p postgres) installCertificates(from string) error {
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(p.filePath("tls/"+name), data, 0o600); err != nil {
			return err
		}
	}
	return p.changeOwner()
}

// adaptCommand translates the server's command of docker-compose.yml to this machine.
func (p postgres) adaptCommand(cmd *command, hba string) error {
	if err := os.WriteFile(p.filePath("pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return err
	}
	for i, a := range cmd.argv {
		if name, value, ok := strings.Cut(a, "="); ok && strings.HasPrefix(name, "ssl_") &&
			strings.HasSuffix(name, "_file") {
			cmd.argv[i] = name + "=" + p.filePath("tls/"+filepath.Base(value))
		}
		if strings.HasPrefix(a, "hba_file=") {
			cmd.argv[i] = "hba_file=" + p.filePath("pg_hba.conf")
		}
	}
	cmd.argv = append(cmd.argv, "-D", p.filePath("data"), "-p", strconv.Itoa(p.port), "-k", p.dir, "-c",
		"listen_addresses=localhost",
		"-c", "fsync=off")
	cmd.dir, cmd.credential = p.dir, p.credential
	return p.changeOwner()
}

// runQuery queries a database through its socket, as from inside the container.
func (p postgres) runQuery(ctx context.Context, database, sql string) (string, error) {
	cmd := command{
		argv: []string{p.programPath("psql"), "-h", p.dir, "-p", strconv.Itoa(p.port), "-U", "temporal", "-d", database,
			"-Atc", sql},
		env: []string{"PATH=/usr/bin:/bin"}, dir: "/", credential: p.credential,
	}
	out, err := cmd.runForOutput(ctx)
	return strings.TrimSpace(string(out)), err
}

// checkConnection queries over the network, with libpq's TLS parameters.
func (p postgres) checkConnection(ctx context.Context, conninfo string) error {
	cmd := exec.CommandContext(ctx, p.programPath("psql"),
		fmt.Sprintf("host=localhost port=%d user=temporal dbname=postgres %s", p.port, conninfo), "-Atc", "select 1")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "PGPASSWORD=temporal"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, process.LastLines(out))
	}
	return nil
}

func (p postgres) removeData() error {
	if p.dir == "" {
		return nil
	}
	return os.RemoveAll(p.dir)
}
