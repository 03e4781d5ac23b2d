package scriptedcloud

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sky-shift/skyctl/pkg/api"
)

// scriptSize is where a command of pkg/remote has the length of its script.
var scriptSize = regexp.MustCompile(`head -c (\d+)`)

// runCommand does what a login shell does with a command of pkg/remote: it reads the mark and the script from the
// standard input, and frames the output with the mark.
func (m *machine) runCommand(command string, stdin io.Reader, stdout, stderr io.Writer) uint32 {
	input := bufio.NewReader(stdin)
	first, err := input.ReadString('\n')
	size := scriptSize.FindStringSubmatch(command)
	if err != nil || size == nil || len(strings.Fields(first)) != 3 {
		return 126
	}
	length, _ := strconv.Atoi(size[1]) // digits
	script := make([]byte, length)
	if _, err := io.ReadFull(input, script); err != nil {
		return 126
	}
	mark := strings.Fields(first)[2]
	fmt.Fprintln(stdout, mark+"<")
	fmt.Fprintln(stderr, mark+"<")
	status := m.answerScript(string(script), input, stdout)
	fmt.Fprintf(stdout, "%s>%d\n", mark, status)
	fmt.Fprintf(stderr, "%s>%d\n", mark, status)
	return status
}

// facts are what a machine says about itself.
const facts = "arch=x86_64 systemd=1 prefix=/usr/local cpus=2 memory_kib=4194304 cgroup=63677270 mtu=1500 release=\n"

// answers are the answers to scripts that take no time and change nothing, by a part of the script.
var answers = []struct{ part, answer string }{
	{`rke2" --version 2>/dev/null`, facts + "\n"}, // nothing is installed
	{`%{time_connect}`, "open\n"},
	{`cat /proc/net/`, "00000000\n"}, // something listens on all addresses
	{`active=$(systemctl`, "active=active for=60 ready=ready why=\n"},
}

// answerScript recognises a script by a part of it, and answers as a machine does. It returns the exit status.
func (m *machine) answerScript(script string, stdin *bufio.Reader, stdout io.Writer) uint32 {
	switch {
	case strings.Contains(script, "measure_disk()"):
		fmt.Fprintf(stdout, "%sfitness clock=%d ran=0\nnameservers 1\n", facts, time.Now().Unix())
	case strings.Contains(script, "echo send"):
		fmt.Fprintln(stdout, "send")
		_, _ = io.Copy(io.Discard, stdin) // until the sender has sent all or is gone
	case strings.Contains(script, "has_version()"):
		time.Sleep(m.delays.Install)
	case strings.Contains(script, "read -r size"):
		return m.answerConfig(script, stdin, stdout)
	case strings.Contains(script, "unit=rke2-server; stage=0"), strings.Contains(script, "unit=rke2-agent; last="):
		return m.answerWait(script, stdout)
	case strings.Contains(script, "print_secret()"):
		m.cluster.printCredentials(stdout)
	default:
		for _, a := range answers {
			if strings.Contains(script, a.part) {
				_, _ = io.WriteString(stdout, a.answer)
				break
			}
		}
	}
	return 0
}

// rke2Config is what matters here of the configuration of RKE2.
type rke2Config struct {
	NodeName   string   `json:"node-name"`
	Labels     []string `json:"node-label"`
	AgentToken string   `json:"agent-token"`
}

// answerConfig reads a configuration, and starts RKE2 if the script does. A worker gets its token before it.
func (m *machine) answerConfig(script string, stdin *bufio.Reader, stdout io.Writer) uint32 {
	_, _ = io.WriteString(stdout, facts)
	starts := strings.Contains(script, "read -r all")
	if starts {
		_, _ = stdin.ReadString('\n') // the length of all
	}
	if strings.Contains(script, "read -r token") {
		_, _ = stdin.ReadString('\n')
	}
	line, _ := stdin.ReadString('\n')
	size, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 65
	}
	text := make([]byte, size)
	var c rke2Config
	if _, err := io.ReadFull(stdin, text); err != nil || yaml.Unmarshal(text, &c) != nil {
		return 65
	}
	if starts {
		m.startRKE2(c)
	}
	return 0
}

var (
	stateMark  = regexp.MustCompile(`mark='([^']*)'`)
	untilStage = regexp.MustCompile(`until=(\d)`)
)

// answerWait answers a script that waits for the server or the agent.
func (m *machine) answerWait(script string, stdout io.Writer) uint32 {
	if !m.awaitRunning() {
		return 1
	}
	state := "ActiveState=active SubState=running"
	if until := untilStage.FindStringSubmatch(script); until != nil && m.req.Role == api.RoleHead {
		state += " stage=" + until[1]
	}
	if mark := stateMark.FindStringSubmatch(script); mark != nil {
		fmt.Fprintln(stdout, mark[1]+state)
	}
	return 0
}

// printCredentials prints the secrets of the cluster, as a head does.
func (c *cluster) printCredentials(stdout io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pin := "K10" + strings.Repeat("0", 64)
	for name, secret := range map[string]string{"server-token": pin + "::server:none",
		"agent-token": pin + "::node:" + c.agentToken, "kubeconfig": c.kubeconfig} {
		fmt.Fprintln(stdout, name, base64.StdEncoding.EncodeToString([]byte(secret)))
	}
}
