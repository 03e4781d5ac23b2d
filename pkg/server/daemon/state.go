package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/sky-shift/skyctl/pkg/api"
	"github.com/sky-shift/skyctl/pkg/atomicfile"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/regularfile"
)

// State says where a running skyd dev answers.
type State struct {
	PID             int       `json:"pid"`
	Version         string    `json:"version"`
	Started         time.Time `json:"started"`
	TemporalAddress string    `json:"temporalAddress"`
	Namespace       string    `json:"namespace"`
	EtcdEndpoint    string    `json:"etcdEndpoint"`
	UIAddress       string    `json:"uiAddress"`
	// Level is the spec level that it supports (api.WorkerLevel), and Settings are those that it uses. An older skyd
	// reports neither.
	Level    int                        `json:"specLevel,omitempty"`
	Settings map[string]api.UsedSetting `json:"settings,omitempty"`
	// PortNote says which ports this start has chosen because others were taken, and by whom. It is empty if the ports
	// were known before.
	PortNote string `json:"portNote,omitempty"`
}

// ErrNotRunning is FindRunning's error if no skyd dev runs on the state directory.
var ErrNotRunning = errors.New("skyd dev is not running")

// ErrNotReady is FindRunning's error if skyd dev runs but is not ready yet, or is stopping. State.PID is then set.
var ErrNotReady = errors.New("skyd dev is starting or stopping")

// ApplyTo points the settings at this skyd dev, which may use other ports than the settings name.
func (s State) ApplyTo(c *config.Config) {
	c.Temporal.Address, c.Temporal.Namespace = s.TemporalAddress, s.Namespace
	c.Etcd.Endpoints = []string{s.EtcdEndpoint}
	c.UI.Address = s.UIAddress
	c.ApplyConnection(s.Settings)
}

// FindRunning returns where the skyd dev of this state directory answers, or ErrNotRunning or ErrNotReady.
func FindRunning(c *config.Config) (State, error) {
	pid, err := FindLockHolder(c.LockFile())
	if err != nil {
		return State{}, err
	}
	if pid == 0 {
		return State{}, ErrNotRunning
	}
	s, err := readStateFile(c.StateFile())
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && s.PID != pid: // the file of a predecessor that was killed
		return State{PID: pid}, ErrNotReady
	case err != nil:
		return State{PID: pid}, err
	}
	return s, nil
}

// PublishState tells other processes that this skyd dev is ready, until WithdrawState.
func PublishState(c *config.Config, s State) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the state of skyd dev: %w", err)
	}
	if err := atomicfile.Write(c.PIDFile(), fmt.Appendf(nil, "%d\n", s.PID)); err != nil {
		return fmt.Errorf("writing the state of skyd dev: %w", err)
	}
	if err := atomicfile.Write(c.StateFile(), append(data, '\n')); err != nil {
		return fmt.Errorf("writing the state of skyd dev: %w", err)
	}
	return nil
}

// WithdrawState removes what PublishState wrote.
func WithdrawState(c *config.Config) error {
	var errs []error
	for _, name := range []string{c.StateFile(), c.PIDFile()} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func readStateFile(name string) (State, error) {
	data, err := regularfile.Read(name, regularfile.SmallFile)
	if err != nil {
		return State{}, fmt.Errorf("reading the state of skyd dev: %w", err)
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("reading the state of skyd dev in %s: %w", name, err)
	}
	return s, nil
}
