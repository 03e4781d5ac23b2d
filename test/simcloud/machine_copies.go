package simcloud

import (
	"fmt"

	"github.com/sky-shift/skyctl/pkg/cloud"
)

// CopyMachine copies a machine, as a user does who starts an image of its disk: the copy has the same labels, its own
// name and id, and no host.
func (c *Cloud) CopyMachine(name, as string) (cloud.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.findMachine(name)
	if of == nil {
		return cloud.Machine{}, fmt.Errorf("no machine %s", name)
	}
	c.next++
	m := of.Machine
	m.Name, m.ID, m.State = as, fmt.Sprintf(idFormat, c.next), cloud.StateRunning
	m.Address, m.PrivateAddress = "", ""
	c.machines = append(c.machines, &machine{Machine: m, region: of.region})
	return m, nil
}

// RenameMachine renames a machine; its labels and its id stay.
func (c *Cloud) RenameMachine(name, as string) error {
	return c.changeMachine(name, func(m *cloud.Machine) { m.Name = as })
}

// RelabelMachine changes the labels of a machine to another index and incarnation; its name and its id stay.
func (c *Cloud) RelabelMachine(name string, index int, incarnation string) error {
	return c.changeMachine(name, func(m *cloud.Machine) { m.Index, m.Incarnation = index, incarnation })
}

func (c *Cloud) changeMachine(name string, how func(*cloud.Machine)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.findMachine(name)
	if m == nil {
		return fmt.Errorf("no machine %s", name)
	}
	how(&m.Machine)
	return nil
}
