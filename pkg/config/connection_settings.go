package config

import "github.com/sky-shift/skyctl/pkg/api"

// connectionSettings tell a program how to use the servers. A command that uses a running skyd dev takes its values.
var connectionSettings = []string{"etcd.prefix", "temporal.namespace", "temporal.taskQueue", "secretsKeyFile"}

// ApplyConnection takes over the connection settings of a running skyd dev.
func (c *Config) ApplyConnection(used map[string]api.UsedSetting) {
	for _, key := range connectionSettings {
		if u, told := used[key]; told && u.Value != "" {
			_ = findSetting(key).set(c, u.Value) // skyd has checked it
		}
	}
}
