package config

import "github.com/sky-shift/skyctl/pkg/api"

// connectionSettings define how a program uses the servers. A command uses the values of a running skyd dev.
var connectionSettings = []string{"etcd.prefix", "temporal.namespace", "temporal.taskQueue", "secretsKeyFile"}

// ApplyConnection adopts the connection settings of a running skyd dev.
func (c *Config) ApplyConnection(used map[string]api.UsedSetting) {
	for _, key := range connectionSettings {
		if u, ok := used[key]; ok && u.Value != "" {
			_ = findSetting(key).set(c, u.Value) // skyd has checked it
		}
	}
}
