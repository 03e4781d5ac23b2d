package embedded

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/computer"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// choosePorts replaces the ports that no setting names and that another program uses, as where several people have a
// skyd on one computer. The choice is recorded, and kept from then on. note says what this call has chosen, and who has
// the usual ports; it is empty if nothing was chosen.
func choosePorts(c *config.Config) (note string, err error) {
	recorded := readRecordedPorts(c.PortsFile())
	search := portSearch{recorded: recorded, config: c}
	dev := c.Dev
	for _, p := range dev.ListPorts() {
		if c.IsSet(p.Key) {
			continue
		}
		if err := search.replace(p, func(port int) bool { return computer.TryBindPort(port) != nil }); err != nil {
			return "", err
		}
	}
	if !c.IsSet("skypilot.port") && c.SkyPilot.Endpoint == "" {
		// The server of this installation may still run: only one of another user is in the way.
		p := config.DevPort{For: "the SkyPilot server", Key: "skypilot.port", Port: &c.SkyPilot.Port}
		if err := search.replace(p, computer.IsPortOfOtherUser); err != nil {
			return "", err
		}
	}
	c.UseDevPorts(dev)
	if len(search.chosen) == 0 {
		return "", nil
	}
	data, err := json.MarshalIndent(recorded, "", "  ")
	if err == nil {
		err = atomicfile.Write(c.PortsFile(), append(data, '\n'))
	}
	if err != nil {
		return "", fmt.Errorf("recording the ports of skyd: %w", err)
	}
	return search.format(c.PortsFile()), nil
}

// portSearch finds ports in place of those that are taken.
type portSearch struct {
	config   *config.Config
	recorded map[string]int // by setting
	chosen   []string
	owners   []string
	ports    map[string][]string // by owner
}

// noteOwner remembers whose a taken port is.
func (s *portSearch) noteOwner(port int) {
	owner := cmp.Or(computer.DescribePortOwner(port), "another program")
	if len(s.ports[owner]) == 0 {
		s.owners = append(s.owners, owner)
	}
	if s.ports == nil {
		s.ports = map[string][]string{}
	}
	s.ports[owner] = append(s.ports[owner], strconv.Itoa(port))
}

// replace sets a port to the recorded one, or to a free one if that is taken.
func (s *portSearch) replace(p config.DevPort, isTaken func(int) bool) error {
	usual := *p.Port
	if port := s.recorded[p.Key]; port != 0 {
		*p.Port = port
	}
	if !isTaken(*p.Port) {
		return nil
	}
	s.noteOwner(*p.Port)
	free, err := findFreePorts(1, s.listReserved(usual))
	if err != nil {
		return err
	}
	*p.Port, s.recorded[p.Key] = free[0], free[0]
	s.chosen = append(s.chosen, fmt.Sprintf("%s uses %d", p.For, free[0]))
	return nil
}

// listReserved returns ports that a search must not find although nobody listens on them yet.
func (s *portSearch) listReserved(usual int) map[int]bool {
	reserved := map[int]bool{usual: true, s.config.SkyPilot.Port: true}
	for _, p := range s.config.Dev.ListPorts() {
		reserved[*p.Port] = true
	}
	for _, port := range s.recorded {
		reserved[port] = true
	}
	return reserved
}

func (s *portSearch) format(file string) string {
	taken := []string{}
	for _, owner := range s.owners {
		words := "port %s belongs to %s"
		if len(s.ports[owner]) > 1 {
			words = "ports %s belong to %s"
		}
		taken = append(taken, fmt.Sprintf(words, joinWords(s.ports[owner]), owner))
	}
	return fmt.Sprintf("%s. Therefore %s, from now on (%s)", strings.Join(taken, "; "), joinWords(s.chosen), file)
}

func joinWords(all []string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// readRecordedPorts returns the recorded ports by setting. A file that cannot be read records none: ports are only a
// preference.
func readRecordedPorts(name string) map[string]int {
	recorded := map[string]int{}
	data, err := regularfile.Read(name, regularfile.SmallFile)
	if err != nil || json.Unmarshal(data, &recorded) != nil {
		return map[string]int{}
	}
	for key, port := range recorded {
		if port < 1 || port > 65535 {
			delete(recorded, key)
		}
	}
	return recorded
}

// checkPortsFree finds ports in use before any server starts: the servers would exit the process on one.
func checkPortsFree(c *config.Config) error {
	var errs []error
	for _, p := range c.Dev.ListPorts() {
		if err := computer.TryBindPort(*p.Port); err != nil {
			who := ""
			if owner := computer.DescribePortOwner(*p.Port); owner != "" {
				who = " by " + owner
			}
			errs = append(errs, fmt.Errorf("port %d on %s, for %s, is not available (%w%s): stop the program "+
				"that uses it, or choose another with %s",
				*p.Port, config.Loopback, p.For, err, who, c.HowToSet(p.Key)))
		}
	}
	return errors.Join(errs...)
}

// findInternalPorts finds n free ports for the connections between Temporal's services.
func findInternalPorts(n int, c *config.Config) ([]int, error) {
	reserved := map[int]bool{}
	for _, p := range c.Dev.ListPorts() {
		reserved[*p.Port] = true
	}
	return findFreePorts(n, reserved)
}

// findFreePorts finds n free ports that are not reserved. They are below the range of outgoing connections, so that no
// connection takes one before it is used.
func findFreePorts(n int, reserved map[int]bool) ([]int, error) {
	const low, high = 20000, 32000
	var ports []int
	for try := 0; len(ports) < n; try++ {
		if try == 1000 {
			return nil, fmt.Errorf("no free ports between %d and %d on %s for skyd's servers", low, high,
				config.Loopback)
		}
		p := low + rand.IntN(high-low)
		if !reserved[p] && computer.TryBindPort(p) == nil {
			reserved[p] = true
			ports = append(ports, p)
		}
	}
	return ports, nil
}
